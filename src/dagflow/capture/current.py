"""Which task the calling code prints for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagflow.capture.output import TaskOutput

__all__ = ["capturing", "current_output", "set_output"]

_current: ContextVar[TaskOutput | None] = ContextVar("dagflow_output", default=None)


def current_output() -> TaskOutput | None:
    """The output that the calling code prints to, or `None` where nothing is captured.

    It is found by tasks and by worker threads that anyio or `asyncio.to_thread` starts from them. A thread that a task
    starts itself, with `threading` or an executor, has a context of its own: there nothing is captured.
    """
    return _current.get()


def set_output(output: TaskOutput | None) -> TaskOutput | None:
    """Let the calling context print to an output; gives the one before."""
    before = _current.get()
    _current.set(output)
    return before


@contextmanager
def capturing(output: TaskOutput | None) -> Iterator[None]:
    """Let what is printed and logged inside the block go to an output; `None` lets it go where it went before."""
    before = set_output(output)
    try:
        yield
    finally:
        set_output(before)
