"""JSON Schema from types: closed, with definitions for nested classes, and the constraints of their fields."""

from __future__ import annotations

import copy
import datetime
import re
import uuid
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.constraints import constraints
from dagflow.core.shapes import (
    SCALARS,
    ObjectField,
    UnsupportedType,
    alias_value,
    enum_form,
    kind_of,
    object_fields,
    peel,
)
from dagflow.core.unions import (
    ByKey,
    discriminator,
    json_type,
    json_types,
    literal_form,
    union_members,
    union_objects,
)
from dagflow.core.unstructure import unstructure

__all__ = ["cached_schema", "json_schema"]

Schema = dict[str, Any]

FORMATS: dict[Any, str] = {
    datetime.datetime: "date-time",
    datetime.date: "date",
    datetime.time: "time",
    datetime.timedelta: "duration",
    uuid.UUID: "uuid",
}


def json_schema(hint: Any, *, only: Sequence[str] | None = None) -> Schema:
    """Describe a type as JSON Schema (draft 2020-12).

    Objects are closed, nested classes stand in `$defs`, and descriptions, defaults and the constraints of
    attrs validators are carried over. Of a node type only the plain fields appear; `only` names the fields of
    the outermost class that are wanted. The result is the caller's to change.

    Raises `UnsupportedType`, which names the path, for a type that has no form in JSON.
    """
    names = None if only is None else tuple(only)
    try:
        return copy.deepcopy(_cached(hint, names))
    except TypeError:  # a hint that cannot be hashed
        return _build(hint, names)


def cached_schema(hint: Any) -> Schema:
    """Give what `json_schema` does, shared by all who ask, and not to be changed."""
    try:
        return _cached(hint, None)
    except TypeError:  # a hint that cannot be hashed
        return _build(hint, None)


@hints.cached_by_hint(512)
def _cached(hint: Any, only: tuple[str, ...] | None) -> Schema:
    return _build(hint, only)


def _build(hint: Any, only: tuple[str, ...] | None) -> Schema:
    writer = _Writer()
    hint = peel(hint)
    path = hints.show(hint)
    is_object = kind_of(hint) == "object"
    schema = writer.object(hint, path, only) if is_object else writer.write(hint, path)
    if writer.definitions:
        schema["$defs"] = dict(sorted(writer.definitions.items()))
    return schema


class _Writer:
    """Writes one schema; `definitions` collects the classes in it by name."""

    def __init__(self) -> None:
        self.definitions: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}

    def write(self, hint: Any, path: str) -> Schema:
        hint = peel(hint)
        kind = kind_of(hint)
        if kind is None:
            raise UnsupportedType(path, hint)
        return getattr(self, f"_{kind}")(hint, path)  # type: ignore[no-any-return]  # one method for each kind

    def object(
        self, hint: Any, path: str, only: tuple[str, ...] | None = None, tag: tuple[str, str] | None = None
    ) -> Schema:
        """Write a class in place; `tag` is a key, and its value, that tells it from others in a union."""
        cls = get_origin(hint) or hint
        properties: Schema = {}
        required: list[str] = []
        if tag is not None:
            properties[tag[0]] = {"type": "string", "const": tag[1]}
            required.append(tag[0])
        for field in object_fields(hint):
            if only is not None and field.name not in only:
                continue
            properties[field.key] = self._property(field, f"{path}.{field.name}")
            if field.required:
                required.append(field.key)
        return {
            "type": "object",
            "title": cls.__name__,
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }

    def _property(self, field: ObjectField, path: str) -> Schema:
        schema = dict(self.write(field.hint, path))
        notes = [field.description] if field.description else []
        if field.attribute is not None and field.attribute.validator is not None:
            found = constraints(field.attribute.validator, json_types(field.hint))
            if "enum" in found.keywords:
                schema = _one_of(found.keywords.pop("enum"))
            schema = _constrained(schema, found.keywords)
            notes += found.notes
        if notes:
            schema["description"] = "; ".join(notes)
        default = _json_default(field)
        if default is not attrs.NOTHING:
            schema["default"] = default
        return schema

    def _any(self, hint: Any, path: str) -> Schema:
        return {}

    def _scalar(self, hint: Any, path: str) -> Schema:
        schema: Schema = {"type": SCALARS[hint]}
        if hint in FORMATS:
            schema["format"] = FORMATS[hint]
        if hint is bytes:
            schema["contentEncoding"] = "base64"
        return schema

    def _enum(self, hint: Any, path: str) -> Schema:
        return _one_of([enum_form(member) for member in hint]) | {"title": hint.__name__}

    def _literal(self, hint: Any, path: str) -> Schema:
        return _one_of([literal_form(value) for value in get_args(hint)])

    def _object(self, hint: Any, path: str) -> Schema:
        return self._reference(hint, hints.show(hint), lambda: self.object(hint, path))

    def _alias(self, hint: Any, path: str) -> Schema:
        return self._reference(hint, hints.show(hint), lambda: self.write(alias_value(hint), path))

    def _reference(self, key: Any, base: str, write: Callable[[], Schema]) -> Schema:
        """Point to a definition, which is written when it is first asked for: types may contain themselves."""
        if key not in self._names:
            base = re.sub(r"\W+", "_", base).strip("_")
            name, number = base, 2
            while name in self.definitions:
                name, number = f"{base}_{number}", number + 1
            self._names[key] = name
            self.definitions[name] = {}
            self.definitions[name] = write()
        return {"$ref": f"#/$defs/{self._names[key]}"}

    def _union(self, hint: Any, path: str) -> Schema:
        objects = union_objects(hint)
        tagged = discriminator(objects) if len(objects) > 1 else None
        tags: dict[Any, tuple[str, str]] = {}
        if isinstance(tagged, ByKey) and tagged.added:
            tags = {member: (tagged.key, name) for name, member in tagged.members.items()}
        written: list[Schema] = []
        for member in union_members(hint):
            bare = peel(member)
            if bare in tags:
                key, tag = tags[bare]
                written.append(self._tagged(bare, path, key, tag))
            else:
                written.append(self.write(bare, path))
        return {"anyOf": written}

    def _tagged(self, hint: Any, path: str, key: str, tag: str) -> Schema:
        return self._reference((hint, key, tag), f"{tag}_by_{key}", lambda: self.object(hint, path, tag=(key, tag)))

    def _array(self, hint: Any, path: str) -> Schema:
        arguments = get_args(hint)
        return {"type": "array", "items": self.write(arguments[0], f"{path}[]")} if arguments else {"type": "array"}

    def _set(self, hint: Any, path: str) -> Schema:
        return self._array(hint, path) | {"uniqueItems": True}

    def _tuple(self, hint: Any, path: str) -> Schema:
        arguments = get_args(hint)
        if not arguments:
            return {"type": "array"}
        if arguments[-1] is ...:
            return {"type": "array", "items": self.write(arguments[0], f"{path}[]")}
        if arguments == ((),):
            arguments = ()
        items = [self.write(argument, f"{path}[{index}]") for index, argument in enumerate(arguments)]
        return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}

    def _mapping(self, hint: Any, path: str) -> Schema:
        arguments = get_args(hint)
        if not arguments:
            return {"type": "object"}
        key, value = arguments
        if kind_of(peel(key)) == "any":
            key = str
        if json_types(key) != {"string"}:
            raise UnsupportedType(path, hint, "the keys of a JSON object are strings")
        schema: Schema = {"type": "object", "additionalProperties": self.write(value, f"{path}{{}}")}
        if kind_of(peel(key)) in ("literal", "enum"):
            schema["propertyNames"] = self.write(key, path)
        return schema


def _one_of(forms: list[Any]) -> Schema:
    words = sorted({json_type(form) for form in forms})
    return {"type": words[0] if len(words) == 1 else words, "enum": forms}


def _json_default(field: ObjectField) -> Any:
    if field.default is attrs.NOTHING:
        return attrs.NOTHING
    try:
        return unstructure(field.default, field.hint)
    except (TypeError, UnsupportedType):
        return attrs.NOTHING


def _constrained(schema: Schema, keywords: Schema) -> Schema:
    """Put constraints to the members of a union: beside `anyOf`, no strict dialect takes them."""
    if "anyOf" not in schema:
        return schema | keywords
    members = [part if part.get("type") == "null" else part | keywords for part in schema["anyOf"]]
    return schema | {"anyOf": members}
