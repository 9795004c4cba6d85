"""The run log: what it tells of a run, in memory, from a store while it runs, and as a file."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from dagflow.core.codec import Serializer
from dagflow.errors import CheckpointError, NodeError
from dagflow.events import RunEnded, RunStarted
from dagflow.kernel.journal import Journal
from dagflow.pipeline.composites import Loop, Map, Parallel
from dagflow.pipeline.git import git_identity
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Metric, Object
from dagflow.pipeline.run_log import LONGEST_VALUE, RunLog, StepLog
from dagflow.pipeline.run_log_file import RUN_LOG, RunLogWriter
from dagflow.pipeline.run_log_fold import read_run_log, run_log
from dagflow.pipeline.tasks import PythonTask, Stub
from dagflow.store.memory import MemoryStore
from dagflow.store.sqlite import SQLiteStore
from dagflow.types import Retry


def step(log: Any, *path: str) -> StepLog:
    """The log of a step, by the names of steps and parts on the way."""
    for name in path[:-1]:
        log = next(one for one in (log.steps if hasattr(log, "steps") else log.parts) if one.name == name)
    found: StepLog = next(one for one in log.steps if one.name == path[-1])
    return found


def double(item: int, factor: int = 2) -> tuple[int, float]:
    return item * factor, item / 2


SUM = PythonTask(lambda doubled: sum(doubled), name="sum", returns=["sum"])
PIPELINE = Pipeline(
    [
        PythonTask(lambda start: list(range(start)), name="make", returns=["items"]),
        Map("items", PythonTask(double, returns=["doubled", Metric("half")]), name="map", index_as="place"),
        Parallel({"left": Stub(name="nothing"), "right": SUM}),
        Loop(PythonTask(lambda sum, n=0: n + sum, name="add", returns=["n"]), until=lambda n: n > 10, max_iterations=9),
    ],
    name="report",
)  # fmt: skip


def check(log: RunLog) -> None:
    assert ("report", "complete", 1) == (log.pipeline, log.status, log.begun)
    assert {"start": 3, "factor": 3} == log.parameters
    make = step(log, "make")
    assert ("python", "succeeded", {"start": 3}, {"items": [0, 1, 2]}) == (
        make.kind,
        make.status,
        make.inputs,
        make.outputs,
    )
    assert {"items": [0, 1, 2]} == step(log, "map").inputs
    assert {"doubled": [0, 3, 6], "half": [0, 0.5, 1]} == step(log, "map").outputs
    assert ["[0]", "[1]", "[2]"] == sorted(part.name for part in step(log, "map").parts)
    one = step(log, "map", "[2]", "double")
    assert ({"item": 2, "factor": 3}, {"doubled": 6}, {"half": 1.0}) == (one.inputs, one.outputs, one.metrics)
    assert ({"doubled": [0, 3, 6]}, {"sum": 9}) == (lambda s: (s.inputs, s.outputs))(
        step(log, "parallel", "right", "sum")
    )
    assert "stub" == step(log, "parallel", "left", "nothing").kind
    assert [{"sum": 9}, {"sum": 9, "n": 9}] == [part.steps[0].inputs for part in step(log, "loop").parts]
    assert {"n": 18} == step(log, "loop").outputs
    assert log.ended is not None
    assert log.started <= one.attempts[0].started <= log.ended
    json.loads(log.to_json())


async def test_the_log_tells_inputs_outputs_and_metrics_of_every_step(tmp_path: Path) -> None:
    """In memory, and read again from a store by who knows nothing of the pipeline, the story is the same."""
    given = {"start": 3, "factor": 3}
    result = await PIPELINE.execute(parameters=given)
    check(result.log)
    store = SQLiteStore(tmp_path / "runs.db")
    result = await PIPELINE.execute(parameters=given, store=store, run_id="one", tag="nightly")
    check(result.log)
    log = await read_run_log(SQLiteStore(tmp_path / "runs.db"), "one")
    check(log)
    assert ("one", "nightly") == (log.run_id, log.tag)
    assert log.to_dict() == (await PIPELINE.retry("one", store=store)).log.to_dict()
    with pytest.raises(CheckpointError, match="there is no thread two"):
        await read_run_log(store, "two")


async def test_a_failure_is_told_with_its_traceback() -> None:
    """Each failed attempt has its error and traceback, and its inputs; steps after it are pending."""

    def broken(x: int) -> None:
        raise ValueError("boom")

    steps = [PythonTask(broken, retry=Retry(attempts=2, delay=0)), Stub(name="after")]
    prepared = Pipeline(steps).prepare(parameters={"x": 1})
    with pytest.raises(NodeError):
        await prepared.execute()
    log = run_log(
        prepared.run.journal.events, outlines=Pipeline(steps).compiled.outlines, heading={"parameters": {"x": 1}}
    )
    failed, after = log.steps
    assert ("failed", "failed", "pending") == (log.status, failed.status, after.status)
    assert "node broken#1 failed: ValueError: boom" in log.error
    assert {"x": 1} == failed.inputs
    assert ["ValueError: boom"] * 2 == [attempt.error for attempt in failed.attempts]
    for attempt in failed.attempts:
        assert 'raise ValueError("boom")' in attempt.traceback
        assert "in broken" in attempt.traceback


async def test_a_handled_failure_and_a_cancelled_step_are_told_as_such(tmp_path: Path) -> None:
    """What `on_failure` took care of is `handled`; what was under way when the run was cancelled is `cancelled`."""
    store = SQLiteStore(tmp_path / "runs.db")
    broken = PythonTask(lambda: 1 / 0, name="broken", on_failure="continue")
    pipeline = Pipeline([broken, PythonTask(anyio.sleep_forever, name="wait")])
    with anyio.move_on_after(0.2):
        await pipeline.execute(store=store, run_id="one")
    log = await read_run_log(store, "one")
    assert ("cancelled", ["handled", "cancelled"]) == (log.status, [one.status for one in log.steps])
    assert "ZeroDivisionError: division by zero" == log.steps[0].attempts[0].error


async def test_the_log_can_be_read_while_the_run_goes_on(tmp_path: Path) -> None:
    """From the store, and from the file in its folder, the log is whole at any moment, and says how the run stands."""
    store, folder = SQLiteStore(tmp_path / "runs.db"), tmp_path / "deep" / "run"
    go_on = anyio.Event()

    async def wait() -> None:
        await go_on.wait()

    pipeline = Pipeline([Stub(name="first"), PythonTask(wait), Stub(name="last")])
    seen: list[Any] = []

    async def look() -> None:
        with anyio.fail_after(20):
            while True:
                await anyio.sleep(0.05)
                if not (folder / RUN_LOG).exists():
                    continue
                file = json.loads((folder / RUN_LOG).read_text())
                if ["succeeded", "running", "pending"] == [one["status"] for one in file["steps"]]:
                    break
        seen.append(file)
        seen.append((await read_run_log(SQLiteStore(tmp_path / "runs.db"), "one")).to_dict())
        go_on.set()

    async with anyio.create_task_group() as group:
        group.start_soon(look)
        result = await pipeline.execute(store=store, run_id="one", run_folder=folder)
    for log in seen:
        assert ("running", "one") == (log["status"], log["run_id"])
        assert ["succeeded", "running", "pending"] == [one["status"] for one in log["steps"]]
    assert result.log.to_dict() == json.loads((folder / RUN_LOG).read_text())
    assert [RUN_LOG] == [path.name for path in folder.iterdir()]


async def test_the_file_is_written_without_a_store_and_after_failures(tmp_path: Path) -> None:
    """A run folder needs no store, and tells of a run that failed, or was cancelled, too."""
    with pytest.raises(NodeError):
        await Pipeline([PythonTask(lambda: 1 / 0, name="broken")]).execute(run_folder=tmp_path)
    log = json.loads((tmp_path / RUN_LOG).read_text())
    assert ("failed", "failed") == (log["status"], log["steps"][0]["status"])
    assert "ZeroDivisionError" in log["steps"][0]["attempts"][0]["traceback"]
    with anyio.move_on_after(0.1):
        await Pipeline([PythonTask(anyio.sleep_forever, name="wait")]).execute(run_folder=tmp_path)
    log = json.loads((tmp_path / RUN_LOG).read_text())
    assert ("cancelled", "cancelled") == (log["status"], log["steps"][0]["status"])


async def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Before the run where it cannot be made; at its end where the log cannot be written."""
    (tmp_path / "file").write_text("")
    ran: list[int] = []
    pipeline = Pipeline([PythonTask(lambda: ran.append(1), name="a")])
    with pytest.raises(CheckpointError, match="run_log.json cannot be written"):
        await pipeline.execute(run_folder=tmp_path / "file" / "run")
    assert [] == ran
    (tmp_path / "run" / RUN_LOG).mkdir(parents=True)
    with pytest.raises(CheckpointError, match="cannot be written: Is a directory"):
        await pipeline.execute(run_folder=tmp_path / "run")
    assert [1] == ran


@pytest.fixture
def writer(tmp_path: Path) -> Callable[[Journal], RunLogWriter]:
    return lambda journal: RunLogWriter(tmp_path, journal, {}, dict)


async def test_a_log_that_could_not_be_written_is_written_at_the_end(
    tmp_path: Path, writer: Callable[[Journal], RunLogWriter]
) -> None:
    """A write that failed does not count, though nothing has happened since."""
    journal = Journal()
    log = writer(journal)
    journal.record(RunStarted, "r", graph="report", fingerprint="")
    (tmp_path / RUN_LOG).mkdir()
    with pytest.raises(CheckpointError, match="Is a directory"):
        await log.finish(None)
    (tmp_path / RUN_LOG).rmdir()
    await log.finish(None)
    assert "report" == json.loads((tmp_path / RUN_LOG).read_text())["pipeline"]


async def test_the_last_write_waits_for_the_one_before(
    tmp_path: Path, writer: Callable[[Journal], RunLogWriter]
) -> None:
    """A run that ends while its log is being written, to a slow disk, leaves the whole log and no error."""
    journal = Journal()
    log = writer(journal)
    slow = tmp_path / f".{RUN_LOG}.{os.getpid()}"  # where a log is written before it takes its name
    os.mkfifo(slow)
    journal.record(RunStarted, "r", graph="report", fingerprint="")
    async with anyio.create_task_group() as group:
        group.start_soon(log.finish, None)
        await anyio.wait_all_tasks_blocked()
        journal.record(RunEnded, "r", outcome="complete")
        group.start_soon(log.finish, None)
        await anyio.wait_all_tasks_blocked()
        await run_sync(slow.read_bytes)
    assert "complete" == json.loads((tmp_path / RUN_LOG).read_text())["status"]


class Opaque:
    def __repr__(self) -> str:
        return "never shown"


async def test_values_without_a_form_are_described(tmp_path: Path) -> None:
    """Long values and those that JSON does not have are told by their type, and never by their `repr`."""
    long = "x" * (LONGEST_VALUE + 1)
    pipeline = Pipeline(
        [PythonTask(lambda: (Opaque(), long, [0] * LONGEST_VALUE, b"\xff", float("inf")), name="make",
                    returns=[Object(name) for name in "abcde"])]
    )  # fmt: skip
    outputs = (await pipeline.execute()).log.to_dict()["steps"][0]["outputs"]
    expected = {
        "a": {"type": "Opaque"},
        "b": {"type": "str", "characters": len(long) + 2},
        "c": {"type": "list", "items": LONGEST_VALUE},
        "d": "/w==",
        "e": {"type": "float"},
    }
    assert expected == outputs
    written = Serializer(Opaque, lambda value: "opaque", lambda data: Opaque())
    store = MemoryStore()
    recorded = Pipeline([PythonTask(lambda: Opaque(), name="make", returns=[Object("a")])], types=[written])
    await recorded.execute(store=store, run_id="one")
    assert {"a": {"$Opaque": "opaque"}} == (await read_run_log(store, "one")).to_dict()["steps"][0]["outputs"]


async def test_runs_inside_of_a_task_are_parts_of_it() -> None:
    """A pipeline that a task executes is told below the task."""

    async def outer() -> None:
        await Pipeline([PythonTask(double, returns=["a", "b"])], name="inner").execute(parameters={"item": 1})

    log = (await Pipeline([PythonTask(outer)]).execute()).log
    assert {"a": 2, "b": 0.5} == step(log, "outer", "inner", "double").outputs


@pytest.mark.slow
async def test_git_is_asked_once_and_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit, the branch and whether files differ as the run began are in the log; without git there is nothing."""
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    monkeypatch.chdir(tmp_path)
    assert await git_identity(environ) is None
    assert await git_identity({"PATH": str(tmp_path)}) is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=b"]
        found = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True)
        return found.stdout.strip()

    git("init", "-b", "trunk")
    assert await git_identity(environ) is None
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "first")
    commit = git("rev-parse", "HEAD")
    store = MemoryStore()
    await Pipeline([Stub()]).execute(store=store, run_id="one")
    assert {"commit": commit, "branch": "trunk", "dirty": False} == (await read_run_log(store, "one")).git
    broken = [True]
    failing = Pipeline([PythonTask(lambda: 1 / (not broken[0]), name="divide")])
    with pytest.raises(NodeError):
        await failing.execute(store=store, run_id="two")
    (tmp_path / "file").write_text("2")
    broken.clear()
    broken.append(False)
    await failing.retry("two", store=store)
    log = await read_run_log(store, "two")
    assert (2, {"commit": commit, "branch": "trunk", "dirty": False}) == (log.begun, log.git)
    git("checkout", "--detach")
    found = await git_identity(environ)
    assert found is not None
    assert ("", True) == (found.branch, found.dirty)
