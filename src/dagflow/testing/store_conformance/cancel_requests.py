"""Requests to cancel: they reach who holds the lease now, and nobody after."""

from __future__ import annotations

import pytest

from dagflow.core.storage import Store
from dagflow.errors import RunLocked
from dagflow.testing.store_conformance.case import StoreCase, add, held, numbered, texts_of, write

__all__ = ["CancelRequests"]


class CancelRequests(StoreCase):
    """Cases of `Session.cancel`, and of what `renew` tells."""

    async def test_a_request_reaches_the_holder(self, store: Store) -> None:
        """Who renews a lease is told that somebody asked to cancel."""
        async with store.open() as session, held(session, "t") as lease:
            assert not await session.renew(lease)
            assert await session.cancel("t")
            assert await session.renew(lease)

    async def test_a_request_comes_from_another_session(self, store: Store) -> None:
        """Anybody who can open the store can ask."""
        async with store.open() as holder, held(holder, "t") as lease:
            async with store.open() as other:
                assert await other.cancel("t")
            assert await holder.renew(lease)

    async def test_a_request_stays(self, store: Store) -> None:
        """Every renewal tells of the request, not only the first: it is a fact about the run, not a message."""
        async with store.open() as session, held(session, "t") as lease:
            await session.cancel("t")
            assert [True] * 3 == [await session.renew(lease) for _ in range(3)]

    async def test_a_request_is_repeated(self, store: Store) -> None:
        """Asking twice is asking once."""
        async with store.open() as session, held(session, "t") as lease:
            assert [True, True] == [await session.cancel("t"), await session.cancel("t")]
            assert await session.renew(lease)

    async def test_nobody_holds_the_lease(self, store: Store) -> None:
        """Where nobody holds the lease there is nobody to ask."""
        async with store.open() as session:
            assert not await session.cancel("unknown")
            await write(session, "t")
            assert not await session.cancel("t")

    async def test_a_thread_without_records(self, store: Store) -> None:
        """A run that has not written yet can be asked as well."""
        async with store.open() as session, held(session, "t") as lease:
            assert await session.cancel("t")
            assert await session.renew(lease)
            assert await session.find("t") is None

    async def test_a_request_is_for_one_thread(self, store: Store) -> None:
        """The holders of other leases are not asked."""
        async with store.open() as session, held(session, "a") as a, held(session, "b") as b:
            assert await session.cancel("a")
            assert (True, False) == (await session.renew(a), await session.renew(b))

    async def test_acquiring_forgets_a_request(self, store: Store) -> None:
        """A request to cancel one run does not reach the next, in this session or another."""
        async with store.open() as session, store.open() as other:
            for holder in (session, session, other):
                async with held(holder, "t") as lease:
                    assert not await holder.renew(lease)
                    assert await session.cancel("t")

    async def test_a_request_to_nobody_is_forgotten(self, store: Store) -> None:
        """A request that reached nobody does not wait for the next run."""
        async with store.open() as session:
            assert not await session.cancel("t")
            async with held(session, "t") as lease:
                assert not await session.renew(lease)

    async def test_a_refused_acquire_forgets_nothing(self, store: Store) -> None:
        """Somebody who does not get the lease does not take the request away from who has it."""
        async with store.open() as session, held(session, "t") as lease:
            await session.cancel("t")
            with pytest.raises(RunLocked):
                await session.acquire("t")
            assert await session.renew(lease)

    async def test_a_request_takes_nothing_away(self, store: Store) -> None:
        """Who was asked to cancel can still write, so that the run's end is recorded."""
        async with store.open() as session:
            async with held(session, "t") as lease:
                await add(session, lease, numbered(1))
                await session.cancel("t")
                await add(session, lease, numbered(2))
                assert await session.renew(lease)
            assert ["record 1", "record 2"] == await texts_of(session, "t")

    async def test_a_request_is_gone_with_its_thread(self, store: Store) -> None:
        """A thread that was removed leaves no request behind for one of the same name."""
        async with store.open() as session:
            async with held(session, "t") as lease:
                await add(session, lease, numbered(1))
                await session.cancel("t")
            assert await session.delete("t")
            async with held(session, "t") as lease:
                assert not await session.renew(lease)
