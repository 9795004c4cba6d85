"""Unstructuring: from typed values to data that JSON can hold, so that structuring gives them back."""

from __future__ import annotations

import dataclasses
import enum
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, get_args, get_origin

import attrs

from dagflow.core.scalars import write_scalar
from dagflow.core.shapes import COLLECTIONS, alias_value, enum_form, kind_of, object_fields, peel
from dagflow.core.unions import ByKey, discriminator, union_members, union_objects

__all__ = ["unstructure"]

_PLAIN = (str, int, bool, type(None))


def unstructure(value: Any, hint: Any = Any) -> Any:
    """Write a value as JSON-able data, so that `structure(unstructure(value, hint), hint)` gives it back.

    `hint` is the type that the value was declared with; it tells what to write beside a class whose fields do
    not tell it apart from others in a union. Sets are sorted, so that equal values are written alike.

    Raises `TypeError` for a value that has no form in JSON; NaN and infinities have none.
    """
    cls: Any = type(value)
    if cls in _PLAIN:
        return value
    if isinstance(value, enum.Enum):
        return enum_form(value)
    if attrs.has(cls) or dataclasses.is_dataclass(cls):
        return _write_object(value, hint)
    if isinstance(value, Mapping):
        return _write_mapping(value, hint)
    if isinstance(value, (list, tuple)):
        return _write_items(value, hint)
    if isinstance(value, (set, frozenset)):
        return sorted(_write_items(value, hint), key=lambda item: json.dumps(item, sort_keys=True))
    return write_scalar(value)


def _write_object(value: Any, hint: Any) -> dict[str, Any]:
    cls: Any = type(value)
    tag, fields = _plan(cls, hint)
    written: dict[str, Any] = {} if tag is None else {tag[0]: tag[1]}
    for key, name, kind in fields:
        written[key] = unstructure(getattr(value, name), kind)
    return written


@lru_cache(maxsize=1024)
def _plan(cls: type, hint: Any) -> tuple[tuple[str, str] | None, list[tuple[str, str, Any]]]:
    """How instances of a class are written where `hint` is declared: the tag, and each field."""
    members = _members(hint)
    declared = next((member for member in members if get_origin(member) is cls), cls)
    fields = [(field.key, field.name, field.hint) for field in object_fields(declared)]
    objects = union_objects(hint) if len(members) > 1 else ()
    if len(objects) > 1:
        found = discriminator(objects)
        if isinstance(found, ByKey) and found.added:
            tags = {(get_origin(member) or member): tag for tag, member in found.members.items()}
            if cls in tags:
                return (found.key, tags[cls]), fields
    return None, fields


def _members(hint: Any) -> tuple[Any, ...]:
    hint = peel(hint)
    while kind_of(hint) == "alias":
        hint = peel(alias_value(hint))
    return tuple(peel(member) for member in union_members(hint))


def _write_mapping(value: Mapping[Any, Any], hint: Any) -> dict[str, Any]:
    fields = _typed_dict(hint, frozenset(value))
    if fields is not None:
        return {key: unstructure(item, fields.get(key, Any)) for key, item in value.items()}
    key_type, value_type = _arguments(hint, "mapping") or (Any, Any)
    written = {}
    for key, item in value.items():
        name = unstructure(key, key_type)
        if not isinstance(name, str):
            raise TypeError(f"the key {key!r} is no string, as the keys of a JSON object are")
        written[name] = unstructure(item, value_type)
    return written


def _typed_dict(hint: Any, keys: frozenset[Any]) -> dict[str, Any] | None:
    """The types of a typed dict's keys, where `hint` declares one that has these keys."""
    for member in _members(hint):
        if kind_of(member) == "object":
            fields = {field.key: field.hint for field in object_fields(member)}
            if keys <= fields.keys():
                return fields
    return None


def _write_items(value: Any, hint: Any) -> list[Any]:
    kind = "tuple" if isinstance(value, tuple) else "set" if isinstance(value, (set, frozenset)) else "array"
    arguments = _arguments(hint, kind)
    if kind == "tuple" and arguments and arguments[-1] is not ... and len(arguments) == len(value):
        return [unstructure(item, part) for item, part in zip(value, arguments, strict=True)]
    part = arguments[0] if arguments else Any
    return [unstructure(item, part) for item in value]


@lru_cache(maxsize=1024)
def _arguments(hint: Any, kind: str) -> tuple[Any, ...]:
    """The arguments of the container that `hint` declares, of the kind asked for or of any other."""
    containers = [member for member in _members(hint) if (get_origin(member) or member) in COLLECTIONS]
    containers.sort(key=lambda member: kind_of(member) != kind)
    return get_args(containers[0]) if containers else ()
