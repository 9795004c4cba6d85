"""Appending: what is kept, in which order, and what is refused without a trace."""

from __future__ import annotations

from contextlib import suppress

import pytest

from dagflow.core.storage import Head, Lease, Record, Session, Store
from dagflow.errors import CheckpointError, RunLocked
from dagflow.testing.store_conformance.case import StoreCase, add, held, numbered, texts_of, write
from dagflow.testing.store_conformance.samples import TEXTS, by_name

__all__ = ["Appending"]


class Appending(StoreCase):
    """Cases of `Session.append`, with a lease that holds."""

    async def test_appended_records_are_read_in_order(self, store: Store) -> None:
        """What is appended is read back as it is, in the order of its numbers."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 3))
            assert numbered(1, 3) == list(await session.read("t"))

    async def test_batches_follow_each_other(self, store: Store) -> None:
        """The first record of a batch has the number after the newest; batches of any size make one journal."""
        async with store.open() as session, held(session, "t") as lease:
            first = 1
            for size in (1, 2, 1, 7, 30):
                await add(session, lease, numbered(first, size))
                first += size
            assert numbered(1, first - 1) == list(await session.read("t"))

    async def test_another_lease_goes_on_where_the_last_ended(self, store: Store) -> None:
        """Numbers go on over leases: a thread has one numbering, not one for each run."""
        async with store.open() as session:
            for _ in range(3):
                await write(session, "t", 2)
            assert numbered(1, 6) == list(await session.read("t"))

    async def test_another_session_goes_on_where_the_last_ended(self, store: Store) -> None:
        """What a session appended is there for the sessions after it."""
        for _ in range(3):
            async with store.open() as session:
                await write(session, "t", 2)
        async with store.open() as session:
            assert numbered(1, 6) == list(await session.read("t"))

    async def test_an_open_session_sees_what_another_appended(self, store: Store) -> None:
        """When an append has returned, every session reads it."""
        async with store.open() as writer, store.open() as reader, held(writer, "t") as lease:
            for seq in range(1, 6):
                await add(writer, lease, numbered(seq))
                assert numbered(1, seq) == list(await reader.read("t"))

    async def test_threads_are_apart(self, store: Store) -> None:
        """Each thread has its own records and numbers."""
        async with store.open() as session, held(session, "a") as a, held(session, "b") as b:
            await add(session, a, numbered(1, 2, text="of a"))
            await add(session, b, numbered(1, 3, text="of b"))
            await add(session, a, numbered(3, 1, text="of a"))
            assert ["of a 1", "of a 2", "of a 3"] == await texts_of(session, "a")
            assert ["of b 1", "of b 2", "of b 3"] == await texts_of(session, "b")

    @pytest.mark.parametrize("text", **by_name(TEXTS))
    async def test_a_text_is_kept_as_it_is(self, store: Store, text: str) -> None:
        """A record's text comes back character by character: any `str` that has no lone surrogates."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, [Record(1, text), Record(2, text)])
            found = [record.text for record in await session.read("t")]
        assert [text, text] == found

    async def test_a_large_text_is_kept(self, store: Store) -> None:
        """A record may have a text of a million characters."""
        text = "0123456789" * 100_000
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, [Record(1, text)])
            (record,) = await session.read("t")
        assert text == record.text, "one million characters came back otherwise"

    async def test_many_records_in_one_append(self, store: Store) -> None:
        """One append may have ten thousand records."""
        records = numbered(1, 10_000)
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, records)
            assert records == list(await session.read("t"))
            await add(session, lease, numbered(10_001))
            assert numbered(9_999, 3) == list(await session.read("t", after=9_998))

    async def test_other_sequences_of_records(self, store: Store) -> None:
        """Records are given as any sequence, a tuple say."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, tuple(numbered(1, 2)))
            assert numbered(1, 2) == list(await session.read("t"))

    @pytest.mark.parametrize("first", [0, 1, 2, 3, 5, 6, 100, -1])
    async def test_records_that_do_not_follow_are_refused(self, store: Store, first: int) -> None:
        """Gaps and overlaps raise `CheckpointError`, and nothing of the batch is written."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 1))
            await add(session, lease, numbered(2, 2))
            await refused(session, lease, numbered(first, 2, text="other"))
            assert numbered(1, 3) == list(await session.read("t"))
            await add(session, lease, numbered(4))
            assert numbered(1, 4) == list(await session.read("t"))

    @pytest.mark.parametrize("first", [0, 2, -1])
    async def test_a_thread_begins_with_number_one(self, store: Store, first: int) -> None:
        """The first record of a thread has number 1; others are refused, and the thread is not there."""
        async with store.open() as session, held(session, "t") as lease:
            await refused(session, lease, numbered(first))
            assert [] == list(await session.read("t"))
            assert await session.find("t") is None

    @pytest.mark.parametrize("numbers", [(4, 6), (4, 4), (5, 4), (4, 5, 7), (4, 3)], ids=str)
    async def test_a_batch_that_is_not_in_order_is_refused(self, store: Store, numbers: tuple[int, ...]) -> None:
        """The records of a batch follow on each other; a batch with a gap in it is refused as a whole."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 3))
            await refused(session, lease, [Record(seq, f"bad {seq}") for seq in numbers])
            assert numbered(1, 3) == list(await session.read("t"))

    async def test_a_refused_batch_leaves_no_values_and_no_head(self, store: Store) -> None:
        """All or nothing holds for what comes with the records too."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1))
            before = await session.find("t")
            with pytest.raises(CheckpointError):
                await session.append(lease, numbered(5), values={"d": "text"}, head=Head("another", "failed"))
            assert {} == dict(await session.read_values("t", ["d"]))
            assert before == await session.find("t")

    async def test_an_empty_batch_adds_nothing(self, store: Store) -> None:
        """An append of no records makes no thread and no record, whether it is refused or not."""
        async with store.open() as session, held(session, "t") as lease:
            await append_nothing(session, lease)
            assert await session.find("t") is None
            await add(session, lease, numbered(1))
            await append_nothing(session, lease)
            await add(session, lease, numbered(2))
            assert numbered(1, 2) == list(await session.read("t"))

    @pytest.mark.parametrize("count", [1, 5])
    async def test_an_append_can_be_repeated(self, store: Store, count: int) -> None:
        """Appending again what has just been appended, with the same lease and records, changes nothing."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            for _ in range(3):
                await add(session, lease, numbered(3, count), values={"d": "text"})
            assert numbered(1, 2 + count) == list(await session.read("t"))
            await add(session, lease, numbered(3 + count))
            assert numbered(1, 3 + count) == list(await session.read("t"))

    async def test_the_first_append_can_be_repeated(self, store: Store) -> None:
        """The append that makes a thread is repeated like any other."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            await add(session, lease, numbered(1, 2))
            assert numbered(1, 2) == list(await session.read("t"))
            summary = await session.find("t")
            assert summary is not None
            assert 2 == summary.records

    async def test_another_batch_in_the_same_place_is_refused(self, store: Store) -> None:
        """What has the numbers of the newest batch and other texts is no repetition."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            await add(session, lease, numbered(3, 2))
            await refused(session, lease, [Record(3, "record 3"), Record(4, "other")])
            await refused(session, lease, [Record(3, "other"), Record(4, "record 4")])
            assert numbered(1, 4) == list(await session.read("t"))

    async def test_a_longer_or_shorter_batch_is_no_repetition(self, store: Store) -> None:
        """A batch that begins where the newest did and ends elsewhere is refused."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            await add(session, lease, numbered(3, 3))
            for count in (1, 2, 4):
                await refused(session, lease, numbered(3, count))
            assert numbered(1, 5) == list(await session.read("t"))

    async def test_an_older_batch_is_no_repetition(self, store: Store) -> None:
        """Only what has just been appended can be repeated, not what was appended before it."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            await add(session, lease, numbered(3, 2))
            await refused(session, lease, numbered(1, 2))
            assert numbered(1, 4) == list(await session.read("t"))

    async def test_another_lease_cannot_repeat_a_batch(self, store: Store) -> None:
        """A repetition has the lease of the first time: another run that writes the same is a mistake."""
        async with store.open() as session:
            async with held(session, "t") as lease:
                await add(session, lease, numbered(1, 2))
            async with held(session, "t") as lease:
                await refused(session, lease, numbered(1, 2))
            assert numbered(1, 2) == list(await session.read("t"))

    async def test_a_refused_batch_does_not_stand_in_the_way(self, store: Store) -> None:
        """After a refusal the newest batch can still be repeated, and gone on from."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            await refused(session, lease, numbered(7))
            await add(session, lease, numbered(1, 2))
            await add(session, lease, numbered(3))
            assert numbered(1, 3) == list(await session.read("t"))


async def refused(session: Session, lease: Lease, records: list[Record]) -> None:
    """Check that a batch is refused for its numbers, not for its lease."""
    with pytest.raises(CheckpointError) as caught:
        await session.append(lease, records, values={}, head=None)
    assert not isinstance(caught.value, RunLocked), f"the lease holds, but was told to be lost: {caught.value}"


async def append_nothing(session: Session, lease: Lease) -> None:
    with suppress(CheckpointError):
        await session.append(lease, [], values={}, head=None)
