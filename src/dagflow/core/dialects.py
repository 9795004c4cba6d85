"""The dialects of JSON Schema that providers take: pure functions from schema to schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dagflow.core.shapes import UnsupportedType
from dagflow.core.topology import CycleFound, levels

__all__ = ["closed", "strict", "without_format"]

Schema = dict[str, Any]

_NOT_STRICT = (
    "default",
    "contentEncoding",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "uniqueItems",
)
"""What strict structured output has no place for, and is told in words instead."""

_CLOSED_FORMATS = {
    "date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid",
}  # fmt: skip
_CLOSED = {
    "$defs", "$ref", "additionalProperties", "anyOf", "const", "description", "enum", "format", "items", "minItems",
    "properties", "required", "title", "type",
}  # fmt: skip

_MOST = {"optional fields": 24, "unions": 16}
"""Anthropic's limits of a request's schema, by its guide to structured outputs."""

_OF_SCHEMAS = ("properties", "$defs")
_SCHEMAS = ("items", "anyOf", "prefixItems", "additionalProperties", "propertyNames")


def strict(schema: Schema) -> Schema:
    """Write a schema in the dialect of strict structured output, as OpenAI defined it.

    All properties are required, and optional ones may be null instead. Keywords that the dialect does not know
    are put in words into the description, and tuples become arrays of their length.

    Raises `UnsupportedType` for what it cannot express, naming the path: objects with free keys (a `dict`),
    values of any type, and a schema that is no object. Send such a schema without strictness.
    """
    if "properties" not in schema:
        raise UnsupportedType("$", object, "strict structured output takes an object with fields at its root")
    changed: Schema = _walk(schema, _make_strict, "$")
    return changed


def closed(schema: Schema) -> Schema:
    """Write a schema in the dialect of Anthropic's structured output, as its SDK's `transform_schema` does.

    Keywords that the dialect does not know are put in words into the description; optional properties may be
    left out. Raises `UnsupportedType` as `strict` does, for a type that contains itself, and for one with more
    optional fields or unions than the provider compiles.
    """
    if "properties" not in schema:
        raise UnsupportedType("$", object, "structured output takes an object with fields at its root")
    _refuse_recursion(schema)
    changed: Schema = _walk(schema, _make_closed, "$")
    _refuse_too_complex(changed)
    return changed


def without_format(schema: Schema) -> Schema:
    """Move each `format` of a schema into the description: some programs ignore a schema that has one."""
    changed: Schema = _walk(schema, lambda part, path: _in_words(part, ("format",)), "$")
    return changed


def _walk(schema: Any, change: Callable[[Schema, str], Schema], path: str) -> Any:
    """Change every schema inside of `schema`, the innermost first."""
    if isinstance(schema, list):
        return [_walk(item, change, path) for item in schema]
    if not isinstance(schema, dict):
        return schema
    walked: Schema = {}
    for key, value in schema.items():
        if key in _OF_SCHEMAS:
            walked[key] = {name: _walk(part, change, f"{path}.{name}") for name, part in value.items()}
        elif key in _SCHEMAS:
            walked[key] = _walk(value, change, path)
        else:
            walked[key] = value
    return change(walked, path)


def _make_strict(part: Schema, path: str) -> Schema:
    _refuse_what_is_open(part, path)
    if "properties" in part:
        needed = set(part.get("required", ()))
        properties = {name: value if name in needed else _nullable(value) for name, value in part["properties"].items()}
        part = part | {"properties": properties, "required": list(properties)}
    if "const" in part:
        part = {key: value for key, value in part.items() if key != "const"} | {"enum": [part["const"]]}
    if "prefixItems" in part:
        part = _without_prefix(part)
    return _alone_with_reference(_in_words(part, _NOT_STRICT))


def _make_closed(part: Schema, path: str) -> Schema:
    _refuse_what_is_open(part, path)
    if "prefixItems" in part:
        part = _without_prefix(part)
    unknown = [key for key in part if key not in _CLOSED]
    if part.get("format", "uuid") not in _CLOSED_FORMATS:
        unknown.append("format")
    if part.get("minItems", 0) > 1:
        unknown.append("minItems")
    return _alone_with_reference(_in_words(part, unknown))


def _refuse_recursion(schema: Schema) -> None:
    definitions = schema.get("$defs", {})
    try:
        levels(
            {name: {used for used in _references(part) if used in definitions} for name, part in definitions.items()}
        )
    except CycleFound as found:
        name = str(found.cycle[0])
        raise UnsupportedType(
            f"$defs.{name}", object, "structured output has no types that contain themselves"
        ) from None


def _refuse_too_complex(schema: Schema) -> None:
    counts = {"optional fields": 0, "unions": 0}

    def count(part: Schema, path: str) -> Schema:
        counts["optional fields"] += len(part.get("properties", {})) - len(part.get("required", ()))
        counts["unions"] += len(part.get("anyOf", ())) > 1 or isinstance(part.get("type"), list)
        return part

    _walk(schema, count, "$")
    for what, number in counts.items():
        if number > _MOST[what]:
            raise UnsupportedType("$", object, f"structured output takes at most {_MOST[what]} {what}, not {number}")


def _references(schema: Any) -> Iterator[str]:
    """The names of the definitions that a schema refers to."""
    if isinstance(schema, list):
        for item in schema:
            yield from _references(item)
    elif isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].rpartition("/")[2]
        for key, part in schema.items():
            if key in _SCHEMAS:
                yield from _references(part)
            elif key in _OF_SCHEMAS:
                yield from _references(list(part.values()))


def _alone_with_reference(part: Schema) -> Schema:
    """A reference without keywords beside it, which neither dialect takes."""
    if "$ref" not in part or len(part) == 1:
        return part
    return {"anyOf": [{"$ref": part["$ref"]}]} | {key: value for key, value in part.items() if key != "$ref"}


def _refuse_what_is_open(part: Schema, path: str) -> None:
    if not part.keys() & {"type", "anyOf", "enum", "const", "$ref"}:
        raise UnsupportedType(path, Any, "strict structured output has no schema for values of any type")
    if part.get("type") == "object" and "properties" not in part:
        raise UnsupportedType(path, dict, "strict structured output has no objects with free keys")
    if part.get("type") == "array" and "items" not in part and "prefixItems" not in part:
        raise UnsupportedType(path, list, "strict structured output has no arrays of any items")


def _without_prefix(part: Schema) -> Schema:
    """An array of the same length, whose items may be what any of the tuple's may be."""
    items = part["prefixItems"]
    kept = {key: value for key, value in part.items() if key != "prefixItems"}
    different = [item for place, item in enumerate(items) if item not in items[:place]]
    if not different:
        return kept | {"items": {"type": "null"}}
    words = "in this order: " + ", ".join(json.dumps(item) for item in items)
    kept["items"] = different[0] if len(different) == 1 else {"anyOf": different}
    return kept if len(different) == 1 else _described(kept, words)


def _nullable(part: Schema) -> Schema:
    if part.get("type") == "null" or any(option.get("type") == "null" for option in part.get("anyOf", ())):
        return part
    words = {key: part[key] for key in ("description",) if key in part}
    inner = {key: value for key, value in part.items() if key not in words}
    return {"anyOf": [inner, {"type": "null"}], **words}


def _in_words(part: Schema, keywords: Sequence[str]) -> Schema:
    moved = [f"{keyword}: {json.dumps(part[keyword])}" for keyword in keywords if keyword in part]
    if not moved:
        return part
    kept = {key: value for key, value in part.items() if key not in keywords}
    return _described(kept, ", ".join(moved))


def _described(part: Schema, words: str) -> Schema:
    return part | {"description": f"{part['description']} ({words})" if "description" in part else words}
