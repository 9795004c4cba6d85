"""What the tests of the codec share: a comparison that sees types, and the way through text and back."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import attrs

from dagflow.core.codec import Codec


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal, of the same types throughout, in the same order; nan is the same as nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, enum.Enum):
        return one is other
    if isinstance(one, float):
        return repr(one) == repr(other)  # it tells 0.0 from -0.0
    if isinstance(one, decimal.Decimal):
        return str(one) == str(other)
    if isinstance(one, (datetime.datetime, datetime.time)):
        return same_moment(one, other)
    if isinstance(one, pathlib.PurePath):
        return one == other and str(one) == str(other)
    if attrs.has(type(one)) or dataclasses.is_dataclass(one):
        return same_state(state_of(one), state_of(other))
    if isinstance(one, Mapping):
        return same_state(one, other)
    if isinstance(one, AbstractSet):
        return len(one) == len(other) and all(any(same(item, its) for its in other) for item in one)
    if isinstance(one, Sequence) and not isinstance(one, (str, bytes)):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def same_state(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    return same(list(one.keys()), list(other.keys())) and same(list(one.values()), list(other.values()))


def same_moment(one: Any, other: Any) -> bool:
    return (one.replace(tzinfo=None), one.fold, repr(one.tzinfo)) == (
        other.replace(tzinfo=None),
        other.fold,
        repr(other.tzinfo),
    )


def state_of(value: Any) -> dict[str, Any]:
    fields = attrs.fields(type(value)) if attrs.has(type(value)) else dataclasses.fields(value)
    names = [field.name for field in fields]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def through_text(data: Any) -> Any:
    """Send data the way that they take through a store: as UTF-8, with nothing that JSON does not have."""
    return json.loads(json.dumps(data, ensure_ascii=False, allow_nan=False).encode())


@functools.cache
def codec(end: str, *types: Any) -> Codec:
    """One codec for whoever writes, and another for whoever reads, as in two processes."""
    return Codec(types)


def round_trip(hint: Any, value: Any, *types: Any) -> Any:
    """Write a value and read it with another codec, and check that it is the same; give the data."""
    data = codec("writes", *types).writer(hint)(value)
    found = codec("reads", *types).reader(hint)(through_text(data))
    assert same(value, found), f"{value!r} as {hint} came back as {found!r} through {data!r}"
    return data
