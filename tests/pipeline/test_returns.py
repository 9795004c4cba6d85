"""What tasks return, matched against what they declare."""

from __future__ import annotations

from collections import UserDict
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.errors import NodeError
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.returns import Json, Metric, Object, as_returns, match_returns
from dagflow.pipeline.tasks import PythonTask

NAMES = st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), min_size=1, max_size=5, unique=True)


class Pair(NamedTuple):
    left: int
    right: int


@given(NAMES, st.randoms())
def test_a_mapping_is_matched_by_name_in_any_order(names: list[str], random: Any) -> None:
    """A mapping with the declared names gives each its own, whatever its order."""
    shuffled = random.sample(names, len(names))
    value = {name: f"of {name}" for name in shuffled}
    assert {name: f"of {name}" for name in names} == match_returns(as_returns(names), value)


@given(NAMES)
def test_other_values_are_matched_by_position(names: list[str]) -> None:
    """A tuple or list gives each declared name the item at its place; one name takes anything as it is."""
    assert {name: place for place, name in enumerate(names)} == match_returns(
        as_returns(names), tuple(range(len(names)))
    ) or len(names) == 1
    if len(names) > 1:
        assert match_returns(as_returns(names), list(range(len(names))))
        for count in (len(names) - 1, len(names) + 1):
            with pytest.raises(ValueError, match=f"returned {count} value"):
                match_returns(as_returns(names), tuple(range(count)))


@pytest.mark.parametrize(
    ("returns", "value", "expected"),
    [
        (["a"], {"a": 1}, {"a": 1}),
        (["a"], {"a": 1, "b": 2}, {"a": {"a": 1, "b": 2}}),
        (["row"], {"name": "x"}, {"row": {"name": "x"}}),
        (["a"], (1, 2), {"a": (1, 2)}),
        (["a"], None, {"a": None}),
        (["a", "b"], Pair(1, 2), {"a": 1, "b": 2}),
        (["a", "b"], UserDict(b=2, a=1), {"a": 1, "b": 2}),
        ([], 7, {}),
    ],
)
def test_what_is_matched_how(returns: list[str], value: Any, expected: dict[str, Any]) -> None:
    """A mapping with exactly the declared names goes by name; any other value of one name is that name's."""
    assert expected == match_returns(as_returns(returns), value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (7, "returned a int, and declares 'a', 'b'; return one value for each, in order, or a mapping"),
        (None, "returned nothing, and declares 'a', 'b'"),
        ("ab", "returned a str"),
        ((1,), "returned 1 value, and"),
        ((1, 2, 3), "returned 3 values, and"),
        ({"a": 1}, "returned a mapping without 'b'; its keys are 'a'"),
        ({}, "returned a mapping without 'a', 'b'; it is empty"),
        ({"a": 1, "b": 2, "c": 3}, "returned a mapping with 'c', and declares only 'a', 'b'"),
    ],
)
async def test_what_does_not_match_names_the_task(value: Any, problem: str) -> None:
    """A result that does not match is an error that names the task, what came and what was declared."""
    with pytest.raises(NodeError) as caught:
        await Pipeline([PythonTask(lambda: value, name="make", returns=["a", "b"])]).execute()
    assert str(caught.value).startswith(f"task make {problem}")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "3", None, [1]])
async def test_a_metric_is_a_finite_number(value: Any) -> None:
    """Anything but a finite number is refused as a metric, naming task and metric."""
    with pytest.raises(NodeError, match="task make returned .* as the metric 'accuracy'"):
        await Pipeline([PythonTask(lambda: value, name="make", returns=[Metric("accuracy")])]).execute()


class Opaque:
    def __init__(self) -> None:
        self.lock = object()


async def test_a_value_that_cannot_be_written_is_refused_unless_it_is_an_object() -> None:
    """What could not be recorded is refused in every run, with the task's name; an `Object` is passed by reference."""
    opaque = Opaque()
    with pytest.raises(NodeError, match="task make returned 'x', which cannot be recorded: .*Object\\('x'\\)"):
        await Pipeline([PythonTask(lambda: opaque, name="make", returns=[Json("x")])]).execute()
    seen: list[Any] = []
    use = PythonTask(lambda x: seen.append(x), name="use")
    result = await Pipeline([PythonTask(lambda: opaque, name="make", returns=[Object("x")]), use]).execute()
    assert seen[0] is opaque is result.parameters["x"]


@attrs.frozen
class Place:
    name: str


def change_typed(plain: list[Any], shared: list[Any]) -> None:
    plain.append("changed")
    shared.append("changed")


def change_untyped(plain, shared):  # type: ignore[no-untyped-def]  # what it is about
    plain.append("changed")
    shared.append("changed")


def change_places(plain: list[Place], shared: list[Place]) -> None:
    plain.append(Place("changed"))
    shared.append(Place("changed"))


@pytest.mark.parametrize("change", [change_typed, change_untyped, change_places])
async def test_objects_are_not_copied_and_json_is(change: Any) -> None:
    """A task may change what it is given, typed or not: nobody else sees it, unless it was returned as an object."""
    value: Any = Place("a") if change is change_places else [1]
    make = PythonTask(lambda: ([value], [value]), name="make", returns=["plain", Object("shared")])
    result = await Pipeline([make, PythonTask(change)]).execute()
    assert [value] == result.parameters["plain"]
    assert 2 == len(result.parameters["shared"])


async def test_a_class_that_no_hint_names_can_be_registered() -> None:
    """A value of a class that only `types` tell of is refused without them, and taken with them."""
    make = PythonTask(lambda: Place("a"), name="make", returns=["place"])
    with pytest.raises(NodeError, match="task make returned 'place', which cannot be recorded"):
        await Pipeline([make]).execute()
    assert Place("a") == (await Pipeline([make], types=[Place]).execute()).parameters["place"]


async def test_a_coroutine_that_nobody_awaits_is_told() -> None:
    """A sync function that gives what an async one returns is an error that says so, and nothing warns."""

    async def fetch() -> int:
        return 1

    told = "returned a coroutine that nobody has awaited: its function is sync"
    with pytest.raises(NodeError, match=f"task make {told}"):
        await Pipeline([PythonTask(lambda: fetch(), name="make", offload="inline")]).execute()
    with pytest.raises(NodeError, match=f"{told}|appears to be asynchronous"):  # Trio's threads see it themselves
        await Pipeline([PythonTask(lambda: fetch(), name="make")]).execute()
