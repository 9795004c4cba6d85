"""JSON is read as its standard has it, or refused with what is wrong with it."""

import json

import pytest

from dagflow.core.strict_json import read_json


def test_a_value_is_read() -> None:
    """Everything that the standard has is read."""
    assert {"a": [1, -2.5, "x\n", True, False, None], "b": {"a": {}}} == read_json(
        ' {"a": [1, -2.5, "x\\n", true, false, null], "b": {"a": {}}}\n'
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": 1, "b": 2, "b": 3, "a": 4}', "the key 'b' is there twice in an object; give every key once"),
        ('[{"a": {"b": 1, "b": 1}}]', "the key 'b' is there twice"),
        ("[NaN]", "NaN is no JSON value; use a finite number or null"),
        ("-Infinity", "-Infinity is no JSON value"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_python_alone_would_read_is_refused(text: str, problem: str) -> None:
    """A key that is there twice, numbers that are none, and endless nesting are errors that say so."""
    with pytest.raises(ValueError, match=problem):
        read_json(text)


def test_broken_syntax_has_a_place() -> None:
    """The line and the column are those of the text."""
    with pytest.raises(json.JSONDecodeError) as caught:
        read_json('{\n "a" 1}')
    assert (2, 6) == (caught.value.lineno, caught.value.colno)
