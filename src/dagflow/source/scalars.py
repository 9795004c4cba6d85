"""What a text without quotes stands for: the core schema of YAML 1.2.2, section 10.3.

So `yes`, `no`, `on` and `off` are texts, and so are dates, `1_000` and `12:30:00`. `0o17` is octal, and `017` is 17.
"""

from __future__ import annotations

import math
import re
from typing import Any, Final

__all__ = ["CONSTANTS", "FIRST_OF_NUMBER", "Unwanted", "excerpt", "read_plain"]

CONSTANTS: Final[dict[str, Any]] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}

FIRST_OF_NUMBER: Final = frozenset("+-.0123456789")

_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

_EXCERPT = 40


class Unwanted(ValueError):
    """Raised for a number that is refused; its text says why."""


def read_plain(text: str, max_digits: int) -> Any:
    """Read a text without quotes; raises `Unwanted` for a number that JSON does not have, or that is too long."""
    if text in CONSTANTS:
        return CONSTANTS[text]
    if text[0] not in FIRST_OF_NUMBER:
        return text
    if len(text) < max_digits and text.isdecimal() and text.isascii():  # most numbers, at half the time
        return _integer(text, 10)
    integer = _INTEGER.fullmatch(text) is not None
    based = not integer and _BASED.fullmatch(text) is not None
    if not integer and not based and _FLOAT.fullmatch(text) is None:
        if _NOT_FINITE.fullmatch(text) is not None:
            raise Unwanted(f"{text} is no JSON value; use a finite number or null, or put the text in quotes")
        return text
    if len(text) > max_digits:
        raise Unwanted(
            f"the number {excerpt(text)} has more than {max_digits} digits, the limit set by max_digits; "
            f"a text of digits must be in quotes"
        )
    if integer:
        return _integer(text, 10)
    return _integer(text[2:], 8 if text[1] == "o" else 16) if based else _float(text)


def _integer(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError as error:  # a limit of Python's, where `max_digits` was raised above it
        raise Unwanted(f"the number {excerpt(text)} has more digits than Python reads") from error


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise Unwanted(f"the number {excerpt(text)} is too large; the largest is about 1.8e308")
    return number


def excerpt(text: str) -> str:
    """Quote the beginning of a text for a message."""
    return repr(text) if len(text) <= _EXCERPT else f"{text[:_EXCERPT]!r}..."
