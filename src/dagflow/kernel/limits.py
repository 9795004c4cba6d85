"""Limits on how much works at once, with permits that are lent while their holder only waits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import TracebackType

import anyio

__all__ = ["Limit", "Permit"]


class Limit:
    """At most `capacity` permits out at once; a permit of a limit is one of its `parent`'s as well.

    Waiters are served in the order in which they came.
    """

    def __init__(self, capacity: int, parent: Limit | None = None) -> None:
        if capacity < 1:
            raise ValueError(f"max_concurrency must be at least 1, not {capacity}")
        self.capacity = capacity
        self.parent = parent
        self._permits = anyio.Semaphore(capacity, max_value=capacity, fast_acquire=True)

    @property
    def borrowed(self) -> int:
        """How many permits are out."""
        return self.capacity - self._permits.value

    async def acquire(self) -> None:
        """Take a permit here and from every limit above; all or none when cancelled."""
        await self._permits.acquire()
        if self.parent is not None:
            try:
                await self.parent.acquire()
            except BaseException:
                self._permits.release()
                raise

    def release(self) -> None:
        """Give the permit back, here and above."""
        if self.parent is not None:
            self.parent.release()
        self._permits.release()


class Permit:
    """The right to work under a limit, held inside an `async with` block.

    `lent()` gives it back while its holder waits for other work under the same limit, which could otherwise
    wait for the holder: that is how nested runs cannot deadlock. Several parts of the holder may wait at
    once; the permit is taken again when the last of them goes on.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._held = False
        self._waiting = 0

    async def __aenter__(self) -> Permit:
        await self._limit.acquire()
        self._held = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Lend the permit for the length of the block; cancelled while it is taken back, it stays lent."""
        self._waiting += 1
        self._give_back()
        try:
            yield
        finally:
            self._waiting -= 1
        if not self._held and not self._waiting:
            self._held = True  # set first: two waiters that end together must not take two permits
            try:
                await self._limit.acquire()
            except BaseException:
                self._held = False
                raise

    def _give_back(self) -> None:
        if self._held:
            self._held = False
            self._limit.release()
