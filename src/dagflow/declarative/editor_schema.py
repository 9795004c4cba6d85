"""JSON Schemas of graph and prompt files, for editors: completion, hints, and faults while one types."""

from __future__ import annotations

import inspect
import re
from typing import Any, Final

from dagflow.core.schema import json_schema
from dagflow.declarative import model
from dagflow.declarative.edges import END, START_NAME
from dagflow.declarative.state import REDUCERS
from dagflow.lm.spec import ADAPTERS

__all__ = ["graph_schema", "prompt_schema"]

Schema = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
"""The newest that all editors know; nothing in the schemas needs a newer one."""

PUBLISHED: Final = "https://dagflow.readthedocs.io/en/latest/schemas"

_MODELS = sorted(adapter.form for adapter in ADAPTERS.values())
_TYPES = ["str", "int", "float", "bool", "any", "list[str]", "dict[str, int]", "str | null", "'a' | 'b'"]
_FUNCTION = ["./functions.py:name", "package.module:name"]

_EXAMPLES: Final[dict[tuple[str, str], list[str]]] = {
    ("StateKey", "type"): _TYPES,
    ("StateKey", "reducer"): [*REDUCERS, "module:name"],
    ("FieldSpec", "type"): [*_TYPES, "object", "list[object]"],
    ("EdgeSpec", "from"): [START_NAME],
    ("EdgeSpec", "to"): [END],
    ("PythonNode", "function"): _FUNCTION,
    ("ToolNode", "tool"): _FUNCTION,
    ("FallbackLM", "lm"): _MODELS,
    ("FallbackNode", "to"): [END],
    ("MapNode", "over"): ["{state.items}"],
    ("RedisCheckpointer", "url"): ["${REDIS_URL}", "redis://localhost:6379/0"],
    ("SQLiteCheckpointer", "path"): ["runs.db"],
    **{(name, "lm"): _MODELS for name in ("Defaults", "LLMNode", "RouterNode", "AgentNode", "PromptSpec")},
    **{(name, "provider"): sorted(ADAPTERS) for name in ("Defaults", "LLMNode", "RouterNode", "AgentNode")},
}
"""What an editor offers where any text may stand."""


def graph_schema() -> Schema:
    """Describe graph files as JSON Schema (draft 7); what it refuses, the loader refuses too."""
    schema = _readable("GraphFile", json_schema(model.GraphFile), "graph")
    schema["properties"]["nodes"]["propertyNames"] = {"not": {"enum": [START_NAME, END]}}
    return schema


def prompt_schema() -> Schema:
    """Describe prompt files as JSON Schema (draft 7)."""
    return _readable("PromptFile", json_schema(model.PromptFile), "prompt")


def _readable(name: str, schema: Schema, kind: str) -> Schema:
    """Make a schema of classes one that editors can work with."""
    definitions: Schema = schema.pop("$defs")
    whole = {name: schema, **definitions}
    for cls, definition in whole.items():
        _describe(cls, definition)
    unions: Schema = {}
    for definition in whole.values():
        _name_unions(definition, definitions, unions)
    head = {"$schema": DIALECT, "$id": f"{PUBLISHED}/{kind}.schema.json"}
    return {**head, **schema, "$defs": dict(sorted({**definitions, **unions}.items()))}


def _describe(name: str, definition: Schema) -> None:
    cls = getattr(model, name)
    definition["title"] = _title(name)
    definition["description"] = " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())
    required = definition["required"]
    for key, given in definition["properties"].items():
        # A null stands for the default where there is one, also for the loader: `variables:` with nothing behind it.
        written = _compact(given if key in required else _or_null(given))
        if (name, key) == ("OnError", "retry"):  # checked by a function that no schema can show
            written["anyOf"] = [{"type": "integer", "minimum": 1}, *written["anyOf"][1:]]
        if (name, key) in _EXAMPLES:
            written["examples"] = _EXAMPLES[name, key]
        if written.get("default", "") is None:
            del written["default"]  # an editor would put it in
        definition["properties"][key] = written


def _title(name: str) -> str:
    """`EdgeSpec` is called an edge, `LLMNode` an LLM node."""
    words = re.findall(r"SQLite|[A-Z]+(?![a-z])|[A-Z][a-z]+", name.removesuffix("Spec"))
    return " ".join([words[0], *(word if word.isupper() else word.lower() for word in words[1:])])


def _or_null(schema: Schema) -> Schema:
    kinds = {"default", "description"}
    rest, notes = {k: v for k, v in schema.items() if k not in kinds}, {k: v for k, v in schema.items() if k in kinds}
    if not rest or {"type": "null"} in rest.get("anyOf", ()):
        return schema
    inside = rest["anyOf"] if rest.keys() == {"anyOf"} else [rest]
    return {"anyOf": [*inside, {"type": "null"}], **notes}


def _compact(schema: Schema) -> Schema:
    """Write `{anyOf: [{type: string}, {type: null}]}` as `{type: [string, null]}`."""
    members = schema.get("anyOf")
    if members is None or any(member.keys() != {"type"} for member in members):
        return dict(schema)
    types = [member["type"] for member in members]
    return {"type": types, **{key: value for key, value in schema.items() if key != "anyOf"}}


# --- Unions of classes that a `type` tells apart: with `anyOf`, an editor could only say that nothing fits.


def _name_unions(schema: Any, definitions: Schema, unions: Schema) -> None:
    """Replace such unions, wherever they are, by references to definitions that look at the type first."""
    if isinstance(schema, list):
        for item in schema:
            _name_unions(item, definitions, unions)
    if not isinstance(schema, dict):
        return
    members = _tagged(schema.get("anyOf", ()), definitions)
    if members:
        name = "NodeSpec" if "llm" in members else "Checkpointer"
        unions[name] = _by_type(name, members, definitions)
        others = [member for member in schema["anyOf"] if member.get("$ref") not in members.values()]
        del schema["anyOf"]
        schema |= {"anyOf": [{"$ref": f"#/$defs/{name}"}, *others]} if others else {"$ref": f"#/$defs/{name}"}
    for value in schema.values():
        _name_unions(value, definitions, unions)


def _tagged(members: Any, definitions: Schema) -> dict[str, str]:
    """The references of a union whose classes have a `type` of one value, by that value."""
    found: dict[str, str] = {}
    for member in members:
        reference = member.get("$ref", "")
        kind = definitions.get(reference.rpartition("/")[2], {}).get("properties", {}).get("type", {})
        if len(kind.get("enum", ())) == 1:
            found[kind["enum"][0]] = reference
    return found if len(found) > 1 else {}


def _by_type(name: str, members: dict[str, str], definitions: Schema) -> Schema:
    first = definitions[next(iter(members.values())).rpartition("/")[2]]
    what = first["properties"]["type"]["description"]
    return {
        "title": _title(name),
        "type": "object",
        "properties": {"type": {"type": "string", "enum": list(members), "description": what}},
        "required": ["type"],
        "allOf": [
            {"if": {"properties": {"type": {"const": kind}}, "required": ["type"]}, "then": {"$ref": reference}}
            for kind, reference in members.items()
        ],
    }
