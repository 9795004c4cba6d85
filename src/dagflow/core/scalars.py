"""Scalars in JSON: how each type that is one JSON value is read, strictly, and written."""

from __future__ import annotations

import base64
import datetime
import decimal
import math
import pathlib
import re
import types
import uuid
from collections.abc import Callable
from typing import Any

__all__ = ["JSON_NAMES", "READERS", "Mismatch", "describe_json", "write_scalar"]

_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)
JSON_NAMES: dict[type, str] = {
    dict: "object",
    list: "array",
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    types.NoneType: "null",
}


class Mismatch(ValueError):
    """Raised by a reader for a value that does not fit; its text says what was expected and what was got."""


def describe_json(value: Any) -> str:
    """Name the JSON type of a value, with the value itself where it is short."""
    name = JSON_NAMES.get(type(value), type(value).__name__)
    if value is None or isinstance(value, (dict, list)):
        return name
    text = repr(value)
    return f"{name} {text}" if len(text) <= 40 else f"{name} {text[:37]}..."


def _expect(kind: type, word: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise Mismatch(f"expected {word}, got {describe_json(value)}")
        return value

    return read


def _number(value: Any) -> float:
    if type(value) not in (int, float):
        raise Mismatch(f"expected number, got {describe_json(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise Mismatch(f"expected a finite number, got {describe_json(value)}")
    return number


def _from_text(parse: Callable[[str], Any], word: str) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if type(value) is not str:
            raise Mismatch(f"expected {word} as a string, got {describe_json(value)}")
        try:
            return parse(value)
        except (ValueError, ArithmeticError) as error:
            raise Mismatch(f"expected {word}, got {describe_json(value)}") from error

    return read


def _duration(text: str) -> datetime.timedelta:
    found = _DURATION.fullmatch(text)
    if found is None or text.endswith(("P", "T")):
        raise ValueError(text)
    parts = {key: float(value) for key, value in found.groupdict().items() if value and key != "sign"}
    length = datetime.timedelta(**parts)
    return -length if found["sign"] else length


def _write_duration(value: datetime.timedelta) -> str:
    sign, value = ("-", -value) if value < datetime.timedelta() else ("", value)
    seconds = f"{value.seconds}.{value.microseconds:06}".rstrip("0").rstrip(".")
    return f"{sign}P{value.days}DT{seconds}S"


def _decimal(text: str) -> decimal.Decimal:
    number = decimal.Decimal(text)
    if not number.is_finite():
        raise ValueError(text)
    return number


def _with_marks(parse: Callable[[str], Any], *marks: str) -> Callable[[str], Any]:
    """Refuse the compact forms of ISO 8601, in which a number passes for a date, and a date for a moment."""

    def parse_marked(text: str) -> Any:
        if any(mark not in text for mark in marks):
            raise ValueError(text)
        return parse(text)

    return parse_marked


READERS: dict[Any, Callable[[Any], Any]] = {
    str: _expect(str, "string"),
    int: _expect(int, "integer"),
    bool: _expect(bool, "boolean"),
    types.NoneType: _expect(types.NoneType, "null"),
    float: _number,
    datetime.datetime: _from_text(
        _with_marks(datetime.datetime.fromisoformat, "-", ":"), "a date and time (ISO 8601, 2030-12-31T23:59:59)"
    ),
    datetime.date: _from_text(_with_marks(datetime.date.fromisoformat, "-"), "a date (ISO 8601, 2030-12-31)"),
    datetime.time: _from_text(_with_marks(datetime.time.fromisoformat, ":"), "a time (ISO 8601, 23:59:59)"),
    datetime.timedelta: _from_text(_duration, "a duration (ISO 8601, such as PT90S)"),
    uuid.UUID: _from_text(uuid.UUID, "a UUID"),
    decimal.Decimal: _from_text(_decimal, "a decimal number"),
    pathlib.Path: _from_text(pathlib.Path, "a path"),
    pathlib.PurePath: _from_text(pathlib.PurePath, "a path"),
    bytes: _from_text(lambda text: base64.b64decode(text, validate=True), "bytes in base64"),
}
"""How each scalar type is read; nothing is coerced, but an integer may stand for a number."""


def write_scalar(value: Any) -> Any:
    """Write a scalar as JSON; raises `TypeError` for any other value, and for NaN and infinities."""
    if isinstance(value, float) and not math.isfinite(value):
        raise TypeError(f"{value} has no form in JSON; use a finite number or None")
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _write_duration(value)
    if isinstance(value, (uuid.UUID, decimal.Decimal, pathlib.PurePath)):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"a {type(value).__name__} has no form in JSON")
