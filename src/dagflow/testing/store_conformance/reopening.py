"""Reopening: what one `Store` object wrote, another on the same data finds, as a new process would."""

from __future__ import annotations

from typing import Any

import pytest

from dagflow.core.storage import Record, Store
from dagflow.errors import CheckpointError, RunLocked
from dagflow.testing.store_conformance.case import (
    StoreCase,
    acquire_within,
    add,
    all_pages,
    held,
    numbered,
    restrict,
    texts_of,
    write,
)

__all__ = ["Reopening"]


class Reopening(StoreCase):
    """Cases of two `Store` objects on the same data, one after the other and at once."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        restrict(cls, Reopening, wanted=cls.survives_reopen)

    def reopened(self, store: Store) -> Store:
        """Make another `Store` object on the same data."""
        other = self.reopen(store)
        if other is None:
            pytest.skip(f"{type(self).__name__} does not tell how to `reopen` its store (or survives_reopen = False)")
        assert other is not store, "`reopen` gives another object"
        return other

    async def test_everything_survives(self, store: Store) -> None:
        """Records, values and summaries, times and all, are what they were."""
        async with store.open() as session:
            await write(session, "a", 3, values={"d": "text"}, graph="outfits", status="interrupted")
            await write(session, "b", 1, status="failed")
            before = await all_pages(session, limit=10)
        async with self.reopened(store).open() as session:
            assert numbered(1, 3) == list(await session.read("a"))
            assert {"d": "text"} == dict(await session.read_values("a", ["d"]))
            assert before == await all_pages(session, limit=10)
            assert before[-1] == await session.find("a")

    async def test_large_things_survive(self, store: Store) -> None:
        """Many records and large texts are what they were."""
        text = "0123456789" * 50_000
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1, 2_000), values={"d": text})
            await add(session, lease, [Record(2_001, text)])
        async with self.reopened(store).open() as session:
            assert [*numbered(1, 2_000), Record(2_001, text)] == list(await session.read("t"))
            assert {"d": text} == dict(await session.read_values("t", ["d"]))

    async def test_a_thread_is_gone_on_with(self, store: Store) -> None:
        """Numbers go on where the last store ended, again and again."""
        for n in range(4):
            async with store.open() as session:
                assert 2 * n == len(await texts_of(session, "t"))
                await write(session, "t", 2, values={"d": f"text {n}"})
            store = self.reopened(store)
        async with store.open() as session:
            assert numbered(1, 8) == list(await session.read("t"))
            assert {"d": "text 0"} == dict(await session.read_values("t", ["d"]))

    async def test_a_gap_is_refused_after_reopening(self, store: Store) -> None:
        """What is there is checked against, not what this object wrote."""
        async with store.open() as session:
            await write(session, "t", 2)
        async with self.reopened(store).open() as session, held(session, "t") as lease:
            for first in (1, 2, 4):
                with pytest.raises(CheckpointError):
                    await add(session, lease, numbered(first, text="other"))
            assert numbered(1, 2) == list(await session.read("t"))

    async def test_what_was_deleted_stays_so(self, store: Store) -> None:
        """A deleted thread does not come back."""
        async with store.open() as session:
            await write(session, "t", 2, values={"d": "text"})
            await session.delete("t")
        async with self.reopened(store).open() as session:
            assert await session.find("t") is None
            assert ([], {}) == (list(await session.read("t")), dict(await session.read_values("t", ["d"])))
            await write(session, "t")
            assert numbered(1) == list(await session.read("t"))

    async def test_a_lease_is_not_kept(self, store: Store) -> None:
        """A lease that was not given back before the store was closed is free within `lease_timeout`."""
        async with store.open() as session:
            lease = await session.acquire("t")
            await add(session, lease, numbered(1))
            await session.cancel("t")
        async with self.reopened(store).open() as session:
            again = await acquire_within(session, "t", self.lease_timeout)
            assert not await session.renew(again), "the request was for the run before"
            with pytest.raises(RunLocked):
                await add(session, lease, numbered(2))
            await session.release(again)

    async def test_a_lease_excludes_other_stores(self, store: Store) -> None:
        """Two `Store` objects on the same data give one lease for each thread between them."""
        async with store.open() as one, self.reopened(store).open() as other:
            async with held(one, "t") as lease:
                await add(one, lease, numbered(1))
                with pytest.raises(RunLocked):
                    await other.acquire("t")
                with pytest.raises(RunLocked):
                    await other.delete("t")
                summary = await other.find("t")
                assert summary is not None
                assert summary.leased
            async with held(other, "t"):
                with pytest.raises(RunLocked):
                    await one.acquire("t")

    async def test_a_request_comes_from_another_store(self, store: Store) -> None:
        """A request to cancel reaches a holder who has the store open through another object."""
        async with store.open() as one, self.reopened(store).open() as other, held(one, "t") as lease:
            assert await other.cancel("t")
            assert await one.renew(lease)

    async def test_open_stores_see_each_other(self, store: Store) -> None:
        """What one appends or deletes, the other sees when the call has returned."""
        async with store.open() as one, self.reopened(store).open() as other:
            for n in range(3):
                await write(one, "t", 2, values={f"d{n}": "text"})
                await write(other, "t", 2)
                for session in (one, other):
                    assert numbered(1, 4 * n + 4) == list(await session.read("t"))
                assert {f"d{n}": "text"} == dict(await other.read_values("t", [f"d{n}"]))
            assert await other.delete("t")
            assert await one.find("t") is None

    async def test_a_cursor_holds_for_another_store(self, store: Store) -> None:
        """A cursor can be given to another process, a web server's next worker say."""
        async with store.open() as one, self.reopened(store).open() as other:
            for n in range(7):
                await write(one, f"t{n}")
            whole = (await one.list()).threads
            page = await one.list(limit=3)
            rest = await other.list(cursor=page.cursor)
        assert whole == page.threads + rest.threads
