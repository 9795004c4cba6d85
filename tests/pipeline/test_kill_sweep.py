"""A pipeline of thirty steps is killed at every boundary of its steps, and goes on as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import attrs
import pytest

from dagflow.core.storage import Store
from dagflow.errors import CheckpointError
from dagflow.events import NodeSucceeded
from dagflow.kernel.thread import Thread
from dagflow.pipeline.run_log import RunLog, StepLog
from dagflow.pipeline.run_log_fold import read_run_log
from durable.killed.processes import scratch
from pipeline.killed import Orders, label

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
BACKENDS = ("asyncio", "trio")
PARTS = range(4)
"""Of the fault points of each event loop, each part takes every fourth; an ordinary test run takes a few of them."""

EVERY = 1 if SCALE > 1 else 8

Sweep = Callable[[Orders], list[int]]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with scratch() as folder:
        yield folder


@pytest.fixture(scope="module")
def sweep() -> Iterator[Sweep]:
    """Lets processes be killed: one that has everything imported forks for each."""
    command = [sys.executable, "-W", "error", "-m", "pipeline.killed"]
    with subprocess.Popen(
        command, cwd=Path(__file__).parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        stdin, stdout = server.stdin, server.stdout

        def kill(orders: Orders) -> list[int]:
            stdin.write(json.dumps(attrs.asdict(orders)) + "\n")
            stdin.flush()
            statuses: list[int] = json.loads(stdout.readline())
            return statuses

        yield kill
        stdin.close()


def ledger(orders: Orders) -> list[dict[str, Any]]:
    return [json.loads(line) for line in orders.ledger.read_text().splitlines()]


async def read(store: Store) -> tuple[Counter[str], RunLog | None]:
    """What the journal has as finished, and how often; and the run log. Nothing, where the run was killed early."""
    try:
        events = await Thread("run", store).events()
    except CheckpointError:
        return Counter(), None
    finished = Counter(label(event.run, event.activation) for event in events if isinstance(event, NodeSucceeded))
    return finished, await read_run_log(store, "run")


def all_steps(log: Any) -> Iterator[StepLog]:
    for step in log.steps:
        yield step
        for inner in step.parts:
            yield from all_steps(inner)


@attrs.frozen
class Undisturbed:
    """What a run that nobody disturbs comes to, what it recorded, and how many fault points it passed."""

    parameters: dict[str, Any]
    finished: Counter[str]
    points: int


@pytest.fixture(scope="module")
def undisturbed(folder: Path, sweep: Sweep) -> Undisturbed:
    orders = Orders(folder=str(folder / "undisturbed"), backend="asyncio")
    assert [0] == sweep(orders)
    *calls, ended = ledger(orders)
    assert {1} == set(Counter(line["called"] for line in calls).values())
    return Undisturbed(ended["ended"], anyio.run(read, orders.store)[0], ended["points"])


def test_the_pipeline_has_thirty_steps_and_parts_of_every_kind(undisturbed: Undisturbed) -> None:
    """The pipeline under test is as large as it should be, and each activation is recorded once."""
    steps = {name for name in undisturbed.finished if name.count("/") == 1}
    assert 30 == len(steps)
    assert {"/map#1", "/both#1", "/choose#1", "/loop#1"} <= steps
    assert {1} == set(undisturbed.finished.values())


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_kill_at_every_boundary_of_every_step(
    backend: str, part: int, folder: Path, sweep: Sweep, undisturbed: Undisturbed
) -> None:
    """Killed at any boundary, a run goes on: what is finished never runs again, and the run log tells it all."""
    first = 1 + part + BACKENDS.index(backend) * len(PARTS) * (EVERY // 2)
    kills = 0
    for kill_at in range(first, undisturbed.points, len(PARTS) * EVERY):
        orders = Orders(folder=str(folder / f"{backend} {kill_at}"), backend=backend, kill_at=kill_at)
        statuses = sweep(orders)
        if statuses == [0]:
            continue  # commits that activations share make fewer points of some runs
        assert [-signal.SIGKILL, 0] == statuses, f"killed at point {kill_at}"
        kills += 1
        check(orders, undisturbed)
    assert kills > 0


def check(orders: Orders, undisturbed: Undisturbed) -> None:
    """Judge a run by its ledger, and by its store as it was after the kill and in the end."""
    where = f"killed at point {orders.kill_at}"
    lines = ledger(orders)
    ended = lines[-1]
    calls = {line["called"] for line in lines if line["pid"] == ended["pid"] and "called" in line}
    before, lost = anyio.run(read, orders.killed.store)
    if lost is not None:
        assert "lost" == lost.status, where
    assert set() == before.keys() & calls, f"{where}: finished, and ran again"
    assert undisturbed.parameters == ended["ended"], where
    finished, log = anyio.run(read, orders.store)
    assert undisturbed.finished == finished, where
    assert log is not None
    steps = list(all_steps(log))
    assert ("complete", 1 if lost is None else 2) == (log.status, log.begun), where
    assert {"succeeded"} == {step.status for step in steps} == {step.attempts[-1].status for step in steps}, where
    assert {"succeeded", "lost"} >= {attempt.status for step in steps for attempt in step.attempts}, where
    json.loads(log.to_json())
