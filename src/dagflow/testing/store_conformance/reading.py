"""Reading records: any part of a journal, in order."""

from __future__ import annotations

import pytest

from dagflow.core.storage import Record, Store
from dagflow.testing.store_conformance.case import StoreCase, add, held, numbered, texts_of, write
from dagflow.testing.store_conformance.samples import THREAD_IDS, by_name

__all__ = ["Reading"]


class Reading(StoreCase):
    """Cases of `Session.read`."""

    async def test_an_unknown_thread_has_no_records(self, store: Store) -> None:
        """Reading a thread that is not there gives nothing, and makes nothing."""
        async with store.open() as session:
            assert [] == list(await session.read("unknown"))
            assert [] == list(await session.read("unknown", after=3, limit=2))
            assert await session.find("unknown") is None

    @pytest.mark.parametrize("after", [0, 1, 9, 10, 11, 1_000])
    @pytest.mark.parametrize("limit", [None, 1, 3, 10, 1_000])
    async def test_a_part_of_a_journal(self, store: Store, after: int, limit: int | None) -> None:
        """`after` leaves out the records up to its number, and `limit` counts those that are given."""
        async with store.open() as session:
            await write(session, "t", 4)
            await write(session, "t", 6)
            found = list(await session.read("t", after=after, limit=limit))
            assert numbered(1, 10)[after:][:limit] == found

    async def test_no_more_than_none(self, store: Store) -> None:
        """At most 0 records are none."""
        async with store.open() as session:
            await write(session, "t", 3)
            assert [] == list(await session.read("t", limit=0))

    @pytest.mark.parametrize("limit", [1, 3, 7, 100])
    async def test_a_journal_is_read_page_by_page(self, store: Store, limit: int) -> None:
        """Reading on after the last number, until a page is short, gives each record once."""
        async with store.open() as session:
            await write(session, "t", 25)
            found: list[Record] = []
            while True:
                page = await session.read("t", after=len(found), limit=limit)
                found += page
                if len(page) < limit:
                    break
            assert numbered(1, 25) == found

    async def test_records_have_their_types(self, store: Store) -> None:
        """What is read are `Record`s, whose number is an `int` and whose text a `str`."""
        async with store.open() as session:
            await write(session, "t")
            (record,) = await session.read("t")
        assert (Record, int, str) == (type(record), type(record.seq), type(record.text))

    async def test_reading_needs_no_lease(self, store: Store) -> None:
        """A thread can be read while somebody else writes to it, and when nobody does."""
        async with store.open() as writer, store.open() as reader:
            async with held(writer, "t") as lease:
                await add(writer, lease, numbered(1, 2))
                assert numbered(1, 2) == list(await reader.read("t"))
            assert numbered(1, 2) == list(await reader.read("t"))

    async def test_what_was_read_does_not_change(self, store: Store) -> None:
        """What a read gave stays as it is when more is appended: it is no window on the store."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            before = await session.read("t")
            await add(session, lease, numbered(3))
            assert numbered(1, 2) == list(before)

    async def test_what_was_appended_is_a_copy(self, store: Store) -> None:
        """The caller may use its list of records for something else afterwards."""
        async with store.open() as session, held(session, "t") as lease:
            batch, values = numbered(1, 2), {"d": "text"}
            await add(session, lease, batch, values=values)
            batch.clear()
            values["d"] = "changed"
            assert numbered(1, 2) == list(await session.read("t"))
            assert {"d": "text"} == dict(await session.read_values("t", ["d"]))

    @pytest.mark.parametrize("thread_id", **by_name(THREAD_IDS))
    async def test_a_thread_id_is_kept_as_it_is(self, store: Store, thread_id: str) -> None:
        """Every method knows a thread by any id that `check_thread_id` lets pass."""
        async with store.open() as session:
            async with held(session, thread_id) as lease:
                assert thread_id == lease.thread_id
                await add(session, lease, numbered(1, 2), values={"d": "text"})
                assert await session.cancel(thread_id)
                assert await session.renew(lease)
            assert ["record 1", "record 2"] == await texts_of(session, thread_id)
            assert {"d": "text"} == dict(await session.read_values(thread_id, ["d"]))
            summary = await session.find(thread_id)
            assert summary is not None
            assert thread_id == summary.thread_id
            assert (summary,) == (await session.list()).threads
            assert await session.delete(thread_id)
            assert await session.find(thread_id) is None

    async def test_thread_ids_that_look_alike_are_apart(self, store: Store) -> None:
        """Ids differ by case, by spaces and by how an accent is composed; none is a pattern or prefix of others."""
        ids = ["t", "T", "t ", " t", "é", "e\u0301", "t:1", "t%", "*", "{t}", "t/", "ß", "ss", "1", "01"]
        async with store.open() as session:
            for thread_id in ids:
                async with held(session, thread_id) as lease:
                    await add(session, lease, [Record(1, f"of {thread_id}")], values={"d": thread_id})
            for thread_id in ids:
                assert [f"of {thread_id}"] == await texts_of(session, thread_id)
                assert {"d": thread_id} == dict(await session.read_values(thread_id, ["d"]))
            assert await session.delete("t")
            assert set(ids) - {"t"} == {thread.thread_id for thread in (await session.list()).threads}
            for thread_id in ids[1:]:
                assert [f"of {thread_id}"] == await texts_of(session, thread_id)
