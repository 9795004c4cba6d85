"""The same tasks with Prefect and its local engine, in a process of its own: it sets up logging, signals and a server.

`python -m benchmarks.pipelines_prefect COUNT REPEATS` prints the seconds of each repetition, as JSON. It talks to a
server that it starts itself, with a SQLite file, in a home folder that is new; logging is off.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

NAME = "Prefect"
SETTINGS = {
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}


def measure(count: int, *, repeats: int) -> dict[str, list[float]]:
    """Seconds of each repetition, by shape: tasks awaited in turn, mapped, and gathered."""
    with TemporaryDirectory(prefix="dagflow-bench-prefect-") as home:
        command = [sys.executable, "-m", "benchmarks.pipelines_prefect", str(count), str(repeats)]
        environ = {**os.environ, **SETTINGS, "PREFECT_HOME": home}
        root = Path(__file__).resolve().parent.parent
        done = subprocess.run(command, env=environ, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"Prefect failed:\n{done.stderr[-2000:]}")
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main(count: int, repeats: int) -> None:
    """Run flows of no-op tasks in turn, and print what they took."""
    import asyncio

    from prefect import flow, task

    @task
    async def step(item: int) -> int:
        return item + 1

    @flow
    async def in_sequence() -> int:
        item = 0
        for _ in range(count):
            item = await step(item)
        return item

    @flow
    async def mapped() -> int:
        return sum(step.map(range(count)).result())

    @flow
    async def gathered() -> int:
        return sum(await asyncio.gather(*(step(item) for item in range(count))))

    flows = {"in sequence": in_sequence, "map": mapped, "gather": gathered}
    expected = count * (count + 1) // 2
    taken: dict[str, list[float]] = {name: [] for name in flows}

    async def once(name: str) -> None:
        result = await flows[name]()
        if result != (count if name == "in sequence" else expected):
            raise AssertionError(f"{name} came to {result}")

    asyncio.run(once("gather"))  # the server starts with the first flow
    for _ in range(repeats):
        for name in flows:
            began = perf_counter()
            asyncio.run(once(name))
            taken[name].append(perf_counter() - began)
    print(json.dumps(taken))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
