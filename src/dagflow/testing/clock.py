"""Virtual time for asyncio and trio: sleeping takes no time, and waiting for nothing is an error, not a hang.

When nothing can run, the clock jumps to the next deadline. What the loop cannot see does not hold it back: a
virtual clock does not mix with worker threads, child processes and sockets.
"""

from __future__ import annotations

import math
import selectors
from asyncio import SelectorEventLoop, all_tasks
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import anyio

if TYPE_CHECKING:
    import trio

__all__ = ["Deadlock", "run_virtual", "virtual_backend"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Deadlock(AssertionError):
    """Raised when every task waits, and no deadline is left that could wake one of them."""


def virtual_backend(name: str) -> tuple[str, dict[str, Any]]:
    """Return an event loop with a virtual clock, in the form of a parameter of the `anyio_backend` fixture.

    `name` is `"asyncio"` or `"trio"`. On trio a deadlock hangs in a test that runs so; use `run_virtual`
    where one is to be found out.
    """
    if name == "asyncio":
        return name, {"loop_factory": VirtualEventLoop}
    if name == "trio":
        from trio.testing import MockClock

        return name, {"clock": MockClock(autojump_threshold=0)}
    raise ValueError(f"there is no event loop {name!r}: use 'asyncio' or 'trio'")


def run_virtual(function: Callable[[*Ts], Awaitable[T]], *args: *Ts, backend: str = "asyncio") -> T:
    """Run an async function in virtual time, as `anyio.run` does in real time, and return its result.

    Raises `Deadlock`, which says where each task waits, when nothing is left to wake any of them.
    """
    if backend != "trio":
        name, options = virtual_backend(backend)
        return anyio.run(function, *args, backend=name, backend_options=options)
    from trio.testing import MockClock

    clock = MockClock()
    return anyio.run(run_on_trio, function, args, clock, backend="trio", backend_options={"clock": clock})


class VirtualEventLoop(SelectorEventLoop):
    """An asyncio loop whose time stands still while something runs, and jumps when nothing does."""

    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(JumpingSelector(self))

    def time(self) -> float:
        """Return the virtual time, in seconds since the loop was made."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Let virtual time pass."""
        self._now += seconds


class JumpingSelector(selectors.DefaultSelector):
    """A selector that never waits: it moves its loop's clock instead."""

    def __init__(self, loop: VirtualEventLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; if nothing is, let `timeout` seconds pass, or tell of the deadlock."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise deadlock([repr(task) for task in all_tasks(self._loop)])
        self._loop.jump(timeout)
        return ready


async def run_on_trio(
    function: Callable[[*Ts], Awaitable[T]], args: tuple[*Ts], clock: trio.testing.MockClock
) -> T:
    """Run a function beside a task that moves the clock whenever all others wait.

    `MockClock(autojump_threshold=0)` would do the jumping, but it waits for ever where there is no deadline.
    """
    import trio

    stuck: list[str] = []
    results: list[T] = []

    async def jump(scope: trio.CancelScope) -> None:
        while True:
            await trio.testing.wait_all_tasks_blocked()
            seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if seconds == math.inf:
                stuck.extend(waiting_tasks())
                scope.cancel()
                return
            clock.jump(max(seconds, 0))

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jump, scope)
            results.append(await function(*args))
            nursery.cancel_scope.cancel()
    if stuck:
        raise deadlock(stuck)
    return results[0]
