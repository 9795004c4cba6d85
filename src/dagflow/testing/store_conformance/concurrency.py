"""Concurrency: many tasks and sessions at once, and each sees whole things in order."""

from __future__ import annotations

from collections import Counter

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dagflow.core.storage import Lease, Record, Session, Store
from dagflow.errors import CheckpointError, RunLocked
from dagflow.testing.store_conformance.case import RUNNING, StoreCase, add, held, newest, numbered, texts_of, write

__all__ = ["Concurrency"]

BATCH = 5
"""Records in each append of a case that looks for torn ones."""


class Concurrency(StoreCase):
    """Cases of several tasks that use a store at the same time."""

    async def test_many_threads_through_one_session(self, store: Store) -> None:
        """Many tasks append to threads of their own through one session, and none disturbs another."""
        async with store.open() as session:

            async def run(n: int) -> None:
                async with held(session, f"t{n}") as lease:
                    for seq in range(1, 6):
                        await add(session, lease, [Record(seq, f"{n}.{seq}")], values={f"d{seq}": f"{n}"})

            async with anyio.create_task_group() as tasks:
                for n in range(12):
                    tasks.start_soon(run, n)
            for n in range(12):
                assert [f"{n}.{seq}" for seq in range(1, 6)] == await texts_of(session, f"t{n}")
                assert {"d3": f"{n}"} == dict(await session.read_values(f"t{n}", ["d3"]))

    async def test_many_threads_through_two_sessions(self, store: Store) -> None:
        """Two sessions write at once; neither is told that the store is busy."""
        async with store.open() as one, store.open() as other:
            async with anyio.create_task_group() as tasks:
                for n in range(10):
                    tasks.start_soon(write_often, one, f"one{n}")
                    tasks.start_soon(write_often, other, f"other{n}")
            assert {2} == {thread.records for thread in (await one.list()).threads}

    @pytest.mark.parametrize("sessions", [1, 2])
    async def test_one_of_many_gets_the_lease(self, store: Store, sessions: int) -> None:
        """Of those who want a lease at the same moment exactly one gets it; the others get `RunLocked`."""
        async with store.open() as one, store.open() as other:
            for n in range(5):
                winners: list[tuple[Session, Lease]] = []
                locked: list[RunLocked] = []

                async def race(session: Session, thread_id: str) -> None:
                    try:
                        winners.append((session, await session.acquire(thread_id)))  # noqa: B023 (ends with the turn)
                    except RunLocked as error:
                        locked.append(error)  # noqa: B023

                async with anyio.create_task_group() as tasks:
                    for m in range(10):
                        tasks.start_soon(race, (one, other)[m % sessions], f"t{n}")
                assert (1, 9) == (len(winners), len(locked))
                ((winner, lease),) = winners
                assert not await winner.renew(lease)
                await winner.release(lease)

    async def test_looking_takes_no_lease(self, store: Store) -> None:
        """Whoever finds, lists or reads a thread does not keep another from taking its lease meanwhile."""
        async with store.open() as session, store.open() as other:
            await write(session, "t")
            done = anyio.Event()

            async def look() -> None:
                while not done.is_set():
                    await other.find("t")
                    await other.list()
                    await other.read("t")
                    await checkpoint()

            async with anyio.create_task_group() as tasks:
                for _ in range(3):
                    tasks.start_soon(look)
                for _ in range(20):
                    await session.release(await session.acquire("t"))
                done.set()

    async def test_runs_take_turns(self, store: Store) -> None:
        """Runs that each try until they have the lease write whole turns, one after the other."""
        async with store.open() as one, store.open() as other:

            async def run(session: Session, name: str) -> None:
                while True:
                    try:
                        lease = await session.acquire("t")
                    except RunLocked:
                        await anyio.sleep(0.002)
                        continue
                    first = await newest(session, "t") + 1
                    await add(session, lease, [Record(first, name)])
                    await add(session, lease, [Record(first + 1, name)])
                    await session.release(lease)
                    return

            async with anyio.create_task_group() as tasks:
                for n in range(8):
                    tasks.start_soon(run, (one, other)[n % 2], f"run {n}")
            texts = await texts_of(one, "t")
        assert texts[::2] == texts[1::2], "two runs wrote between each other"
        assert {f"run {n}" for n in range(8)} == set(texts)

    @pytest.mark.parametrize("own_session", [True, False])
    async def test_readers_see_whole_batches_in_order(self, store: Store, own_session: bool) -> None:
        """While one appends, readers see a journal from 1 on without gaps, never a part of a batch."""
        async with store.open() as session, store.open() as other:
            written = anyio.Event()
            reader = session if own_session else other

            async def read() -> None:
                seen = 0
                while seen < 10 * BATCH:
                    done = written.is_set()
                    records = await reader.read("t")
                    assert numbered(1, len(records)) == list(records)
                    assert 0 == len(records) % BATCH, "a part of a batch was read"
                    assert seen <= len(records), "records that were read are gone"
                    seen = len(records)
                    assert not done or seen == 10 * BATCH, "what was appended is not there"
                    await checkpoint()

            async with anyio.create_task_group() as tasks, held(session, "t") as lease:
                for _ in range(4):
                    tasks.start_soon(read)
                for n in range(10):
                    await add(session, lease, numbered(n * BATCH + 1, BATCH))
                written.set()

    async def test_a_reader_finds_the_values_of_what_it_reads(self, store: Store) -> None:
        """Whoever reads a record while it is appended finds the values that came with it, and counts it."""
        async with store.open() as session, store.open() as other:

            async def read() -> None:
                count = 0
                while count < 10:
                    count = len(await other.read("t"))
                    digests = [f"d{seq}" for seq in range(1, count + 1)]
                    assert set(digests) == set(await other.read_values("t", digests))
                    assert count <= await newest(other, "t")
                    await checkpoint()

            async with anyio.create_task_group() as tasks, held(session, "t") as lease:
                tasks.start_soon(read)
                for seq in range(1, 11):
                    await add(session, lease, numbered(seq), values={f"d{seq}": f"text {seq}"})

    async def test_one_of_two_batches_is_appended(self, store: Store) -> None:
        """Of different batches for the same place, appended at once with one lease, one is taken as a whole."""
        async with store.open() as session, held(session, "t") as lease:
            outcomes: Counter[str] = Counter()

            async def append(name: str) -> None:
                try:
                    await session.append(lease, numbered(1, 3, text=name), values={}, head=RUNNING)
                    outcomes[name] += 1
                except CheckpointError:
                    outcomes["refused"] += 1

            async with anyio.create_task_group() as tasks:
                for name in "abcd":
                    tasks.start_soon(append, name)
            assert 3 == outcomes.pop("refused")
            (name,) = outcomes
            assert numbered(1, 3, text=name) == list(await session.read("t"))

    async def test_one_batch_is_appended_by_all(self, store: Store) -> None:
        """The same batch, appended at once by several tasks with one lease, is there once, and none is refused."""
        async with store.open() as session, held(session, "t") as lease:
            async with anyio.create_task_group() as tasks:
                for _ in range(4):
                    tasks.start_soon(add, session, lease, numbered(1, 3))
            assert numbered(1, 3) == list(await session.read("t"))

    async def test_deleting_beside_appends(self, store: Store) -> None:
        """While one deletes a thread and another writes to it, it is whole or gone, and nothing is half removed."""
        async with store.open() as session, store.open() as other:
            done = anyio.Event()

            async def delete() -> None:
                while not done.is_set():
                    try:
                        await other.delete("t")
                    except RunLocked:
                        await anyio.sleep(0.001)
                    await checkpoint()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(delete)
                for _ in range(10):
                    await write_when_free(session, "t")
                    texts = await texts_of(session, "t")
                    assert 0 == len(texts) % 2, "a deleted thread left records behind"
                    assert texts == [record.text for record in numbered(1, len(texts))]
                done.set()
            records = len(await texts_of(session, "t"))
            assert records == await newest(session, "t")

    async def test_listing_beside_appends(self, store: Store) -> None:
        """A listing that is read while threads are made has each thread of before, once."""
        async with store.open() as session, store.open() as other:
            for n in range(10):
                await write(session, f"old{n}")
            done = anyio.Event()

            async def make() -> None:
                n = 0
                while not done.is_set():
                    await write(other, f"new{n}")
                    n += 1

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(make)
                for _ in range(5):
                    found: list[str] = []
                    page = await session.list(limit=3)
                    while page.cursor is not None:
                        found += [thread.thread_id for thread in page.threads]
                        page = await session.list(limit=3, cursor=page.cursor)
                    found += [thread.thread_id for thread in page.threads]
                    assert len(set(found)) == len(found), "no thread is listed twice"
                    assert {f"old{n}" for n in range(10)} <= set(found), "none is hidden"
                done.set()

    async def test_requests_reach_running_appends(self, store: Store) -> None:
        """A lease is renewed, and a request to cancel arrives, while its holder appends."""
        async with store.open() as session, store.open() as other, held(session, "t") as lease:
            asked = anyio.Event()

            async def renew() -> None:
                while not await session.renew(lease):
                    asked.set()
                    await checkpoint()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(renew)
                for seq in range(1, 6):
                    await add(session, lease, numbered(seq))
                await asked.wait()
                assert await other.cancel("t")
            assert 5 == len(await texts_of(session, "t"))


async def write_often(session: Session, thread_id: str) -> None:
    for _ in range(2):
        await write(session, thread_id)


async def write_when_free(session: Session, thread_id: str) -> None:
    """Append two records, which may have to wait for a deletion."""
    while True:
        try:
            await write(session, thread_id, 2)
        except RunLocked:
            await anyio.sleep(0.001)
        else:
            return
