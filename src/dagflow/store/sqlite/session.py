"""The SQLite store and its sessions: every operation in a worker thread, one at a time."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVar

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar

from dagflow.core.storage import Head, Lease, Page, Record, Session, Status, ThreadSummary
from dagflow.store.checks import Place, check_limit, check_ttl, taken
from dagflow.store.sqlite import reading, writing
from dagflow.store.sqlite.database import Database, Seat

__all__ = ["SQLiteStore"]

P = ParamSpec("P")
T = TypeVar("T")

PAUSES = (0.002, 0.006, 0.012)
"""How long is waited, in seconds, before a lock counts as taken: who only looks at it has it for microseconds."""


class SQLiteStore:
    """Keeps journals in an SQLite database, the file at `path`, which is made when the store is opened first.

    An append is on the disk when it returns, and survives `kill -9` and a power cut (`synchronous=FULL`). Any
    number of processes may use the file, and any number of runs may share one store, on either event loop and from
    several threads; all of it must be on a local disk, because neither SQLite's log nor the locks work over a
    network. A lease is a lock on a file in the folder `<path>-locks`, and ends with its process at the latest, or
    with the session that took it.

    The connection is opened by the first session and closed by the last: a server that runs many graphs saves some
    milliseconds a run by keeping a session of its own open (`async with store.open():`) around them.

    `ttl` is how many seconds a thread is kept after its newest record, while nobody holds its lease; without it,
    for ever. Raises `ValueError` for a `ttl` that is not above 0, and for `":memory:"` and `""`.
    """

    def __init__(self, path: str | os.PathLike[str], *, ttl: float | None = None) -> None:
        name = os.fspath(path)
        if not isinstance(name, str):
            raise TypeError(f"path must be a str or a path of one, not {path!r}")
        if name in ("", ":memory:"):
            raise ValueError(f"an SQLiteStore needs the path of a file, not {name!r}; use MemoryStore to keep no file")
        self._database = Database(os.path.abspath(name), check_ttl(ttl))
        self._limiter = LoopLimiter()

    def __repr__(self) -> str:
        return f"SQLiteStore({self._database.path!r})"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        """Open the store, and close it with the last session.

        Raises `CheckpointError` where the file cannot be opened, belongs to another application, or was written by
        a newer dagflow. Closing is shielded from cancellation; it takes as long as the operation that is under way,
        and a few milliseconds.
        """
        seat = Seat()
        try:
            await anyio.to_thread.run_sync(self._enter, seat, limiter=self._limiter.here())
            yield SQLiteSession(self._database, seat, self._limiter)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self._database.leave, seat, limiter=self._limiter.here())

    def _enter(self, seat: Seat) -> None:
        self._database.enter(seat)
        self._database.use(seat, "", writing.sweep)


class LoopLimiter:
    """Lets one worker thread of each event loop at the store; the others would only wait for the connection."""

    def __init__(self) -> None:
        self._limiter: RunVar[anyio.CapacityLimiter] = RunVar("dagflow_sqlite_limiter")

    def here(self) -> anyio.CapacityLimiter:
        """Give the limiter of this event loop."""
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = anyio.CapacityLimiter(1)
            self._limiter.set(limiter)
        return limiter


class SQLiteSession:
    """An open store; see `Session` for what its methods promise.

    A method that is cancelled while its thread works goes on until that is done, and has its whole effect.
    """

    def __init__(self, database: Database, seat: Seat, limiter: LoopLimiter) -> None:
        self._database = database
        self._seat = seat
        self._limiter = limiter

    async def acquire(self, thread_id: str) -> Lease:
        """Take the lease of a thread; raises `RunLocked` where it is taken."""
        return await unless_taken(thread_id, lambda: self._run(thread_id, writing.acquire, self._seat, thread_id))

    async def renew(self, lease: Lease) -> bool:
        """Check a lease, and tell whether somebody asked to cancel its run; raises `RunLocked` where it is lost."""
        return await self._run(lease.thread_id, writing.renew, lease)

    async def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens where it is lost already."""
        await self._run(lease.thread_id, writing.release, lease)

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        """Add records to a thread in one transaction; on return they are on the disk."""
        await self._run(lease.thread_id, writing.append, lease, records, values, head)

    async def read(self, thread_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        """Give the records above `after`, in order."""
        return await self._run(thread_id, reading.read, thread_id, after, limit)

    async def read_values(self, thread_id: str, digests: Collection[str]) -> Mapping[str, str]:
        """Give the texts of values by digest."""
        return await self._run(thread_id, reading.read_values, thread_id, digests)

    async def cancel(self, thread_id: str) -> bool:
        """Ask whoever holds a thread's lease to cancel its run; `False` where nobody does."""
        return await self._run(thread_id, writing.cancel, thread_id)

    async def find(self, thread_id: str) -> ThreadSummary | None:
        """Summarise one thread."""
        return await self._run(thread_id, reading.find, thread_id)

    async def list(self, *, limit: int = 50, cursor: str | None = None, status: Status | None = None) -> Page:
        """List threads, the newest first, one page at a time."""
        check_limit(limit)
        return await self._run("", reading.summaries, limit, Place.of(cursor), status)

    async def delete(self, thread_id: str) -> bool:
        """Remove a thread; raises `RunLocked` while somebody holds its lease."""
        return await unless_taken(thread_id, lambda: self._run(thread_id, writing.delete, thread_id))

    async def _run(
        self, thread_id: str, operation: Callable[Concatenate[Database, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call an operation in a worker thread, after those that came before."""

        def work() -> T:
            return self._database.use(self._seat, thread_id, operation, *args, **kwargs)

        return await anyio.to_thread.run_sync(work, limiter=self._limiter.here())


async def unless_taken(thread_id: str, attempt: Callable[[], Awaitable[T | None]]) -> T:
    """Repeat what gives `None` where a lock is taken; raises `RunLocked` where it stays so."""
    for pause in (*PAUSES, None):
        result = await attempt()
        if result is not None:
            return result
        if pause is not None:
            await anyio.sleep(pause)
    raise taken(thread_id)
