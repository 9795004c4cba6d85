"""Stores that break one promise each, and the cases of the kit that notice."""

from __future__ import annotations

import builtins
import os
import secrets
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from dagflow.core.storage import Head, Lease, Record, Session, Status, ThreadSummary
from dagflow.errors import RunLocked
from dagflow.kernel import fault_points
from dagflow.store.sqlite import SQLiteStore
from store.reference_store import ReferenceSession, ReferenceStore, Thread


class LosesTheLastRecord(ReferenceSession):
    def add(self, lease: Lease, records: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        super().add(lease, records[:-1] or records, values, head)


class ChecksNoNumbers(ReferenceSession):
    def follows(self, lease: Lease, records: Sequence[Record]) -> bool:
        return True


class DuplicatesOnRepetition(ReferenceSession):
    def follows(self, lease: Lease, records: Sequence[Record]) -> bool:
        super().follows(lease, records)
        return True


class RefusesRepetition(ReferenceSession):
    def add(self, lease: Lease, records: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        super().add(lease, records, values, head)
        self.contents.threads[lease.thread_id].batch = ("", ())


class LooksAtNumbersOnlyForRepetition(ReferenceSession):
    def follows(self, lease: Lease, records: Sequence[Record]) -> bool:
        thread = self.contents.threads.get(lease.thread_id)
        if thread and [record.seq for record in records] == [record.seq for record in thread.batch[1]]:
            return False
        return super().follows(lease, records)


class WritesWithoutTheLease(ReferenceSession):
    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        await checkpoint()
        if self.follows(lease, records):
            self.add(lease, records, values, head)


class TearsAppends(ReferenceSession):
    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        await checkpoint()
        self.check(lease)
        if self.follows(lease, records):
            middle = len(records) // 2 or 1
            self.add(lease, records[:middle], values, head)
            await checkpoint()
            if records[middle:]:
                self.add(lease, records[middle:], {}, None)
                self.contents.threads[lease.thread_id].batch = (lease.owner, tuple(records))


class WritesValuesLate(ReferenceSession):
    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        await super().append(lease, records, values={}, head=head)
        await checkpoint()
        self.keep(self.contents.threads[lease.thread_id], values)


class OverwritesValues(ReferenceSession):
    def keep(self, thread: Thread, values: Mapping[str, str]) -> None:
        thread.values = {**thread.values, **values}


class LeaksValues(ReferenceSession):
    async def read_values(self, thread_id: str, digests: Collection[str]) -> Mapping[str, str]:
        own = await super().read_values(thread_id, digests)
        everything = {
            digest: text for thread in self.contents.threads.values() for digest, text in thread.values.items()
        }
        return {**{digest: everything[digest] for digest in digests if digest in everything}, **own}


class GivesAWindow(ReferenceSession):
    async def read(self, thread_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        if after or limit is not None or thread_id not in self.contents.threads:
            return await super().read(thread_id, after=after, limit=limit)
        return self.contents.threads[thread_id].records


class CutsAtNul(ReferenceSession):
    def add(self, lease: Lease, records: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        records = [Record(record.seq, record.text.partition("\x00")[0]) for record in records]
        super().add(lease, records, values, head)


class IgnoresCase(ReferenceSession):
    def add(self, lease: Lease, records: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        super().add(Lease(lease.thread_id.lower(), lease.owner), records, values, head)


class GivesALeaseTwice(ReferenceSession):
    def refuse(self, thread_id: str) -> None:
        return


class ChecksBeforeACheckpoint(ReferenceSession):
    async def acquire(self, thread_id: str) -> Lease:
        self.refuse(thread_id)
        await checkpoint()
        lease = Lease(thread_id, secrets.token_hex(8))
        self.contents.owners[thread_id] = lease.owner
        self.contents.asked.discard(thread_id)
        return lease


class LeavesALeaseWhenCancelled(ReferenceSession):
    async def acquire(self, thread_id: str) -> Lease:
        lease = await super().acquire(thread_id)
        await checkpoint()
        return lease


class ReleasesForAnybody(ReferenceSession):
    async def release(self, lease: Lease) -> None:
        await checkpoint()
        self.contents.owners.pop(lease.thread_id, None)


class RenewsForAnybody(ReferenceSession):
    async def renew(self, lease: Lease) -> bool:
        return lease.thread_id in self.contents.asked


class KeepsARequest(ReferenceSession):
    async def acquire(self, thread_id: str) -> Lease:
        asked = thread_id in self.contents.asked
        lease = await super().acquire(thread_id)
        if asked:
            self.contents.asked.add(thread_id)
        return lease


class TellsARequestOnce(ReferenceSession):
    async def renew(self, lease: Lease) -> bool:
        asked = await super().renew(lease)
        self.contents.asked.discard(lease.thread_id)
        return asked


class AsksNobody(ReferenceSession):
    async def cancel(self, thread_id: str) -> bool:
        await super().cancel(thread_id)
        return True


class PagesByPosition(ReferenceSession):
    def cursor(self, found: builtins.list[ThreadSummary], limit: int) -> str:
        everything = self.summaries(None)
        return str(everything.index(found[limit - 1]) + 1)

    def after(self, found: builtins.list[ThreadSummary], cursor: str | None) -> builtins.list[ThreadSummary]:
        return found[int(cursor) :] if cursor is not None else found


class ForgetsTheCursor(ReferenceSession):
    def after(self, found: builtins.list[ThreadSummary], cursor: str | None) -> builtins.list[ThreadSummary]:
        try:
            return super().after(found, cursor)
        except ValueError:
            return found


class ListsByUpdate(ReferenceSession):
    def summaries(self, status: Status | None) -> builtins.list[ThreadSummary]:
        return sorted(super().summaries(status), key=lambda summary: -summary.updated)


class ListsEveryStatus(ReferenceSession):
    def summaries(self, status: Status | None) -> builtins.list[ThreadSummary]:
        return super().summaries(None)


class DeletesUnderTheHolder(ReferenceSession):
    async def delete(self, thread_id: str) -> bool:
        await checkpoint()
        return self.contents.threads.pop(thread_id, None) is not None


class DeletesInSteps(ReferenceSession):
    async def delete(self, thread_id: str) -> bool:
        self.refuse(thread_id)
        if thread := self.contents.threads.get(thread_id):
            thread.values.clear()
            await checkpoint()
        return await super().delete(thread_id)


class LeavesValuesBehind(ReferenceSession):
    async def delete(self, thread_id: str) -> bool:
        values = await self.read_values(thread_id, ["d", "only"])
        deleted = await super().delete(thread_id)
        self.left = getattr(self, "left", {}) | {thread_id: values}
        return deleted

    def keep(self, thread: Thread, values: Mapping[str, str]) -> None:
        left: dict[str, Mapping[str, str]] = getattr(self, "left", {})
        super().keep(thread, {**values, **next(iter(left.values()), {})})


class ForgetsTheFirstTime(ReferenceSession):
    def add(self, lease: Lease, records: Sequence[Record], values: Mapping[str, str], head: Head | None) -> None:
        super().add(lease, records, values, head)
        thread = self.contents.threads[lease.thread_id]
        thread.created = thread.updated


class UpdatesOnRepetition(ReferenceSession):
    def follows(self, lease: Lease, records: Sequence[Record]) -> bool:
        follows = super().follows(lease, records)
        if not follows:
            self.contents.threads[lease.thread_id].updated += 1
        return follows


class LeavesAFileOpen(ReferenceStore):
    def open(self) -> Any:
        os.open(os.devnull, os.O_RDONLY)
        return super().open()


class RaisesGroups(ReferenceStore):
    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        async with anyio.create_task_group(), super().open() as session:
            yield session


class OnDisk:
    """A store on a file that gives sessions of a variant, which break only in a crash."""

    def __init__(self, path: str, variant: str) -> None:
        self.inner = SQLiteStore(path)
        self.variant = {"torn": TornSession, "late": LateSession, "stuck": StuckSession}[variant]
        self.path = path

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Session]:
        async with self.inner.open() as inner:
            session: Any = self.variant(inner, self.path)
            yield session


class SessionOnDisk:
    """Passes on what a variant does not change."""

    def __init__(self, inner: Session, path: str) -> None:
        self.inner = inner
        self.path = path

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class TornSession(SessionOnDisk):
    """Writes a batch in two transactions."""

    async def append(self, lease: Lease, records: Sequence[Record], *, values: Any, head: Any) -> None:
        middle = len(records) // 2
        if middle:
            with fault_points.armed(lambda *_: None):  # the file store's own transaction is not the torn one
                await self.inner.append(lease, records[:middle], values=values, head=head)
            fault_points.reach("intxn", lease.thread_id)
        await self.inner.append(lease, records[middle:], values=values, head=head)


class LateSession(SessionOnDisk):
    """Writes a batch when the lease is given back, or read."""

    waiting: Any = None

    async def append(self, lease: Lease, records: Sequence[Record], *, values: Any, head: Any) -> None:
        await self.flush()
        self.waiting = (lease, records, values, head)

    async def release(self, lease: Lease) -> None:
        await self.flush()
        await self.inner.release(lease)

    async def flush(self) -> None:
        if self.waiting is not None:
            lease, records, values, head = self.waiting
            self.waiting = None
            await self.inner.append(lease, records, values=values, head=head)


class StuckSession(SessionOnDisk):
    """Marks a lease by a file, which stays when its process is killed."""

    async def acquire(self, thread_id: str) -> Lease:
        try:
            os.close(os.open(f"{self.path}.taken", os.O_CREAT | os.O_EXCL))
        except FileExistsError as error:
            raise RunLocked("taken", thread_id=thread_id) from error
        return await self.inner.acquire(thread_id)

    async def release(self, lease: Lease) -> None:
        os.unlink(f"{self.path}.taken")
        await self.inner.release(lease)


CAUGHT_IN_A_CRASH = {
    "torn": "test_a_killed_append_is_whole_or_nothing[{backend}-in the transaction]",
    "late": "test_an_append_that_returned_survives[{backend}]",
    "stuck": "test_a_killed_append_is_whole_or_nothing[{backend}-before]",
}
"""The case that notices each variant of `OnDisk`."""

CAUGHT_BY: dict[type[ReferenceSession] | type[ReferenceStore], str] = {
    LosesTheLastRecord: "test_appended_records_are_read_in_order",
    ChecksNoNumbers: "test_records_that_do_not_follow_are_refused",
    DuplicatesOnRepetition: "test_an_append_can_be_repeated",
    RefusesRepetition: "test_a_cancelled_append_can_be_repeated",
    LooksAtNumbersOnlyForRepetition: "test_another_batch_in_the_same_place_is_refused",
    WritesWithoutTheLease: "test_a_stranger_is_refused",
    TearsAppends: "test_a_cancelled_append_is_whole_or_nothing",
    WritesValuesLate: "test_a_cancelled_append_is_whole_or_nothing",
    OverwritesValues: "test_a_value_is_kept_once",
    LeaksValues: "test_values_of_one_thread_are_unseen_in_another",
    GivesAWindow: "test_what_was_read_does_not_change",
    CutsAtNul: "test_a_text_is_kept_as_it_is",
    IgnoresCase: "test_thread_ids_that_look_alike_are_apart",
    GivesALeaseTwice: "test_a_taken_lease_is_refused",
    ChecksBeforeACheckpoint: "test_one_of_many_gets_the_lease",
    LeavesALeaseWhenCancelled: "test_a_cancelled_acquire_leaves_no_lease",
    ReleasesForAnybody: "test_a_lease_is_released_twice",
    RenewsForAnybody: "test_a_released_lease_is_lost",
    KeepsARequest: "test_acquiring_forgets_a_request",
    TellsARequestOnce: "test_a_request_stays",
    AsksNobody: "test_nobody_holds_the_lease",
    PagesByPosition: "test_new_threads_between_pages",
    ForgetsTheCursor: "test_what_is_no_cursor_is_refused",
    ListsByUpdate: "test_the_newest_comes_first",
    ListsEveryStatus: "test_a_status_picks_threads",
    DeletesUnderTheHolder: "test_a_leased_thread_is_not_deleted",
    DeletesInSteps: "test_a_cancelled_deletion_is_whole_or_nothing",
    LeavesValuesBehind: "test_numbers_begin_again",
    ForgetsTheFirstTime: "test_times_are_those_of_the_appends",
    UpdatesOnRepetition: "test_a_repeated_append_is_no_update",
    LeavesAFileOpen: "test_a_session_leaves_nothing_behind",
    RaisesGroups: "test_an_error_leaves_the_block_as_it_is",
}
"""The case that is made for each of them; others may notice as well."""
