"""What becomes of tasks that fail: retries, timeouts, and what `on_failure` says."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import anyio
import pytest

from dagflow.errors import GraphError, NodeError, RunTimeout
from dagflow.events import NodeRaised, NodeRecovered, NodeRetried
from dagflow.pipeline.composites import Map, Parallel
from dagflow.pipeline.parameters import ParameterError
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import PythonTask, Stub
from dagflow.testing.clock import run_virtual
from dagflow.types import Retry
from pipeline.waiting import wait_long

AT_ONCE = Retry(attempts=3, delay=0)


def failing(times: int, kind: type[Exception] = ValueError) -> Any:
    calls = [0]

    async def flaky() -> int:
        calls[0] += 1
        if calls[0] <= times:
            raise kind(f"attempt {calls[0]}")
        return calls[0]

    return flaky


async def test_a_task_is_tried_again_as_its_policy_says() -> None:
    """A task that fails twice and then succeeds has three attempts, the failed ones with their tracebacks."""
    result = await Pipeline([PythonTask(failing(2), returns=["n"], retry=AT_ONCE)]).execute()
    assert 3 == result.parameters["n"]
    raised = [event for event in result.events if isinstance(event, NodeRaised)]
    assert [(1, "ValueError: attempt 1"), (2, "ValueError: attempt 2")] == [(one.attempt, one.error) for one in raised]
    assert all("in flaky" in one.traceback for one in raised)
    assert 2 == sum(isinstance(event, NodeRetried) for event in result.events)


async def test_only_what_the_policy_names_is_tried_again() -> None:
    """An exception of another type is not retried."""
    task = PythonTask(failing(1), retry=Retry(attempts=3, delay=0, on=(KeyError,)))
    with pytest.raises(NodeError, match="attempt 1"):
        await Pipeline([task]).execute()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_timeout_bounds_each_attempt(backend: str) -> None:
    """An attempt that takes too long is cancelled, and the next one has the whole time again."""
    began: list[float] = []

    async def slow() -> None:
        began.append(anyio.current_time())
        await anyio.sleep(10 if len(began) < 3 else 0.5)

    async def main() -> float:
        start = anyio.current_time()
        await Pipeline([PythonTask(slow, timeout=1, retry=AT_ONCE)]).execute()
        return anyio.current_time() - start

    assert 2.5 == pytest.approx(run_virtual(main, backend=backend))
    assert 3 == len(began)


async def test_a_passed_timeout_is_an_error_that_names_the_task() -> None:
    """The error says the task and its timeout."""

    async def slow() -> None:
        await anyio.sleep(10)

    with pytest.raises(NodeError, match=r"node slow#1 failed: TimeoutError: it passed its timeout of 0.01 s"):
        await Pipeline([PythonTask(slow, timeout=0.01)]).execute()


def test_a_timeout_of_a_sync_function_needs_a_process() -> None:
    """A thread cannot be stopped, so that a timeout on one is refused, and the fault says what to do."""
    with pytest.raises(GraphError, match="a thread cannot be stopped; give it offload: process") as caught:
        Pipeline([PythonTask(wait_long, timeout=1)])
    assert caught.value.faults[0].startswith("wait_long ")
    assert 1 == len(Pipeline([PythonTask(wait_long, timeout=1, offload="process")]).steps)


def test_what_another_process_cannot_import_is_refused() -> None:
    """A lambda or local function has no place in a process of its own, and the fault says why."""

    def local() -> None: ...

    for function, reason in ((lambda: 1, "it is a lambda"), (local, "is defined inside a function")):
        with pytest.raises(GraphError, match=f"cannot have offload: process: .*{reason}"):
            Pipeline([PythonTask(function, name="x", offload="process")])


def running(command: str) -> str:
    """The ids of processes that run a command."""
    return subprocess.run(["pgrep", "-f", command], capture_output=True, text=True).stdout


@pytest.mark.slow
async def test_a_process_is_ended_by_its_timeout_with_all_that_it_started() -> None:
    """A sync function in a process of its own is stopped, and nothing of it is left."""
    began = time.monotonic()
    with pytest.raises(NodeError, match="passed its timeout of 1 s"):
        await Pipeline([PythonTask(wait_long, timeout=1, offload="process")]).execute(parameters={"seconds": 71.5})
    assert time.monotonic() - began < 10
    assert "" == running("sleep 71.5")


async def test_a_run_has_a_timeout_of_its_own() -> None:
    """`execute(timeout=...)` bounds the whole run."""
    with pytest.raises(RunTimeout, match="0.02 s passed while wait#1 ran"):
        await Pipeline([PythonTask(anyio.sleep_forever, name="wait")]).execute(timeout=0.02)


# on_failure


def boom() -> None:
    raise ValueError("boom")


async def test_a_failed_step_may_be_passed_over() -> None:
    """With `on_failure="continue"` the next step follows, without what the failed one would have returned."""
    steps = [
        PythonTask(boom, returns=["x"], on_failure="continue"),
        PythonTask(lambda x="nothing": x, name="see", returns=["saw"]),
    ]
    result = await Pipeline(steps).execute()
    assert {"saw": "nothing"} == result.parameters
    assert ["ValueError: boom"] == [event.error for event in result.events if isinstance(event, NodeRecovered)]


async def test_a_failed_step_may_lead_elsewhere() -> None:
    """With the name of a step, that one follows a failure, and is left out otherwise."""

    def pipeline(task: PythonTask) -> Pipeline:
        handler = PythonTask(lambda: "handled", name="handler", returns=["how"], next="last")
        ordinary = PythonTask(lambda: "went well", name="ordinary", returns=["how"], next="last")
        return Pipeline([task, ordinary, handler, Stub(name="last")])

    failed = pipeline(PythonTask(boom, on_failure="handler"))
    assert "handled" == (await failed.execute()).parameters["how"]
    well = pipeline(PythonTask(lambda: None, name="fine", on_failure="handler"))
    assert "went well" == (await well.execute()).parameters["how"]


async def test_a_pipeline_may_stand_in() -> None:
    """A pipeline, or a task, runs in the place of the failed step and returns what that would have."""
    instead = Pipeline([PythonTask(lambda x: x + 1, name="other", returns=["y"])])
    result = await Pipeline(
        [PythonTask(boom, returns=["y"], on_failure=instead), PythonTask(lambda y: -y, name="use", returns=["z"])]
    ).execute(parameters={"x": 1})
    assert {"x": 1, "y": 2, "z": -2} == result.parameters
    result = await Pipeline([PythonTask(boom, on_failure=PythonTask(lambda: 3, name="task", returns=["y"]))]).execute()
    assert {"y": 3} == result.parameters


async def test_a_stand_in_that_fails_tells_of_both() -> None:
    """When the pipeline that stands in fails, its error tells what it stood in for."""

    def worse() -> None:
        raise KeyError("worse")

    with pytest.raises(NodeError, match="worse") as caught:
        await Pipeline([PythonTask(boom, on_failure=PythonTask(worse))]).execute()
    notes = [note for error in (caught.value, caught.value.__cause__) for note in getattr(error, "__notes__", ())]
    assert any("it stood in for step boom, which had failed: ValueError: boom" in note for note in notes)


async def test_retries_come_before_on_failure() -> None:
    """A step is handled as failed when its last attempt has failed."""
    result = await Pipeline([PythonTask(failing(2), returns=["n"], retry=AT_ONCE, on_failure="continue")]).execute()
    assert {"n": 3} == result.parameters


async def test_a_composite_that_fails_is_handled_as_a_task_is() -> None:
    """`on_failure` of a composite counts for whatever fails inside of it."""
    both = Parallel({"a": PythonTask(boom), "b": Stub()}, on_failure="continue")
    assert "complete" == (await Pipeline([both, Stub()]).execute()).status


async def test_items_can_fail_on_their_own() -> None:
    """A task that is passed over inside of a map leaves the other items alone."""

    def check(item: int) -> int:
        if item % 2:
            raise ValueError(item)
        return item

    each = PythonTask(check, returns=["x"], on_failure="continue")
    result = await Pipeline([Map("items", each)]).execute(parameters={"items": [0, 1, 2, 3]})
    assert [0, None, 2, None] == result.parameters["x"]


async def test_what_only_a_success_gives_is_not_counted_on() -> None:
    """A parameter that a step would not give when it is passed over may be missing where it is read."""
    steps = [PythonTask(boom, returns=["x"], on_failure="continue"), PythonTask(lambda x: x, name="use")]
    with pytest.raises(NodeError, match="task use: parameter 'x' has no value; there are no parameters"):
        await Pipeline(steps).execute()
    steps = [PythonTask(boom, returns=["x"], on_failure="use", next="use"), PythonTask(lambda x: x, name="use")]
    with pytest.raises(NodeError, match="task use: parameter 'x' has no value"):
        await Pipeline(steps).execute()


async def test_what_no_way_gives_is_missing_before_anything_runs() -> None:
    """A handler that reads what only the failed step returns can never run, and is told before the run."""
    steps = [
        PythonTask(boom, returns=["x"], on_failure="handler", next="END"),
        PythonTask(lambda x: x, name="handler"),
    ]
    with pytest.raises(ParameterError, match="x: it has no value"):
        await Pipeline(steps).execute()


def test_unknown_handlers_are_faults() -> None:
    """`on_failure` that names no step, and a stand-in with faults, are told."""
    with pytest.raises(GraphError) as caught:
        Pipeline([Stub(name="a", on_failure="bb"), Stub(name="b", on_failure=PythonTask(3))])  # type: ignore[arg-type]
    text = "\n".join(caught.value.faults)
    assert "step 'a' has on_failure='bb', which is no step of the pipeline; did you mean 'b'?" in text
    assert "step 'b', on_failure: " in text
