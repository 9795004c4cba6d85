"""Parallel, Map, Conditional and Loop: what runs at once, what each scope sees, and how they are joined."""

from __future__ import annotations

import faulthandler
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.errors import GraphError, NodeError, StateConflict
from dagflow.events import NodeCancelled
from dagflow.pipeline.composites import Conditional, Loop, Map, Parallel
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.steps import Step
from dagflow.pipeline.tasks import PythonTask, Stub
from dagflow.testing.clock import run_virtual
from schedule.campaign import SCALE


def constant(name: str, value: Any, task: str = "") -> PythonTask:
    return PythonTask(lambda: (value,)[0], name=task or f"give {name}", returns=[name])


async def sleeper(seconds: float) -> float:
    await anyio.sleep(seconds)
    return anyio.current_time()


def faults(*steps: Any) -> tuple[str, ...]:
    with pytest.raises(GraphError) as caught:
        Pipeline(list(steps))
    return caught.value.faults


# What runs at once


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_two_branches_of_half_a_second_take_half_a_second(backend: str) -> None:
    """Branches run at once, also those of a branch's own branches, and the items of a map."""

    async def timed(pipeline: Pipeline, **parameters: Any) -> float:
        began = anyio.current_time()
        await pipeline.execute(parameters=parameters)
        return anyio.current_time() - began

    async def sleep() -> None:
        await anyio.sleep(0.5)

    async def nap(seconds: float) -> None:
        await anyio.sleep(seconds)

    two = Parallel({"left": PythonTask(sleep), "right": PythonTask(sleep)})
    assert 0.5 == pytest.approx(run_virtual(timed, Pipeline([two]), backend=backend))
    nested = Pipeline([Parallel({"a": two, "b": Pipeline([two, PythonTask(sleep)])})])
    assert 1.0 == pytest.approx(run_virtual(timed, nested, backend=backend))

    async def mapped(limit: int) -> float:
        pipeline = Pipeline([Map("times", PythonTask(nap), as_="seconds", max_concurrency=limit)])
        return await timed(pipeline, times=[0.5] * 6)

    assert 0.5 == pytest.approx(run_virtual(mapped, 6, backend=backend))
    assert 1.5 == pytest.approx(run_virtual(mapped, 2, backend=backend))


async def test_branches_and_items_are_under_way_at_once() -> None:
    """Every branch, nested branch and item of a map has begun before any of them ends; sync functions, too."""
    begun: list[str] = []
    all_begun = anyio.Event()
    barrier = threading.Barrier(2)

    async def meet(item: str) -> str:
        begun.append(item)
        if len(begun) == 6:
            all_begun.set()
        await all_begun.wait()
        return item

    def branch(item: str) -> PythonTask:
        return PythonTask(partial(meet, item), name=item, returns=[item])

    def sync() -> None:
        barrier.wait(20)

    inner = Parallel({"deep": branch("deep"), "deeper": branch("deeper")})
    mapped = Map("items", PythonTask(meet, returns=["met"]))
    threads = {"one": PythonTask(sync), "two": PythonTask(sync)}
    at_once = Parallel({"left": branch("left"), "right": Pipeline([inner]), "items": mapped})
    pipeline = Pipeline([at_once, Parallel(threads, name="threads")])
    with anyio.fail_after(20):
        result = await pipeline.execute(parameters={"items": ["a", "b", "c"]})
    assert ["a", "b", "c"] == result.parameters["met"]
    assert {"left", "deep", "deeper", "a", "b", "c"} == set(begun)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_limits_count_what_works(backend: str) -> None:
    """A pipeline's limit bounds its tasks at whatever depth, and a task's own limit its calls in all items together."""
    working = [0, 0]

    async def work() -> None:
        working[0] += 1
        working[1] = max(working)
        await anyio.sleep(1)
        working[0] -= 1

    async def most(pipeline: Pipeline) -> int:
        working[:] = [0, 0]
        await pipeline.execute(parameters={"items": [1, 2, 3, 4], "groups": [1, 2]})
        return working[1]

    def nested(**options: Any) -> Pipeline:
        inner = Map("items", PythonTask(work, max_concurrency=options.pop("task", None)), name="inner")
        return Pipeline([Map("groups", Pipeline([inner]), name="outer", as_="group")], **options)

    assert 8 == run_virtual(most, nested(), backend=backend)
    assert 3 == run_virtual(most, nested(max_concurrency=3), backend=backend)
    assert 1 == run_virtual(most, nested(max_concurrency=1), backend=backend)
    assert 2 == run_virtual(most, nested(task=2), backend=backend)


# Parallel


async def test_a_branch_reads_its_parents_parameters_and_writes_its_own_scope() -> None:
    """A branch sees what was there before it, not what its sibling writes; the parent gets what both return."""
    seen: dict[str, list[str]] = {}

    def look(side: str) -> PythonTask:
        def see(**all: Any) -> None:
            seen[side] = sorted(all)

        return PythonTask(see, name="look")

    left = Pipeline([constant("a", 1), look("left")])
    right = Pipeline([constant("b", 2), look("right")])
    result = await Pipeline([Parallel({"left": left, "right": right})]).execute(parameters={"x": 0})
    assert {"left": ["a", "x"], "right": ["b", "x"]} == seen
    assert {"x": 0, "a": 1, "b": 2} == result.parameters


async def test_a_branch_may_replace_a_parameter_of_its_parent() -> None:
    """One branch that writes a parameter of the parent replaces it after the join, and only in its own scope before."""
    replace = Pipeline([constant("x", "new"), PythonTask(lambda x: x, name="see", returns=["left_saw"])])
    keep = PythonTask(lambda x: x, name="see", returns=["right_saw"])
    result = await Pipeline([Parallel({"left": replace, "right": keep})]).execute(parameters={"x": "old"})
    assert {"x": "new", "left_saw": "new", "right_saw": "old"} == result.parameters


def test_a_sure_conflict_is_a_fault() -> None:
    """Two branches that are sure to return one parameter are refused when the pipeline is built."""
    both = Parallel({"left": constant("x", 1), "right": constant("x", 2)}, name="both")
    assert faults(both) == (
        "step 'both': branch 'left' and branch 'right' both return 'x'; give it one of the `reducers`, or return "
        "another name",
    )


async def test_a_conflict_that_depends_on_values_is_raised() -> None:
    """Two branches that may return one parameter conflict when they do, whatever the values."""

    def maybe(value: bool) -> Conditional:
        branches = {True: constant("x", 1), False: Stub()}
        return Conditional(branches, predicate=lambda: value)

    pipeline = Pipeline([Parallel({"left": maybe(True), "right": maybe(True)}, name="both")])
    with pytest.raises(StateConflict, match="'x' was written by left and by right, which meet at both#1"):
        await pipeline.execute()
    pipeline = Pipeline([Parallel({"left": maybe(True), "right": maybe(False)})])
    assert {"x": 1} == (await pipeline.execute()).parameters


async def test_a_reducer_joins_what_branches_return() -> None:
    """A reducer gets the values in the order of the branches, whichever is ready first."""

    async def slow() -> list[int]:
        await anyio.sleep(0.01)
        return [1]

    branches = {"slow": PythonTask(slow, returns=["x"]), "quick": constant("x", [2])}
    both = Parallel(branches, reducers={"x": lambda values: [item for value in values for item in value]})
    assert {"x": [1, 2]} == (await Pipeline([both]).execute()).parameters


def test_faults_of_parallel() -> None:
    """No branches, names that cannot be, and reducers for nothing are told together."""
    found = faults(
        Parallel({}, name="none"),
        Parallel({"a/b": Stub(), "c": 7}, name="odd", reducers={"y": sum, "z": 3}),  # type: ignore[dict-item]
    )
    text = "\n".join(found)
    for part in (
        "step 'none': has no branches",
        "a branch is named 'a/b'",
        "branch 'c': it is a int; give it a Pipeline or a task",
        "reduces 'y', which nothing in it returns; it returns nothing",
        "the reducer for 'z' is 3, and cannot be called",
    ):
        assert part in text


async def test_the_first_failure_cancels_the_other_branches_and_all_are_told() -> None:
    """A branch that fails cancels its siblings and waits for their clean-up; the error says which one failed."""
    cleaned: list[str] = []

    async def fail() -> None:
        await anyio.sleep(0.001)
        raise ValueError("boom")

    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cleaned.append("wait")

    both = Parallel({"left": PythonTask(fail), "right": PythonTask(wait)}, name="both")
    with pytest.raises(NodeError) as caught:
        await Pipeline([both]).execute()
    assert "both.left: node fail#1 failed: ValueError: boom" in str(caught.value)
    assert [ValueError] == [type(failure.exception) for failure in caught.value.failures]
    assert ["wait"] == cleaned


async def test_several_failures_are_all_told() -> None:
    """A branch that fails in its clean-up, after another has failed, is in the message too; both originals are kept."""
    begun = anyio.Event()

    async def fail() -> None:
        await begun.wait()
        raise ValueError("first")

    async def fail_late() -> None:
        try:
            begun.set()
            await anyio.sleep_forever()
        finally:
            raise KeyError("late")

    both = Parallel({"a": PythonTask(fail), "b": PythonTask(fail_late)}, name="both")
    with pytest.raises(NodeError) as caught:
        await Pipeline([both]).execute()
    assert {ValueError, KeyError} == {type(failure.exception) for failure in caught.value.failures}
    for part in ("2 parts of both failed:", "both.a: node fail#1 failed: ValueError: first", "both.b: node fail_late"):
        assert part in str(caught.value)


# Map


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
@settings(max_examples=20)
async def test_a_map_keeps_the_order_of_its_items(items: list[int], limit: int) -> None:
    """Results are in the order of the items, whatever order they are ready in."""

    async def double(item: int, place: int) -> tuple[int, int]:
        for _ in range(item % 3):
            await anyio.lowlevel.checkpoint()
        return 2 * item, place

    each = PythonTask(double, returns=["doubled", "places"])
    result = await Pipeline([Map("items", each, index_as="place", max_concurrency=limit)]).execute(
        parameters={"items": items}
    )
    assert [2 * item for item in items] == result.parameters["doubled"]
    assert list(range(len(items))) == result.parameters["places"]


async def test_a_map_over_nothing_gives_empty_lists() -> None:
    """Over an empty list nothing runs, and each returned name is an empty list."""
    each = PythonTask(lambda item: item, name="each", returns=["x", "y"])
    result = await Pipeline([Map("items", each)]).execute(parameters={"items": []})
    assert {"items": [], "x": [], "y": []} == result.parameters


async def test_a_map_over_items_of_any_characters() -> None:
    """Items may hold whatever text there is: ids are made of their places."""
    items = ["", " ", "a/b", "#1", "\x00", "\n", "ü😀", "\ud800", "[3]", "../..", "x" * 2000]
    each = PythonTask(lambda item: item, name="each", returns=["same"])
    result = await Pipeline([Map("items", each)]).execute(parameters={"items": items})
    assert items == result.parameters["same"]


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.one_backend("it takes long, and smaller maps run on both")
async def test_a_map_over_very_many_items() -> None:
    """However many items there are, each is run once, no more than `max_concurrency` at once, and joined in order."""
    faulthandler.cancel_dump_traceback_later()  # a hundred thousand take longer than a test may
    count = min(20_000 * SCALE, 100_000)
    working, most, ran = 0, 0, 0

    async def double(item: int) -> int:
        nonlocal working, most, ran
        working, ran = working + 1, ran + 1
        most = max(most, working)
        await anyio.lowlevel.checkpoint()
        working -= 1
        return 2 * item

    pipeline = Pipeline([Map("items", PythonTask(double, returns=["doubled"]), max_concurrency=64)])
    with anyio.fail_after(300):
        result = await pipeline.execute(parameters={"items": list(range(count))})
    assert list(range(0, 2 * count, 2)) == result.parameters["doubled"]
    assert count == ran
    assert 1 < most <= 64


async def test_a_map_reduces() -> None:
    """One reducer is for all names, a mapping for some; what has none is a list."""
    each = PythonTask(lambda item: (item, -item), name="each", returns=["up", "down"])
    given = {"items": [1, 2, 3]}
    assert {"up": 6, "down": -6, **given} == (
        await Pipeline([Map("items", each, reducer=sum)]).execute(parameters=given)
    ).parameters
    assert {"up": 3, "down": [-1, -2, -3], **given} == (
        await Pipeline([Map("items", each, reducer={"up": max})]).execute(parameters=given)
    ).parameters


async def test_a_reducer_that_raises_names_the_map() -> None:
    """A failing reducer is told with the map, the name and the number of values."""
    each = PythonTask(lambda item: item, name="each", returns=["x"])
    pipeline = Pipeline([Map("items", each, name="all", reducer=max)])
    with pytest.raises(NodeError, match=r"the reducer of all for 'x' failed over 0 values: ValueError: max\(\)"):
        await pipeline.execute(parameters={"items": []})


async def test_a_failing_item_is_named_by_its_place() -> None:
    """The error of a map says which item failed."""

    def check(item: int) -> None:
        if item == 7:
            raise ValueError("seven")

    pipeline = Pipeline([Map("items", PythonTask(check), name="all")])
    with pytest.raises(NodeError, match=r"all\[2\]: node check#1 failed: ValueError: seven"):
        await pipeline.execute(parameters={"items": [1, 2, 7, 4]})


@pytest.mark.parametrize(("value", "kind"), [({"a": 1}, "dict"), ("text", "str"), (None, "NoneType"), (3, "int")])
async def test_a_map_is_over_a_list(value: Any, kind: str) -> None:
    """Anything but a list or tuple is refused, naming map and parameter."""
    pipeline = Pipeline([Map("items", Stub(), name="all")])
    with pytest.raises(NodeError, match=f"map all is over 'items', which is a {kind} and no list"):
        await pipeline.execute(parameters={"items": value})


async def test_what_only_some_items_return_is_none_for_the_others() -> None:
    """Lists stay aligned with their items."""
    each = Conditional({True: constant("x", "even"), False: Stub()}, predicate=lambda item: item % 2 == 0)
    result = await Pipeline([Map("items", each)]).execute(parameters={"items": [1, 2, 3]})
    assert [None, "even", None] == result.parameters["x"]


async def test_only_declared_returns_leave_a_branch() -> None:
    """`Pipeline(returns=...)` keeps what a branch works with to itself."""
    steps = [
        PythonTask(lambda item: [item] * 3, name="a", returns=["big"]),
        PythonTask(lambda big: len(big), name="b", returns=["n"]),
    ]
    branch = Pipeline(steps, returns=["n"])
    result = await Pipeline([Map("items", branch)]).execute(parameters={"items": [1, 2]})
    assert {"items": [1, 2], "n": [3, 3]} == result.parameters
    with pytest.raises(GraphError, match="returns 'm', which none of its steps returns"):
        Pipeline([constant("n", 1)], returns=["m"])


def test_faults_of_map() -> None:
    """Names that are none, limits below one and reducers for nothing are told."""
    found = "\n".join(faults(Map("no name", Stub(), as_="1x", index_as="", max_concurrency=0, reducer={"x": 1})))  # type: ignore[dict-item]
    for part in ("over='no name'", "as_='1x'", "index_as=''", "max_concurrency must be", "reduces 'x'", "is 1, and"):
        assert part in found


# Conditional


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "A"), (1, "one"), (True, "true"), ("?", "other"), (None, "other"), ([1], "other")]
)
async def test_a_conditional_runs_the_branch_of_its_value(value: Any, expected: str) -> None:
    """The branch whose key equals the value runs, else the default; true is not one."""
    branches = {"a": constant("x", "A"), 1: constant("x", "one"), "yes": constant("x", "no")}
    choose = Conditional(branches, parameter="kind", default=constant("x", "other"))
    strict = Conditional({True: constant("x", "true")}, parameter="kind", default=choose, name="strict")
    assert expected == (await Pipeline([strict]).execute(parameters={"kind": value})).parameters["x"]


async def test_a_value_without_a_branch_is_told() -> None:
    """Without a default, a value that no branch is for is an error that lists those that are."""
    pipeline = Pipeline([Conditional({"a": Stub(), "b": Stub()}, parameter="kind", name="choose")])
    with pytest.raises(
        NodeError, match="parameter 'kind' of conditional choose is 'c', and there are branches for 'a', 'b'"
    ):
        await pipeline.execute(parameters={"kind": "c"})


async def test_a_predicate_reads_parameters_by_name() -> None:
    """A function of parameters decides; where it fails, the step is named."""

    def large(count: int, limit: int = 10) -> bool:
        return count > limit

    choose = Conditional({True: constant("x", "large"), False: constant("x", "small")}, predicate=large, name="choose")
    assert "large" == (await Pipeline([choose]).execute(parameters={"count": 11})).parameters["x"]
    assert "small" == (await Pipeline([choose]).execute(parameters={"count": 11, "limit": 20})).parameters["x"]

    def broken(count: int) -> bool:
        raise ValueError("boom")

    with pytest.raises(NodeError, match=".*broken of step choose failed: ValueError: boom"):
        await Pipeline([Conditional({True: Stub()}, predicate=broken, name="choose")]).execute(parameters={"count": 1})


def test_faults_of_conditional() -> None:
    """It is decided by one thing, has branches, and no two of one text; a predicate is quick."""

    async def slow() -> bool:
        return True

    found = "\n".join(
        faults(
            Conditional({}, name="a"),
            Conditional({1: Stub(), "1": Stub()}, parameter="x", predicate=lambda: 1, name="b"),
            Conditional({True: Stub()}, predicate=slow, name="c"),
            Conditional({True: Stub()}, parameter="not a name", name="d"),
        )
    )
    for part in (
        "step 'a': is decided by a `parameter` or by a `predicate`",
        "step 'a': has no branches",
        "two of its branches are called '1'",
        "slow is async, and is to be a quick function",
        "'not a name' is no name of a parameter",
    ):
        assert part in found


# Loop


async def test_a_loop_carries_its_scope_from_turn_to_turn() -> None:
    """Each iteration sees what the last one returned; the parent gets what the last one left."""
    add = PythonTask(lambda total, turn: total + turn, name="add", returns=["total"])
    loop = Loop(add, until=lambda total: total >= 6, max_iterations=10, index_as="turn")
    result = await Pipeline([loop, PythonTask(lambda total: total * 10, name="after", returns=["ten"])]).execute(
        parameters={"total": 0}
    )
    assert {"total": 6, "ten": 60} == result.parameters


async def test_a_loop_ends_by_a_parameter() -> None:
    """`until` may name a parameter, which has to be true or false."""
    step = PythonTask(lambda n=0: (n + 1, n >= 2), name="step", returns=["n", "done"])
    result = await Pipeline([Loop(step, until="done", max_iterations=9)]).execute()
    assert {"n": 3, "done": True} == result.parameters
    wrong = Pipeline([Loop(constant("done", "yes"), until="done", max_iterations=9, name="again")])
    with pytest.raises(NodeError, match="parameter 'done' of loop again is 'yes', and no true or false"):
        await wrong.execute()


async def test_a_loop_that_never_ends_is_an_error_that_names_it() -> None:
    """After `max_iterations` a loop fails, or goes on with what there is where that was asked for."""
    step = PythonTask(lambda n=0: n + 1, name="step", returns=["n"])
    loop = Loop(step, until=lambda n: False, max_iterations=3, name="again")
    with pytest.raises(NodeError, match=r"loop again ran max_iterations=3 times, and .*<lambda> is still false"):
        await Pipeline([loop]).execute()
    loop = Loop(step, until=lambda n: False, max_iterations=3, on_limit="continue")
    assert {"n": 3} == (await Pipeline([loop]).execute()).parameters


def test_faults_of_loop() -> None:
    """A loop has at least one turn, and ends by what can be called or read."""
    found = "\n".join(
        faults(Loop(Stub(), until=7, max_iterations=0, on_limit="stop", index_as="-"))  # type: ignore[arg-type]
    )
    for part in ("max_iterations must be at least 1", "on_limit must be", "index_as='-'", "cannot be called"):
        assert part in found


# Nested at will

SHAPES = st.recursive(
    st.just("task"),
    lambda inner: st.one_of(
        st.tuples(st.just("parallel"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("map"), inner, st.integers(0, 3)),
        st.tuples(st.just("choose"), inner),
        st.tuples(st.just("loop"), inner, st.integers(1, 3)),
        st.tuples(st.just("chain"), st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=6,
)


def build(shape: Any, count: Callable[[], None]) -> tuple[Pipeline, int]:
    """Make a pipeline of a shape, and say how often its tasks are to run."""

    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        count()

    if shape == "task":
        return Pipeline([PythonTask(work)]), 1
    kind = shape[0]
    if kind == "chain":
        parts = [build(part, count) for part in shape[1]]
        chain = [Parallel({"only": part}, name=f"s{number}") for number, (part, _) in enumerate(parts)]
        return Pipeline(chain), sum(times for _, times in parts)
    if kind == "parallel":
        parts = [build(part, count) for part in shape[1]]
        branches = {f"b{number}": part for number, (part, _) in enumerate(parts)}
        return Pipeline([Parallel(branches)]), sum(times for _, times in parts)
    inner, times = build(shape[1], count)
    if kind == "map":
        steps: list[Step] = [constant("list", [0] * shape[2]), Map("list", inner)]
        return Pipeline(steps, returns=[]), times * shape[2]
    if kind == "choose":
        return Pipeline([Conditional({True: inner}, predicate=lambda: True)]), times
    turns = shape[2]
    return Pipeline([Loop(inner, until=lambda: False, max_iterations=turns, on_limit="continue")]), times * turns


@given(SHAPES)
@settings(max_examples=25)
async def test_composites_nest_at_will(shape: Any) -> None:
    """Whatever is nested in whatever, each task runs as often as it should."""
    ran: list[None] = []
    pipeline, times = build(shape, lambda: ran.append(None))
    result = await pipeline.execute()
    assert times == len(ran)
    assert "complete" == result.status


async def test_cancelling_a_nested_pipeline_cancels_everything_and_tells() -> None:
    """A cancelled pipeline leaves nothing running, at whatever depth, and records the cancellations."""
    running = [0]

    async def wait() -> None:
        running[0] += 1
        try:
            await anyio.sleep_forever()
        finally:
            running[0] -= 1

    inner = Pipeline([Map("items", PythonTask(wait))])
    prepared = Pipeline([Parallel({"a": inner, "b": inner}, name="both")]).prepare(parameters={"items": [1, 2, 3]})
    with anyio.move_on_after(0.05) as scope:
        await prepared.execute()
    assert scope.cancelled_caught
    assert [0] == running
    cancelled = [event.node for event in prepared.run.journal.events if isinstance(event, NodeCancelled)]
    assert {"wait": 6, "map": 2, "both": 1} == {name: cancelled.count(name) for name in set(cancelled)}
