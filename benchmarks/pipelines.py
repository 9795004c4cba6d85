"""Measure pipelines: no-op tasks beside Prefect and hand-written code, a map over very many items, and Dask."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count as counting
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import anyio

from benchmarks import pipelines_by_hand as by_hand
from benchmarks import pipelines_dask as dask
from benchmarks import pipelines_memory as memory
from benchmarks import pipelines_prefect as prefect
from benchmarks.measure import without_old_garbage
from benchmarks.section import FLAT, Section, Table, Verdict, at_most
from dagflow import Map, Pipeline, PythonTask, SQLiteStore

OURS = "dagflow"
LIMIT = 64
SEQUENCE, MAP = "in sequence", "map"
BY_HAND = 2.0
OF_PREFECT = 1 / 20
TEXT = f"""\
Async tasks that add one. In sequence, each takes what the one before it returned; as a map, {LIMIT} go on at once. Ours
has its run log on SQLite, with `durability="sync"`: what a task gave is in the store before anything follows from it.
By hand, each task commits one row with its name and result to a SQLite file, in a worker thread or on the event loop,
which then waits for the disk; both have WAL mode and `synchronous=FULL`. The files are new, on a disk.
Medians are of 5.

Prefect runs in a process of its own, with the server that it starts itself and a SQLite file in a new home folder,
without logging to it; each flow is run once, after one that starts the server and is not counted. It commits nothing
before it goes on. `gather` calls the task under `asyncio.gather`, `map` is its own; for a map the faster of the two
counts.

A map over very many items runs in fresh processes, once. Memory is by how much the resident memory exceeded, at a
sample every 200 items, what it was before the run, with the list of items already there; what the items return is in
it.

On Dask, a cluster of two processes on this machine, sync tasks run one after another through a client that is open.
"""

Run = Callable[[], Awaitable[Any]]
Measured = dict[str, dict[str, float]]


def measure(*, short: bool) -> Section:
    repeats, count = (1, 50) if short else (5, 1_000)
    sizes = (1_500, 3_000) if short else (1_000, 10_000, 100_000)
    engines, verdicts = _engines(count, repeats=repeats)
    large, flat = _large_maps(sizes)
    on_dask = _dask(count=10 if short else 100, repeats=1 if short else 5)
    return Section("Pipelines", TEXT, [engines, large, on_dask], [*verdicts, *flat])


async def add_one(item: int) -> int:
    return item + 1


def _engines(count: int, *, repeats: int) -> tuple[Table, list[Verdict]]:
    found: dict[tuple[str, str, str], float] = {}
    with TemporaryDirectory(prefix="dagflow-bench-") as folder:
        for backend in ("asyncio", "trio"):
            for (shape, engine), seconds in _in_turn(Path(folder), backend, count, repeats).items():
                found[shape, engine, backend] = seconds
    theirs = {shape: median(times) for shape, times in prefect.measure(count, repeats=1).items()}
    fastest = {SEQUENCE: theirs[SEQUENCE], MAP: min(theirs["map"], theirs["gather"])}
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for (shape, engine, backend), seconds in sorted(found.items()):
        ratio = f"{seconds / fastest[shape]:.4f}"
        rows.append([f"{count:,} {shape}", engine, backend, f"{seconds / count * 1e6:,.0f}", ratio])
        if engine == OURS:
            name = f"{count:,} tasks {shape}, {backend}"
            hand = found[shape, "by hand, a thread", backend]
            verdicts.append(at_most(f"{name}: ours / by hand, a thread", seconds / hand, BY_HAND))
            hand = found[shape, "by hand, on the loop", backend]
            verdicts.append(at_most(f"{name}: ours / by hand, on the loop", seconds / hand, BY_HAND))
            verdicts.append(at_most(f"{name}: ours / {prefect.NAME}", seconds / fastest[shape], OF_PREFECT))
    for shape, seconds in theirs.items():
        rows.append([f"{count:,} {shape}", prefect.NAME, "asyncio", f"{seconds / count * 1e6:,.0f}", "-"])
    header = ["shape", "engine", "backend", "us a task", f"ratio to {prefect.NAME}"]
    return Table(header, rows, "No-op tasks, each recorded"), verdicts


def _in_turn(folder: Path, backend: str, count: int, repeats: int) -> dict[tuple[str, str], float]:
    """Median seconds of each shape and engine; every round runs each once, on a file that is new."""
    pipelines = {
        SEQUENCE: Pipeline([PythonTask(add_one, name=f"t{number}", returns=["item"]) for number in range(count)]),
        MAP: Pipeline([Map("items", PythonTask(add_one, returns=["found"]), max_concurrency=LIMIT)]),
    }
    parameters: dict[str, dict[str, Any]] = {SEQUENCE: {"item": 0}, MAP: {"items": list(range(count))}}
    names = counting()
    taken: dict[tuple[str, str], list[float]] = {}

    async def ours(shape: str, path: Path) -> Any:
        store = SQLiteStore(path)
        result = await pipelines[shape].execute(parameters=parameters[shape], store=store, run_id="run")
        return result.parameters["item" if shape == SEQUENCE else "found"]

    async def hand(shape: str, path: Path, commit_in: str) -> Any:
        with by_hand.new_table(path) as table:
            commit = table.in_a_thread if commit_in == "thread" else table.on_the_loop
            if shape == SEQUENCE:
                return await by_hand.in_sequence(add_one, count, commit)
            return await by_hand.mapped(add_one, count, commit, limit=LIMIT)

    engines = {
        OURS: ours,
        "by hand, a thread": partial(hand, commit_in="thread"),
        "by hand, on the loop": partial(hand, commit_in="loop"),
    }
    with without_old_garbage():
        for number in range(repeats + 1):
            for shape in (SEQUENCE, MAP):
                expected = count if shape == SEQUENCE else list(range(1, count + 1))
                for engine, run in engines.items():
                    path = folder / f"{backend}-{next(names)}.db"
                    gc.collect()
                    began = perf_counter()
                    if anyio.run(run, shape, path, backend=backend) != expected:
                        raise AssertionError(f"{engine} came to something else")
                    if number:  # the first round warms up
                        taken.setdefault((shape, engine), []).append(perf_counter() - began)
    return {key: median(times) for key, times in taken.items()}


def _large_maps(sizes: tuple[int, ...]) -> tuple[Table, list[Verdict]]:
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for store in ("none", "SQLite"):
        for backend in ("asyncio", "trio"):
            found = {size: memory.measure(backend, store, size) for size in sizes}
            rows += [
                [f"{size:,}", store, backend, f"{microseconds:,.0f}", f"{mebibytes:.1f}"]
                for size, (microseconds, mebibytes) in found.items()
            ]
            *_, before, last = found
            claim = f"a map over {last:,} items / over {before:,}, {store}, {backend}"
            verdicts.append(at_most(f"{claim}: time an item", found[last][0] / found[before][0], FLAT))
            grown = found[last][1] - found[before][1]
            returned = 2 * 8 * (last - before) / memory.MIB  # the list of results, and that of what is awaited
            verdicts.append(at_most(f"{claim}: memory beyond the results", grown - returned, 5.0, " MiB"))
    return Table(["items", "store", "backend", "us an item", "MiB"], rows, "A map over very many items"), verdicts


def _dask(*, count: int, repeats: int) -> Table:
    found = dask.measure(count=count, repeats=repeats)
    bare = found.pop("Client.submit")
    rows = [["Client.submit", "-", f"{bare:.2f}", "-"]]
    rows += [[OURS, backend, f"{taken:.2f}", f"{taken - bare:.2f}"] for backend, taken in found.items()]
    return Table(["engine", "backend", "ms a task", "ms added"], rows, "Tasks on Dask, one after another")
