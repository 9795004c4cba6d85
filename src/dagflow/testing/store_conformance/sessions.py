"""Sessions: opened and closed side by side, on either event loop, and nothing is left of them."""

from __future__ import annotations

import anyio
import anyio.to_thread
import pytest

from dagflow.core.storage import Store
from dagflow.errors import CheckpointError
from dagflow.testing.leaks import assert_no_leaks
from dagflow.testing.store_conformance.case import BACKENDS, StoreCase, add, held, numbered, texts_of, write

__all__ = ["Sessions"]


class Stopped(Exception):
    """What a case raises inside a session."""


class Sessions(StoreCase):
    """Cases of `Store.open`."""

    async def test_a_session_leaves_nothing_behind(self, store: Store) -> None:
        """When a session is closed, no task, thread, process, file or socket of it is left."""
        async with store.open() as session:  # what a store keeps for good, an imported module say, may stay
            await write(session, "t")
        async with assert_no_leaks(), store.open() as session:
            await write(session, "t", 5)
            await session.list()

    async def test_a_cancelled_session_leaves_nothing_behind(self, store: Store) -> None:
        """A session whose block is cancelled closes as cleanly."""
        async with store.open() as session:
            await write(session, "t")
        async with assert_no_leaks():
            with anyio.CancelScope() as scope:
                async with store.open() as session, held(session, "t"):
                    scope.cancel()
                    await anyio.sleep_forever()
            async with store.open() as session:
                await write(session, "t")

    async def test_a_session_leaves_no_lock_behind(self, store: Store) -> None:
        """After leases were taken, lost and given back in a session, nothing of them is left open."""
        async with store.open() as session:
            await write(session, "t")
        async with assert_no_leaks(), store.open() as session:
            for n in range(5):
                await session.release(await session.acquire(f"t{n}"))
            await session.acquire("never given back")

    async def test_an_error_leaves_the_block_as_it_is(self, store: Store) -> None:
        """An exception that ends the block of a session is raised as it is, in no group and not translated."""
        error = Stopped("by the case")

        async def fail() -> None:
            async with store.open() as session:
                await write(session, "t")
                raise error

        with pytest.raises(Stopped) as caught:
            await fail()
        assert error is caught.value

    async def test_an_error_of_the_store_leaves_a_session_open(self, store: Store) -> None:
        """A session goes on working after a method of it raised."""
        async with store.open() as session, held(session, "t") as lease:
            for _ in range(3):
                with pytest.raises((CheckpointError, ValueError)):
                    await add(session, lease, numbered(7))
                with pytest.raises((CheckpointError, ValueError)):
                    await session.list(limit=0)
            await add(session, lease, numbered(1))
            assert ["record 1"] == await texts_of(session, "t")

    async def test_sessions_are_closed_in_any_order(self, store: Store) -> None:
        """Closing one session does not disturb the others, nor their leases."""
        opened, close, closed = anyio.Event(), anyio.Event(), anyio.Event()

        async def other() -> None:
            async with store.open() as session:
                await write(session, "of the other")
                opened.set()
                await close.wait()
            closed.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(other)
            await opened.wait()
            async with store.open() as session, held(session, "t") as lease:
                close.set()
                await closed.wait()
                for seq in range(1, 4):
                    await add(session, lease, numbered(seq))
                    assert not await session.renew(lease)
                assert ["record 1"] == await texts_of(session, "of the other")

    async def test_many_sessions_at_once(self, store: Store) -> None:
        """Twenty sessions, opened and used at once, each write a thread of their own."""

        async def run(n: int) -> None:
            async with store.open() as session:
                await write(session, f"t{n}", 3, new=True)

        async with anyio.create_task_group() as tasks:
            for n in range(20):
                tasks.start_soon(run, n)
        async with store.open() as session:
            assert [3] * 20 == [thread.records for thread in (await session.list()).threads]

    async def test_a_session_is_used_from_other_tasks(self, store: Store) -> None:
        """A session may be used in tasks other than the one that opened it."""
        async with store.open() as session:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write, session, "t", 2)
            assert ["record 1", "record 2"] == await texts_of(session, "t")

    @pytest.mark.parametrize("other", BACKENDS)
    async def test_one_store_on_one_loop_after_the_other(self, store: Store, other: str) -> None:
        """One store object is used on an event loop, then on another, then on the first again."""
        async with store.open() as session:
            await write(session, "t")
        await anyio.to_thread.run_sync(run_elsewhere, store, other, "t")
        async with store.open() as session:
            await write(session, "t")
            assert ["record 1", "record 2", "record 3"] == await texts_of(session, "t")

    @pytest.mark.parametrize("other", BACKENDS)
    async def test_one_store_on_two_loops_at_once(self, store: Store, other: str) -> None:
        """Runs on two event loops, in two threads, share one store object: they see each other's threads."""
        async with store.open() as session, held(session, "t") as lease:
            await add(session, lease, numbered(1))
            async with anyio.create_task_group() as tasks:
                for n in range(3):
                    tasks.start_soon(anyio.to_thread.run_sync, run_elsewhere, store, other, f"elsewhere {n}")
                for seq in range(2, 12):
                    await add(session, lease, numbered(seq))
            assert 4 == len((await session.list()).threads)
            assert 11 == len(await texts_of(session, "t"))


def run_elsewhere(store: Store, backend: str, thread_id: str) -> None:
    """Write one record on an event loop of its own, in this (worker) thread."""
    anyio.run(write_once, store, thread_id, backend=backend)


async def write_once(store: Store, thread_id: str) -> None:
    async with store.open() as session:
        await write(session, thread_id)
