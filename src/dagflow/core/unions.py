"""Telling the members of a union apart in JSON, where a value does not carry its Python type."""

from __future__ import annotations

import enum
import functools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.scalars import JSON_NAMES
from dagflow.core.shapes import SCALARS, ObjectField, alias_value, enum_form, kind_of, object_fields, peel

__all__ = ["ByKey", "ByPresence", "by_specificity", "discriminator", "distinct_names", "json_types", "union_objects"]

JSON_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")

JSON_TYPES_OF_KIND: dict[str, tuple[str, ...]] = {
    "any": JSON_TYPES,
    "object": ("object",),
    "mapping": ("object",),
    "array": ("array",),
    "set": ("array",),
    "tuple": ("array",),
}


@attrs.frozen
class ByKey:
    """Objects are told apart by the value of one key; `added` where no field of theirs has that key."""

    key: str
    members: Mapping[str, Any]
    added: bool


@attrs.frozen
class ByPresence:
    """Objects are told apart by the required keys that only one of them has; `rest` has none of these."""

    members: Mapping[Any, frozenset[str]]
    rest: Any = None


def union_members(hint: Any) -> tuple[Any, ...]:
    """The members of a union as they were written, nested unions and aliases flattened."""
    found: list[Any] = []
    for member in hints.union_members(hint):
        bare = peel(member)
        if kind_of(bare) == "alias":
            bare = peel(alias_value(bare))
        found.extend(union_members(bare) if kind_of(bare) == "union" else [member])
    return tuple(found)


def union_objects(hint: Any) -> tuple[Any, ...]:
    """The members of a union that are classes written as objects."""
    return tuple(peel(member) for member in union_members(hint) if kind_of(peel(member)) == "object")


def by_specificity(members: Sequence[Any]) -> tuple[Any, ...]:
    """Put first what fewer values fit: of several members that are strings in JSON, the first that fits is meant."""
    return tuple(sorted(members, key=_breadth))


def _breadth(hint: Any) -> int:
    hint = peel(hint)
    if kind_of(hint) in ("literal", "enum"):
        return 0
    if hint is str or hint is float:
        return 2
    return 3 if hint in (bytes, pathlib.Path, pathlib.PurePath, Any, object) else 1


def json_types(hint: Any) -> frozenset[str]:
    """The JSON types that values of a hint can have; empty where it has no form in JSON."""
    hint = peel(hint)
    kind = kind_of(hint)
    if kind is None:
        return frozenset()
    if kind == "alias":
        return json_types(alias_value(hint))
    if kind == "union":
        return frozenset().union(*(json_types(member) for member in union_members(hint)))
    if kind == "literal":
        return frozenset(json_type(literal_form(value)) for value in get_args(hint))
    if kind == "enum":
        return frozenset(json_type(enum_form(member)) for member in hint)
    if kind == "scalar":
        name = SCALARS[hint]
        return frozenset({name, "integer"} if name == "number" else {name})
    return frozenset(JSON_TYPES_OF_KIND[kind])


def json_type(value: Any) -> str:
    """The JSON type of a parsed JSON value; an integer is told apart from other numbers."""
    return JSON_NAMES[type(value)]


def literal_form(value: Any) -> Any:
    """How a value of a `Literal` is written."""
    return enum_form(value) if isinstance(value, enum.Enum) else value


@functools.lru_cache(maxsize=512)
def discriminator(members: tuple[Any, ...]) -> ByKey | ByPresence:
    """Find how to tell the objects of several classes apart.

    A key that they share and whose literal values differ comes first, then required keys that only one
    class has. Where neither tells them apart, a key is added that holds the name of the class.
    """
    fields = {member: {field.key: field for field in object_fields(member)} for member in members}
    return _by_literal(fields) or _by_presence(fields) or _by_added_key(fields)


def _by_literal(fields: Mapping[Any, Mapping[str, ObjectField]]) -> ByKey | None:
    for key in next(iter(fields.values())):
        found: dict[str, Any] = {}
        values = 0
        for member, own in fields.items():
            literals = _string_literals(own[key].hint) if key in own else ()
            if not literals:
                break
            values += len(literals)
            found |= dict.fromkeys(literals, member)
        else:
            if len(found) == values:
                return ByKey(key, found, added=False)
    return None


def _string_literals(hint: Any) -> tuple[str, ...]:
    hint = peel(hint)
    if get_origin(hint) is not Literal:
        return ()
    forms = tuple(literal_form(value) for value in get_args(hint))
    return forms if all(isinstance(form, str) for form in forms) else ()


def _by_presence(fields: Mapping[Any, Mapping[str, ObjectField]]) -> ByPresence | None:
    unique: dict[Any, frozenset[str]] = {}
    rest = []
    for member, own in fields.items():
        others = {key for other, keys in fields.items() if other is not member for key in keys}
        keys = frozenset(key for key, field in own.items() if field.required and key not in others)
        if keys:
            unique[member] = keys
        else:
            rest.append(member)
    if len(rest) > 1:
        return None
    return ByPresence(unique, rest[0] if rest else None)


def _by_added_key(fields: Mapping[Any, Mapping[str, ObjectField]]) -> ByKey:
    taken = {key for own in fields.values() for key in own}
    key = "type"
    while key in taken:
        key += "_"
    return ByKey(key, distinct_names(list(fields), hints.show), added=True)


def distinct_names(items: Sequence[Any], name_of: Callable[[Any], str]) -> dict[str, Any]:
    """Name every item; a name that is taken gets a number, in the order of the items."""
    found: dict[str, Any] = {}
    for item in items:
        name = base = name_of(item)
        count = 1
        while name in found:
            count += 1
            name = f"{base}_{count}"
        found[name] = item
    return found
