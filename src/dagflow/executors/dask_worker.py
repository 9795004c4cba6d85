"""What runs on a worker of Dask: the call of a function, and the question whether it is still wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

import distributed

__all__ = ["call", "cancelled"]

_distributed: Any = distributed  # much of it has no types

POLLED: Final = 0.1
"""Seconds between two questions to the scheduler, however often a function asks."""


class Flag:
    """Asks the scheduler whether somebody gave the call up."""

    def __init__(self, name: str) -> None:
        self._event: Any = _distributed.Event(name)
        self._asked = float("-inf")
        self._set = False

    def is_set(self) -> bool:
        """Tell, by an answer that is at most a moment old."""
        if not self._set and time.monotonic() - self._asked >= POLLED:
            self._set = bool(self._event.is_set())
            self._asked = time.monotonic()
        return self._set


_current: ContextVar[Flag | None] = ContextVar("dagflow_dask_flag", default=None)


def cancelled() -> bool:
    """Tell whether the call that this function runs in was given up; a function that works for long asks now and then.

    A thread on a worker cannot be stopped from outside, so that only the function itself can end early, by returning
    whatever it likes. The scheduler is asked about ten times a second at most. `False` where the function was not
    called through Dask.
    """
    flag = _current.get()
    return flag is not None and flag.is_set()


def call(function: Callable[..., Any], arguments: Mapping[str, Any], name: str) -> Any:
    """Call a function where the flag `name` tells it whether it is still wanted."""
    token = _current.set(Flag(name))
    try:
        return function(**arguments)
    finally:
        _current.reset(token)
