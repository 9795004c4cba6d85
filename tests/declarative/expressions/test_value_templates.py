"""Values with templates in them: the shape is kept, texts are filled, literal parts are safe from changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.declarative.expressions import ExpressionError, Scope, parse_value
from declarative.expressions.scopes import SCOPE, STATE


def test_every_text_of_a_value_is_filled() -> None:
    """Texts in arrays and objects become values or texts; keys and everything else stay as they are."""
    value = {
        "text": "Hello {name}",
        "single": "{items}",
        "list": ["{i}", {"deep": "{grade.score}"}, 1, None, True, 0.5],
        "{i}": "{{literal}}",
    }
    compiled = parse_value(value)
    assert {
        "text": "Hello Ana",
        "single": [10, 20, 30],
        "list": [3, {"deep": 0.5}, 1, None, True, 0.5],
        "{i}": "{literal}",
    } == compiled.evaluate(SCOPE)
    assert (("name",), ("items",), ("i",), ("grade", "score")) == compiled.paths
    assert not compiled.is_literal
    assert value is compiled.value


@pytest.mark.parametrize("value", ["text", 1, None, True, 0.5, "{{", "x" * 100])
def test_a_literal_value_is_given_as_it_is(value: Any) -> None:
    """A value without expressions is itself, but that doubled braces are braces."""
    compiled = parse_value(value)
    assert compiled.is_literal
    assert () == compiled.paths
    assert ("{" if value == "{{" else value) == compiled.evaluate(SCOPE)


def test_a_single_text_may_give_any_value() -> None:
    """`{expression}` gives the value itself, not a copy."""
    assert STATE["grade"] is parse_value("{grade}").evaluate(SCOPE)


def test_what_is_evaluated_can_be_changed() -> None:
    """Arrays and objects are new with every evaluation, those without expressions too."""
    value = {"literal": [1, {"a": []}], "filled": ["{i}"]}
    compiled = parse_value(value)
    first = compiled.evaluate(SCOPE)
    first["literal"][1]["a"].append(1)
    first["literal"].append(2)
    first["filled"].append(3)
    assert {"literal": [1, {"a": []}], "filled": [3]} == compiled.evaluate(SCOPE)
    assert {"literal": [1, {"a": []}], "filled": ["{i}"]} == value


def test_what_no_file_holds_is_shared() -> None:
    """A value that is neither text, array nor object is given as it is."""
    marker = object()
    assert marker is parse_value([marker]).evaluate(SCOPE)[0]


def test_a_fault_has_its_path_in_the_value() -> None:
    """A text that is no template is told with the keys that lead to it, when it is parsed."""
    with pytest.raises(ExpressionError) as caught:
        parse_value({"a": [1, {"b": "text {"}]})
    assert ("a", 1, "b") == caught.value.path
    assert ("text {", 7) == (caught.value.source, caught.value.column)


def test_a_failure_has_its_path_in_the_value() -> None:
    """A text that cannot be filled is told with the keys that lead to it."""
    with pytest.raises(ExpressionError) as caught:
        parse_value({"a": ["{i}", "{missing}"]}).evaluate(SCOPE)
    assert ("a", 1) == caught.value.path
    assert 2 == caught.value.column


def test_a_value_that_is_nested_too_deep_is_refused() -> None:
    """The depth of a value is bounded, so that its evaluation does not pass Python's."""
    value: Any = "{i}"
    for _ in range(100):
        value = [value]
    assert [] != parse_value(value).evaluate(SCOPE)
    with pytest.raises(ExpressionError, match="the value is nested more than 100 deep"):
        parse_value([value])


values = st.recursive(
    st.none() | st.integers() | st.text(st.characters(exclude_characters="{}")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(values)
def test_a_literal_value_is_equal_to_itself(value: Any) -> None:
    """Whatever its shape, a value without braces comes out as it went in."""
    assert value == parse_value(value).evaluate(Scope({}))
