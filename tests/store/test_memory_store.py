"""The memory store, beyond what every store promises: threads of its own, expiry, and what a failure leaves."""

from __future__ import annotations

import threading
import time
from functools import partial

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from dagflow.core.storage import Head, Record, Session
from dagflow.errors import CheckpointError, RunLocked
from dagflow.kernel.fault_points import armed
from dagflow.store.memory import MemoryStore
from dagflow.testing.faults import sweep_cancellations

RUNNING = Head("G", "running")


def records(*numbers: int) -> list[Record]:
    return [Record(number, str(number)) for number in numbers]


async def begin(session: Session, thread_id: str) -> None:
    """Write the first record of a thread."""
    lease = await session.acquire(thread_id)
    await session.append(lease, records(1), values={"d": "x"}, head=RUNNING)
    await session.release(lease)


async def test_it_never_waits() -> None:
    """No method gives other tasks a turn, so that a run with a memory store costs microseconds more."""
    store = MemoryStore()

    async def work() -> None:
        async with store.open() as session:
            await begin(session, "t")
            await session.read("t")
            await session.read_values("t", ["d"])
            await session.find("t")
            await session.list()
            await session.cancel("t")
            await session.delete("t")

    (outcome,) = await sweep_cancellations(work)
    assert outcome.completed


async def test_threads_with_loops_of_their_own_share_a_store() -> None:
    """Two threads, one with asyncio and one with trio, fight for one lease, and the numbering never breaks."""
    store = MemoryStore()
    refused: list[str] = []

    async def work(name: str) -> None:
        async with store.open() as session:
            done = 0
            while done < 100:
                try:
                    lease = await session.acquire("t")
                except RunLocked:
                    refused.append(name)
                    await anyio.lowlevel.checkpoint()
                    continue
                newest = len(await session.read("t"))
                await session.append(lease, records(newest + 1, newest + 2), values={}, head=RUNNING)
                await session.release(lease)
                done += 1

    threads = [threading.Thread(target=partial(anyio.run, work, name, backend=name)) for name in ("asyncio", "trio")]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    async with store.open() as session:
        assert records(*range(1, 401)) == list(await session.read("t"))


async def test_a_lease_ends_with_the_session_that_took_it() -> None:
    """Closing a session ends its leases and no others; then it cannot be used."""
    store = MemoryStore()
    async with store.open() as session:
        mine = await session.acquire("mine")
        async with store.open() as other:
            theirs = await other.acquire("theirs")
        assert not await session.renew(mine)
        with pytest.raises(RunLocked, match="lost"):
            await session.renew(theirs)
        await session.acquire("theirs")
        with pytest.raises(CheckpointError, match="closed"):
            await other.find("mine")


async def test_an_append_that_fails_leaves_nothing() -> None:
    """What raises between the checks and the writing leaves the thread as it was."""

    def fail(point: str, what: str) -> None:
        assert ("intxn", "t") == (point, what)
        raise LookupError

    async with MemoryStore().open() as session:
        lease = await session.acquire("t")
        with armed(fail), pytest.raises(LookupError):
            await session.append(lease, records(1), values={"d": "x"}, head=RUNNING)
        assert await session.find("t") is None
        await session.append(lease, records(1), values={}, head=RUNNING)
        with armed(fail), pytest.raises(LookupError):
            await session.append(lease, records(2), values={"d": "x"}, head=Head("G", "failed"))
        assert {} == await session.read_values("t", ["d"])
        thread = await session.find("t")
        assert thread is not None
        assert ("running", 1) == (thread.status, thread.records)


async def test_what_was_read_does_not_change() -> None:
    """Records that were read are a copy: a later append is not seen in them."""
    async with MemoryStore().open() as session:
        lease = await session.acquire("t")
        await session.append(lease, records(1), values={}, head=RUNNING)
        before = await session.read("t")
        await session.append(lease, records(2), values={}, head=None)
        assert records(1) == list(before)


@pytest.mark.slow
async def test_threads_that_rest_too_long_are_gone() -> None:
    """After `ttl` seconds a thread that nobody holds is not read, found or listed, and takes no memory."""
    ttl = 0.2
    store = MemoryStore(ttl=ttl)
    async with store.open() as session:
        for name in ("resting", "revived", "other"):
            await begin(session, name)
        held = await session.acquire("held")
        await session.append(held, records(1), values={}, head=RUNNING)
        thread = await session.find("held")
        assert thread is not None
        assert 4 == len((await session.list()).threads)
        await anyio.sleep(thread.updated + ttl + 0.01 - time.time())
        assert [[], records(1)] == [list(await session.read(name)) for name in ("resting", "held")]
        assert {} == await session.read_values("resting", ["d"])
        assert await session.find("resting") is None
        assert not await session.delete("resting")
        lease = await session.acquire("revived")
        await session.append(lease, records(1), values={}, head=RUNNING)
        await session.release(lease)
        assert ["revived", "held"] == [thread.thread_id for thread in (await session.list()).threads]
        assert "<MemoryStore with 2 threads>" == repr(store)
        await anyio.sleep(ttl + 0.02)
    async with store.open():
        assert "<MemoryStore with 0 threads>" == repr(store)
