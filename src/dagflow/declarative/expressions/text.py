"""How values are written into text: a string as it is, anything else as compact JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from typing import Any, Final

from dagflow.core.unstructure import unstructure
from dagflow.declarative.expressions.faults import Place
from dagflow.declarative.expressions.kinds import a_kind, fields_of
from dagflow.declarative.expressions.limits import MAX_INTEGER, MAX_PARTS

__all__ = ["check_size", "to_text"]

_WORDS: Final = {True: "true", False: "false", None: "null"}
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def to_text(value: Any, place: Place, limit: int) -> str:
    """Write a value: `true`, `null`, `0.5`, `{"score":0.5}`, a date in ISO 8601, and a string without quotes.

    Raises `ExpressionError` for a value that has no form in JSON, and for one whose text has more than about `limit`
    characters, before it is made; a string is given as it is.
    """
    kind = value.__class__
    if kind is str:
        return value  # type: ignore[no-any-return]  # it is a string
    if kind is bool or value is None:
        return _WORDS[value]
    if kind is int and -MAX_INTEGER < value < MAX_INTEGER:
        return str(value)
    if kind is float and math.isfinite(value):
        return repr(value)
    check_size(value, place, limit)
    try:
        data = unstructure(value)
        return data if isinstance(data, str) else _ENCODER.encode(data)
    except (TypeError, ValueError) as error:
        raise place.error(f"{a_kind(value)} cannot be written into text: {error}") from error
    except RecursionError:
        raise place.error(f"{a_kind(value)} cannot be written into text: it is nested too deep") from None


def check_size(value: Any, place: Place, limit: int) -> None:
    """Refuse a value of very many parts: a small array may stand in itself a thousand times."""
    left, parts = limit, MAX_PARTS
    pending = [value]
    while pending:
        part = pending.pop()
        kind = part.__class__
        if kind is str:
            left -= len(part)
        elif kind is not float and kind is not bool and part is not None:
            inner, size = _parts(part)
            left -= size
            parts -= len(inner)
            if parts >= 0:
                pending.extend(inner)
        if left < 0 or parts < 0:
            raise place.error(
                f"{a_kind(value)} is too long to be written into text: {limit} characters, of {MAX_PARTS} values, are "
                "allowed"
            )


def _parts(value: Any) -> tuple[Collection[Any], int]:
    """The parts of a value, and how many characters it takes, or more, without them."""
    if isinstance(value, int):
        return (), value.bit_length() // 4 + 1
    if isinstance(value, (list, tuple, set, frozenset)):
        return value, len(value)
    if isinstance(value, Mapping):
        return value.values(), sum(len(key) + 1 for key in value if isinstance(key, str))
    if isinstance(value, (str, bytes)):
        return (), len(value)
    names = set(fields_of(value.__class__).values())
    return [getattr(value, name, None) for name in names], len(names)
