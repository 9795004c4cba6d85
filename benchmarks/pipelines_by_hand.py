"""The same tasks written by hand: each result is committed to a SQLite file before anything follows from it.

In the file is what ours commits at the least: which task it was, and what came of it, as JSON. `a thread` commits in a
worker thread, as one has to where an event loop must not wait for a disk; `on the loop` commits where it is, and
everything else waits. At once, sixty-four workers share the connection, and each commits its own.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

Task = Callable[[int], Awaitable[int]]
Commit = Callable[[str, int], Awaitable[None]]


class Table:
    """A SQLite file with one row a task, in WAL mode and with `synchronous=FULL`, as ours."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=full")
        self._connection.execute("create table log (seq integer primary key, task text, result text)")
        self._lock = anyio.Lock()

    def write(self, name: str, value: int) -> None:
        self._connection.execute("begin immediate")
        self._connection.execute("insert into log (task, result) values (?, ?)", (name, json.dumps({"value": value})))
        self._connection.execute("commit")

    async def on_the_loop(self, name: str, value: int) -> None:
        self.write(name, value)

    async def in_a_thread(self, name: str, value: int) -> None:
        async with self._lock:
            await run_sync(self.write, name, value)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def new_table(path: Path) -> Iterator[Table]:
    """Give a table in a file that is new."""
    table = Table(path)
    try:
        yield table
    finally:
        table.close()


async def in_sequence(task: Task, count: int, commit: Commit) -> int:
    """Each task takes what the one before it returned."""
    value = 0
    for number in range(count):
        value = await task(value)
        await commit(f"t{number}", value)
    return value


async def mapped(task: Task, count: int, commit: Commit, *, limit: int) -> list[int]:
    """One task for each item, `limit` of them at once."""
    results = [0] * count
    items = iter(range(count))

    async def work() -> None:
        for item in items:
            results[item] = await task(item)
            await commit(f"t{item}", results[item])

    async with anyio.create_task_group() as group:
        for _ in range(limit):
            group.start_soon(work)
    return results
