"""The model of a store: a dictionary of threads, and who holds which lease."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from dagflow.core.storage import Head, Lease, Record, Session, Status, ThreadSummary

__all__ = ["Holding", "Model", "ModelThread"]


@attrs.define
class ModelThread:
    """A thread as it should be; `created` and `updated` are what the store has told of it."""

    head: Head
    records: list[Record] = attrs.field(factory=list)
    values: dict[str, str] = attrs.field(factory=dict)
    created: float | None = None
    updated: float = 0.0


@attrs.define(eq=False)
class Holding:
    """A lease, the session that took it, and the batch that it appended last.

    `live` until it was given back. `unknown` once its session was closed without: what the lease is still good for
    then is the store's own affair.
    """

    lease: Lease
    session: Session
    live: bool = True
    unknown: bool = False
    batch: Sequence[Record] = ()

    @property
    def thread_id(self) -> str:
        """The thread that the lease is for."""
        return self.lease.thread_id


@attrs.define
class Model:
    """What a store should hold. A thread is `unsettled` where the last holder closed its session with the lease."""

    threads: dict[str, ModelThread] = attrs.field(factory=dict)
    holders: dict[str, Holding] = attrs.field(factory=dict)
    asked: set[str] = attrs.field(factory=set)
    unsettled: set[str] = attrs.field(factory=set)
    texts: int = 0

    def take(self, holding: Holding) -> None:
        """Give a thread's lease to somebody."""
        self.holders[holding.thread_id] = holding
        self.unsettled.discard(holding.thread_id)
        self.asked.discard(holding.thread_id)

    def give_back(self, holding: Holding) -> None:
        """End a lease, if it still holds."""
        if holding.live:
            holding.live = False
            del self.holders[holding.thread_id]

    def abandon_all(self) -> None:
        """End every session without giving a lease back."""
        for thread_id, holding in self.holders.items():
            holding.live, holding.unknown = False, True
            self.unsettled.add(thread_id)
        self.holders.clear()

    def may_be_taken(self, thread_id: str) -> bool:
        """Tell whether somebody may hold a thread's lease."""
        return thread_id in self.holders or thread_id in self.unsettled

    def newest(self, thread_id: str) -> int:
        """Give the number of a thread's newest record; 0 where there is none."""
        return len(self.records(thread_id))

    def records(self, thread_id: str) -> list[Record]:
        """Give the records of a thread; none where it is not there."""
        return self.threads[thread_id].records if thread_id in self.threads else []

    def values(self, thread_id: str) -> dict[str, str]:
        """Give the values of a thread; none where it is not there."""
        return self.threads[thread_id].values if thread_id in self.threads else {}

    def make_records(self, first: int, count: int) -> list[Record]:
        """Make records with texts that none had before."""
        self.texts += 1
        return [Record(seq, f"{seq} of batch {self.texts}") for seq in range(first, first + count)]

    def append(self, holding: Holding, batch: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        """Add a batch that follows on what is there."""
        thread = self.threads.get(holding.thread_id)
        if thread is None:
            assert head is not None, "the first records of a thread come with a head"
            thread = self.threads[holding.thread_id] = ModelThread(head)
        thread.records.extend(batch)
        for digest, text in values.items():
            thread.values.setdefault(digest, text)
        if head is not None:
            thread.head = head
        holding.batch = batch

    def check_summary(self, summary: ThreadSummary) -> None:
        """Check what a store tells of a thread that is there, and remember its times."""
        thread = self.threads[summary.thread_id]
        found = (summary.graph, summary.status, summary.records)
        assert (thread.head.graph, thread.head.status, len(thread.records)) == found, summary.thread_id
        if summary.thread_id not in self.unsettled:
            assert (summary.thread_id in self.holders) == summary.leased, f"the lease of {summary.thread_id!r}"
        if thread.created is None:
            thread.created = summary.created
        assert thread.created == summary.created, "the time of the first append changed"
        assert max(thread.created, thread.updated) <= summary.updated, "time went back"
        thread.updated = summary.updated

    def check_listing(self, found: Sequence[ThreadSummary], status: Status | None = None) -> None:
        """Check a whole listing: who is in it, in which order, and how each stands."""
        expected = {name for name, thread in self.threads.items() if status in (None, thread.head.status)}
        assert sorted(expected) == sorted(summary.thread_id for summary in found)
        assert sorted(found, key=lambda summary: (-summary.created, summary.thread_id)) == list(found)
        for summary in found:
            self.check_summary(summary)
