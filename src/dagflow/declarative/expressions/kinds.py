"""The kinds of values that expressions tell apart: those of JSON, and objects with fields."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final

import attrs

from dagflow.core.markers import JSON_KEY
from dagflow.core.scalars import JSON_NAMES
from dagflow.core.shapes import enum_form

__all__ = ["ARRAYS", "NUMBERS", "a_kind", "fields_of", "settle"]

NUMBERS: Final[frozenset[Any]] = frozenset({int, float})
"""The classes of numbers. A boolean is none."""

ARRAYS: Final = (list, tuple)
"""What counts as an array: a tuple equals a list of the same items, because no file can write a tuple."""


def settle(value: Any) -> Any:
    """Take an enum member for what it is in JSON, and a value of a subclass for the plain string or number."""
    if isinstance(value, enum.Enum):
        value = enum_form(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return float(value)
    return value


def a_kind(value: Any) -> str:
    """Name the kind of a value with its article, in the words of JSON, or its class."""
    if value is None:
        return "null"
    value = settle(value)
    kind: Any = "array" if isinstance(value, ARRAYS) else "object" if isinstance(value, Mapping) else None
    name = kind or JSON_NAMES.get(type(value), type(value).__name__)
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


@lru_cache(maxsize=1024)
def fields_of(cls: type) -> Mapping[str, str]:
    """The fields that expressions may read of a class's instances: the attribute of each, by its names.

    Only those of attrs classes and dataclasses, by their names and by those that they have in JSON; none whose
    attribute begins with an underscore.
    """
    found: dict[str, str] = {}
    fields: tuple[Any, ...] = ()
    if attrs.has(cls):
        fields = attrs.fields(cls)
    elif dataclasses.is_dataclass(cls):
        fields = dataclasses.fields(cls)
    public = [field for field in fields if not field.name.startswith("_")]
    for field in public:
        found[field.metadata.get(JSON_KEY, field.name)] = field.name
    for field in public:
        found.setdefault(field.name, field.name)
    return MappingProxyType(found)
