"""Leases: one for each thread at a time, and nobody writes without."""

from __future__ import annotations

import anyio
import pytest

from dagflow.core.storage import Lease, Record, Store
from dagflow.errors import CheckpointError, RunLocked
from dagflow.testing.store_conformance.case import StoreCase, acquire_within, add, held, numbered, texts_of, write

__all__ = ["Leases"]


class Leases(StoreCase):
    """Cases of `acquire`, `renew` and `release`, and of appends without a lease."""

    async def test_a_taken_lease_is_refused(self, store: Store) -> None:
        """While one holds a thread's lease, another cannot take it, and is told so at once."""
        async with store.open() as session, held(session, "t"):
            with anyio.fail_after(5), pytest.raises(RunLocked):
                await session.acquire("t")

    async def test_a_taken_lease_is_refused_to_other_sessions(self, store: Store) -> None:
        """A lease excludes other sessions as well."""
        async with store.open() as one, store.open() as other, held(one, "t") as lease:
            with pytest.raises(RunLocked):
                await other.acquire("t")
            await add(one, lease, numbered(1))
            with pytest.raises(RunLocked):
                await other.acquire("t")

    async def test_a_refusal_names_the_thread(self, store: Store) -> None:
        """`RunLocked.thread_id` tells which thread is taken."""
        async with store.open() as session, held(session, "the thread"):
            with pytest.raises(RunLocked) as caught:
                await session.acquire("the thread")
        assert "the thread" == caught.value.thread_id
        assert "the thread" in str(caught.value)

    async def test_a_refused_acquire_leaves_the_holder_alone(self, store: Store) -> None:
        """Who was refused has taken nothing from the holder."""
        async with store.open() as session, held(session, "t") as lease:
            with pytest.raises(RunLocked):
                await session.acquire("t")
            assert not await session.renew(lease)
            await add(session, lease, numbered(1))
            assert ["record 1"] == await texts_of(session, "t")

    async def test_leases_of_other_threads_are_free(self, store: Store) -> None:
        """A lease is for one thread: the others can be taken meanwhile."""
        async with store.open() as session, held(session, "a") as a, held(session, "b") as b, held(session, "A") as c:
            for lease in (a, b, c):
                await add(session, lease, numbered(1, 1, text=lease.thread_id))
            assert ["a 1"] == await texts_of(session, "a")
            assert ["b 1"] == await texts_of(session, "b")

    async def test_a_released_lease_is_free_at_once(self, store: Store) -> None:
        """After a release the next one gets the lease, in this session and in others."""
        async with store.open() as one, store.open() as other:
            for session in (one, other, one, one, other):
                await session.release(await session.acquire("t"))

    async def test_owners_are_unique(self, store: Store) -> None:
        """No two leases have the same owner, also of one thread after the other."""
        owners = set()
        async with store.open() as session:
            for n in range(20):
                async with held(session, f"t{n % 3}") as lease:
                    assert f"t{n % 3}" == lease.thread_id
                    owners.add(lease.owner)
        assert 20 == len(owners)

    async def test_a_lease_makes_no_thread(self, store: Store) -> None:
        """A thread that was only leased is not there."""
        async with store.open() as session:
            async with held(session, "t"):
                assert await session.find("t") is None
                assert () == (await session.list()).threads
            assert await session.find("t") is None

    async def test_renewing_keeps_a_lease(self, store: Store) -> None:
        """A lease that holds can be renewed, again and again, and nobody asked to cancel."""
        async with store.open() as session, held(session, "t") as lease:
            assert [False] * 5 == [await session.renew(lease) for _ in range(5)]
            with pytest.raises(RunLocked):
                await session.acquire("t")

    async def test_a_released_lease_is_lost(self, store: Store) -> None:
        """After its release a lease can be used for nothing, and nothing is written."""
        async with store.open() as session:
            lease = await session.acquire("t")
            await add(session, lease, numbered(1))
            await session.release(lease)
            with pytest.raises(RunLocked):
                await session.renew(lease)
            with pytest.raises(RunLocked):
                await add(session, lease, numbered(2))
            assert ["record 1"] == await texts_of(session, "t")

    async def test_a_stale_lease_is_refused_beside_a_new_one(self, store: Store) -> None:
        """Who lost the lease cannot write while another holds it, and does not disturb that one."""
        async with store.open() as session:
            stale = await session.acquire("t")
            await add(session, stale, numbered(1))
            await session.release(stale)
            async with held(session, "t") as lease:
                with pytest.raises(RunLocked):
                    await add(session, stale, [Record(2, "of a stale lease")])
                with pytest.raises(RunLocked):
                    await session.renew(stale)
                await add(session, lease, numbered(2))
            assert ["record 1", "record 2"] == await texts_of(session, "t")

    async def test_a_stale_lease_cannot_repeat_its_append(self, store: Store) -> None:
        """A repeated append needs the lease as well: it is refused once the lease is lost."""
        async with store.open() as session:
            stale = await session.acquire("t")
            await add(session, stale, numbered(1))
            await session.release(stale)
            with pytest.raises(RunLocked):
                await add(session, stale, numbered(1))
            assert ["record 1"] == await texts_of(session, "t")

    async def test_a_lease_is_released_twice(self, store: Store) -> None:
        """Giving back a lease that is lost does nothing, least of all to who holds it now."""
        async with store.open() as session:
            stale = await session.acquire("t")
            await session.release(stale)
            await session.release(stale)
            async with held(session, "t") as lease:
                await session.release(stale)
                assert not await session.renew(lease)
                with pytest.raises(RunLocked):
                    await session.acquire("t")
                await add(session, lease, numbered(1))

    @pytest.mark.parametrize("leased", [False, True])
    async def test_a_stranger_is_refused(self, store: Store, leased: bool) -> None:
        """Without the lease nothing can be written, renewed or given back, whether another holds it or nobody."""
        stranger = Lease("t", "nobody")
        async with store.open() as session:
            await write(session, "t", values={"d": "text"})
            lease = await session.acquire("t") if leased else None
            before = await session.find("t")
            with pytest.raises(RunLocked):
                await session.append(stranger, numbered(2), values={"e": "text"}, head=None)
            with pytest.raises(RunLocked):
                await session.renew(stranger)
            await session.release(stranger)
            assert before == await session.find("t")
            assert {} == dict(await session.read_values("t", ["e"]))
            if lease is not None:
                await add(session, lease, numbered(2))
                await session.release(lease)

    async def test_a_stranger_makes_no_thread(self, store: Store) -> None:
        """An append without a lease to a thread that is not there leaves it so."""
        async with store.open() as session:
            with pytest.raises(RunLocked):
                await add(session, Lease("t", "nobody"), numbered(1), values={"d": "text"})
            assert await session.find("t") is None
            assert {} == dict(await session.read_values("t", ["d"]))

    async def test_a_lease_of_another_thread_is_no_use(self, store: Store) -> None:
        """The owner of one thread's lease is a stranger to the others."""
        async with store.open() as session, held(session, "a") as a:
            with pytest.raises(RunLocked):
                await add(session, Lease("b", a.owner), numbered(1))
            assert await session.find("b") is None

    async def test_a_lost_lease_is_refused_whatever_is_appended(self, store: Store) -> None:
        """A lost lease with records that do not follow is an error of the store's tree too."""
        async with store.open() as session:
            with pytest.raises(CheckpointError):
                await add(session, Lease("t", "nobody"), numbered(7))
            assert await session.find("t") is None

    async def test_a_lease_ends_with_its_session(self, store: Store) -> None:
        """A session that is closed without giving a lease back keeps the thread for `lease_timeout` at most."""
        async with store.open() as session:
            lease = await session.acquire("t")
            await add(session, lease, numbered(1))
        async with store.open() as session:
            again = await acquire_within(session, "t", self.lease_timeout)
            with pytest.raises(RunLocked):
                await add(session, lease, [Record(2, "of a stale lease")])
            await add(session, again, numbered(2))
            await session.release(again)
            assert ["record 1", "record 2"] == await texts_of(session, "t")
