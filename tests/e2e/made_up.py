"""Values that fit a schema, and mean nothing; without imports, because a program of the tests starts with it."""

from __future__ import annotations

TYPE_CHECKING = False  # what a type checker takes for true; to import `typing` takes longer than all the rest
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Schema = Mapping[str, Any]

__all__ = ["made_up_value"]


def made_up_value(schema: Schema, root: Schema | None = None) -> Any:
    """Make the simplest value that fits a schema, as far as the schemas of the tests go."""
    root = schema if root is None else root
    if "$ref" in schema:
        return made_up_value(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return made_up_value(schema["anyOf"][0], root)
    if schema["type"] == "object":
        return {name: made_up_value(part, root) for name, part in schema.get("properties", {}).items()}
    if schema["type"] == "array":
        return [made_up_value(schema["items"], root)]
    values: dict[str, Any] = {"string": "x", "integer": 1, "number": 1.5, "boolean": True, "null": None}
    return values[schema["type"]]
