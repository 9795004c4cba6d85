"""Runs that are recorded: what is gone on with, what is refused, and what is on the disk."""

from __future__ import annotations

import functools
import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from dagflow.core.codec import Serializer
from dagflow.core.markers import gate
from dagflow.core.node import Node
from dagflow.core.storage import Store
from dagflow.errors import CheckpointError, GraphChanged, NodeError, RunCancelled
from dagflow.events import NodeSucceeded
from dagflow.graph.graph import Graph
from dagflow.kernel.thread import Thread
from dagflow.pipeline.composites import Conditional, Loop, Map, Parallel
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Metric, Object
from dagflow.pipeline.tasks import PythonTask, Stub
from dagflow.store.memory import MemoryStore
from dagflow.store.sqlite import SQLiteStore
from dagflow.types import Retry


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "runs.db")


class World:
    """What tasks do outside of the run: their calls are counted, and they fail while they are told to."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.broken: set[str] = set()

    def task(self, name: str, value: Any = None, **options: Any) -> PythonTask:
        return PythonTask(functools.partial(self._work, name, value), name=name, **options)

    async def _work(self, _name: str, _value: Any) -> Any:
        self.calls[_name] += 1
        await anyio.lowlevel.checkpoint()
        if _name in self.broken:
            raise ValueError(f"{_name} is broken")
        return _value

    async def item(self, item: int) -> int:
        self.calls[f"item {item}"] += 1
        await anyio.lowlevel.checkpoint()
        if f"item {item}" in self.broken:
            raise ValueError(f"item {item} is broken")
        return item * 10


def everything(world: World) -> Pipeline:
    """A pipeline with a step of every kind; each task returns something that the last one reads."""
    left, right = world.task("left", 1, returns=["l"]), world.task("right", 2, returns=["r"])
    return Pipeline(
        [
            world.task("list", [1, 2, 3], returns=["items"]),
            Map("items", PythonTask(world.item, returns=["x"]), name="map"),
            Parallel({"a": left, "b": right}, name="both"),
            Conditional({3: world.task("chosen", 3, returns=["c"])}, predicate=lambda items: len(items), name="choose"),
            Loop(
                Pipeline([PythonTask(lambda n=0: n + 1, name="count", returns=["n"]), world.task("turn")]),
                until=lambda n: n == 3,
                max_iterations=5,
                name="loop",
            ),
            world.task("passed", on_failure="continue"),
            world.task("replaced", on_failure=world.task("stand-in", 5, returns=["s"])),
            PythonTask(lambda **all: len(all), name="last", returns=[Metric("count")]),
        ],
        name="everything",
    )  # fmt: skip


async def test_a_retry_of_a_complete_run_gives_its_result_again(store: Store) -> None:
    """Nothing runs again, and parameters and metrics are those of the run."""
    world = World()
    world.broken = {"passed", "replaced"}
    pipeline = everything(world)
    result = await pipeline.execute(store=store, run_id="one")
    calls = dict(world.calls)
    again = await everything(world).retry("one", store=store)
    assert (result.parameters, result.metrics, "one") == (again.parameters, again.metrics, again.run_id)
    assert calls == world.calls
    assert {
        "items": [1, 2, 3],
        "x": [10, 20, 30],
        "l": 1,
        "r": 2,
        "c": 3,
        "n": 3,
        "s": 5,
        "count": 7,
    } == again.parameters


@pytest.mark.parametrize("broken", ["list", "item 2", "left", "chosen", "turn", "stand-in"])
async def test_a_failed_run_goes_on_where_it_failed(store: Store, broken: str) -> None:
    """Finished tasks, items, branches and iterations are not run again; what failed is."""
    world = World()
    world.broken = {broken, "replaced"}
    with pytest.raises(NodeError, match=f"{broken} is broken"):
        await everything(world).execute(store=store, run_id="one")
    finished = await succeeded(store)
    calls = Counter(world.calls)
    world.broken = {"replaced"}
    result = await everything(world).retry("one", store=store)
    assert {"x": [10, 20, 30], "l": 1, "r": 2, "c": 3, "n": 3, "s": 5}.items() <= result.parameters.items()
    again = world.calls - calls
    assert 1 <= again[broken]
    assert {} == {name: again[name] for name, count in finished.items() if again[name] and count >= calls[name]}
    assert {1} == {count for name, count in (await succeeded(store)).items() if name != "turn"}


async def succeeded(store: Store) -> Counter[str]:
    """How often each task is recorded as finished; items are called by their value, composites are left out."""
    events = [event for event in await Thread("one", store).events() if isinstance(event, NodeSucceeded)]
    places = [re.findall(r"map#1/\[(\d)\]", event.run) for event in events]
    names = [f"item {int(place[-1]) + 1}" if place else event.node for event, place in zip(events, places, strict=True)]
    return Counter(name for name in names if name not in ("count", "last"))


async def test_attempts_are_counted_over_all_times(store: Store) -> None:
    """The run log numbers the attempts of a task through retries of it and of its run."""
    world = World()
    world.broken = {"flaky"}
    pipeline = Pipeline([world.task("flaky", retry=Retry(attempts=2, delay=0))])
    with pytest.raises(NodeError):
        await pipeline.execute(store=store, run_id="one")
    world.broken.clear()
    result = await pipeline.retry("one", store=store)
    (step,) = result.log.steps
    assert [(1, "failed"), (2, "failed"), (3, "succeeded")] == [(one.number, one.status) for one in step.attempts]
    assert 2 == result.log.begun


async def test_a_changed_pipeline_is_refused(store: Store) -> None:
    """Other steps, another order, other names or types of parameters, at any depth, are told and refused."""
    world = World()
    world.broken = {"last"}

    def pipeline(inner: PythonTask, *more: Any) -> Pipeline:
        return Pipeline([Parallel({"a": inner, "b": Stub()}, name="both"), *more, world.task("last")])

    def one(x: int = 0) -> None: ...
    def other(x: str = "") -> None: ...

    with pytest.raises(NodeError):
        await pipeline(PythonTask(one, name="f")).execute(store=store, run_id="one")
    with pytest.raises(GraphChanged) as caught:
        await pipeline(PythonTask(other, name="f")).retry("one", store=store)
    assert ("node both has a.f takes x: str where it had a.f takes x: int",) == caught.value.changes
    with pytest.raises(GraphChanged, match="node extra is new"):
        await pipeline(PythonTask(one, name="f"), Stub(name="extra")).retry("one", store=store)
    with pytest.raises(GraphChanged, match=r"returns json y"):
        await pipeline(PythonTask(one, name="f", returns=["y"])).retry("one", store=store)
    world.broken.clear()
    assert "complete" == (await pipeline(PythonTask(one, name="f")).retry("one", store=store)).status


async def test_changes_can_be_accepted(store: Store) -> None:
    """With `accept_changes` a changed pipeline goes on where what was recorded still has a place in it."""
    world = World()
    world.broken = {"last"}
    with pytest.raises(NodeError):
        await Pipeline([world.task("first"), world.task("last")]).execute(store=store, run_id="one")
    world.broken.clear()
    longer = Pipeline([world.task("first"), world.task("last"), world.task("more")])
    await longer.retry("one", store=store, accept_changes=True)
    assert {"first": 1, "last": 2, "more": 1} == world.calls


async def test_a_run_id_is_used_once(store: Store) -> None:
    """A second run under one id is refused before anything runs; a retry of what is not there is told."""
    world = World()
    pipeline = Pipeline([world.task("a")])
    await pipeline.execute(store=store, run_id="one")
    with pytest.raises(
        CheckpointError, match="there is a run one in the store already; go on with it by pipeline.retry"
    ):
        await pipeline.execute(store=store, run_id="one")
    assert 1 == world.calls["a"]
    with pytest.raises(CheckpointError, match="there is no thread two"):
        await pipeline.retry("two", store=store)
    with pytest.raises(ValueError, match="pass store="):
        await pipeline.retry("one")
    with pytest.raises(ValueError, match="run_id must have 1 to 500 characters"):
        await pipeline.execute(run_id="")


@attrs.frozen
class Place:
    name: str
    since: date


class Model:
    """A class that no hint can write."""

    def __init__(self, weights: list[float]) -> None:
        self.weights = weights


async def test_typed_values_come_back_as_they_were(store: Store) -> None:
    """Classes, dates and tuples that hints name are the same after a retry, also where a map collects them."""
    world = World()
    world.broken = {"last"}

    async def place(item: int) -> Place:
        return Place(f"p{item}", date(2030, 1, item))

    def use(places: list[Place], pair: tuple[int, Place]) -> str:
        return f"{places[1].name} {pair[1].since:%d}"

    pipeline = Pipeline(
        [
            Map("items", PythonTask(place, returns=["places"])),
            PythonTask(lambda places: (1, places[0]), name="pair", returns=["pair"]),
            world.task("last"),
            PythonTask(use, returns=["text"]),
        ]
    )
    with pytest.raises(NodeError):
        await pipeline.execute(store=store, run_id="one", parameters={"items": [1, 2]})
    world.broken.clear()
    result = await pipeline.retry("one", store=store)
    assert "p2 01" == result.parameters["text"]
    assert (1, Place("p1", date(2030, 1, 1))) == result.parameters["pair"]


async def test_an_object_needs_a_serializer_where_it_is_recorded(store: Store) -> None:
    """A value that cannot be written is refused when it is returned, naming the task; a serializer lets it through."""
    world = World()
    world.broken = {"last"}

    def make() -> Model:
        return Model([0.5])

    def pipeline(**options: Any) -> Pipeline:
        use = PythonTask(lambda model: model.weights, name="use", returns=["weights"])
        return Pipeline([PythonTask(make, returns=[Object("model")]), world.task("last"), use], **options)

    with pytest.raises(NodeError, match="task make returned 'model', which cannot be recorded: .*Serializer"):
        await pipeline().execute(store=store, run_id="refused")
    written = [Serializer(Model, lambda model: model.weights, Model)]
    with pytest.raises(NodeError, match="last is broken"):
        await pipeline(types=written).execute(store=store, run_id="one")
    world.broken.clear()
    result = await pipeline(types=written).retry("one", store=store)
    assert [0.5] == result.parameters["weights"]


async def test_a_parameter_that_cannot_be_recorded_is_told(store: Store) -> None:
    """So is one that the run is given, by its name, before anything runs."""
    with pytest.raises(NodeError, match="parameter 'thing' cannot be recorded"):
        await Pipeline([PythonTask(lambda thing: 1, name="use")]).execute(store=store, parameters={"thing": object()})


async def test_a_cancelled_run_is_cancelled_on_disk_and_can_be_retried(tmp_path: Path) -> None:
    """A consumer of the stream that stops ends the run; the store says `cancelled`; a retry finishes it."""
    store = SQLiteStore(tmp_path / "runs.db")
    world = World()
    hold = True

    async def wait() -> None:
        while hold:
            await anyio.sleep_forever()

    pipeline = Pipeline([world.task("first"), PythonTask(wait)])
    async with pipeline.stream(store=store, run_id="one") as events:
        async for event in events:
            if isinstance(event, NodeSucceeded):
                break
    summary = await Thread("one", SQLiteStore(tmp_path / "runs.db")).summary()
    assert ("cancelled", False) == (summary.status, summary.leased)
    hold = False
    assert "complete" == (await pipeline.retry("one", store=store)).status
    assert 1 == world.calls["first"]


async def test_a_run_can_be_cancelled_from_outside(tmp_path: Path) -> None:
    """`thread(run_id).cancel()` ends the run wherever it works, and tells it so."""
    store = SQLiteStore(tmp_path / "runs.db")
    began = anyio.Event()

    async def wait() -> None:
        began.set()
        await anyio.sleep_forever()

    pipeline = Pipeline([Stub(name="first"), PythonTask(wait)])

    async def cancel() -> None:
        await began.wait()
        assert await pipeline.thread("one", store=store).cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(cancel)
        with pytest.raises(RunCancelled):
            await pipeline.execute(store=store, run_id="one")
    assert "cancelled" == (await Thread("one", store).summary()).status


def test_a_run_goes_on_upon_the_other_event_loop(tmp_path: Path) -> None:
    """What failed on asyncio is retried on trio."""
    store = SQLiteStore(tmp_path / "runs.db")
    world = World()
    world.broken = {"right", "replaced"}
    with pytest.raises(NodeError):
        everything(world).execute_sync(store=store, run_id="one", backend="asyncio")
    world.broken = {"replaced"}
    result = everything(world).retry_sync("one", store=store, backend="trio")
    assert 8 == len(result.parameters)
    assert 1 == world.calls["list"] == world.calls["item 1"] == world.calls["left"]


async def test_a_pipeline_inside_a_task_goes_on_too(store: Store) -> None:
    """A pipeline that a task executes is recorded with the outer run, and a retry does not run its tasks again."""
    world = World()
    world.broken = {"second"}

    def inner(name: str) -> Pipeline:
        steps = [
            PythonTask(lambda x: x + 1, name="add", returns=["y"]),
            world.task(f"first of {name}"),
            world.task("second"),
        ]
        return Pipeline(steps, name="inner")

    async def outer(x: int) -> int:
        one = await inner("one").execute(parameters={"x": x})
        two = await inner("two").execute(parameters={"x": one.parameters["y"]})
        return int(two.parameters["y"])

    pipeline = Pipeline([PythonTask(outer, returns=["z"])])
    with pytest.raises(NodeError):
        await pipeline.execute(store=store, run_id="one", parameters={"x": 1})
    world.broken.clear()
    result = await pipeline.retry("one", store=store)
    assert 3 == result.parameters["z"]
    assert {"first of one": 1, "first of two": 1, "second": 3} == world.calls
    with pytest.raises(NodeError, match="leave store= out"):
        await Pipeline([PythonTask(functools.partial(_nested, store), name="nested")]).execute()


class Sign(Node):
    who: str
    agreed: bool = gate("Do you agree?")

    async def __call__(self) -> None: ...


async def test_a_question_inside_of_a_task_interrupts_the_pipeline(store: Store) -> None:
    """Items whose graphs ask a person wait, the others go on; the answers, one by one, complete the run."""
    world = World()

    async def sign(item: str) -> bool:
        if item == "nobody":
            return True
        return bool((await Graph(start=Sign).run(Sign(who=item))).node.agreed)

    pipeline = Pipeline(
        [Map("items", PythonTask(sign, returns=["signed"]), name="all"), world.task("after")], name="signing"
    )
    result = await pipeline.execute(store=store, run_id="one", parameters={"items": ["ada", "nobody", "bob"]})
    assert "interrupted" == result.status == result.log.status
    assert ["waiting", "pending"] == [step.status for step in result.log.steps]
    first, second = [interrupt.id for interrupt in result.interrupts]
    result = await pipeline.resume("one", {second: False}, store=store)
    assert ("interrupted", [first]) == (result.status, [interrupt.id for interrupt in result.interrupts])
    assert {} == world.calls
    result = await pipeline.resume("one", {first: True}, store=store)
    assert [True, True, False] == result.parameters["signed"]
    assert {"after": 1} == world.calls
    assert ["succeeded", "succeeded"] == [step.status for step in result.log.steps]


async def test_pipelines_that_a_task_executes_at_once_are_told_apart(store: Store) -> None:
    """Two executions that begin in another order than before find their own records, by what they were given."""
    world = World()
    world.broken = {"last"}
    order = ["a", "b"]

    async def outer() -> list[Any]:
        found: dict[str, Any] = {}

        async def one(who: str) -> None:
            inner = Pipeline([PythonTask(lambda who: f"of {who}", name="say", returns=["said"]), world.task("inner")])
            found[who] = (await inner.execute(parameters={"who": who})).parameters["said"]

        for who in order:
            await one(who)
        await world._work("last", None)
        return [found["a"], found["b"]]

    pipeline = Pipeline([PythonTask(outer, returns=["both"])])
    with pytest.raises(NodeError):
        await pipeline.execute(store=store, run_id="one")
    world.broken.clear()
    order.reverse()
    result = await pipeline.retry("one", store=store)
    assert ["of a", "of b"] == result.parameters["both"]
    assert 2 == world.calls["inner"]


async def _nested(_store: Store) -> None:
    await Pipeline([Stub()]).execute(store=_store)
