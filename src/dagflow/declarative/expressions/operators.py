"""The operators: strict about types, with results of bounded size.

A boolean is no number. `+` adds numbers and joins strings or arrays, the others compute with numbers. `<` and its like
compare numbers with numbers and strings with strings. `==` compares anything: values of different kinds differ.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from dagflow.declarative.expressions.faults import Place
from dagflow.declarative.expressions.kinds import ARRAYS, NUMBERS, a_kind, fields_of, settle
from dagflow.declarative.expressions.limits import MAX_INTEGER, MAX_INTEGER_BITS, MAX_ITEMS, MAX_PARTS, MAX_TEXT

__all__ = ["BINARY", "Operator", "bounded_array", "bounded_number", "bounded_text", "equal", "negative", "ordering"]

Operator = Callable[[Any, Any, Place], Any]
"""Computes from two values; the place is that of the operator, for what is wrong with them."""

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def bounded_number(number: Any, place: Place) -> Any:
    """Give a number, or refuse one that is too large or is not finite."""
    if -MAX_INTEGER < number < MAX_INTEGER:  # neither an infinity nor a NaN is between them
        return number
    if isinstance(number, int):
        raise place.error(f"the result is too large: an integer may have {MAX_INTEGER_BITS} bits")
    raise place.error(f"the result is no finite number but {number}")


def bounded_text(text: str, place: Place) -> str:
    """Give a string, or refuse one that is too long."""
    if len(text) > MAX_TEXT:
        raise place.error(f"the result is too long: a string may have {MAX_TEXT} characters")
    return text


def bounded_array(length: int, place: Place) -> None:
    """Refuse to make an array with so many items where they are too many."""
    if length > MAX_ITEMS:
        raise place.error(f"the result is too long: an array may have {MAX_ITEMS} items")


def _arithmetic(symbol: str, compute: Callable[[Any, Any], Any]) -> Operator:
    def operate(left: Any, right: Any, place: Place) -> Any:
        if left.__class__ not in NUMBERS or right.__class__ not in NUMBERS:
            left, right = _two_numbers(symbol, left, right, place)
        try:
            result = compute(left, right)
        except ZeroDivisionError:
            raise place.error(f"`{symbol}` divides by zero") from None
        except OverflowError:
            raise place.error(f"the result of `{symbol}` is too large") from None
        if -MAX_INTEGER < result < MAX_INTEGER:
            return result
        return bounded_number(result, place)

    return operate


def _two_numbers(symbol: str, left: Any, right: Any, place: Place) -> tuple[Any, Any]:
    plain = settle(left), settle(right)
    if plain[0].__class__ in NUMBERS and plain[1].__class__ in NUMBERS:
        return plain
    raise place.error(f"`{symbol}` takes two numbers, not {a_kind(left)} and {a_kind(right)}")


def _bounded(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Refuse integers that are too large before computing what takes more time than they are long."""

    def compute_bounded(left: Any, right: Any) -> Any:
        if -MAX_INTEGER < left < MAX_INTEGER and -MAX_INTEGER < right < MAX_INTEGER:
            return compute(left, right)
        raise OverflowError

    return compute_bounded


_plus: Final = _arithmetic("+", operator.add)


def _add(left: Any, right: Any, place: Place) -> Any:
    if left.__class__ in NUMBERS and right.__class__ in NUMBERS:
        return _plus(left, right, place)
    left_plain, right_plain = settle(left), settle(right)
    if left_plain.__class__ is str and right_plain.__class__ is str:
        if len(left_plain) + len(right_plain) > MAX_TEXT:
            raise place.error(f"the result of `+` is too long: a string may have {MAX_TEXT} characters")
        return left_plain + right_plain
    if isinstance(left, ARRAYS) and isinstance(right, ARRAYS):
        bounded_array(len(left) + len(right), place)
        return [*left, *right]
    if left_plain.__class__ in NUMBERS and right_plain.__class__ in NUMBERS:
        return _plus(left_plain, right_plain, place)
    raise place.error(
        f"`+` takes two numbers, two strings or two arrays, not {a_kind(left)} and {a_kind(right)}"
        + ("; str(...) makes a string" if str in (left_plain.__class__, right_plain.__class__) else "")
    )


def negative(value: Any, place: Place) -> Any:
    """Compute `-value`."""
    plain: Any = settle(value)
    if plain.__class__ not in NUMBERS:
        raise place.error(f"`-` takes a number, not {a_kind(value)}")
    return bounded_number(-plain, place)


def ordering(symbol: str, compute: Callable[[Any, Any], bool]) -> Operator:
    """Make a comparison of two numbers or two strings."""

    def operate(left: Any, right: Any, place: Place) -> bool:
        if left.__class__ in NUMBERS:
            if right.__class__ in NUMBERS:
                return compute(left, right)
        elif left.__class__ is str and right.__class__ is str:
            return compute(left, right)
        plain = settle(left), settle(right)
        kinds = {value.__class__ for value in plain}
        if kinds <= NUMBERS or kinds == {str}:
            return compute(*plain)
        raise place.error(f"`{symbol}` compares two numbers or two strings, not {a_kind(left)} and {a_kind(right)}")

    return operate


def equal(left: Any, right: Any, place: Place) -> bool:
    """Compute `left == right`: by value, arrays by their items, objects by their keys; true is not 1."""
    if left.__class__ is right.__class__ and left.__class__ in _SCALARS:
        return bool(left == right)
    return _same(left, right, _Parts(place))


def _not_equal(left: Any, right: Any, place: Place) -> bool:
    return not equal(left, right, place)


class _Parts:
    """Counts the parts of values that a comparison looks at: a small array may stand in itself a thousand times."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.left = MAX_PARTS

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise self.place.error(f"the values are too large to compare: they have more than {MAX_PARTS} parts")


def _same(left: Any, right: Any, parts: _Parts) -> bool:
    pending = [(left, right)]
    while pending:
        one, other = pending.pop()
        kind = one.__class__
        if one is other:
            continue
        if kind is other.__class__ and kind in _SCALARS:
            if one != other:
                return False
        elif isinstance(one, ARRAYS) and isinstance(other, ARRAYS):
            if len(one) != len(other):
                return False
            parts.take(len(one))
            pending.extend(zip(one, other, strict=True))
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            if one.keys() != other.keys():
                return False
            parts.take(len(one))
            pending.extend((one[key], other[key]) for key in one)
        elif not _same_scalar(settle(one), settle(other)):
            return False
    return True


def _same_scalar(left: Any, right: Any) -> bool:
    return (left.__class__ is bool) is (right.__class__ is bool) and bool(left == right)


def _contains(item: Any, container: Any, place: Place) -> bool:
    plain = settle(container)
    if plain.__class__ is str:
        if settle(item).__class__ is not str:
            raise place.error(f"`in` looks for a string in a string, not for {a_kind(item)}")
        return settle(item) in plain
    if isinstance(container, (*ARRAYS, AbstractSet)):
        parts = _Parts(place)
        parts.take(len(container))
        return any(_same(item, other, parts) for other in container)
    keys = container if isinstance(container, Mapping) else fields_of(container.__class__)
    if isinstance(container, Mapping) or keys:
        key = settle(item)
        if key.__class__ is not str and key.__class__ is not int:
            raise place.error(f"`in` looks for a string or an integer in an object, not for {a_kind(item)}")
        return key in keys
    raise place.error(f"`in` looks into a string, an array or an object, not into {a_kind(container)}")


def _not_contains(item: Any, container: Any, place: Place) -> bool:
    return not _contains(item, container, place)


BINARY: Final[Mapping[str, Operator]] = {
    "+": _add,
    "-": _arithmetic("-", operator.sub),
    "*": _arithmetic("*", _bounded(operator.mul)),
    "/": _arithmetic("/", operator.truediv),
    "//": _arithmetic("//", _bounded(operator.floordiv)),
    "%": _arithmetic("%", _bounded(operator.mod)),
    "<": ordering("<", operator.lt),
    "<=": ordering("<=", operator.le),
    ">": ordering(">", operator.gt),
    ">=": ordering(">=", operator.ge),
    "==": equal,
    "!=": _not_equal,
    "in": _contains,
    "not in": _not_contains,
}
"""Every binary operator by its symbol."""
