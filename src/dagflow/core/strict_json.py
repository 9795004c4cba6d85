"""JSON as its standard has it, and no key twice: what people and programs write into files, options and outputs."""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["read_json"]


def read_json(text: str) -> Any:
    """Read a JSON text.

    Raises `json.JSONDecodeError` with the place where its syntax is broken, and `ValueError` for a key that is there
    twice in an object, for NaN and infinities, and for what is nested too deeply to be read.
    """
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} is there twice in an object; give every key once")
        seen.add(key)
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value; use a finite number or null")
