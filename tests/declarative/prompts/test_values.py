"""How values become text."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import pathlib
from collections import OrderedDict
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow import Secret
from dagflow.core.markers import JSON_KEY
from dagflow.declarative.prompts.values import as_text, plain


class Mood(enum.Enum):
    GOOD = "good"


class Level(enum.IntEnum):
    HIGH = 3


class Shouting(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "SHOUTED"

    def __format__(self, form: str) -> str:
        return "SHOUTED"


@attrs.frozen
class Place:
    name: str
    from_: int = attrs.field(default=1, metadata={JSON_KEY: "from"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        ('{"a": 1}', '{"a": 1}'),
        (True, "true"),
        (None, "null"),
        (3, "3"),
        (1.0, "1.0"),
        (["a", 1, None], '["a",1,null]'),
        ((1, 2), "[1,2]"),
        ({"b", "a"}, '["a","b"]'),
        ({"ключ": "é"}, '{"ключ":"é"}'),
        (OrderedDict(a=1), '{"a":1}'),
        (Place("Faro"), '{"name":"Faro","from":1}'),
        ([Place("Faro")], '[{"name":"Faro","from":1}]'),
        (Mood.GOOD, "good"),
        (Level.HIGH, "3"),
        (datetime.date(2030, 12, 31), "2030-12-31"),
        (decimal.Decimal("1.50"), "1.50"),
        (pathlib.PurePosixPath("a/b"), "a/b"),
        (Shouting("quiet"), "quiet"),
        ({"a": Shouting("quiet")}, '{"a":"quiet"}'),
    ],
)
def test_a_text_is_itself_and_all_else_is_json(value: Any, text: str) -> None:
    """What JSON writes as a string comes without quotes; subclasses have no say in it."""
    assert text == as_text(value)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (object(), "a object has no form in JSON"),
        (float("inf"), "use a finite number or None"),
        ([float("nan")], "use a finite number or None"),
        ({1: 2}, "the key 1 is no string"),
        ([10**5000], "a number is too long"),
        (Secret("sk-canary"), "a Secret has no form in JSON"),
        ({"key": [Secret("sk-canary")]}, "a Secret has no form in JSON"),
    ],
)
def test_what_has_no_form_in_json_is_refused(value: Any, told: str) -> None:
    """Secrets and live objects do not get into a prompt."""
    with pytest.raises(ValueError, match=told) as found:
        as_text(value)
    assert "canary" not in str(found.value)


def test_a_value_that_holds_itself_is_refused() -> None:
    """No value makes the writing run forever."""
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="nested too deeply, or holds itself"):
        as_text(circle)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_can_be_read_back(value: Any) -> None:
    """The text of a value of JSON is that value, and `plain` gives it as it is, in new containers."""
    if not isinstance(value, str):
        assert value == json.loads(as_text(value))
    copied = plain(value)
    assert value == copied
    assert copied is not value or not isinstance(value, (list, dict))
