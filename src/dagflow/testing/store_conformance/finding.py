"""Finding one thread: its summary, as it stands now."""

from __future__ import annotations

import time
from typing import get_args

import attrs
import pytest

from dagflow.core.storage import Head, Session, Status, Store, ThreadSummary
from dagflow.testing.store_conformance.case import StoreCase, add, held, numbered, write
from dagflow.testing.store_conformance.samples import TEXTS, by_name

__all__ = ["Finding"]


class Finding(StoreCase):
    """Cases of `Session.find`, and of the head that `append` leaves."""

    async def test_an_unknown_thread_is_not_found(self, store: Store) -> None:
        """There is no summary of a thread that has no records."""
        async with store.open() as session:
            assert await session.find("unknown") is None
            await write(session, "t")
            assert await session.find("unknown") is None

    async def test_a_summary_tells_what_is_there(self, store: Store) -> None:
        """A summary has the thread's id and graph, how it stands, and the number of its newest record."""
        async with store.open() as session:
            await write(session, "t", 3, graph="outfits", status="interrupted")
            found = await summary(session, "t")
        expected = {"thread_id": "t", "graph": "outfits", "status": "interrupted", "records": 3, "leased": False}
        assert expected == {name: getattr(found, name) for name in expected}

    @pytest.mark.parametrize("status", get_args(Status))
    async def test_each_status_is_kept(self, store: Store, status: Status) -> None:
        """A thread stands as the newest head says."""
        async with store.open() as session:
            await write(session, "t", status="running")
            await write(session, "t", status=status)
            assert status == (await summary(session, "t")).status

    async def test_a_head_replaces_the_one_before(self, store: Store) -> None:
        """The newest head counts, name of the graph and all."""
        async with store.open() as session, held(session, "t") as lease:
            for seq, head in enumerate([Head("a", "running"), Head("a", "complete"), Head("b", "failed")], start=1):
                await add(session, lease, numbered(seq), head=head)
                found = await summary(session, "t")
                assert head == Head(found.graph, found.status)

    async def test_without_a_head_the_last_one_stays(self, store: Store) -> None:
        """Records that come without a head leave it as it is."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1), head=Head("outfits", "interrupted"))
            await add(session, lease, numbered(2, 2))
            found = await summary(session, "t")
            assert ("outfits", "interrupted", 3) == (found.graph, found.status, found.records)

    @pytest.mark.parametrize("graph", **by_name(TEXTS))
    async def test_the_name_of_a_graph_is_kept(self, store: Store, graph: str) -> None:
        """A graph's name comes back character by character: any `str` that has no lone surrogates."""
        async with store.open() as session:
            await write(session, "t", graph=graph)
            assert graph == (await summary(session, "t")).graph
            assert [graph] == [thread.graph for thread in (await session.list()).threads]

    async def test_leased_tells_whether_somebody_works(self, store: Store) -> None:
        """`leased` is true while somebody holds the lease, seen from any session, and not longer."""
        async with store.open() as session, store.open() as other:
            await write(session, "t")
            async with held(session, "t"):
                assert (True, True) == ((await summary(session, "t")).leased, (await summary(other, "t")).leased)
            assert (False, False) == ((await summary(session, "t")).leased, (await summary(other, "t")).leased)

    async def test_times_are_those_of_the_appends(self, store: Store) -> None:
        """`created` and `updated` are seconds since the epoch, of the first and of the last append."""
        async with store.open() as session, held(session, "t") as lease:
            before = time.time() - self.clock_skew
            await add(session, lease, numbered(1))
            between = time.time() + self.clock_skew
            first = await summary(session, "t")
            await add(session, lease, numbered(2))
            second = await summary(session, "t")
        assert before <= first.created <= between
        assert first.created == second.created, "the first append was only once"
        assert before <= first.created <= first.updated <= second.updated <= time.time() + self.clock_skew

    async def test_times_never_go_back(self, store: Store) -> None:
        """`updated` grows from append to append, and `created` from thread to thread."""
        async with store.open() as session:
            created, updated = [], []
            for n in range(10):
                await write(session, f"t{n}")
                await write(session, "t")
                created.append((await summary(session, f"t{n}")).created)
                updated.append((await summary(session, "t")).updated)
        assert sorted(created) == created
        assert sorted(updated) == updated

    async def test_only_appends_are_updates(self, store: Store) -> None:
        """A lease that is taken, renewed and given back, a request to cancel and a read change no time."""
        async with store.open() as session:
            await write(session, "t")
            before = await summary(session, "t")
            async with held(session, "t") as lease:
                await session.renew(lease)
                await session.cancel("t")
                await session.read("t")
            assert before == await summary(session, "t")

    async def test_a_repeated_append_is_no_update(self, store: Store) -> None:
        """Appending again what has just been appended changes nothing, no time either."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2))
            before = await summary(session, "t")
            await add(session, lease, numbered(1, 2))
            assert before == await summary(session, "t")

    async def test_a_listing_tells_the_same(self, store: Store) -> None:
        """A thread has the same summary in a listing as by itself, leased or not."""
        async with store.open() as session:
            await write(session, "a", 2)
            await write(session, "b", 1, status="failed")
            async with held(session, "a"):
                listed = {thread.thread_id: thread for thread in (await session.list()).threads}
                assert {"a": await summary(session, "a"), "b": await summary(session, "b")} == listed

    async def test_a_summary_has_its_types(self, store: Store) -> None:
        """What is found is a `ThreadSummary` with a `bool`, an `int`, two `float`s and the rest `str`."""
        async with store.open() as session:
            await write(session, "t")
            found = await summary(session, "t")
        kinds = [type(value) for value in attrs.astuple(found)]
        assert [str, str, str, float, float, int, bool] == kinds


async def summary(session: Session, thread_id: str) -> ThreadSummary:
    found = await session.find(thread_id)
    assert found is not None, f"thread {thread_id!r} has records, but is not found"
    return found
