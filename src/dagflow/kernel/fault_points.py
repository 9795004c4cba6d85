"""Fault points: named places where a test may break a run, and where nothing happens otherwise.

Four points surround what must survive a crash. For each activation that succeeds: `before` its body is called,
`body` when the body has given its result, `intxn` inside the store's transaction (what is written has not been
committed), and `committed` when the record is safe and nothing has been told or started because of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

__all__ = ["POINTS", "Point", "armed", "reach"]

Point = Literal["before", "body", "intxn", "committed"]
POINTS: tuple[Point, ...] = ("before", "body", "intxn", "committed")
Action = Callable[[Point, str], None]

_action: ContextVar[Action | None] = ContextVar("dagflow_fault_point", default=None)


@contextmanager
def armed(action: Action) -> Iterator[None]:
    """Call `action(point, what)` whenever a fault point is reached in this context, or in tasks begun in it.

    `what` is the activation's id, or the thread's for `intxn`. The action may raise, sleep or kill the process.
    """
    token = _action.set(action)
    try:
        yield
    finally:
        _action.reset(token)


def reach(point: Point, what: str) -> None:
    """Pass a fault point."""
    action = _action.get()
    if action is not None:
        action(point, what)
