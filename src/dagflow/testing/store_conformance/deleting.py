"""Deleting a thread: everything that belongs to it goes, and nothing else."""

from __future__ import annotations

import pytest

from dagflow.core.storage import Store
from dagflow.errors import RunLocked
from dagflow.testing.store_conformance.case import StoreCase, add, held, numbered, texts_of, write

__all__ = ["Deleting"]


class Deleting(StoreCase):
    """Cases of `Session.delete`."""

    async def test_everything_is_removed(self, store: Store) -> None:
        """Of a deleted thread neither records nor values, summary nor place in a listing are left."""
        async with store.open() as session:
            await write(session, "t", 3, values={"d": "text"})
            assert await session.delete("t")
            assert [] == list(await session.read("t"))
            assert {} == dict(await session.read_values("t", ["d"]))
            assert await session.find("t") is None
            assert () == (await session.list()).threads
            assert () == (await session.list(status="complete")).threads

    async def test_there_is_nothing_to_delete(self, store: Store) -> None:
        """Deleting what is not there tells so."""
        async with store.open() as session:
            assert not await session.delete("unknown")
            await write(session, "t")
            assert [True, False] == [await session.delete("t"), await session.delete("t")]

    async def test_a_thread_without_records_is_none(self, store: Store) -> None:
        """A thread that was leased and never written to is not there to be deleted."""
        async with store.open() as session:
            async with held(session, "t"):
                pass
            assert not await session.delete("t")

    async def test_other_threads_stay(self, store: Store) -> None:
        """Only the thread of that id is removed, with its own values."""
        async with store.open() as session:
            for thread_id in ("a", "ab", "b"):
                await write(session, thread_id, 2, values={"d": f"of {thread_id}"})
            assert await session.delete("a")
            for thread_id in ("ab", "b"):
                assert ["record 1", "record 2"] == await texts_of(session, thread_id)
                assert {"d": f"of {thread_id}"} == dict(await session.read_values(thread_id, ["d"]))

    async def test_numbers_begin_again(self, store: Store) -> None:
        """A thread of the same name begins with number 1, a head, times and values of its own."""
        async with store.open() as session:
            await write(session, "t", 3, values={"d": "old", "only": "old"}, graph="old", status="failed")
            old = await session.find("t")
            assert await session.delete("t")
            await write(session, "t", 2, values={"d": "new"}, graph="new")
            assert numbered(1, 2) == list(await session.read("t"))
            assert {"d": "new"} == dict(await session.read_values("t", ["d", "only"]))
            new = await session.find("t")
        assert old is not None
        assert new is not None
        assert ("new", "complete", 2) == (new.graph, new.status, new.records)
        assert old.updated <= new.created

    @pytest.mark.parametrize("count", [0, 3])
    async def test_a_leased_thread_is_not_deleted(self, store: Store, count: int) -> None:
        """While somebody holds the lease, deleting raises `RunLocked` and removes nothing."""
        async with store.open() as session, store.open() as other, held(session, "t") as lease:
            if count:
                await add(session, lease, numbered(1, count), values={"d": "text"})
            for anybody in (session, other):
                with pytest.raises(RunLocked):
                    await anybody.delete("t")
            assert numbered(1, count) == list(await session.read("t"))
            assert ({"d": "text"} if count else {}) == dict(await session.read_values("t", ["d"]))
            await add(session, lease, numbered(count + 1))

    async def test_an_old_batch_cannot_be_repeated(self, store: Store) -> None:
        """What was appended to a deleted thread does not come back by being appended again."""
        async with store.open() as session:
            lease = await session.acquire("t")
            await add(session, lease, numbered(1, 2))
            await session.release(lease)
            assert await session.delete("t")
            with pytest.raises(RunLocked):
                await add(session, lease, numbered(1, 2))
            assert await session.find("t") is None

    async def test_a_thread_is_deleted_from_another_session(self, store: Store) -> None:
        """An open session sees at once that another removed a thread, and can begin it again."""
        async with store.open() as one, store.open() as other:
            await write(one, "t", 3)
            assert await other.delete("t")
            assert [] == list(await one.read("t"))
            await write(one, "t", 1)
            assert numbered(1, 1) == list(await other.read("t"))

    async def test_a_large_thread_is_deleted(self, store: Store) -> None:
        """A thread of thousands of records and values is removed as a whole."""
        values = {f"d{n}": "text" for n in range(1_000)}
        async with store.open() as session:
            await write(session, "t", 5_000, values=values)
            assert await session.delete("t")
            assert ([], {}) == (list(await session.read("t")), dict(await session.read_values("t", values)))
