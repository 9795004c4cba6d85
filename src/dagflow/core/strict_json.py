"""JSON as its standard has it, and no key twice: what people and programs write into files, options and outputs."""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["members", "read_json", "refuse_constant"]


def read_json(text: str) -> Any:
    """Read a JSON text.

    Raises `json.JSONDecodeError` with the place where its syntax is broken, and `ValueError` for a key that is there
    twice in an object, for NaN and infinities, and for what is nested too deeply to be read.
    """
    try:
        return json.loads(text, object_pairs_hook=members, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Give the members of an object, for a decoder; raises `ValueError` for a key that is there twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            raise ValueError(f"the key {key!r} is there twice in an object; give every key once")
        seen.add(key)
    return found


def refuse_constant(name: str) -> NoReturn:
    """Raise `ValueError` for NaN or an infinity, for a decoder."""
    raise ValueError(f"{name} is no JSON value; use a finite number or null")
