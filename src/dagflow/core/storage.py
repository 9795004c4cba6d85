"""What a store of journals can do: the protocol that memory, SQLite, Redis and third-party stores speak.

A *thread* is one conversation's journal, known by its `thread_id`: an append-only list of records, numbered from 1
without gaps. A record is a line of text that a store keeps and gives back as it is, and never reads. Large values
are kept beside the records, once for each thread, under the digest of their text.

Whoever writes to a thread holds its *lease*. A store has one lease for each thread at a time, and refuses an append
from anybody else; a lease ends when it is released, and soon after its owner died.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import attrs

__all__ = ["Head", "Lease", "Page", "Record", "Session", "Status", "Store", "ThreadSummary", "check_thread_id"]

Status = Literal["running", "complete", "interrupted", "failed", "cancelled"]
"""How a thread's newest run stands. A run whose process died stays `running`, with nobody holding its lease."""


@attrs.frozen
class Record:
    """One line of a journal: its number within the thread, from 1, and its text (JSON with a checksum)."""

    seq: int
    text: str


@attrs.frozen
class Lease:
    """The right to write to a thread. `owner` is a random token that no other lease has."""

    thread_id: str
    owner: str


@attrs.frozen
class Head:
    """What a store keeps of a thread for its listing: the name of its graph, and how its newest run stands."""

    graph: str
    status: Status


@attrs.frozen(kw_only=True)
class ThreadSummary:
    """One thread of a listing; `created` and `updated` are seconds since the epoch, of the first and last append.

    `records` counts the records, and is the number of the newest one. `leased` tells whether somebody holds the
    thread's lease now.
    """

    thread_id: str
    graph: str
    status: Status
    created: float
    updated: float
    records: int
    leased: bool


@attrs.frozen
class Page:
    """Some threads of a listing; `cursor` leads on to the next page, and is `None` on the last."""

    threads: tuple[ThreadSummary, ...]
    cursor: str | None = None


class Session(Protocol):
    """An open store. Every method may be called from several tasks at once.

    Each raises `CheckpointError` where the store cannot be reached or is damaged. A method that is cancelled has
    either had its whole effect or none; `append` is never cut in two.
    """

    async def acquire(self, thread_id: str) -> Lease:
        """Take the lease of a thread, which need not exist; raises `RunLocked` at once where it is taken.

        Forgets a request to cancel that came before.
        """
        ...

    async def renew(self, lease: Lease) -> bool:
        """Keep a lease alive, and tell whether somebody asked to cancel the run that holds it.

        Called about twice a second while a run works. Raises `RunLocked` for a lease that is lost.
        """
        ...

    async def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens where it is lost already."""
        ...

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        """Add records to the lease's thread, all of them or none; on return they survive what the store promises.

        The first has the number after the thread's newest one, the others follow. `values` are texts by digest
        that the records refer to; one that the thread has already is left as it is. `head` replaces the thread's
        one where it is given, as with its first records.

        Appending again what has just been appended, with the same lease, records, values and head, changes nothing,
        so that a client that lost the reply can ask again. At least one record is given.

        Raises `RunLocked` for a lease that is lost, and `CheckpointError` for records that do not follow on those
        that are there.
        """
        ...

    async def read(self, thread_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        """Give the records whose number is above `after`, in order, at most `limit`; none for an unknown thread."""
        ...

    async def read_values(self, thread_id: str, digests: Collection[str]) -> Mapping[str, str]:
        """Give the texts of values by digest; those that the thread does not have are left out."""
        ...

    async def cancel(self, thread_id: str) -> bool:
        """Ask whoever holds a thread's lease to cancel its run; `False` where nobody holds it."""
        ...

    async def find(self, thread_id: str) -> ThreadSummary | None:
        """Summarise one thread; `None` for one that has no records."""
        ...

    async def list(self, *, limit: int = 50, cursor: str | None = None, status: Status | None = None) -> Page:
        """List threads, the newest first by `created` (then by id), one page at a time.

        Threads that are added or removed between two pages neither hide others nor repeat them. `status` picks
        those that stand so. Raises `ValueError` for a cursor that is none, and a limit below 1.
        """
        ...

    async def delete(self, thread_id: str) -> bool:
        """Remove a thread with all that belongs to it; `False` where there was none.

        Raises `RunLocked` while somebody holds its lease.
        """
        ...


class Store(Protocol):
    """Where journals are kept. Made without I/O, shared by any number of runs, on either event loop.

    `open()` gives a session that lives inside an `async with` block: a run opens one for itself and closes it when
    it ends. Raises `CheckpointError` from entering the block where the store cannot be reached.
    """

    def open(self) -> AbstractAsyncContextManager[Session]:
        """Open the store."""
        ...


MAX_THREAD_ID = 500


def check_thread_id(thread_id: object) -> str:
    """Give a thread id that every store can hold, or raise `ValueError` or `TypeError` that says what is wrong."""
    if not isinstance(thread_id, str):
        raise TypeError(f"thread_id must be a string, not {thread_id!r}")
    if not thread_id or len(thread_id) > MAX_THREAD_ID:
        raise ValueError(f"thread_id must have 1 to {MAX_THREAD_ID} characters, not {len(thread_id)}")
    if not thread_id.isprintable() or any("\ud800" <= sign <= "\udfff" for sign in thread_id):
        raise ValueError(f"thread_id must be printable text in one line, not {thread_id!r}")
    return thread_id
