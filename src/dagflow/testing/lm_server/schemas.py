"""The dialects of JSON Schema that the providers' strict modes take: what is wrong with a schema, if anything.

From the providers' guides to structured outputs and from the messages of their services. Where these leave it
open, a schema is refused: what passes here is meant to pass there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["anthropic_fault", "openai_fault"]

Path = tuple[str, ...]

FORMATS = ("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid")

OPENAI_ALWAYS = {"type", "description", "title", "enum", "const", "anyOf", "$ref", "$defs", "definitions"}
OPENAI_BY_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"pattern", "format"},
    "number": {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
    "integer": {"multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"},
}
OPENAI_PROPERTIES, OPENAI_DEPTH, OPENAI_ENUM_VALUES, OPENAI_CHARACTERS = 5000, 10, 1000, 120_000

ANTHROPIC_ALWAYS = OPENAI_ALWAYS | {"allOf", "default"}
ANTHROPIC_BY_TYPE = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems"},
    "string": {"format"},
}
ANTHROPIC_OPTIONAL, ANTHROPIC_UNIONS = 24, 16


class Fault(Exception):
    """What is wrong with a schema."""


def openai_fault(schema: Any) -> str | None:
    """Say what OpenAI's strict mode refuses in a schema."""
    try:
        kind = schema.get("type") if isinstance(schema, dict) else None
        if kind != "object":
            raise Fault(f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'.")
        parts = list(_walk(schema))
        for path, part in parts:
            _check_openai(path, part, schema)
        _check_openai_size(parts)
    except Fault as fault:
        return str(fault)
    return None


def anthropic_fault(schema: Any) -> str | None:
    """Say what Anthropic's structured output refuses in a schema."""
    try:
        parts = list(_walk(schema))
        for path, part in parts:
            _check_anthropic(path, part, schema)
        _check_anthropic_size(parts)
        _check_recursion(schema)
    except Fault as fault:
        return str(fault)
    return None


def _walk(schema: Any, path: Path = ()) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every schema in a schema, with the path to it."""
    if not isinstance(schema, dict):
        raise Fault(f"In context={path}, {schema!r} is not of type 'object', 'boolean'.")
    yield path, schema
    for word in ("properties", "$defs", "definitions"):
        for name, part in _mapping(schema, word, path).items():
            yield from _walk(part, (*path, word, name))
    for word in ("anyOf", "allOf", "prefixItems"):
        if word in schema and not (isinstance(schema[word], list) and schema[word]):
            raise Fault(f"In context={path}, '{word}' must be an array of schemas that is not empty.")
        for place, part in enumerate(schema.get(word, ())):
            yield from _walk(part, (*path, word, str(place)))
    if "items" in schema:
        yield from _walk(schema["items"], (*path, "items"))


def _mapping(schema: Mapping[str, Any], word: str, path: Path) -> dict[str, Any]:
    value = schema.get(word, {})
    if not isinstance(value, dict):
        raise Fault(f"In context={path}, '{word}' must be an object.")
    return value


def _types(part: Mapping[str, Any]) -> tuple[str, ...]:
    kind = part.get("type", ())
    return (kind,) if isinstance(kind, str) else tuple(kind)


def _resolve(reference: Any, root: Mapping[str, Any], path: Path) -> str:
    """The name of the definition that a reference is to; empty for the root."""
    if reference == "#":
        return ""
    for word in ("$defs", "definitions"):
        name = str(reference).removeprefix(f"#/{word}/")
        if name != reference and name in root.get(word, {}):
            return name
    raise Fault(f"In context={path}, reference to component '{reference}' which was not found in the schema.")


def _check_openai(path: Path, part: dict[str, Any], root: dict[str, Any]) -> None:
    where = f"In context={path}, "
    if "$ref" in part:
        _resolve(part["$ref"], root, path)
        beside = sorted(part.keys() - {"$ref", "$defs", "definitions"})
        if beside:
            raise Fault(f"{where}$ref cannot have keywords {set(beside)}.")
        return
    kinds = _types(part)
    if not kinds and "anyOf" not in part:
        raise Fault(f"{where}schema must have a 'type' key.")
    _check_words(part, kinds, OPENAI_ALWAYS, OPENAI_BY_TYPE, lambda word: f"{where}'{word}' is not permitted.")
    if "object" in kinds:
        _check_openai_object(part, where)
    if "array" in kinds and "items" not in part:
        raise Fault(f"{where}array schema missing items.")
    if "format" in part and part["format"] not in FORMATS:
        raise Fault(f"{where}'{part['format']}' is not a valid format.")
    if "enum" in part and not (isinstance(part["enum"], list) and part["enum"]):
        raise Fault(f"{where}'enum' must be an array that is not empty.")


def _check_openai_object(part: dict[str, Any], where: str) -> None:
    if part.get("additionalProperties") is not False:
        raise Fault(f"{where}'additionalProperties' is required to be supplied and to be false.")
    names = _mapping(part, "properties", ()).keys()
    needed = part.get("required", [] if not names else None)
    say = f"{where}'required' is required to be supplied and to be an array including every key in properties. "
    missing = sorted(names - set(needed or ()))
    if needed is None or missing:
        raise Fault(f"{say}Missing '{missing[0]}'.")
    extra = sorted(set(needed) - names)
    if extra:
        raise Fault(f"{say}Extra required key '{extra[0]}' supplied.")


def _check_openai_size(parts: list[tuple[Path, dict[str, Any]]]) -> None:
    names = [name for _, part in parts for word in ("properties", "$defs") for name in part.get(word, ())]
    values = [value for _, part in parts for value in part.get("enum", ())]
    properties = sum(len(part.get("properties", ())) for _, part in parts)
    objects = {path for path, part in parts if "object" in _types(part)}
    depth = max(sum(path[:length] in objects for length in range(len(path) + 1)) for path in objects)
    characters = sum(map(len, names)) + sum(len(value) for value in values if isinstance(value, str))
    limits = (
        ("object properties", properties, OPENAI_PROPERTIES),
        ("levels of nested objects", depth, OPENAI_DEPTH),
        ("enum values", len(values), OPENAI_ENUM_VALUES),
        ("characters in names and enum values", characters, OPENAI_CHARACTERS),
    )
    for what, count, limit in limits:
        if count > limit:
            raise Fault(f"Expected at most {limit} {what} in total within a schema, but got {count}.")


def _check_anthropic(path: Path, part: dict[str, Any], root: dict[str, Any]) -> None:
    where = f" (at {'.'.join(path)})" if path else ""
    if "$ref" in part:
        _resolve(part["$ref"], root, path)
    kinds = _types(part)
    if not kinds and not part.keys() & {"anyOf", "allOf", "$ref", "enum", "const"}:
        raise Fault(f"Schema type is missing: give 'type', 'anyOf', 'allOf', 'enum', 'const' or '$ref'{where}")
    name = kinds[0] if kinds else "any"
    _check_words(
        part,
        kinds,
        ANTHROPIC_ALWAYS,
        ANTHROPIC_BY_TYPE,
        lambda word: f"For '{name}' type, property '{word}' is not supported{where}",
    )
    if "object" in kinds and part.get("additionalProperties") is not False:
        raise Fault(f"For 'object' type, 'additionalProperties' must be explicitly set to false{where}")
    unknown = sorted(set(part.get("required", ())) - part.get("properties", {}).keys())
    if unknown:
        raise Fault(f"For 'object' type, 'required' names '{unknown[0]}', which is no property{where}")
    if part.get("minItems", 0) not in (0, 1):
        raise Fault(f"For 'array' type, 'minItems' values other than 0 or 1 are not supported{where}")
    if "format" in part and part["format"] not in (*FORMATS, "uri"):
        raise Fault(f"For 'string' type, format '{part['format']}' is not supported{where}")
    if any(isinstance(value, (dict, list)) for value in part.get("enum", ())):
        raise Fault(f"Enum values must be strings, numbers, booleans or null{where}")


def _check_anthropic_size(parts: list[tuple[Path, dict[str, Any]]]) -> None:
    optional = sum(len(part.get("properties", {}).keys() - set(part.get("required", ()))) for _, part in parts)
    unions = sum("anyOf" in part or len(_types(part)) > 1 for _, part in parts)
    limits = (("optional parameters", optional, ANTHROPIC_OPTIONAL), ("union types", unions, ANTHROPIC_UNIONS))
    for what, count, limit in limits:
        if count > limit:
            raise Fault(f"Schemas contains too many {what}: {count}, where {limit} are the most.")


def _check_recursion(root: dict[str, Any]) -> None:
    """Definitions that refer to each other in a circle are not supported; nor is one to the whole schema."""
    definitions = {**root.get("$defs", {}), **root.get("definitions", {})}
    leads_to = {
        name: {_resolve(part["$ref"], root, path) for path, part in _walk(schema) if "$ref" in part}
        for name, schema in definitions.items()
    }
    if any("$ref" in part and part["$ref"] == "#" for _, part in _walk(root)):
        raise Fault("Circular reference detected in schema definitions: #")
    for name in definitions:
        seen: set[str] = set()
        pending = set(leads_to[name])
        while pending:
            seen |= pending
            pending = {other for found in pending for other in leads_to[found]} - seen
        if name in seen:
            raise Fault(f"Circular reference detected in schema definitions: {name}")


def _check_words(
    part: dict[str, Any],
    kinds: tuple[str, ...],
    always: set[str],
    by_type: Mapping[str, set[str]],
    say: Callable[[str], str],
) -> None:
    known = always.union(*(by_type.get(kind, set()) for kind in kinds))
    for word in part:
        if word not in known:
            raise Fault(say(word))
