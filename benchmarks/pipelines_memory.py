"""A map over very many items, in a process of its own: microseconds an item, and what memory it takes.

`python -m benchmarks.pipelines_memory BACKEND STORE COUNT` prints, as JSON, the microseconds an item and by how much,
at samples taken in the tasks, the resident memory exceeded what it was when the run began, in MiB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import anyio
import psutil

from dagflow import Map, Pipeline, PythonTask, SQLiteStore

LIMIT = 64
MIB = 1024 * 1024


def measure(backend: str, store: str, count: int) -> tuple[float, float]:
    """Microseconds an item, and MiB at the peak."""
    command = [sys.executable, "-m", "benchmarks.pipelines_memory", backend, store, str(count)]
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    microseconds, mebibytes = json.loads(done.stdout)
    return microseconds, mebibytes


async def run(count: int, options: dict[str, Any]) -> tuple[float, float]:
    process = psutil.Process()
    most = seen = 0

    async def task(item: int) -> int:
        nonlocal most, seen
        seen += 1
        if seen % 200 == 0:
            most = max(most, process.memory_info().rss)
        return item % 100

    pipeline = Pipeline([Map("items", PythonTask(task, returns=["found"]), max_concurrency=LIMIT)])
    await pipeline.execute(parameters={"items": list(range(2_000))})  # what loads lazily is loaded
    items = list(range(count))
    most = seen = 0
    before, began = process.memory_info().rss, perf_counter()
    result = await pipeline.execute(parameters={"items": items}, **options)
    taken = perf_counter() - began
    if len(result.parameters["found"]) != count or seen != count:
        raise AssertionError(f"{seen} of {count} items ran")
    return taken / count * 1e6, (most - before) / MIB


def main(backend: str, store: str, count: int) -> None:
    with TemporaryDirectory(prefix="dagflow-bench-") as folder:
        options: dict[str, Any] = {}
        if store == "SQLite":
            options = {"store": SQLiteStore(Path(folder) / "runs.db"), "run_id": "map"}
        print(json.dumps(anyio.run(run, count, options, backend=backend)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
