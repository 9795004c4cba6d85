"""Comparing conditions by their forms: what is told of two conditions holds for all values."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.declarative.expressions import ExpressionError, Scope, parse_expression
from dagflow.declarative.lint.expressions import (
    KeyRead,
    are_opposite,
    constant_of,
    enumerated,
    implies,
    keys_read,
    syntax_of,
)

VALUES: list[Any] = [-2, -1, 0, 0.5, 1, 1.5, 2, "a", "b", "", True, False, None]

NUMBERS = st.sampled_from(["-1", "0", "0.5", "1", "2"])
CONSTANTS = NUMBERS | st.sampled_from(["'a'", "'b'", "true", "false", "null"])
NAMES = st.sampled_from(["x", "state.x", "y"])
COMPARISONS = st.one_of(
    st.builds("{} {} {}".format, NAMES, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), CONSTANTS),
    st.builds("{} {} {}".format, NUMBERS, st.sampled_from(["<", "<=", ">", ">="]), NAMES),
    st.builds("{} {} [{}, {}]".format, NAMES, st.sampled_from(["in", "not in"]), CONSTANTS, CONSTANTS),
    NAMES,
)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.builds("not ({})".format, inner),
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("({}) or ({})".format, inner, inner),
    ),
    max_leaves=4,
)


def holds(text: str, x: Any, y: Any) -> bool | None:
    """Whether a condition holds; `None` where it cannot be evaluated."""
    try:
        return bool(parse_expression(text).evaluate(Scope({"x": x, "y": y})))
    except ExpressionError:
        return None


def outcomes(one: str, other: str) -> set[tuple[bool | None, bool | None]]:
    return {(holds(one, x, y), holds(other, x, y)) for x in VALUES for y in VALUES}


@pytest.mark.slow
@given(one=CONDITIONS, other=CONDITIONS)
def test_what_is_said_to_imply_does(one: str, other: str) -> None:
    """Wherever the first condition holds, the second does, for values that both can be evaluated with."""
    first, second = syntax_of(one), syntax_of(other)
    assert first is not None
    assert second is not None
    if implies(first, second):
        assert (True, False) not in outcomes(one, other)


@pytest.mark.slow
@given(one=CONDITIONS, other=CONDITIONS)
def test_of_opposite_conditions_exactly_one_holds(one: str, other: str) -> None:
    """Two conditions that are said to be opposite never both hold, and never both fail."""
    first, second = syntax_of(one), syntax_of(other)
    assert first is not None
    assert second is not None
    if are_opposite(first, second):
        assert not {(True, True), (False, False)} & outcomes(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x > 8", "x > 5"),
        ("x >= 8", "x > 5"),
        ("x < 3", "x <= 3"),
        ("3 > x", "x < 4"),
        ("x == 3", "x >= 3"),
        ("x == 'a'", "x != 'b'"),
        ("x == 'a'", "x in ['a', 'b']"),
        ("x > 8 and y", "y"),
        ("x", "x or y"),
        ("x and y", "y and x"),
        ("state.x.z > 1", "x.z > 0.5"),
    ],
)
def test_common_implications_are_seen(one: str, other: str) -> None:
    """What people write is understood, and not the other way round."""
    first, second = syntax_of(one), syntax_of(other)
    assert first is not None
    assert second is not None
    assert implies(first, second)
    if one != "x and y":
        assert not implies(second, first)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x < 1", "x >= 1"),
        ("x == 'a'", "x != 'a'"),
        ("not x", "x"),
        ("x in ['a']", "x not in ['a']"),
        ("1 > x", "x >= 1"),
    ],
)
def test_common_opposites_are_seen(one: str, other: str) -> None:
    """What people write for the other case is understood, both ways round."""
    first, second = syntax_of(one), syntax_of(other)
    assert first is not None
    assert second is not None
    assert are_opposite(first, second)
    assert are_opposite(second, first)


@pytest.mark.parametrize(
    ("one", "other"), [("x == 1", "x in [true]"), ("x == true", "x == 1"), ("x == 1", "x != true")]
)
def test_true_is_not_one(one: str, other: str) -> None:
    """A boolean is never taken for the number that it is in Python."""
    first, second = syntax_of(one), syntax_of(other)
    assert first is not None
    assert second is not None
    assert not implies(first, second)
    assert not are_opposite(first, second)


def test_a_condition_that_reads_nothing_has_a_value() -> None:
    """Only conditions without names have a value of their own; one that fails has none."""
    assert constant_of("1 < 2") is True
    assert constant_of("not true") is False
    assert constant_of("x") is None
    assert constant_of("1 + 'a'") is None
    assert constant_of("1 +") is None


def test_values_of_a_condition() -> None:
    """A comparison with one value, or with a list of them, tells which."""
    one, several = enumerated("kind == 'a'"), enumerated("state.kind in ['a', 'b']")
    assert one is not None
    assert several is not None
    assert ("a",) == one[1]
    assert ("a", "b") == several[1]
    assert one[0] == several[0]
    assert enumerated("kind > 1") is None


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a.b + state.c", {KeyRead("a"), KeyRead("c")}),
        ("state", {KeyRead(None)}),
        ("state[a]", {KeyRead(None), KeyRead("a")}),
        ("a[b.c]", {KeyRead("a"), KeyRead("b")}),
        ("default(a.b, c)", {KeyRead("a", guarded=True), KeyRead("c")}),
        ("a if exists(a) else 0", {KeyRead("a", guarded=True)}),
        ("len([a, -b]) > 1 and not c", {KeyRead("a"), KeyRead("b"), KeyRead("c")}),
        ("item.x + item_count", {KeyRead("item_count")}),
    ],
)
def test_keys_that_an_expression_reads(text: str, keys: set[KeyRead]) -> None:
    """Every key is found, with whether the expression can do without it; names of a map are none."""
    assert keys == set(keys_read(text, frozenset({"item"})))
