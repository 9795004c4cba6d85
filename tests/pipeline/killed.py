"""A pipeline of thirty steps whose processes can be killed at any fault point, and what such a process does."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from dagflow.kernel.context import current_activation
from dagflow.kernel.fault_points import armed
from dagflow.pipeline.composites import Conditional, Loop, Map, Parallel
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import PythonTask
from dagflow.store.sqlite import SQLiteStore

__all__ = ["Orders", "label", "thirty_steps"]


@attrs.frozen(kw_only=True)
class Orders:
    """A run in a folder of its own, whose process dies where the `kill_at`-th fault point is reached (0: nowhere)."""

    folder: str
    backend: str
    kill_at: int = 0
    retry: bool = False

    @property
    def ledger(self) -> Path:
        """The file that says what was called and what was reached, line by line."""
        return Path(self.folder) / "ledger"

    @property
    def store(self) -> SQLiteStore:
        """Where the run is recorded."""
        return SQLiteStore(Path(self.folder) / "runs.db")

    @property
    def killed(self) -> Orders:
        """The same, as it was when its process had been killed."""
        return attrs.evolve(self, folder=f"{self.folder}.killed")


def label(run: str, activation: str) -> str:
    """Name an activation the same in every process: by its path without the id of the outermost run."""
    return f"{run.partition('/')[2]}/{activation}"


def thirty_steps(note: Callable[[], None]) -> Pipeline:
    """Make it; each call of a task calls `note` first."""

    def work(seen: list[str] | None = None, **all: Any) -> list[str]:
        note()
        return [*(seen or []), str(len(all))]

    def items() -> list[int]:
        note()
        return [1, 2, 3, 4]

    async def item(item: int, **all: Any) -> int:
        note()
        await anyio.lowlevel.checkpoint()
        return item * 10

    def turn(count: int = 0) -> int:
        note()
        return count + 1

    def side(value: str) -> PythonTask:
        def give() -> str:
            note()
            return value

        return PythonTask(give, name=value, returns=[value])

    def task(name: str) -> PythonTask:
        return PythonTask(work, name=name, returns=["seen"])

    branch = Pipeline([side("left"), Map("items", PythonTask(item, returns=["inner"]), name="inner map")])
    each = Pipeline([PythonTask(item, returns=["x"]), task("each")], returns=["x"])
    count = Pipeline([PythonTask(turn, returns=["count"]), task("in the loop")])
    return Pipeline(
        [
            PythonTask(items, returns=["items"]),
            *(task(f"early {number}") for number in range(8)),
            Map("items", each, name="map", max_concurrency=2),
            *(task(f"middle {number}") for number in range(7)),
            Parallel({"a": branch, "b": Pipeline([side("right")])}, name="both"),
            Conditional({True: side("yes")}, predicate=lambda items: len(items) == 4, name="choose"),
            Loop(count, until=lambda count: count == 3, max_iterations=9, name="loop"),
            *(task(f"late {number}") for number in range(10)),
        ],
        name="thirty",
    )


class Killer:
    """Writes to the ledger, and kills the process where the orders say so."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.reached = 0
        self._descriptor = os.open(orders.ledger, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, **line: Any) -> None:
        """Write a line; a kill of the process leaves it."""
        os.write(self._descriptor, json.dumps({**line, "pid": os.getpid()}).encode() + b"\n")

    def note(self) -> None:
        """Say that a task was called."""
        activation = current_activation()
        assert activation is not None
        self.write(called=label(activation.run.id, activation.activation))

    def reach(self, point: str, what: str) -> None:
        """Pass a fault point, or die."""
        self.reached += 1
        if self.reached == self._orders.kill_at:
            self.write(killed=point, what=what)
            os.kill(os.getpid(), signal.SIGKILL)


def perform(orders: Orders) -> None:
    """Do what the orders say, and write the result to the ledger."""
    killer = Killer(orders)

    async def main() -> None:
        pipeline = thirty_steps(killer.note)
        with armed(killer.reach):
            if orders.retry:
                result = await pipeline.retry("run", store=orders.store)
            else:
                result = await pipeline.execute(run_id="run", store=orders.store)
        killer.write(ended=result.parameters, points=killer.reached)

    anyio.run(main, backend=orders.backend)


def fork(work: Callable[[], None]) -> int:
    """Do some work in a process of its own, and give its exit status, negative for a signal."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = 1
    try:
        faulthandler.dump_traceback_later(25, exit=True)  # one that hangs says where
        work()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def import_all(folder: Path) -> None:
    """Import what a run imports, so that no process needs to: a first one says what that is."""
    found = folder / "modules"

    def warm_up() -> None:
        for backend in ("asyncio", "trio"):
            (folder / backend).mkdir()
            perform(Orders(folder=str(folder / backend), backend=backend))
        found.write_text("\n".join(sys.modules))

    assert 0 == fork(warm_up)
    for name in found.read_text().splitlines():
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def kill_and_retry(orders: Orders) -> list[int]:
    """Let one process begin a run and be killed, and another go on with it; gives how they ended."""
    Path(orders.folder).mkdir()
    killed = fork(lambda: perform(orders))
    shutil.copytree(orders.folder, orders.killed.folder)
    if killed == 0:
        return [killed]
    with contextlib.closing(sqlite3.connect(Path(orders.folder) / "runs.db")) as database:
        begun = bool(database.execute("SELECT count(*) FROM thread").fetchone()[0])
    return [killed, fork(lambda: perform(attrs.evolve(orders, kill_at=0, retry=begun)))]


def main() -> None:
    """Do what standard input says, a line of orders at a time, and say how the processes ended."""
    with tempfile.TemporaryDirectory() as folder:
        import_all(Path(folder))
    for line in sys.stdin:
        print(json.dumps(kill_and_retry(Orders(**json.loads(line)))), flush=True)


if __name__ == "__main__":
    main()
