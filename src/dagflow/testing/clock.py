"""Virtual time for asyncio and trio: sleeping takes no time, and waiting for nothing is an error, not a hang.

When nothing can run, the clock jumps to the next deadline. What the loop cannot see does not hold it back: a
virtual clock does not mix with worker threads, child processes and sockets.
"""

from __future__ import annotations

import math
import selectors
from asyncio import SelectorEventLoop, all_tasks
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import anyio

if TYPE_CHECKING:
    import trio
    from trio.testing import MockClock

__all__ = ["Deadlock", "run_virtual", "virtual_backend"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LOOPS = frozenset({"anyio", "asyncio", "trio"})


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
            raise deadlock(task.get_coro() for task in all_tasks(self._loop))
        self._loop.jump(timeout)
        return ready


async def run_on_trio(function: Callable[[*Ts], Awaitable[T]], args: tuple[*Ts], clock: MockClock) -> T:
    """Run a function beside a system task that moves the clock whenever all others wait.

    `MockClock(autojump_threshold=0)` would do the jumping, but waits for ever where there is no deadline.
    """
    import trio
    from trio.testing import wait_all_tasks_blocked

    stuck: list[Deadlock] = []

    async def jump() -> None:
        while True:
            await wait_all_tasks_blocked()
            seconds = trio.lowlevel.current_statistics().seconds_to_next_deadline
            if seconds < math.inf:
                clock.jump(max(seconds, 0))
            elif stuck:  # what was cancelled does not end: nothing but a crash is left
                raise stuck[0]
            else:
                stuck.append(deadlock(children(trio.lowlevel.current_root_task())))
                scope.cancel()

    results: list[T] = []
    with trio.CancelScope() as scope:
        trio.lowlevel.spawn_system_task(jump)
        results.append(await function(*args))
    if stuck:
        raise stuck[0]
    return results[0]


def children(task: trio.lowlevel.Task | None) -> Iterator[Any]:
    """List the coroutines of all tasks below a task of trio's."""
    for nursery in task.child_nurseries if task else ():
        for child in nursery.child_tasks:
            yield child.coro
            yield from children(child)


def deadlock(coroutines: Iterable[Any]) -> Deadlock:
    """Describe where tasks wait; tasks of the event loop's own have no such place."""
    places = (place(coroutine) for coroutine in coroutines)
    lines = (f"  - {place}" for place in places if place)
    return Deadlock("\n".join(["every task waits, and no deadline is left to wake one of them:", *lines]))


def place(coroutine: Any) -> str | None:
    """Find the line that a coroutine waits at, in the innermost one that it awaits and no event loop wrote."""
    found: str | None = None
    if getattr(coroutine, "cr_running", False):  # the one that is asking
        return None
    while coroutine is not None:
        frame: FrameType | None = getattr(coroutine, "cr_frame", None)
        if frame is not None and frame.f_globals.get("__name__", "").split(".")[0] not in LOOPS:
            code = frame.f_code
            found = f"{code.co_qualname} ({code.co_filename}:{frame.f_lineno})"
        coroutine = getattr(coroutine, "cr_await", None)
    return found
