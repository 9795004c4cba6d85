"""Seconds to go on with a long journal, and microseconds of one commit, by store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import anyio

from benchmarks import durable_work as ours
from benchmarks.measure import without_old_garbage
from benchmarks.section import Table, Verdict, at_most
from dagflow.core.storage import Head, Record, Store
from dagflow.store.memory import MemoryStore
from dagflow.store.sqlite import SQLiteStore

LIMIT = 0.5
"""Seconds for ten thousand nodes."""
BACKENDS = ("asyncio", "trio")
# What one node of a typed graph leaves: that it started, and that it succeeded.
COMMIT = ("s" * 190, "e" * 700)


def measure(folder: Path, url: str | None, *, nodes: int, repeats: int) -> tuple[list[Table], list[Verdict]]:
    with TemporaryDirectory(dir=folder) as name:
        stores: dict[str, Callable[[], Store]] = {
            "memory": partial(as_it_is, MemoryStore()),
            "SQLite": partial(SQLiteStore, Path(name) / "journals.db"),
        }
        if url is not None:
            stores["Redis"] = partial(of_redis, url)
        seconds = resume(stores, nodes, repeats)
        commits = commit(stores, 30 * repeats)
        floors = {"fdatasync of 4 kB": fdatasync(Path(name), 30 * repeats)}
        floors["SQLite's own commit of 4 kB"] = bare_commit(Path(name), 30 * repeats)
    rows = [[store, *(f"{seconds[store, backend]:.3f}" for backend in BACKENDS)] for store in stores]
    tables = [Table(["store", *(f"s, {backend}" for backend in BACKENDS)], rows, f"Resume of {nodes:,} nodes")]
    rows = [[store, *(f"{commits[store, backend] * 1e6:,.0f}" for backend in BACKENDS)] for store in stores]
    rows += [[name, f"{value * 1e6:,.0f}", "-"] for name, value in floors.items()]
    tables.append(Table(["store", *(f"us, {backend}" for backend in BACKENDS)], rows, "One commit"))
    limit = LIMIT * nodes / 10_000
    claim = f"resume of {nodes:,} nodes"
    return tables, [at_most(f"{claim}: {', '.join(key)}", value, limit, " s") for key, value in seconds.items()]


def as_it_is(store: Store) -> Store:
    return store


def of_redis(url: str) -> Store:
    from dagflow.store.redis import RedisStore

    return RedisStore(url, prefix="resume:")


def resume(stores: Mapping[str, Callable[[], Store]], nodes: int, repeats: int) -> dict[tuple[str, str], float]:
    """Each repetition goes on with a journal of its own that lacks its last node, in a store made anew."""
    records = anyio.run(without_last_node, nodes)
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(repeats):
        for name, make in stores.items():
            for backend in BACKENDS:
                seconds = anyio.run(_resume, make, records, nodes, f"{number} on {backend}", backend=backend)
                taken.setdefault((name, backend), []).append(seconds)
    return {key: median(times) for key, times in taken.items()}


async def without_last_node(nodes: int) -> Sequence[Record]:
    """The records up to where the last node would start; a text of 200 characters stands in them, not beside."""
    store = MemoryStore()
    assert await ours.loop(nodes)(store, "exit") == nodes
    beginning, of_each = 1, 2
    async with store.open() as session:
        return await session.read(ours.THREAD, limit=beginning + of_each * nodes)


async def _resume(make: Callable[[], Store], records: Sequence[Record], nodes: int, thread_id: str) -> float:
    async with make().open() as session:
        lease = await session.acquire(thread_id)
        await session.append(lease, records, values={}, head=Head(ours.LOOP.name, "running"))
        await session.release(lease)
    store = make()
    with without_old_garbage():
        began = perf_counter()
        result = await ours.LOOP.resume(thread_id, store=store)
        seconds = perf_counter() - began
    assert isinstance(result.node, ours.Done)
    assert result.node.count == nodes
    async with make().open() as session:
        await session.delete(thread_id)
    return seconds


def commit(stores: Mapping[str, Callable[[], Store]], count: int) -> dict[tuple[str, str], float]:
    return {
        (name, backend): anyio.run(_commit, make, backend, count, backend=backend)
        for name, make in stores.items()
        for backend in BACKENDS
    }


async def _commit(make: Callable[[], Store], thread_id: str, count: int) -> float:
    times = []
    async with make().open() as session:
        lease = await session.acquire(thread_id)
        for number in range(count):
            records = [Record(2 * number + place, text) for place, text in enumerate(COMMIT, 1)]
            began = perf_counter()
            await session.append(lease, records, values={}, head=None if number else Head("commits", "running"))
            times.append(perf_counter() - began)
        await session.release(lease)
    return median(times)


def fdatasync(folder: Path, count: int) -> float:
    times = []
    with open(folder / "synced", "wb", buffering=0) as file:
        for _ in range(count):
            file.write(b"x" * 4096)
            began = perf_counter()
            os.fdatasync(file.fileno())
            times.append(perf_counter() - began)
    return median(times)


def bare_commit(folder: Path, count: int) -> float:
    """One row a transaction, in this thread, with the same settings as the store's."""
    times = []
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE row (number INTEGER PRIMARY KEY, text)")
    for number in range(count):
        began = perf_counter()
        connection.execute("INSERT INTO row VALUES (?, ?)", (number, "x" * 4000))
        times.append(perf_counter() - began)
    connection.close()
    return median(times)
