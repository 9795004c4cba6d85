"""Journals in the memory of this process: the cheapest store, gone when the process ends."""

from __future__ import annotations

import builtins
import heapq
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import attrs

from dagflow.core.storage import Head, Lease, Page, Record, Session, Status, ThreadSummary
from dagflow.errors import CheckpointError
from dagflow.kernel import fault_points
from dagflow.store.checks import Place, check_limit, check_numbers, check_ttl, lost, not_following, taken

__all__ = ["MemoryStore"]

SWEEP = 100
"""How many threads are looked at, at most, each time that expired ones are removed."""


class MemoryStore:
    """Keeps journals in this process, for tests and for runs that need not outlive it.

    Any number of runs may share one, on either event loop and from several threads. `ttl` is how many seconds a
    thread is kept after its newest record, while nobody holds its lease; without it, as long as the store. Raises
    `ValueError` for a `ttl` that is not above 0.

    A lease ends with the session that took it at the latest.
    """

    def __init__(self, *, ttl: float | None = None) -> None:
        self._contents = Contents(ttl=check_ttl(ttl))

    def __repr__(self) -> str:
        return f"<MemoryStore with {len(self._contents.threads)} threads>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        """Open the store; never waits."""
        contents = self._contents
        session = MemorySession(contents)
        with contents.guard:
            contents.sweep()
        try:
            yield session
        finally:
            session.close()


@attrs.define(eq=False)
class Thread:
    """One thread: its head, its records (number n at index n - 1) and its values by digest."""

    head: Head
    created: float
    updated: float
    records: builtins.list[Record] = attrs.field(factory=list)
    values: dict[str, str] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Hold:
    """A lease that is out, and what happened under it; `first` is where its last append began."""

    lease: Lease
    session: MemorySession
    cancel_asked: bool = False
    first: int = 0


@attrs.define(eq=False)
class Contents:
    """What a store holds; every use of it is under the `guard`, and none awaits there.

    Where threads expire, `threads` are in the order of their last append, so that a sweep finds the oldest first.
    """

    ttl: float | None
    guard: threading.Lock = attrs.field(factory=threading.Lock)
    threads: dict[str, Thread] = attrs.field(factory=dict)
    holds: dict[str, Hold] = attrs.field(factory=dict)

    def held(self, lease: Lease) -> Hold:
        """Find a lease that is out; raises `RunLocked` for any other."""
        hold = self.holds.get(lease.thread_id)
        if hold is None or hold.lease.owner != lease.owner:
            raise lost(lease.thread_id)
        return hold

    def find(self, thread_id: str) -> Thread | None:
        """Find a thread that is there and has not expired."""
        thread = self.threads.get(thread_id)
        if thread is not None and self.expired(thread_id, thread):
            del self.threads[thread_id]
            return None
        return thread

    def expired(self, thread_id: str, thread: Thread) -> bool:
        if self.ttl is None or thread_id in self.holds:
            return False
        return thread.updated < time.time() - self.ttl

    def sweep(self) -> None:
        """Remove some of what has expired."""
        if self.ttl is None:
            return
        for thread_id in list(islice(self.threads, SWEEP)):
            self.find(thread_id)

    def add(self, hold: Hold, records: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        """Append to a thread what follows on its records, or has been appended just now."""
        thread_id = hold.lease.thread_id
        check_numbers(thread_id, records)
        thread = self.threads.get(thread_id)
        newest = len(thread.records) if thread else 0
        first = records[0].seq
        if first != newest + 1:
            if thread and hold.first == first and thread.records[first - 1 :] == list(records):
                return
            raise not_following(thread_id, records, newest)
        fault_points.reach("intxn", thread_id)
        now = time.time()
        if thread is None:
            thread = self.threads[thread_id] = Thread(head or Head("", "running"), now, now)
        elif self.ttl is not None:
            self.threads[thread_id] = self.threads.pop(thread_id)
        thread.records.extend(records)
        thread.updated = now
        for digest, text in values.items():
            thread.values.setdefault(digest, text)
        if head is not None:
            thread.head = head
        hold.first = first

    def summary(self, thread_id: str, thread: Thread) -> ThreadSummary:
        return ThreadSummary(
            thread_id=thread_id,
            graph=thread.head.graph,
            status=thread.head.status,
            created=thread.created,
            updated=thread.updated,
            records=len(thread.records),
            leased=thread_id in self.holds,
        )


class MemorySession:
    """An open store; see `Session` for what its methods promise. None of them waits for anything."""

    def __init__(self, contents: Contents) -> None:
        self._contents = contents
        self._closed = False

    async def acquire(self, thread_id: str) -> Lease:
        """Take the lease of a thread; raises `RunLocked` where it is taken."""
        contents = self._opened()
        with contents.guard:
            if thread_id in contents.holds:
                raise taken(thread_id)
            contents.find(thread_id)  # removes it where it has expired: the lease would bring it back
            lease = Lease(thread_id, secrets.token_hex(16))
            contents.holds[thread_id] = Hold(lease, self)
            return lease

    async def renew(self, lease: Lease) -> bool:
        """Tell whether somebody asked to cancel the run; raises `RunLocked` for a lease that is lost."""
        contents = self._opened()
        with contents.guard:
            return contents.held(lease).cancel_asked

    async def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens where it is lost already."""
        contents = self._opened()
        with contents.guard:
            hold = contents.holds.get(lease.thread_id)
            if hold is not None and hold.lease.owner == lease.owner:
                del contents.holds[lease.thread_id]

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        """Add records to a thread, all of them or none; raises `RunLocked` or `CheckpointError`."""
        contents = self._opened()
        with contents.guard:
            contents.add(contents.held(lease), records, values, head)

    async def read(self, thread_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        """Give the records above `after`, in order."""
        contents = self._opened()
        with contents.guard:
            thread = contents.find(thread_id)
            if thread is None:
                return ()
            start = max(after, 0)
            return tuple(thread.records[start : None if limit is None else start + max(limit, 0)])

    async def read_values(self, thread_id: str, digests: Collection[str]) -> Mapping[str, str]:
        """Give the texts of values by digest."""
        contents = self._opened()
        with contents.guard:
            thread = contents.find(thread_id)
            if thread is None:
                return {}
            return {digest: thread.values[digest] for digest in digests if digest in thread.values}

    async def cancel(self, thread_id: str) -> bool:
        """Ask whoever holds a thread's lease to cancel its run."""
        contents = self._opened()
        with contents.guard:
            hold = contents.holds.get(thread_id)
            if hold is None:
                return False
            hold.cancel_asked = True
            return True

    async def find(self, thread_id: str) -> ThreadSummary | None:
        """Summarise one thread."""
        contents = self._opened()
        with contents.guard:
            thread = contents.find(thread_id)
            return None if thread is None else contents.summary(thread_id, thread)

    async def list(self, *, limit: int = 50, cursor: str | None = None, status: Status | None = None) -> Page:
        """List threads, the newest first, one page at a time."""
        contents = self._opened()
        check_limit(limit)
        behind = Place.of(cursor)
        with contents.guard:
            contents.sweep()
            places = (
                Place(thread.created, thread_id)
                for thread_id, thread in contents.threads.items()
                if (status is None or thread.head.status == status) and not contents.expired(thread_id, thread)
            )
            wanted = (place for place in places if behind is None or place.rank > behind.rank)
            found = heapq.nsmallest(limit + 1, wanted, key=lambda place: place.rank)
            ids = [place.thread_id for place in found[:limit]]
            threads = tuple(contents.summary(thread_id, contents.threads[thread_id]) for thread_id in ids)
        return Page(threads, str(found[limit - 1]) if len(found) > limit else None)

    async def delete(self, thread_id: str) -> bool:
        """Remove a thread; raises `RunLocked` while somebody holds its lease."""
        contents = self._opened()
        with contents.guard:
            if thread_id in contents.holds:
                raise taken(thread_id)
            found = contents.find(thread_id) is not None
            contents.threads.pop(thread_id, None)
            return found

    def close(self) -> None:
        """End the leases that this session took and did not give back."""
        self._closed = True
        holds = self._contents.holds
        with self._contents.guard:
            for thread_id in [thread_id for thread_id, hold in holds.items() if hold.session is self]:
                del holds[thread_id]

    def _opened(self) -> Contents:
        if self._closed:
            raise CheckpointError("the session is closed; open the store again")
        return self._contents
