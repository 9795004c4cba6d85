"""How values become text, wherever a file puts one into a text."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from dagflow.core.unstructure import unstructure

__all__ = ["as_text", "json_text", "plain", "too_long"]

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def as_text(value: Any) -> str:
    """Write a value as text: a text is itself, anything else is its compact JSON.

    So `True` is `true`, `None` is `null`, a list `["a","b"]`, an instance of an attrs class the object of its
    fields. What JSON writes as a string, such as a date, a path or a member of an enum, comes without quotes.

    Raises `ValueError` for a value that has no form in JSON.
    """
    return value if type(value) is str else json_text(plain(value))


def plain(value: Any) -> Any:
    """Make a copy of a value of nothing but JSON: dicts, lists, texts, numbers, booleans and `None`.

    Raises `ValueError` for a value that has no form in JSON.
    """
    try:
        return _exact(unstructure(value))
    except TypeError as error:
        raise ValueError(str(error)) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply, or holds itself") from error


def _exact(data: Any) -> Any:
    """Take subclasses of texts and numbers for what they are: these may have methods of their own."""
    kind = type(data)
    if kind is dict:
        return {_exact(key): _exact(item) for key, item in data.items()}
    if kind is list:
        return [_exact(item) for item in data]
    if kind in _AS_THEY_ARE:
        return data
    return next(write(data) for base, write in _WITHOUT_SUBCLASS if isinstance(data, base))


_AS_THEY_ARE = (str, int, float, bool, type(None))
_WITHOUT_SUBCLASS: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
)


def json_text(data: Any) -> str:
    """Write what `plain` gave as text; raises `ValueError` for a number of thousands of digits."""
    if type(data) is str:
        return data
    try:
        return _ENCODER.encode(data)
    except ValueError as error:
        raise ValueError(too_long(error)) from error


def too_long(error: ValueError) -> str:
    """Say why a value of nothing but JSON could not be written: only an integer may be too long."""
    return f"a number is too long: {str(error).partition(';')[0]}"
