"""What is known of parameters before a run: compared, over random pipelines, with what really happens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.errors import GraphError, NodeError
from dagflow.pipeline.flow import Way, faults_of_ways
from dagflow.pipeline.parameters import ParameterError
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import PythonTask, Stub

NAMES = ("a", "b", "c", "d")
SOME = st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple)


def task(
    number: int, reads: Sequence[str], gives: Sequence[str], *, fails: bool, on_failure: str, next: str | None
) -> Any:
    def work(**arguments: Any) -> Any:
        if fails:
            raise ValueError("told to")
        return dict.fromkeys(gives, number)

    names = ", ".join(reads)
    scope: dict[str, Any] = {"work": work}
    exec(f"def reader({names}): return work()", scope)
    return PythonTask(
        scope["reader"], name=f"t{number}", returns=list(gives), on_failure=on_failure, next=next, offload="inline"
    )


@st.composite
def pipelines(draw: Any) -> Any:
    """A chain with handlers that lie further on, of tasks that read, give and fail as drawn."""
    count = draw(st.integers(1, 6))
    steps = []
    for number in range(count):
        later = [f"t{other}" for other in range(number + 1, count)]
        handler = draw(st.sampled_from(["fail", "continue", *later]))
        jump = draw(st.sampled_from([None, None, "END", *later]))
        steps.append(task(number, draw(SOME), draw(SOME), fails=draw(st.booleans()), on_failure=handler, next=jump))
    return steps, draw(st.dictionaries(st.sampled_from(NAMES), st.integers(), max_size=4))


def never_given(steps: Sequence[PythonTask]) -> set[str]:
    """The parameters that some step reads and that no way to it gives, by following every way there is."""
    before: dict[int, set[str]] = {}
    names = [step.name for step in steps]

    def follow(number: int | None, given: frozenset[str]) -> None:
        if number is None:
            return
        step = steps[number]
        before.setdefault(number, set()).update(given)
        after = number + 1 if number + 1 < len(steps) else None
        if step.next is not None:
            after = None if step.next == "END" else names.index(step.next)
        follow(after, given | {item.name for item in step.returns})
        if step.on_failure == "continue":
            follow(after, given)
        elif step.on_failure != "fail":
            follow(names.index(str(step.on_failure)), given)

    follow(0, frozenset())
    reads = ((number, name) for number in before for name in steps[number].function.__code__.co_varnames)
    return {name for number, name in reads if name not in before[number]}


@given(pipelines())
@settings(max_examples=150)
async def test_exactly_what_no_way_gives_is_missing(drawn: Any) -> None:
    """A parameter is refused as missing where no way gives it to a step that reads it, and only then."""
    steps, given = drawn
    try:
        pipeline = Pipeline(steps)
    except GraphError as error:
        assert all("nothing leads to step" in fault for fault in error.faults)
        return
    reads = {read.name for read in pipeline.compiled.reads}
    known = {name: value for name, value in given.items() if name in reads}
    missing = never_given(steps) - known.keys()
    try:
        result = await pipeline.execute(parameters=known)
    except ParameterError as error:
        assert missing == {one.path for one in error.invalid}
        return
    except NodeError:
        assert set() == missing
        return
    assert set() == missing
    assert pipeline.compiled.surely <= result.parameters.keys(), "what is sure to be given is there"
    assert result.parameters.keys() <= set(pipeline.compiled.gives) | known.keys()


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdx"), st.sampled_from("abcdx"), st.sampled_from(["", *"abcdx"])),
        min_size=1,
        max_size=5,
    )
)
def test_ways_are_sound_or_told(drawn: list[tuple[str, str, str]]) -> None:
    """Whatever leads wherever, faults are found, or every step is reached and none is twice on any way."""
    ways = [Way(name, None if following == "x" else following, after or None) for name, following, after in drawn]
    if faults_of_ways(ways):
        return
    by_name = {way.name: way for way in ways}
    reached: set[str] = set()

    def follow(name: str, seen: frozenset[str]) -> None:
        assert name not in seen, "a circle"
        reached.add(name)
        for follower in by_name[name].followers:
            follow(follower, seen | {name})

    follow(ways[0].name, frozenset())
    assert reached == by_name.keys()
    assert len(ways) == len(by_name)


def test_what_branches_need_is_what_the_pipeline_needs() -> None:
    """Reads of nested pipelines come through, without what the composites themselves give."""
    from dagflow.pipeline.composites import Conditional, Loop, Map, Parallel

    def use(item: int, place: int, other: str, turn: int = 0) -> int:
        return item

    each = Pipeline([PythonTask(use, returns=["x"])])
    turn = PythonTask(lambda counted, turn: counted, name="turn", returns=["counted"])
    only_here = PythonTask(lambda only_here: 1, name="only here")
    pipeline = Pipeline(
        [
            Map("items", each, index_as="place"),
            Conditional({1: only_here}, parameter="kind", default=Stub()),
            Loop(turn, until=lambda counted, limit: True, max_iterations=2, index_as="turn"),
            Parallel({"only": PythonTask(lambda x, y: 1, name="both")}),
        ]
    )
    reads = {read.name: read.required for read in pipeline.compiled.reads}
    expected = {"items": True, "other": True, "turn": False, "kind": True, "only_here": False}
    assert {**expected, "counted": True, "limit": True, "y": True} == reads


@pytest.mark.parametrize("count", [1_000])
def test_long_pipelines_are_compiled_quickly(count: int) -> None:
    """A thousand steps are checked in a moment."""
    pipeline = Pipeline([PythonTask(lambda x: x, name=f"t{number}", returns=["x"]) for number in range(count)])
    assert ["x"] == [read.name for read in pipeline.compiled.reads]
