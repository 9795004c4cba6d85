"""The SQLite store: one file and one connection for many runs, and nothing left open."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from functools import partial
from pathlib import Path

import anyio
import psutil
import pytest
from anyio.lowlevel import checkpoint

from dagflow.core.storage import Head, Lease, Record, Session, Status
from dagflow.errors import CheckpointError, RunLocked
from dagflow.kernel.fault_points import armed
from dagflow.store.memory import MemoryStore
from dagflow.store.sqlite import SQLiteStore
from dagflow.testing.faults import sweep_cancellations
from dagflow.testing.leaks import assert_no_leaks
from store.sqlite_scripts import RUNNING, begin, records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


async def numbers(session: Session, thread_id: str) -> list[int]:
    return [record.seq for record in await session.read(thread_id)]


async def ids(session: Session, *, status: Status | None = None, limit: int = 2) -> list[str]:
    """List all threads, page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page = await session.list(limit=limit, cursor=cursor, status=status)
        found += [thread.thread_id for thread in page.threads]
        cursor = page.cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("name", ["", ":memory:"])
def test_a_store_without_a_file_is_refused(name: str) -> None:
    """A database in memory would be lost at the next opening, so it is refused with the name of what to use."""
    with pytest.raises(ValueError, match="MemoryStore"):
        SQLiteStore(name)


@pytest.mark.parametrize("ttl", [0, -1.0, float("nan")])
def test_a_ttl_that_is_no_time_is_refused(ttl: float, path: Path) -> None:
    """Both stores refuse a ttl that is not above 0."""
    with pytest.raises(ValueError, match="ttl must be"):
        SQLiteStore(path, ttl=ttl)
    with pytest.raises(ValueError, match="ttl must be"):
        MemoryStore(ttl=ttl)


def test_a_path_in_bytes_is_refused() -> None:
    """A path is a str or leads to one."""
    with pytest.raises(TypeError, match="str"):
        SQLiteStore(b"runs.db")  # type: ignore[arg-type]  # what the test is about


def test_making_a_store_touches_nothing(path: Path) -> None:
    """A store is made without I/O."""
    assert f"SQLiteStore({str(path)!r})" == repr(SQLiteStore(path))
    assert [] == os.listdir(path.parent)


async def test_everything_is_there_after_reopening(path: Path) -> None:
    """What was appended is read by another store on the same file, with values, head and times."""
    before = time.time()
    async with SQLiteStore(path).open() as session:
        lease = await session.acquire("t")
        await session.append(lease, records(1, 2), values={"d": "large"}, head=RUNNING)
        await session.append(lease, records(3), values={"d": "ignored", "e": "x"}, head=Head("H", "complete"))
    async with SQLiteStore(path).open() as session:
        assert records(1, 2, 3) == list(await session.read("t"))
        assert records(2) == list(await session.read("t", after=1, limit=1))
        assert {"d": "large", "e": "x"} == await session.read_values("t", ["e", "d", "unknown"])
        thread = await session.find("t")
    assert thread is not None
    assert ("H", "complete", 3, False) == (thread.graph, thread.status, thread.records, thread.leased)
    assert before <= thread.created < thread.updated <= time.time()


async def test_each_commit_is_synced(path: Path) -> None:
    """The log is written through to the disk at every commit: what is told to be safe survives a power cut."""
    store = SQLiteStore(path)
    async with store.open():
        pragmas = ("synchronous", "journal_mode")
        found = [store._database.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas]
    assert [2, "wal"] == found


async def test_nothing_stays_open(path: Path) -> None:
    """The last session closes the connection, and no file, lock or log stays behind, also after a failure."""
    store = SQLiteStore(path)
    async with assert_no_leaks():
        with pytest.raises(LookupError):
            async with store.open() as session, store.open() as other:
                await begin(session, "t", 1)
                await other.acquire("kept")
                assert 1 <= sum(file.path == str(path) for file in psutil.Process().open_files())
                raise LookupError
    assert [] == [file.path for file in psutil.Process().open_files() if file.path.startswith(str(path))]
    assert ["runs.db", "runs.db-locks"] == sorted(os.listdir(path.parent))
    assert [] == os.listdir(f"{path}-locks")


async def test_sessions_share_a_connection_until_the_last_has_gone(path: Path) -> None:
    """A session works on when another one that it shares the connection with is closed, and is closed itself then."""
    store = SQLiteStore(path)
    async with store.open() as first:
        async with store.open() as second:
            await begin(second, "t", 1)
        assert [1] == await numbers(first, "t")
        with pytest.raises(CheckpointError, match="closed"):
            await second.read("t")
    with pytest.raises(CheckpointError, match="closed"):
        await first.read("t")


async def test_a_lease_ends_with_the_session_that_took_it(path: Path) -> None:
    """Who leaves a session without giving its leases back leaves none behind; those of other sessions stay."""
    store = SQLiteStore(path)
    async with store.open() as session:
        mine = await session.acquire("mine")
        async with store.open() as other:
            theirs = await other.acquire("theirs")
        await session.append(mine, records(1), values={}, head=RUNNING)
        with pytest.raises(RunLocked, match="lost"):
            await session.renew(theirs)
        assert theirs != await session.acquire("theirs")


async def test_one_store_in_two_threads_with_loops_of_their_own(path: Path) -> None:
    """A store works for an asyncio and a trio loop at once, each in its thread, and again afterwards."""
    store = SQLiteStore(path)

    async def work(name: str) -> None:
        for _ in range(3):
            async with store.open() as session:
                lease = await session.acquire(name)
                for _ in range(5):
                    newest = len(await session.read(name))
                    await session.append(lease, records(newest + 1), values={}, head=RUNNING)

    threads = [threading.Thread(target=partial(anyio.run, work, name, backend=name)) for name in ("asyncio", "trio")]
    for thread in threads:
        thread.start()
    for thread in threads:
        await anyio.to_thread.run_sync(thread.join)
    async with store.open() as session:
        assert [list(range(1, 16))] * 2 == [await numbers(session, "asyncio"), await numbers(session, "trio")]


async def test_twenty_tasks_append_at_once(path: Path) -> None:
    """Tasks that share a session write to threads of their own, each in order."""
    async with SQLiteStore(path).open() as session:

        async def work(name: str) -> None:
            lease = await session.acquire(name)
            for number in range(1, 6):
                await session.append(lease, records(number), values={name: name}, head=RUNNING)
                assert not await session.renew(lease)
            await session.release(lease)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(work, f"t{number}")
        assert [[1, 2, 3, 4, 5]] * 20 == [await numbers(session, f"t{number}") for number in range(20)]
        assert {f"t{number}" for number in range(20)} == set(await ids(session, limit=7))


@pytest.mark.parametrize(
    "thread_id", ["ünï 🦆 \u202e".strip(), "'; DROP TABLE thread; --\"", "x" * 500, "🦆" * 500, "../..", "%_*", "None"]
)
async def test_any_printable_id_is_an_id(thread_id: str, path: Path) -> None:
    """Quotes, path separators, long ids and all of Unicode are kept as they are."""
    async with SQLiteStore(path).open() as session:
        lease = await session.acquire(thread_id)
        await session.append(lease, records(1), values={"'": "''"}, head=RUNNING)
        assert [thread_id] == await ids(session)
        assert {"'": "''"} == await session.read_values(thread_id, ["'"])
        assert await session.cancel(thread_id)
        assert await session.renew(lease)
        await session.release(lease)
        assert await session.delete(thread_id)
        assert [] == await ids(session)


async def test_a_large_record_and_value_come_back(path: Path) -> None:
    """A record of five megabytes comes back as it was."""
    text = "ü\0\"'\n" * 1_000_000
    async with SQLiteStore(path).open() as session:
        lease = await session.acquire("t")
        large = [Record(1, text)]
        await session.append(lease, large, values={"d": text}, head=RUNNING)
        assert large == list(await session.read("t"))
        assert {"d": text} == await session.read_values("t", ["d"])


async def test_an_append_that_is_cancelled_has_its_whole_effect(path: Path) -> None:
    """Cancelled in the middle of its transaction, an append is waited for and there; the session works on."""
    entered, go = anyio.Event(), threading.Event()

    def wait(point: str, what: str) -> None:
        anyio.from_thread.run_sync(entered.set)
        go.wait()

    async with SQLiteStore(path).open() as session:
        lease = await session.acquire("t")
        with armed(wait):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(partial(session.append, lease, records(1, 2), values={}, head=RUNNING))
                await entered.wait()
                tasks.cancel_scope.cancel()
                go.set()
        assert [1, 2] == await numbers(session, "t")
        await session.append(lease, records(3), values={}, head=None)
        assert [1, 2, 3] == await numbers(session, "t")


async def test_every_method_may_be_cancelled_at_every_step(path: Path) -> None:
    """Cancelled wherever it waits, a session leaves whole appends, no lease, and nothing open."""
    store = SQLiteStore(path)

    async def work() -> None:
        async with store.open() as session:
            lease = await session.acquire("t")
            newest = len(await session.read("t"))
            await session.append(lease, records(newest + 1, newest + 2), values={}, head=RUNNING)
            await session.release(lease)
            await session.list()

    async with assert_no_leaks():
        outcomes = await sweep_cancellations(work)
    assert len(outcomes) > 5
    async with store.open() as session:
        found = await numbers(session, "t")
        assert list(range(1, len(found) + 1)) == found
        assert 0 == len(found) % 2
        await session.acquire("t")


@pytest.mark.one_backend("trio has no cancellation beside its scopes")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_lease_whose_taker_was_cancelled_by_asyncio_ends_with_the_session(path: Path) -> None:
    """`task.cancel()` tears a task away from its worker thread; what that took is given back with the session."""
    import asyncio

    store = SQLiteStore(path)
    async with assert_no_leaks():
        async with store.open() as session:
            for _ in range(10):
                task = asyncio.create_task(session.acquire("t"))
                for _ in range(3):
                    await checkpoint()
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        async with store.open() as session:
            await session.acquire("t")


async def test_an_append_that_fails_leaves_nothing(path: Path) -> None:
    """What raises within the transaction comes through, and undoes all of it."""

    def fail(point: str, what: str) -> None:
        assert ("intxn", "t") == (point, what)
        raise LookupError

    async with SQLiteStore(path).open() as session:
        lease = await session.acquire("t")
        with armed(fail), pytest.raises(LookupError):
            await session.append(lease, records(1), values={"d": "x"}, head=RUNNING)
        assert [] == await numbers(session, "t")
        assert await session.find("t") is None
        await session.append(lease, records(1), values={}, head=RUNNING)
        with armed(fail), pytest.raises(LookupError):
            await session.append(lease, records(2), values={"d": "x"}, head=Head("G", "failed"))
        assert [1] == await numbers(session, "t")
        assert {} == await session.read_values("t", ["d"])
        thread = await session.find("t")
        assert thread is not None
        assert ("running", 1) == (thread.status, thread.records)


async def test_only_what_was_appended_last_may_be_appended_again(path: Path) -> None:
    """The last append of a lease may be repeated as it was; anything else that does not follow is refused."""
    async with SQLiteStore(path).open() as session:
        lease = await session.acquire("t")
        for _ in range(2):
            await session.append(lease, records(1), values={}, head=RUNNING)
        for _ in range(2):
            await session.append(lease, records(2, 3), values={}, head=RUNNING)
        for wrong in ([1], [3], [2, 3, 4], [5], [2], [4, 6], [0]):
            with pytest.raises(CheckpointError):
                await session.append(lease, records(*wrong), values={}, head=None)
        await session.release(lease)
        again = await session.acquire("t")
        for wrong in ([2, 3], [1, 2, 3]):
            with pytest.raises(CheckpointError, match="number 4"):
                await session.append(again, records(*wrong), values={}, head=None)
        with pytest.raises(RunLocked):
            await session.append(lease, records(4), values={}, head=None)
        with pytest.raises(RunLocked):
            await session.append(Lease("t", "made up"), records(4), values={}, head=None)
        assert [1, 2, 3] == await numbers(session, "t")


async def test_pages_neither_hide_nor_repeat_threads(path: Path) -> None:
    """Threads that come and go between two pages leave the others where they are."""
    async with SQLiteStore(path).open() as session:
        for number in range(9):
            await begin(session, f"t{number}")
        page = await session.list(limit=3)
        seen = [thread.thread_id for thread in page.threads]
        await begin(session, "newer")
        for gone in ("t8", "t6", "t4"):  # one seen, the one that the cursor was made of, one to come
            assert await session.delete(gone)
        while page.cursor is not None:
            page = await session.list(limit=3, cursor=page.cursor)
            seen += [thread.thread_id for thread in page.threads]
    assert [f"t{number}" for number in (8, 7, 6, 5, 3, 2, 1, 0)] == seen


async def test_the_last_page_has_no_cursor_and_a_wrong_one_is_refused(path: Path) -> None:
    """A page that ends with the last thread says so; what is no cursor, or no limit, is a `ValueError`."""
    async with SQLiteStore(path).open() as session:
        for number in range(4):
            await begin(session, f"t{number}")
        first = await session.list(limit=2)
        assert first.cursor is not None
        assert (await session.list(limit=2, cursor=first.cursor)).cursor is None
        for wrong in ("", "x", "ü", "bnVsbA==", first.cursor[:-2], first.cursor + "!"):
            with pytest.raises(ValueError, match="cursor"):
                await session.list(cursor=wrong)
        for limit in (0, -1):
            with pytest.raises(ValueError, match="limit"):
                await session.list(limit=limit)


async def test_listings_follow_an_index(path: Path) -> None:
    """No listing reads the whole table or sorts it, with or without a status and a cursor."""
    store = SQLiteStore(path)
    queries: list[str] = []
    statuses: tuple[Status | None, ...] = (None, "running")
    async with store.open() as session:
        for number in range(3):
            await begin(session, f"t{number}")
        cursor = (await session.list(limit=1)).cursor
        store._database.connection.set_trace_callback(queries.append)
        for status in statuses:
            assert 2 == len((await session.list(cursor=cursor, status=status)).threads)
            assert 3 == len((await session.list(status=status)).threads)
        store._database.connection.set_trace_callback(None)
        plans = [
            str(row[3])
            for query in queries
            for row in store._database.connection.execute(f"EXPLAIN QUERY PLAN {query}")
        ]
    assert 4 == len(plans)
    assert [] == [plan for plan in plans if "INDEX thread_by" not in plan or "TEMP" in plan]


async def test_a_cancel_request_is_for_the_lease_that_is_out(path: Path) -> None:
    """A request is for whoever has the lease, with or without a record, and none is left for the next."""
    async with SQLiteStore(path).open() as session:
        assert not await session.cancel("t")
        lease = await session.acquire("t")
        assert not await session.renew(lease)
        assert await session.cancel("t")
        assert await session.cancel("t")
        assert await session.renew(lease)
        await session.release(lease)
        assert not await session.cancel("t")
        assert not await session.renew(await session.acquire("t"))


async def test_a_thread_is_deleted_whole(path: Path) -> None:
    """Deleting removes records, values and row; a thread of the same name begins anew. Not while it is leased."""
    async with SQLiteStore(path).open() as session:
        lease = await session.acquire("t")
        await session.append(lease, records(1), values={"d": "x"}, head=RUNNING)
        await session.cancel("t")
        with pytest.raises(RunLocked):
            await session.delete("t")
        await session.release(lease)
        assert await session.delete("t")
        assert not await session.delete("t")
        await begin(session, "t")
        assert {} == await session.read_values("t", ["d"])
        assert await session.delete("t")
    assert [0, 0, 0, 0] == rows(path)


def rows(path: Path) -> list[int]:
    connection = sqlite3.connect(path)
    try:
        tables = ("thread", "record", "value", "cancel_request")
        return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    finally:
        connection.close()


@pytest.mark.slow
async def test_threads_that_rest_too_long_are_gone(path: Path) -> None:
    """After `ttl` seconds a thread that nobody holds is not read, found or listed, and is removed from the disk."""
    ttl = 0.2
    store = SQLiteStore(path, ttl=ttl)
    async with store.open() as session:
        await begin(session, "resting")
        await begin(session, "revived")
        held = await session.acquire("held")
        await session.append(held, records(1), values={}, head=RUNNING)
        thread = await session.find("held")
        assert thread is not None
        assert ["held", "revived", "resting"] == await ids(session)
        await anyio.sleep(thread.updated + ttl + 0.01 - time.time())
        assert [[], [], [1]] == [await numbers(session, name) for name in ("resting", "revived", "held")]
        assert await session.find("resting") is None
        assert not await session.delete("resting")
        lease = await session.acquire("revived")
        await session.append(lease, records(1), values={}, head=RUNNING)
        await session.release(lease)
        assert ["revived", "held"] == await ids(session)
        assert 2 == rows(path)[0]
        await anyio.sleep(ttl + 0.02)
    async with store.open():
        assert [0, 0, 0, 0] == rows(path)
