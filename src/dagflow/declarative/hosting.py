"""The one place where a run has a task outside of any task group: it is iterated by a plain `async for`.

A plain `async for` has no block that a run could live in. An async generator that yields inside a task group cannot
stand in for one: when its consumer stops early its clean-up runs in another task, or never (PEP 789). So the block is
entered and left by a task of its own, on asyncio a native task, on trio a system task, and every way in which a
consumer can stop tells that task to leave it: the end of the iteration, `aclose`, a cancellation that meets the
consumer while it waits, and at last the iterator's own collection. `async with` needs none of this.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import anyio
import anyio.lowlevel

from dagflow.events import Event
from dagflow.kernel.cancellation import never_wrapped
from dagflow.kernel.context import current_activation
from dagflow.kernel.stream import RunStream

__all__ = ["HostedStream"]

R = TypeVar("R")

_native_tasks: set[Any] = set()
"""asyncio itself keeps only weak references to its tasks."""


class Host(Generic[R]):
    """What the task and the iterator share; it knows nothing of the iterator, or that could never be collected."""

    def __init__(self, stream: RunStream[R]) -> None:
        self.stream = stream
        self.ready: anyio.Event = anyio.Event()
        self.stop: anyio.Event = anyio.Event()
        self.done: anyio.Event = anyio.Event()
        self.error: BaseException | None = None

    async def live(self) -> None:
        """Enter the block, and leave it when told to; what that raises is kept for the consumer."""
        try:
            async with self.stream:
                self.ready.set()
                await self.stop.wait()
        except Exception as error:
            self.error = error
        except BaseException as error:
            # Never out of this task: a system task of trio that raises ends the program. The consumer raises it.
            fatal = never_wrapped(error)
            self.error = fatal
            if fatal is None:
                raise
        finally:
            self.ready.set()
            self.done.set()


class HostedStream(Generic[R]):
    """An async iterator over a run's events that needs no block; the run begins when the first is asked for."""

    def __init__(self, stream: RunStream[R]) -> None:
        self._stream = stream
        self._host: Host[R] | None = None
        self._tell: Callable[[], object] | None = None

    async def next(self) -> Event:
        """Give the next event; raises `StopAsyncIteration` after the last, and what ended the run."""
        if self._host is None:
            self._begin()
        host = self._host
        assert host is not None
        try:
            await host.ready.wait()
            if host.done.is_set():
                self._raise(host)
                raise StopAsyncIteration
            return await host.stream.__anext__()
        except BaseException:
            await self.aclose()
            self._raise(host)
            raise

    def _raise(self, host: Host[R]) -> None:
        error, host.error = host.error, None
        if error is not None:
            raise error

    async def aclose(self) -> None:
        """End the run, and wait until nothing of it is left; shielded, as every clean-up is."""
        host = self._host
        if host is None:
            return
        self._tell = None
        host.stop.set()
        with anyio.CancelScope(shield=True):
            await host.done.wait()

    def _begin(self) -> None:
        if current_activation() is not None:
            raise RuntimeError(
                "inside a run, a stream has to end with the node that reads it: write "
                "`async with stream_graph_async(...) as events:`"
            )
        host = self._host = Host(self._stream)
        self._tell = _spawn(host)

    def __del__(self) -> None:
        if self._tell is not None:
            with suppress(Exception):  # the event loop is gone, and with it the run
                self._tell()


def _spawn(host: Host[Any]) -> Callable[[], object]:
    """Start the task, and give what tells it to stop from anywhere, also from another thread's collector."""
    backend = anyio.lowlevel.current_token().backend_class.__module__
    if backend.endswith("trio"):
        import trio

        trio.lowlevel.spawn_system_task(host.live, name="dagflow: a run under a plain `async for`")
        token = trio.lowlevel.current_trio_token()
        return lambda: token.run_sync_soon(host.stop.set)
    import asyncio

    loop = asyncio.get_running_loop()
    task = loop.create_task(host.live(), name="dagflow: a run under a plain `async for`")
    _native_tasks.add(task)
    task.add_done_callback(_native_tasks.discard)
    return lambda: loop.call_soon_threadsafe(host.stop.set)
