"""Capturing what tasks log, whatever loggers, levels and handlers there are, and without changing any of them.

Records are seen where they are made, by a factory (`logging.setLogRecordFactory`): every logger that is enabled makes
its records there, wherever they go afterwards. A handler of ours would not do. On the root logger it would make
`logging.basicConfig` in a task do nothing, keep warnings from the handler of last resort, be removed by `dictConfig`,
and miss the loggers that do not propagate.

A filter of a logger sees its records later, so that what it drops is captured all the same.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from dagflow.capture.current import capturing, current_output
from dagflow.capture.installation import Installation

__all__ = ["capturing_logs"]

_FORMATTER: Final = logging.Formatter("%(levelname)s %(name)s: %(message)s")

_factory: CapturingFactory | None = None


def capturing_logs() -> AbstractContextManager[None]:
    """Let what is logged where an output is current be taken by it, as long as any such block is open."""
    return _installation.used()


def _install() -> None:
    """Put a factory on top, unless it is there: others may have put theirs there meanwhile."""
    global _factory
    current = logging.getLogRecordFactory()
    if _factory is None or current is not _factory:
        _factory = CapturingFactory(current)
        logging.setLogRecordFactory(_factory)


def _remove() -> None:
    """Take the factory away; where somebody put another one on top, it stays below that and does nothing."""
    global _factory
    if _factory is not None and logging.getLogRecordFactory() is _factory:
        logging.setLogRecordFactory(_factory.inner)
    _factory = None


_installation: Final = Installation(_install, _remove)  # logging has one factory in a process


class CapturingFactory:
    """Makes log records as the factory before did; the newest one shows them to the current output."""

    def __init__(self, inner: Callable[..., logging.LogRecord]) -> None:
        self.inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        """Make a record."""
        record = self.inner(*args, **kwargs)
        output = current_output() if _factory is self else None
        # Without a name it is made by `makeLogRecord`, from what another process or thread has logged.
        if output is not None and record.name:
            with capturing(None):  # what is logged while a record is formatted goes where it went before
                output.take_text("log", f"{_format(record)}\n")
        return record


def _format(record: logging.LogRecord) -> str:
    try:
        # A copy: formatting leaves its results on the record, for other formatters to find.
        return _FORMATTER.format(copy.copy(record))
    except Exception as error:
        return f"{record.levelname} {record.name}: {record.msg!r} (cannot be formatted: {error})"
