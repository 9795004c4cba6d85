"""The smallest store that keeps every promise, a dictionary; what breaks it, one class for each promise, is beside it.

Each method passes one checkpoint and then has its whole effect at once.
"""

from __future__ import annotations

import builtins
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

import attrs
from anyio.lowlevel import checkpoint

from dagflow.core.storage import Head, Lease, Page, Record, Session, Status, Store, ThreadSummary
from dagflow.errors import CheckpointError, RunLocked


@attrs.define
class Thread:
    """One thread; `batch` is what was appended last, and by whose lease."""

    head: Head
    created: float
    updated: float
    records: list[Record] = attrs.field(factory=list)
    values: dict[str, str] = attrs.field(factory=dict)
    batch: tuple[str, tuple[Record, ...]] = ("", ())


@attrs.define(eq=False)
class Contents:
    """What the sessions of one store share."""

    guard: threading.RLock = attrs.field(factory=threading.RLock)
    threads: dict[str, Thread] = attrs.field(factory=dict)
    owners: dict[str, str] = attrs.field(factory=dict)
    asked: set[str] = attrs.field(factory=set)


class ReferenceStore:
    """A store in memory. A variant names the class of its sessions."""

    def __init__(self) -> None:
        self.sessions: type[ReferenceSession] = ReferenceSession
        self.contents = Contents()

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        session = self.sessions(self.contents)
        try:
            yield session
        finally:
            session.close()


class ReferenceSession:
    """See `Session`."""

    def __init__(self, contents: Contents) -> None:
        self.contents = contents
        self.taken: list[Lease] = []

    def close(self) -> None:
        for lease in self.taken:
            self.give_back(lease)

    def give_back(self, lease: Lease) -> None:
        if self.holds(lease):
            del self.contents.owners[lease.thread_id]

    def holds(self, lease: Lease) -> bool:
        return self.contents.owners.get(lease.thread_id) == lease.owner

    def check(self, lease: Lease) -> None:
        if not self.holds(lease):
            raise RunLocked(f"the lease of {lease.thread_id!r} is lost", thread_id=lease.thread_id)

    def refuse(self, thread_id: str) -> None:
        if thread_id in self.contents.owners:
            raise RunLocked(f"thread {thread_id!r} is taken", thread_id=thread_id)

    async def acquire(self, thread_id: str) -> Lease:
        await checkpoint()
        with self.contents.guard:
            self.refuse(thread_id)
            lease = Lease(thread_id, secrets.token_hex(8))
            self.contents.owners[thread_id] = lease.owner
            self.contents.asked.discard(thread_id)
            self.taken.append(lease)
            return lease

    async def renew(self, lease: Lease) -> bool:
        await checkpoint()
        self.check(lease)
        return lease.thread_id in self.contents.asked

    async def release(self, lease: Lease) -> None:
        await checkpoint()
        with self.contents.guard:
            self.give_back(lease)

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        await checkpoint()
        with self.contents.guard:
            self.check(lease)
            if self.follows(lease, records):
                self.add(lease, records, values, head)

    def follows(self, lease: Lease, records: Sequence[Record]) -> bool:
        """Tell whether records are to be added, or have been just now; raises `CheckpointError` for all others."""
        thread = self.contents.threads.get(lease.thread_id)
        if thread is not None and thread.batch == (lease.owner, tuple(records)):
            return False
        first = 1 if thread is None else len(thread.records) + 1
        if not records or [record.seq for record in records] != [*range(first, first + len(records))]:
            raise CheckpointError(f"number {first} comes next in {lease.thread_id!r}", thread_id=lease.thread_id)
        return True

    def add(self, lease: Lease, records: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        now = time.time()
        thread = self.contents.threads.setdefault(lease.thread_id, Thread(head or Head("", "running"), now, now))
        thread.records += records
        thread.updated = now
        thread.head = head or thread.head
        thread.batch = (lease.owner, tuple(records))
        self.keep(thread, values)

    def keep(self, thread: Thread, values: Mapping[str, str]) -> None:
        thread.values = {**values, **thread.values}

    async def read(self, thread_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        await checkpoint()
        with self.contents.guard:
            thread = self.contents.threads.get(thread_id)
            return thread.records[after:][:limit] if thread else []

    async def read_values(self, thread_id: str, digests: Collection[str]) -> Mapping[str, str]:
        await checkpoint()
        with self.contents.guard:
            thread = self.contents.threads.get(thread_id)
            return {digest: thread.values[digest] for digest in digests if digest in thread.values} if thread else {}

    async def cancel(self, thread_id: str) -> bool:
        await checkpoint()
        with self.contents.guard:
            if thread_id not in self.contents.owners:
                return False
            self.contents.asked.add(thread_id)
            return True

    async def find(self, thread_id: str) -> ThreadSummary | None:
        await checkpoint()
        with self.contents.guard:
            return self.summary(thread_id) if thread_id in self.contents.threads else None

    def summary(self, thread_id: str) -> ThreadSummary:
        thread = self.contents.threads[thread_id]
        return ThreadSummary(
            thread_id=thread_id,
            graph=thread.head.graph,
            status=thread.head.status,
            created=thread.created,
            updated=thread.updated,
            records=len(thread.records),
            leased=thread_id in self.contents.owners,
        )

    async def list(self, *, limit: int = 50, cursor: str | None = None, status: Status | None = None) -> Page:
        await checkpoint()
        if limit < 1:
            raise ValueError(f"no page has {limit} threads")
        with self.contents.guard:
            found = self.after(self.summaries(status), cursor)
        return Page(tuple(found[:limit]), self.cursor(found, limit) if len(found) > limit else None)

    def summaries(self, status: Status | None) -> builtins.list[ThreadSummary]:
        everything = [self.summary(thread_id) for thread_id in self.contents.threads]
        return sorted((summary for summary in everything if status in (None, summary.status)), key=rank)

    def cursor(self, found: builtins.list[ThreadSummary], limit: int) -> str:
        return f"{found[limit - 1].created!r} {found[limit - 1].thread_id}"

    def after(self, found: builtins.list[ThreadSummary], cursor: str | None) -> builtins.list[ThreadSummary]:
        if cursor is None:
            return found
        created, _, thread_id = cursor.partition(" ")
        return [summary for summary in found if rank(summary) > (-float(created), thread_id)]

    async def delete(self, thread_id: str) -> bool:
        await checkpoint()
        with self.contents.guard:
            self.refuse(thread_id)
            return self.contents.threads.pop(thread_id, None) is not None


def rank(summary: ThreadSummary) -> tuple[float, str]:
    return (-summary.created, summary.thread_id)


def store_with(sessions: type[ReferenceSession]) -> Store:
    """Make a store whose sessions are of a variant."""
    store = ReferenceStore()
    store.sessions = sessions
    return store
