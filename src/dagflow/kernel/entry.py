"""The boundary between scripts and event loops."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import anyio

__all__ = ["run_to_completion"]

T = TypeVar("T")


def run_to_completion(main: Callable[[], Awaitable[T]], *, backend: Literal["asyncio", "trio"], instead: str) -> T:
    """Run `main()` in an event loop of its own; `instead` says what to write inside a running one.

    Raises `RuntimeError` inside a running event loop, and where trio is asked for and not installed;
    `ValueError` for a backend that is neither. Ctrl-C cancels `main`, and raises `KeyboardInterrupt` after it.
    """
    if backend not in ("asyncio", "trio"):
        raise ValueError(f"backend must be 'asyncio' or 'trio', not {backend!r}")
    if _is_in_event_loop():
        raise RuntimeError(f"an event loop is running here already; use `{instead}` in it")
    if backend == "trio" and importlib.util.find_spec("trio") is None:
        raise RuntimeError("backend='trio' needs trio: pip install 'dagflow[trio]'")
    return anyio.run(main, backend=backend)


def _is_in_event_loop() -> bool:
    try:
        anyio.get_current_task()
    except anyio.NoEventLoopError:
        return False
    return True
