"""What JSON has itself: `None`, booleans, numbers and text, and the few of them that JSON does not have."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dagflow.core.codec.faults import Unreadable, Unwritable
from dagflow.core.encodable import is_encodable
from dagflow.core.scalars import describe_json

if TYPE_CHECKING:
    from dagflow.core.codec.scope import Level

__all__ = [
    "BULK",
    "read_bool",
    "read_float",
    "read_int",
    "read_none",
    "read_str",
    "read_text",
    "write_bool",
    "write_float",
    "write_int",
    "write_none",
    "write_str",
    "write_text",
]

_LARGEST_BITS = 2048  # Python refuses to parse more than 640 to 4,300 digits, as it is set
_LARGE = 1 << _LARGEST_BITS


def write_none(value: Any, at: Level) -> Any:
    """Nothing else is `None`."""
    if value is not None:
        raise Unwritable(type(value), "None is declared; declare the type that it really has")


def read_none(data: Any, at: Level) -> Any:
    """See `write_none`."""
    if data is not None:
        raise Unreadable(f"expected null, got {describe_json(data)}")


def write_bool(value: Any, at: Level) -> Any:
    """Itself."""
    return value if type(value) is bool else at.scope.write_subclass(value, bool, at)


def read_bool(data: Any, at: Level) -> Any:
    """Itself."""
    return data if type(data) is bool else at.scope.read_subclass(data, bool, at, "a boolean")


def write_int(value: Any, at: Level) -> Any:
    """Itself, a bool too; a very large one in hexadecimal, for which Python has no limit."""
    if type(value) is int:
        return value if -_LARGE < value < _LARGE else {"$int": hex(value)}
    # To type checkers a bool is an int, and JSON tells them apart.
    return value if type(value) is bool else at.scope.write_subclass(value, int, at)


def read_int(data: Any, at: Level) -> Any:
    """See `write_int`."""
    if type(data) is int or type(data) is bool:
        return data
    if type(data) is dict and data.keys() == {"$int"}:
        return _large_int(data["$int"])
    return at.scope.read_subclass(data, int, at, "an integer")


def _large_int(text: Any) -> int:
    try:
        value = int(text, 16) if type(text) is str else 0
    except ValueError:
        value = 0
    if -_LARGE < value < _LARGE or hex(value) != text:
        raise Unreadable(f"expected a large integer in hexadecimal, got {describe_json(text)}")
    return value


def write_float(value: Any, at: Level) -> Any:
    """Itself, an int too; what is not finite by its name."""
    if type(value) is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    # To type checkers an int is a float, and Python's JSON tells them apart.
    return write_int(value, at) if type(value) is int else at.scope.write_subclass(value, float, at)


def read_float(data: Any, at: Level) -> Any:
    """See `write_float`."""
    if type(data) is float and math.isfinite(data):
        return data
    if type(data) is int:
        return data
    if type(data) is dict and data.keys() == {"$float"} and data["$float"] in ("nan", "inf", "-inf"):
        return float(data["$float"])
    if type(data) is dict and data.keys() == {"$int"}:
        return _large_int(data["$int"])
    return at.scope.read_subclass(data, float, at, "a finite number")


def write_str(value: Any, at: Level) -> Any:
    """Itself; see `write_text`."""
    return write_text(value) if type(value) is str else at.scope.write_subclass(value, str, at)


def write_text(text: str) -> Any:
    """Write text that may hold lone surrogates, which UTF-8 does not have."""
    if is_encodable(text):
        return text
    return {"$str": base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()}


def read_str(data: Any, at: Level) -> Any:
    """See `write_text`."""
    if type(data) is str:
        return data
    if type(data) is dict and data.keys() == {"$str"}:
        return read_text(data)
    return at.scope.read_subclass(data, str, at, "a string")


def read_text(data: Any) -> str:
    """Read what has surrogates."""
    text = data["$str"]
    try:
        found = base64.b64decode(text, validate=True).decode("utf-8", "surrogatepass") if type(text) is str else ""
    except ValueError:
        found = ""
    if not found or write_text(found) != data:
        raise Unreadable(f"expected text with surrogates in base64, got {describe_json(text)}")
    return found


def _all_texts(values: list[Any]) -> bool:
    return set(map(type, values)) == {str} and is_encodable("".join(values))


def _all_ints(values: list[Any]) -> bool:
    return set(map(type, values)) == {int} and min(values) > -_LARGE and max(values) < _LARGE


def _all_floats(values: list[Any]) -> bool:
    return set(map(type, values)) == {float} and all(map(math.isfinite, values))


def _all_bools(values: list[Any]) -> bool:
    return set(map(type, values)) == {bool}


BULK: dict[Any, Callable[[Any], bool]] = {str: _all_texts, int: _all_ints, float: _all_floats, bool: _all_bools}
"""Tests of all the items of a list at once, whether they are their own data; `False` where one has to look."""
