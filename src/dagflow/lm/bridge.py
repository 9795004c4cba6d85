"""The bridge to libraries that know asyncio only: their coroutines run on an asyncio loop beside trio's."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent import futures
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any, Final, Protocol, TypeVar

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal
from anyio.to_thread import run_sync

from dagflow.errors import LMError, name_of
from dagflow.kernel.context import run_resource

__all__ = ["Bridge", "asyncio_bridge", "on_asyncio"]

T = TypeVar("T")

_KEY: Final = "dagflow.lm.bridge"
_CLOSING = 10.0  # seconds until a loop that does not end is left to itself; its thread is a daemon


class Bridge(Protocol):
    """A way to asyncio, open for as long as the block or the run that it was made for."""

    async def call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Await `fn(*args)` on an asyncio loop, always the same one; see `on_asyncio`."""
        ...


async def on_asyncio(fn: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Await `fn(*args)` on an asyncio loop, from whichever loop this is.

    On asyncio it is simply awaited. On trio it runs on an asyncio loop in a thread of its own: one for each
    run, and outside of a run one for the call. Exceptions, context variables and cancellation are carried over:
    a cancelled caller cancels `fn` and waits until it has cleaned up.

    Raises `LMError` where the asyncio side cancels itself, as a library does that gives its own work up.
    """
    async with asyncio_bridge() as bridge:
        return await bridge.call(fn, *args)


@asynccontextmanager
async def asyncio_bridge() -> AsyncIterator[Bridge]:
    """Give the bridge of the current run, or one for the block outside of a run.

    What a library keeps between calls (connections) belongs to the loop that it was made on, so that it must be
    closed through the same bridge. A resource of a run that needs the bridge asks for it before it is opened:
    then it is closed first.
    """
    if not _on_trio():
        yield _Direct()
        return
    shared = await run_resource(_KEY, _open)
    if shared is not None:
        yield shared
        return
    async with _open() as bridge:
        yield bridge


def _on_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


class _Direct:
    """No bridge at all: this is asyncio already."""

    async def call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        return await fn(*args)


class _Portal:
    """A bridge over an anyio portal."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal

    async def call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        try:
            return await self._portal.call_async(fn, *args)
        except futures.CancelledError as error:
            raise LMError(
                f"{name_of(fn)} was cancelled on its own (asyncio) side, and by nobody here; "
                f"the library that it belongs to gave its work up"
            ) from error


@asynccontextmanager
async def _open() -> AsyncIterator[Bridge]:
    """Start an asyncio loop in a thread, and end it with the block."""
    opening: AbstractContextManager[BlockingPortal] = start_blocking_portal("asyncio", name="dagflow-asyncio")
    # Entering and leaving wait for the thread, so they wait in a worker thread: never in trio's own.
    portal: BlockingPortal | None = None
    with anyio.CancelScope(shield=True):
        portal = await run_sync(opening.__enter__)
    assert portal is not None
    try:
        yield _Portal(portal)
    finally:
        # Shielded, or a cancelled run would leave the thread; the calls themselves have ended by now.
        with anyio.move_on_after(_CLOSING, shield=True):
            await run_sync(opening.__exit__, None, None, None, abandon_on_cancel=True)
