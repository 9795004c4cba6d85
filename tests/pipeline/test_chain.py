"""Steps one after the other: their order, their names, what follows what, and what is wrong with a pipeline."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from dagflow.core.markers import Dep
from dagflow.errors import GraphError, NodeError
from dagflow.events import NodeSucceeded, Yielded
from dagflow.pipeline.composites import Parallel
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Metric, Object, Returned
from dagflow.pipeline.steps import END
from dagflow.pipeline.tasks import AsyncPythonTask, PythonTask, ShellTask, Stub


async def fetch(url: str) -> list[int]:
    await anyio.lowlevel.checkpoint()
    return [len(url), 2, 3]


def total(data: list[int]) -> float:
    return float(sum(data))


def names_run(result: Any) -> list[str]:
    return [event.node for event in result.events if isinstance(event, NodeSucceeded)]


async def test_the_stream_tells_of_every_task() -> None:
    """Start, end and failure of each task are events of the one stream, in their order; the end of the run is last."""

    async def first() -> int:
        return 1

    async def second(x: int) -> None:
        raise ValueError(f"no {x}")

    told: list[str] = []
    with pytest.raises(NodeError, match="no 1"):
        async with Pipeline([PythonTask(first, returns=["x"]), PythonTask(second)], name="p").stream() as events:
            async for event in events:
                what = getattr(event, "node", "") or getattr(event, "outcome", "")
                told.append(f"{type(event).__name__} {what}".strip())
    assert [
        "RunStarted",
        "NodeStarted first",
        "NodeSucceeded first",
        "NodeStarted second",
        "NodeRaised second",
        "NodeFailed second",
        "RunEnded failed",
    ] == told


async def test_sync_and_async_functions_follow_each_other() -> None:
    """Tasks run in the order of the list, and what one returns the next takes by name, sync or async."""
    pipeline = Pipeline(
        [PythonTask(function=fetch, name="fetch", returns=["data"]), PythonTask(total, returns=[Metric("sum")])]
    )
    result = await pipeline.execute(parameters={"url": "abc"})
    assert ["fetch", "total"] == names_run(result)
    assert {"url": "abc", "data": [3, 2, 3], "sum": 8.0} == result.parameters
    assert {"sum": 8.0} == result.metrics
    assert "complete" == result.status


async def test_a_task_has_the_name_of_its_function() -> None:
    """Without a name, a task is called as its function, a program or a notebook is."""
    tasks = [PythonTask(fetch), PythonTask(functools.partial(total, [1])), ShellTask("sort -u x"), Stub()]
    assert ["fetch", "partial(total)", "sort", "stub"] == [task.name for task in tasks]


async def test_next_leads_on_and_ends() -> None:
    """`next` names the step that follows, wherever it stands, and END ends the pipeline."""
    pipeline = Pipeline([Stub(name="a", next="c"), Stub(name="b", next=END), Stub(name="c", next="b")])
    assert ["a", "c", "b"] == names_run(await pipeline.execute())


async def test_an_async_generator_streams_and_returns_what_it_says() -> None:
    """What a generator yields is streamed as it comes, and `Returned` is what it returns."""

    async def words(text: str) -> AsyncIterator[Any]:
        for word in text.split():
            yield word
        yield Returned(len(text.split()))

    pipeline = Pipeline(
        [PythonTask(words, returns=["count"]), PythonTask(lambda count: count + 1, name="more", returns=["n"])]
    )
    async with pipeline.stream(parameters={"text": "so it goes"}) as events:
        found = [event.value async for event in events if isinstance(event, Yielded)]
    assert ["so", "it", "goes"] == found
    assert 4 == events.result.parameters["n"]


async def test_a_generator_that_returns_nothing_it_said_is_an_error() -> None:
    """A generator with declared returns that never yields `Returned` fails, and the message says what to do."""

    async def words() -> AsyncIterator[str]:
        yield "a"

    with pytest.raises(NodeError, match=r"task words: the generator words did not say .* yield Returned\(value\)"):
        await Pipeline([PythonTask(words, returns=["count"])]).execute()


async def test_a_generator_is_closed_when_it_is_not_read_to_its_end() -> None:
    """What a generator yields after `Returned` is an error, and its clean-up is over when that is raised."""
    closed: list[bool] = []

    async def words() -> AsyncIterator[Any]:
        try:
            yield Returned(1)
            yield "more"
        finally:
            await anyio.lowlevel.checkpoint()
            closed.append(True)

    with pytest.raises(NodeError, match="words yielded another item after what it returns"):
        await Pipeline([PythonTask(words, returns=["count"])]).execute()
    assert [True] == closed


async def test_a_generator_is_closed_when_its_reader_stops() -> None:
    """Leaving the stream runs the generator's clean-up before the block is left."""
    closed: list[bool] = []

    async def forever() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
                await anyio.sleep(0.001)
        finally:
            closed.append(True)

    async with Pipeline([PythonTask(forever)]).stream() as events:
        async for event in events:
            if isinstance(event, Yielded):
                break
    assert [True] == closed


async def test_parameters_that_nothing_gives_can_be_dependencies() -> None:
    """A parameter marked `Dep` is resolved as in typed graphs, and is no parameter of the pipeline."""

    async def connection() -> str:
        return "open"

    def use(data: int, opened: Any) -> str:
        return f"{opened} {data}"

    use.__annotations__["opened"] = __import__("typing").Annotated[str, Dep(connection)]
    result = await Pipeline([PythonTask(use, returns=["text"])]).execute(parameters={"data": 1})
    assert "open 1" == result.parameters["text"]


async def test_a_failure_names_the_task_and_keeps_the_original() -> None:
    """A task that raises ends the run with an error that names it and holds what was raised; nothing follows."""
    ran: list[str] = []

    def fail() -> None:
        raise KeyError("lost")

    pipeline = Pipeline([PythonTask(fail), PythonTask(lambda: ran.append("after"), name="after")])
    with pytest.raises(NodeError, match="node fail#1 failed: KeyError: 'lost'") as caught:
        await pipeline.execute()
    assert isinstance(caught.value.failures[0].exception, KeyError)
    assert ("fail", []) == (caught.value.node, ran)


def faults(*steps: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(GraphError) as caught:
        Pipeline(list(steps), **options)
    return caught.value.faults


def test_a_pipeline_has_at_least_one_step() -> None:
    """An empty pipeline is refused."""
    assert ("it has no steps; give it at least one, Stub(name=...) if there is nothing to do yet",) == faults()


def test_all_faults_are_told_at_once() -> None:
    """Wrong steps, names, ways and functions are all reported by one error."""

    def positional(x: int, /) -> None: ...

    found = faults(
        Stub(name="same"),
        Stub(name="same"),
        Stub(name="lost", next="sum"),
        PythonTask(positional),
        PythonTask(3, name="three"),  # type: ignore[arg-type]  # what it is about
        "not a step",
        Stub(name="a/b"),
        PythonTask(fetch, returns=["a", "a", "not-a-name"], timeout=0, max_concurrency=0),
        PythonTask(fetch, name="odd", retry=3, catalog=["out.csv"], on_failure="ignore"),  # type: ignore[arg-type]  # so
        Parallel([Stub()]),  # type: ignore[arg-type]  # what it is about
        Stub(name="sums"),
        max_concurrency=0,
    )
    text = "\n".join(found)
    for part in (
        "two steps are named 'same'",
        "step 'lost' has next='sum', which is no step of the pipeline; did you mean 'sums'?",
        "parameter 'x' is positional-only",
        "cannot be called",
        "a str is no step",
        "a step is named 'a/b'",
        "returns 'a' more than once",
        "returns 'not-a-name', which is no name of a parameter",
        "timeout must be a number of seconds above 0, not 0",
        "retry is 3; write Retry(attempts=...)",
        "catalog is ['out.csv']; write Catalog(get=[...], put=[...])",
        "on_failure='ignore', which is no step of the pipeline; the steps are",
        "and there is 'fail' and 'continue'",
        "its branches are a list; name each: {name: branch}",
        "max_concurrency must be at least 1, not 0",
        "max_concurrency must be at least 1, or None",
    ):
        assert part in text, part


def test_steps_are_a_list() -> None:
    """A single step in the place of the list is told."""
    with pytest.raises(GraphError, match=r"its steps are a Stub; write \[...\]"):
        Pipeline(Stub())  # type: ignore[arg-type]  # what it is about


def test_a_step_that_nothing_leads_to_is_a_fault() -> None:
    """A step that is jumped over by all is named."""
    found = faults(Stub(name="a", next="c"), Stub(name="b"), Stub(name="c"))
    assert ["nothing leads to step 'b'; name it as the `next` or `on_failure` of another step, or remove it"] == list(
        found
    )


def test_a_circle_is_a_fault_that_names_loop() -> None:
    """Steps that lead back are refused: `Loop` is the way to repeat."""
    (found,) = faults(Stub(name="a"), Stub(name="b", next="a"))
    assert "the steps a -> b -> a go in a circle; repeat steps with Loop(" in found
    (itself,) = faults(Stub(name="a", next="a"))
    assert "a -> a" in itself


@pytest.mark.parametrize("name", ["END", "", " ", "a\nb", "a#1", "a;b"])
def test_names_that_mean_something_else_are_faults(name: str) -> None:
    """Names that ids or `next` have another meaning for are refused, and unprintable ones."""
    if not name:
        assert "stub" == Stub(name=name).name
        return
    assert any(repr(name) in fault for fault in faults(Stub(name=name)))


def test_declared_returns_are_compared_with_the_hint() -> None:
    """A function declared to return three values does not fit two names."""

    def three() -> tuple[int, int, int]:
        return 1, 2, 3

    (found,) = faults(PythonTask(three, returns=["a", "b"]))
    assert "three" in found
    assert "returns 'a', 'b', and its function is declared to return tuple[int, int, int]" in found


def test_a_fault_inside_a_branch_says_where() -> None:
    """The faults of a branch come with the names of the composite and the branch."""
    (found,) = faults(Parallel({"left": PythonTask(7)}, name="both"))  # type: ignore[arg-type]  # what it is about
    assert found.startswith("step 'both': branch 'left': ")


def test_names_in_local_hints_come_through_the_namespace() -> None:
    """A hint that names something local needs `namespace=locals()`, and the fault says so."""

    class Local: ...

    def use(x: Local) -> None: ...

    assert any("pass namespace=locals()" in fault for fault in faults(PythonTask(use)))
    assert 1 == len(Pipeline([PythonTask(use)], namespace=locals()).steps)


def test_values_of_tasks_are_plain() -> None:
    """Returns, secrets and catalogs can be given as one name or several; kinds are kept."""
    task = AsyncPythonTask(fetch, returns=[Object("model"), "x"], secrets="KEY")
    assert [("model", "object"), ("x", "json")] == [(item.name, item.kind) for item in task.returns]
    assert {"KEY": "KEY"} == task.secrets
    assert ["data"] == [item.name for item in PythonTask(fetch, returns="data").returns]
