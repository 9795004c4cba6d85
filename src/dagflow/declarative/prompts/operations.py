"""What templates do with values of JSON: look into them, compare them, count with them."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from dagflow.core.structure import nearest
from dagflow.declarative.prompts.rendering import MAX_INTEGER, Refused, Rendering, Undefined, describe

__all__ = ["COMPARISONS", "compute", "contains", "equal", "item", "iterate", "key", "negate", "number", "part"]

Comparison = Callable[[Rendering, Any, Any], bool]


def key(rendering: Rendering, value: Any, name: str, shown: str) -> Any:
    """Look up a key of an object; `shown` is how the template writes it."""
    if type(value) is not dict:
        return Undefined(f"{shown} is not defined: it would be a key of {describe(value)}")
    if name in value:
        return value[name]
    return Undefined(f"{shown} is not defined{nearest(name, islice(value, 100))}")


def item(rendering: Rendering, value: Any, index: Any, shown: str) -> Any:
    """Look up an item of a list, a character of a text, or a key of an object."""
    if type(index) is str:
        return key(rendering, value, index, shown)
    if type(index) is not int or type(value) not in (list, str):
        raise Refused(f"{shown}: {describe(value)} has no item that is named by {describe(index)}")
    if -len(value) <= index < len(value):
        return value[index]
    return Undefined(f"{shown} is not defined: there are {len(value)} items")


def part(rendering: Rendering, value: Any, bounds: tuple[Any, Any, Any], shown: str) -> Any:
    """Take a part of a list or a text, as `value[start:stop:step]`."""
    if type(value) not in (list, str):
        raise Refused(f"{shown}: {describe(value)} has no parts; a list or a text has")
    if any(type(bound) not in (int, type(None)) for bound in bounds) or bounds[2] == 0:
        raise Refused(f"{shown}: the bounds of a part are whole numbers, and its step is not 0")
    found = value[slice(*bounds)]
    rendering.spend(len(found) // 16)
    return found


def iterate(rendering: Rendering, value: Any) -> list[Any]:
    """The items that a loop goes through: those of a list, or the keys of an object."""
    if type(value) not in (list, dict):
        raise Refused(f"a loop goes through a list, or the keys of an object, not {describe(value)}")
    rendering.spend(len(value))
    return list(value)


def number(value: Any, what: str) -> int | float:
    """Make sure that a value is a number; a boolean is none."""
    if type(value) not in (int, float):
        raise Refused(f"{what} takes numbers, not {describe(value)}")
    return value  # type: ignore[no-any-return]  # tested on the line before


def bounded(value: int | float) -> int | float:
    """Refuse numbers that grow without end."""
    if abs(value) > MAX_INTEGER if type(value) is int else not math.isfinite(value):
        raise Refused("a number becomes too large")
    return value


_COMPUTE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


def compute(rendering: Rendering, sign: str, left: Any, right: Any) -> Any:
    """Compute with two numbers, or put two texts together with `+`."""
    if sign == "+" and type(left) is type(right) is str:
        rendering.fit(len(left) + len(right))
        return left + right
    # Before it is done, too: multiplying is quick only where the numbers are small.
    left, right = bounded(number(left, f"`{sign}`")), bounded(number(right, f"`{sign}`"))
    try:
        return bounded(_COMPUTE[sign](left, right))
    except ZeroDivisionError as error:
        raise Refused(f"`{sign}` divides by zero") from error
    except OverflowError as error:
        raise Refused("a number becomes too large") from error


def negate(rendering: Rendering, value: Any) -> int | float:
    """Change the sign of a number."""
    return -bounded(number(value, "`-`"))


def equal(rendering: Rendering, left: Any, right: Any) -> bool:
    """Tell whether two values are equal; true is not 1."""
    _pay_for_comparing(rendering, left)
    return _equal(left, right)


def _equal(left: Any, right: Any) -> bool:
    alike = type(left) is type(right) or {type(left), type(right)} == {int, float}
    return alike and bool(left == right)


def contains(rendering: Rendering, value: Any, container: Any) -> bool:
    """Tell whether a value is an item of a list, a key of an object, or a part of a text."""
    if type(container) is str:
        if type(value) is not str:
            raise Refused(f"`in` looks for a text in a text, not for {describe(value)}")
        rendering.spend(len(container) // 256)
        return value in container
    if type(container) is dict:
        return type(value) is str and value in container
    if type(container) is not list:
        raise Refused(f"`in` looks into a list, an object or a text, not into {describe(container)}")
    if type(value) in (list, dict):
        rendering.weigh(container)
    rendering.spend(len(container) * (1 + _length(value) // 4096))
    return any(_equal(value, other) for other in container)


def _less(rendering: Rendering, left: Any, right: Any) -> bool:
    if type(left) is type(right) is str:
        _pay_for_comparing(rendering, left)
        return left < right
    return number(left, "`<` or `>`") < number(right, "`<` or `>`")


def _pay_for_comparing(rendering: Rendering, value: Any) -> None:
    rendering.weigh(value) if type(value) in (list, dict) else rendering.spend(_length(value) // 4096)


def _length(value: Any) -> int:
    return len(value) if type(value) is str else 0


COMPARISONS: Final[dict[str, Comparison]] = {
    "eq": equal,
    "ne": lambda rendering, left, right: not equal(rendering, left, right),
    "lt": _less,
    "gt": lambda rendering, left, right: _less(rendering, right, left),
    "lteq": lambda rendering, left, right: not _less(rendering, right, left),
    "gteq": lambda rendering, left, right: not _less(rendering, left, right),
    "in": contains,
    "notin": lambda rendering, value, container: not contains(rendering, value, container),
}
"""By their names in Jinja2's syntax tree."""
