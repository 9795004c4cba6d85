"""Values as JSON for people and machines to look at: what cannot be written is named by its type."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, cast

import attrs

from dagflow.core.markers import UNSET
from dagflow.core.scalars import write_scalar
from dagflow.core.shapes import enum_form
from dagflow.events import Event

__all__ = ["event_json", "to_json"]


def event_json(event: Event) -> dict[str, Any]:
    """Write an event as a JSON object, its type under `event`."""
    return {"event": type(event).__name__, **to_json(event)}


def to_json(value: object) -> Any:
    """Write a value as JSON. Never fails: what has no form in JSON becomes the name of its type, in `<>`.

    So do the values of attrs fields with `repr=False`, which is how secrets are kept out of logs.
    """
    if isinstance(value, enum.Enum):
        return enum_form(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    try:
        return write_scalar(value)
    except TypeError:
        return _container(value)


def _container(value: object) -> Any:
    if isinstance(value, Mapping):
        return {_key(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((to_json(item) for item in value), key=repr)
    if attrs.has(type(value)):
        return _fields(value, [(field.name, bool(field.repr)) for field in attrs.fields(cast("Any", type(value)))])
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _fields(value, [(field.name, field.repr) for field in dataclasses.fields(value)])
    return _type_name(value)


def _fields(value: object, names: list[tuple[str, bool]]) -> dict[str, Any]:
    found = {name: (getattr(value, name, UNSET), shown) for name, shown in names}
    return {
        name: to_json(item) if shown else _type_name(item) for name, (item, shown) in found.items() if item is not UNSET
    }


def _key(key: object) -> str:
    plain = to_json(key)
    return plain if isinstance(plain, str) else str(plain)


def _type_name(value: object) -> str:
    kind = value if isinstance(value, type) else type(value)
    return f"<{kind.__qualname__}>" if kind.__module__ == "builtins" else f"<{kind.__module__}.{kind.__qualname__}>"
