"""Random types and their values: schema, structuring and writing agree with each other."""

import datetime
import decimal
import enum
import functools
import json
import pathlib
import uuid
from collections.abc import Callable
from typing import Any, Literal

import attrs
import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.core.answers import InvalidAnswer, parse_json
from dagflow.core.schema import json_schema
from dagflow.core.structure import structure
from dagflow.core.unstructure import unstructure
from dagflow.errors import InvalidField


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


Typed = tuple[Any, st.SearchStrategy[Any]]
"""A hint, and its values."""

SURROGATES: Any = ("Cs",)
TEXT = st.text(st.characters(exclude_categories=SURROGATES), max_size=8)

SCALARS: list[Typed] = [
    (int, st.integers()),
    (str, TEXT),
    (bool, st.booleans()),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Literal["a", 1], st.sampled_from(["a", 1])),
    (datetime.datetime, st.datetimes()),
    (datetime.datetime, st.datetimes(timezones=st.just(datetime.UTC))),
    (datetime.date, st.dates()),
    (datetime.time, st.times()),
    (datetime.timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False)),
    (pathlib.Path, TEXT.map(lambda text: pathlib.Path("a" + text.replace("\0", "")))),
    (bytes, st.binary(max_size=8)),
]
HASHABLE = st.sampled_from(SCALARS)
NAMES = ("alpha", "beta", "gamma", "_delta")


@attrs.frozen
class Alike:
    value: int


@attrs.frozen
class AlikeToo:
    value: int


def of(generic: Any, *arguments: Any) -> Any:
    """Give a generic its arguments, which type checkers want to see written out."""
    return generic[arguments]


def optional(inner: Typed) -> Typed:
    return inner[0] | None, st.none() | inner[1]


def containers(inner: Typed) -> list[Typed]:
    hint, values = inner
    return [
        (of(list, hint), st.lists(values, max_size=3)),
        (of(tuple, hint, ...), st.lists(values, max_size=3).map(tuple)),
        (of(tuple, hint, int), st.tuples(values, st.integers())),
        (of(dict, str, hint), st.dictionaries(TEXT, values, max_size=3)),
        (hint | Alike | AlikeToo, values | st.integers().map(Alike) | st.integers().map(AlikeToo)),
    ]


def classes(inner: list[Typed]) -> Typed:
    """A new attrs class with fields of these types; every second one has a default."""
    fields: dict[str, Any] = {}
    for place, (hint, _) in enumerate(inner):
        fields[NAMES[place]] = attrs.field(type=hint) if place % 2 == 0 else attrs.field(type=hint, factory=list)
    cls = attrs.make_class("Made", fields, frozen=True, kw_only=True)
    return cls, st.builds(cls, **{name.lstrip("_"): pair[1] for name, pair in zip(NAMES, inner, strict=False)})


def compound(children: st.SearchStrategy[Typed]) -> st.SearchStrategy[Typed]:
    return st.one_of(
        children.map(optional),
        children.flatmap(lambda inner: st.sampled_from(containers(inner))),
        HASHABLE.map(lambda inner: (of(frozenset, inner[0]), st.frozensets(inner[1], max_size=3))),
        st.lists(children, min_size=1, max_size=len(NAMES)).map(classes),
    )


TYPES = st.recursive(HASHABLE, compound, max_leaves=6)


@st.composite
def typed_values(draw: Callable[[st.SearchStrategy[Any]], Any]) -> tuple[Any, Any]:
    hint, values = draw(TYPES)
    return hint, draw(values)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(typed_values())
def test_what_is_written_reads_as_the_same(case: tuple[Any, Any]) -> None:
    """A value, written, sent as text, parsed and structured, is equal to what it was; the schema allows it."""
    hint, value = case
    data = unstructure(value, hint)
    text = json.dumps(data, allow_nan=False)
    jsonschema.validate(json.loads(text), json_schema(hint), cls=jsonschema.Draft202012Validator)
    found = structure(parse_json(text), hint)
    assert value == found
    assert type(value) is type(found)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(-2, 2) | st.sampled_from(["a", "red", "", "2030-01-02"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["alpha", "beta", "gamma", "delta", "value", "type"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_data_gives_a_value_or_an_invalid_answer(data: st.DataObject) -> None:
    """Whatever JSON comes, it is a value of the type, which reads back the same, or an `InvalidAnswer`."""
    hint, _ = data.draw(TYPES)
    answer = data.draw(JSON)
    problems: tuple[InvalidField, ...] | None = None
    try:
        found = structure(answer, hint)
    except InvalidAnswer as error:
        problems = error.invalid
    if problems is None:
        assert found == structure(unstructure(found, hint), hint)
    else:
        assert problems
        assert all(item.path.startswith("$") and item.problem for item in problems)


@functools.lru_cache
def tree() -> Any:
    @attrs.frozen
    class Leaf:
        text: str

    return Leaf


def test_classes_made_in_functions_work() -> None:
    """Types that no module knows by name are read as well."""
    assert tree()("x") == structure({"text": "x"}, tree())
