"""Spans of runs: their names, parents, times, outcomes and what they show, read from an exporter of the SDK."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import anyio
import attrs
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dagflow import Graph, Node, Retry, Secret
from dagflow.errors import NodeError
from dagflow.events import NodeStarted, RunEnded
from dagflow.kernel.thread import Thread
from dagflow.pipeline.composites import Parallel
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import AsyncPythonTask, PythonTask
from dagflow.store.memory import MemoryStore
from dagflow.telemetry import EventTracer, trace_events, traced


class Exported:
    """A tracer of a provider of its own, and what came of it."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("test")

    @property
    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._exporter.get_finished_spans()}

    @property
    def all(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    @property
    def parents(self) -> dict[str, str | None]:
        """The name of each span's parent, by its own."""
        names = {span.context.span_id: span.name for span in self.all if span.context is not None}
        return {span.name: None if span.parent is None else names.get(span.parent.span_id) for span in self.all}


@pytest.fixture
def exported() -> Iterator[Exported]:
    """Nothing of it is global: the provider of the process stays as it was."""
    before = trace.get_tracer_provider()
    exported = Exported()
    yield exported
    exported.provider.shutdown()
    assert before is trace.get_tracer_provider()


def shown(span: ReadableSpan, name: str) -> object:
    return None if span.attributes is None else span.attributes.get(f"dagflow.{name}")


def add(x: int, y: int = 1) -> int:
    return x + y


async def left(x: int) -> int:
    await anyio.sleep(0.02)
    return x


async def right(x: int) -> int:
    await anyio.sleep(0.02)
    return -x


async def fail(x: int) -> int:
    raise ValueError(f"no {x}")


def branching() -> Pipeline:
    branches = {"one": PythonTask(left, returns=["l"]), "two": PythonTask(right, returns=["r"])}
    return Pipeline([PythonTask(add, returns=["x"]), Parallel(name="both", branches=branches)], name="report")


async def test_concurrent_branches_are_below_what_ran_them(exported: Exported) -> None:
    """Nested runs are below their activation, tasks below their own run, however branches overlap."""
    async with traced(
        branching().stream(parameters={"x": 1}), tracer=exported.tracer, kind="pipeline", inputs={"x": 1}
    ) as events:
        read = [event async for event in events]
    assert isinstance(read[-1], RunEnded)
    assert {
        "pipeline:report": None,
        "task:add": "pipeline:report",
        "task:both": "pipeline:report",
        "pipeline:one": "task:both",
        "pipeline:two": "task:both",
        "task:left": "pipeline:one",
        "task:right": "pipeline:two",
    } == exported.parents
    assert 1 == len({span.context.trace_id for span in exported.all if span.context is not None})
    one, two = exported.spans["task:left"], exported.spans["task:right"]
    assert one.start_time is not None
    assert two.end_time is not None
    assert one.start_time < two.end_time
    assert (2, -2) == (events.result.parameters["l"], events.result.parameters["r"])


async def test_spans_have_the_times_of_the_events_and_what_is_known_of_them(exported: Exported) -> None:
    """Start and end are the wall times of events; ids, attempt, outcome, inputs and outputs are attributes."""
    result = await branching().execute(parameters={"x": 1})
    trace_events(result.events, exported.tracer, kind="pipeline", inputs={"x": 1})
    run, task = exported.spans["pipeline:report"], exported.spans["task:add"]
    assert (int(result.events[0].wall * 1e9), int(result.events[-1].wall * 1e9)) == (run.start_time, run.end_time)
    started = next(event for event in result.events if isinstance(event, NodeStarted))
    assert int(started.wall * 1e9) == task.start_time
    assert {
        "dagflow.run.id": result.run,
        "dagflow.node": "add",
        "dagflow.activation": "add#1",
        "dagflow.attempt": 1,
        "dagflow.outcome": "succeeded",
        "dagflow.inputs": '{"x": 1}',
        "dagflow.outputs": '{"x": 2}',
    } == dict(task.attributes or {})
    assert ("complete", '{"x": 1}') == (shown(run, "outcome"), shown(run, "inputs"))
    assert {"x": 2, "l": 2, "r": -2} == json.loads(str(shown(run, "outputs")))
    assert trace.StatusCode.UNSET == run.status.status_code


@pytest.mark.parametrize("recorded", [False, True])
async def test_a_task_in_a_branch_shows_what_it_can_read(exported: Exported, recorded: bool) -> None:
    """Its inputs are the parameters of its branch, then those of the pipelines around it, recorded or not."""
    branch = Pipeline([PythonTask(left, returns=["l"]), PythonTask(right, returns=["r"])])
    pipeline = Pipeline([PythonTask(add, returns=["x"]), Parallel({"one": branch})], name="p")
    given = {"x": 1, "y": 4}
    store = MemoryStore()
    result = await pipeline.execute(parameters=given, store=store if recorded else None, run_id="r")
    trace_events(
        await Thread("r", store).events() if recorded else result.events, exported.tracer, kind="pipeline", inputs=given
    )
    assert {"x": 5, "y": 4} == json.loads(str(shown(exported.spans["task:left"], "inputs")))
    assert '{"l": 5, "x": 5, "y": 4}' == shown(exported.spans["task:right"], "inputs")
    assert {"l": 5, "r": -5} == json.loads(str(shown(exported.spans["pipeline:one"], "outputs")))


async def inner() -> int:
    result = await Pipeline([PythonTask(left, returns=["l"])], name="inside").execute(parameters={"x": 9})
    return int(result.parameters["l"])


async def test_a_pipeline_inside_a_task_shows_what_it_was_given(exported: Exported) -> None:
    """As it is recorded, it reads no parameters of the pipeline around it, and so shows none."""
    store = MemoryStore()
    pipeline = Pipeline([PythonTask(add, returns=["x"]), PythonTask(inner, returns=["n"])], name="p")
    await pipeline.execute(parameters={"x": 1}, store=store, run_id="r")
    trace_events(await Thread("r", store).events(), exported.tracer, kind="pipeline")
    assert ('{"x": 9}', "task:inner") == (
        shown(exported.spans["task:left"], "inputs"),
        exported.parents["pipeline:inside"],
    )


async def test_every_failed_attempt_is_told_once_with_its_traceback(exported: Exported) -> None:
    """An error is an exception event of its attempt, and the status of the activation and of the run."""
    pipeline = Pipeline([PythonTask(fail, retry=Retry(attempts=2, delay=0), returns=["y"])], name="p")
    with pytest.raises(NodeError):
        async with traced(pipeline.stream(parameters={"x": 7}), tracer=exported.tracer, kind="pipeline") as events:
            async for _ in events:
                pass
    task, run = exported.spans["task:fail"], exported.spans["pipeline:p"]
    told = [dict(event.attributes or {}) for event in task.events if event.name == "exception"]
    assert [("ValueError", "no 7")] * 2 == [(one["exception.type"], one["exception.message"]) for one in told]
    assert "raise ValueError" in str(told[0]["exception.stacktrace"])
    assert ["exception", "dagflow.retry", "exception"] == [event.name for event in task.events]
    assert (2, "failed", "failed") == (shown(task, "attempt"), shown(task, "outcome"), shown(run, "outcome"))
    assert trace.StatusCode.ERROR == task.status.status_code == run.status.status_code
    assert "ValueError: no 7" == task.status.description


async def test_a_consumer_that_stops_still_ends_every_span(exported: Exported) -> None:
    """Leaving the block cancels the run, and how it ended is in its spans though nobody read those events."""
    gone = Pipeline([AsyncPythonTask(anyio.sleep_forever, name="wait")], name="p")
    async with traced(gone.stream(), tracer=exported.tracer, kind="pipeline") as events:
        async for event in events:
            if isinstance(event, NodeStarted):
                break
    assert {"pipeline:p": "cancelled", "task:wait": "cancelled"} == {
        name: shown(span, "outcome") for name, span in exported.spans.items()
    }


async def test_a_run_of_which_nothing_was_read_has_spans(exported: Exported) -> None:
    """A block that is left at once traces what its run came to."""
    async with traced(branching().stream(parameters={"x": 1}), tracer=exported.tracer, kind="pipeline"):
        await anyio.sleep(0.01)
    assert "cancelled" == shown(exported.spans["pipeline:report"], "outcome")


class Ask(Node):
    question: str
    key: Secret = attrs.field(repr=False)

    async def __call__(self) -> Reply:
        assert "open sesame" == self.key.reveal()
        return Reply(text=self.question.upper())


class Reply(Node):
    text: str

    async def __call__(self) -> None:
        return None


async def test_a_typed_graph_shows_nodes_and_their_fields(exported: Exported) -> None:
    """Nodes are named as such, with fields for inputs; a field that a repr hides is not shown."""
    graph = Graph(start=Ask)
    async with traced(graph.stream(Ask(question="who?", key=Secret("open sesame"))), tracer=exported.tracer) as events:
        async for _ in events:
            pass
    assert {"graph:Ask": None, "node:Ask": "graph:Ask", "node:Reply": "graph:Ask"} == exported.parents
    assert '{"question": "who?"}' == shown(exported.spans["node:Ask"], "inputs")
    assert "Reply(text='WHO?')" == shown(exported.spans["node:Ask"], "outputs")
    assert "open sesame" not in str([span.to_json() for span in exported.all])


async def test_the_current_span_is_neither_read_nor_set(exported: Exported) -> None:
    """A run is below the context that it is given, and begins a trace of its own without one, whatever is current."""
    result = await branching().execute(parameters={"x": 1})
    with exported.tracer.start_as_current_span("request") as request:
        trace_events(result.events, exported.tracer, kind="pipeline")
        assert None is exported.spans["pipeline:report"].parent
        trace_events(result.events, exported.tracer, kind="pipeline", parent=context.get_current())
        assert request is trace.get_current_span()
    parent = exported.spans["pipeline:report"].parent
    assert parent is not None
    assert request.get_span_context().span_id == parent.span_id


FAULT = {"is there": True}


async def sometimes(x: int) -> int:
    if FAULT["is there"]:
        raise ValueError("not yet")
    return x * 10


async def test_a_run_that_goes_on_is_linked_to_what_came_before(exported: Exported) -> None:
    """A recorded journal of two stretches gives two traces; the second links to the first and runs nothing again."""
    store = MemoryStore()
    pipeline = Pipeline([PythonTask(add, returns=["x"]), PythonTask(sometimes, returns=["z"])], name="p")
    FAULT["is there"] = True
    with pytest.raises(NodeError):
        await pipeline.execute(parameters={"x": 1}, store=store, run_id="r")
    FAULT["is there"] = False
    result = await pipeline.retry("r", store=store)
    trace_events(result.events, exported.tracer, kind="pipeline")
    first, second = (span for span in exported.all if span.name == "pipeline:p")
    assert ("failed", "complete") == (shown(first, "outcome"), shown(second, "outcome"))
    assert first.context is not None
    assert [first.context.span_id] == [link.context.span_id for link in second.links]
    assert 1 == sum(span.name == "task:add" for span in exported.all)
    assert ["failed", "succeeded"] == [shown(span, "outcome") for span in exported.all if span.name == "task:sometimes"]
    assert '{"x": 1}' in str(shown(first, "inputs"))  # recorded, so nobody has to say


async def test_a_journal_that_breaks_off_ends_its_spans_at_its_end(exported: Exported) -> None:
    """Of a run that was killed, what was open ends as unknown, with the newest event."""
    result = await branching().execute(parameters={"x": 1})
    events = result.events[:2]
    with EventTracer(exported.tracer, kind="pipeline") as spans:
        for event in events:
            spans.feed(event)
    assert {"pipeline:report", "task:add"} == exported.spans.keys()
    for span in exported.all:
        assert ("unknown", int(events[-1].wall * 1e9)) == (shown(span, "outcome"), span.end_time)


async def test_secrets_and_large_values_are_cut_out(exported: Exported) -> None:
    """Known secrets and well-known keys are masked in inputs, outputs and errors, and texts are at most 1 kB."""
    key = "sk-abcdefghijklmnopqrstuvwx"

    async def tell(token: str, many: list[int]) -> Mapping[str, object]:
        raise ValueError(f"cannot use {token}")

    pipeline = Pipeline([PythonTask(tell, returns=["y"])], name="p", namespace=locals())
    given = {"token": "hunter22-hunter22", "key": key, "many": list(range(100_000))}
    result_events = []
    with pytest.raises(NodeError):
        async with pipeline.stream(parameters={"token": given["token"], "many": given["many"]}) as stream:
            async for event in stream:
                result_events.append(event)
    trace_events(result_events, exported.tracer, kind="pipeline", inputs=given, secrets=[Secret("hunter22-hunter22")])
    everything = str([span.to_json() for span in exported.all])
    assert "hunter22" not in everything
    assert key not in everything
    inputs = str(shown(exported.spans["task:tell"], "inputs"))
    assert '{"token": "<secret>", "key": "<secret>", "many": [0, 1, 2' == inputs[:57]
    assert 1024 == len(inputs)
    assert inputs.endswith("...")
