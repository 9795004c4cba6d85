"""The functions of the expression language, in one table: all of them pure, with results of bounded size."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

import attrs

from dagflow.core.scalars import describe_json
from dagflow.declarative.expressions.faults import Place
from dagflow.declarative.expressions.kinds import ARRAYS, NUMBERS, a_kind, fields_of, settle
from dagflow.declarative.expressions.limits import MAX_INTEGER_BITS, MAX_ITEMS, MAX_TEXT
from dagflow.declarative.expressions.operators import bounded_array, bounded_number, bounded_text, ordering
from dagflow.declarative.expressions.text import check_size, to_text

__all__ = ["FUNCTIONS", "PATH_FUNCTIONS", "Function"]

PATH_FUNCTIONS: Final = frozenset({"default", "exists"})
"""Those whose first argument is a path, which they read themselves; the compiler knows how."""

_INTEGER: Final = re.compile(r"[ \t\r\n]*([-+]?[0-9]+)[ \t\r\n]*")
_NUMBER: Final = re.compile(r"[ \t\r\n]*([-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)[ \t\r\n]*")
_MOST_DIGITS = 300


@attrs.frozen
class Function:
    """A function: its name, its arguments (`?` may be left out, `...` may be repeated), and what it gives."""

    name: str
    arguments: tuple[str, ...]
    gives: str
    call: Callable[..., Any] | None = attrs.field(default=None, repr=False)

    @property
    def signature(self) -> str:
        """How it is called, such as `split(text, separator?)`."""
        return f"{self.name}({', '.join(self.arguments)})"

    def refuses(self, count: int) -> str:
        """What is wrong with a number of arguments, or nothing."""
        least = sum(not argument.endswith("?") for argument in self.arguments)
        most = len(self.arguments)
        if count >= least and (count <= most or self.arguments[-1].endswith("...")):
            return ""
        return f"`{self.signature}` does not take {count} argument{'' if count == 1 else 's'}"


def _string(value: Any, name: str, place: Place) -> str:
    plain = settle(value)
    if plain.__class__ is not str:
        raise place.error(f"`{name}` takes a string, not {a_kind(value)}")
    return plain


def _number(value: Any, name: str, place: Place) -> Any:
    plain = settle(value)
    if plain.__class__ not in NUMBERS:
        raise place.error(f"`{name}` takes a number, not {a_kind(value)}")
    return plain


def _array(value: Any, name: str, place: Place) -> Any:
    if not isinstance(value, ARRAYS):
        raise place.error(f"`{name}` takes an array, not {a_kind(value)}")
    return value


def _len(place: Place, value: Any) -> int:
    if isinstance(value, (str, Mapping, AbstractSet, *ARRAYS)):
        return len(value)
    raise place.error(f"`len` takes a string, an array or an object, not {a_kind(value)}")


def _str(place: Place, value: Any) -> str:
    return to_text(value, place, MAX_TEXT)


def _int(place: Place, value: Any) -> int:
    plain = settle(value)
    if plain.__class__ in NUMBERS:
        return int(bounded_number(plain, place))
    if plain.__class__ is not str:
        raise place.error(f"`int` takes a number or a string, not {a_kind(value)}")
    found = _INTEGER.fullmatch(plain)
    if found is None:
        raise place.error(f"`int` takes an integer as text, not {describe_json(plain)}")
    if len(found[1]) > MAX_INTEGER_BITS // 3:  # Python reads no more than 4300 digits
        raise place.error(f"the result is too large: an integer may have {MAX_INTEGER_BITS} bits")
    return int(bounded_number(int(found[1]), place))


def _float(place: Place, value: Any) -> float:
    plain = settle(value)
    if plain.__class__ is str:
        found = _NUMBER.fullmatch(plain)
        if found is None:
            raise place.error(f"`float` takes a number as text, not {describe_json(plain)}")
        plain = found[1]
    elif plain.__class__ not in NUMBERS:
        raise place.error(f"`float` takes a number or a string, not {a_kind(value)}")
    try:
        return float(bounded_number(float(plain), place))
    except OverflowError:
        raise place.error("the result of `float` is too large") from None


def _round(place: Place, value: Any, digits: Any = None) -> Any:
    number = bounded_number(_number(value, "round", place), place)
    if digits is None:
        return round(number)
    places = settle(digits)
    if places.__class__ is not int or not -_MOST_DIGITS <= places <= _MOST_DIGITS:
        raise place.error(f"`round` takes an integer from -{_MOST_DIGITS} to {_MOST_DIGITS} as its digits")
    try:
        return bounded_number(round(number, places), place)
    except OverflowError:
        raise place.error("the result of `round` is too large") from None


def _abs(place: Place, value: Any) -> Any:
    return bounded_number(abs(_number(value, "abs", place)), place)


def _extreme(name: str, compare: Callable[[Any, Any], bool]) -> Callable[..., Any]:
    is_better = ordering(name, compare)

    def call(place: Place, *values: Any) -> Any:
        items = _array(values[0], name, place) if len(values) == 1 else values
        if not items:
            raise place.error(f"`{name}` takes an array with items; this one is empty")
        best, *others = items
        if not others:
            is_better(best, best, place)  # one item of a wrong kind is refused as two are
        for other in others:
            if is_better(other, best, place):
                best = other
        return best

    return call


def _sum(place: Place, values: Any) -> Any:
    total: Any = 0
    try:
        for value in _array(values, "sum", place):
            plain = settle(value)
            if plain.__class__ not in NUMBERS:
                raise place.error(f"`sum` adds numbers, not {a_kind(value)}")
            total += plain
    except OverflowError:
        raise place.error("the result of `sum` is too large") from None
    return bounded_number(total, place)


def _lower(place: Place, text: Any) -> str:
    return bounded_text(_short_string(text, "lower", place).lower(), place)


def _upper(place: Place, text: Any) -> str:
    return bounded_text(_short_string(text, "upper", place).upper(), place)


def _short_string(value: Any, name: str, place: Place) -> str:
    return bounded_text(_string(value, name, place), place)


def _strip(place: Place, text: Any) -> str:
    return bounded_text(_string(text, "strip", place).strip(), place)


def _split(place: Place, text: Any, separator: Any = None) -> list[str]:
    string = _short_string(text, "split", place)
    mark = None if separator is None else _string(separator, "split", place)
    if mark == "":
        raise place.error("`split` takes a separator that is not empty")
    parts = string.split(mark, MAX_ITEMS)
    bounded_array(len(parts), place)
    return parts


def _join(place: Place, values: Any, separator: Any = "") -> str:
    mark = _string(separator, "join", place)
    texts: list[str] = []
    left = MAX_TEXT
    check_size(_array(values, "join", place), place, MAX_TEXT)
    for value in values:
        text = to_text(value, place, MAX_TEXT)
        texts.append(text)
        left -= len(text) + len(mark)
        if left + len(mark) < 0:
            raise place.error(f"the result is too long: a string may have {MAX_TEXT} characters")
    return mark.join(texts)


def _startswith(place: Place, text: Any, start: Any) -> bool:
    return _string(text, "startswith", place).startswith(_string(start, "startswith", place))


def _endswith(place: Place, text: Any, end: Any) -> bool:
    return _string(text, "endswith", place).endswith(_string(end, "endswith", place))


def _keys(place: Place, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        bounded_array(len(value), place)
        return list(value)
    return list(_attributes(value, "keys", place).values())


def _values(place: Place, value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        bounded_array(len(value), place)
        return list(value.values())
    return [getattr(value, attribute) for attribute in _attributes(value, "values", place)]


def _attributes(value: Any, name: str, place: Place) -> Mapping[str, str]:
    """The attributes of an object, each with its first name: that which it has in JSON."""
    found: dict[str, str] = {}
    for key, attribute in fields_of(value.__class__).items():
        found.setdefault(attribute, key)
    if not found:
        raise place.error(f"`{name}` takes an object, not {a_kind(value)}")
    return found


_ALL = (
    Function("len", ("value",), "How many characters a string has, items an array, or keys an object.", _len),
    Function("str", ("value",), "The value as it is put into text: a string as it is, else JSON.", _str),
    Function("int", ("value",), "The number without its fraction, or the integer that a string holds.", _int),
    Function("float", ("value",), "The number as one with a fraction, or the number that a string holds.", _float),
    Function(
        "round", ("number", "digits?"), "The nearest integer, or number with so many digits; a half to even.", _round
    ),
    Function("abs", ("number",), "The number without its sign.", _abs),
    Function(
        "min",
        ("values...",),
        "The least of several numbers or strings, or of the items of one array.",
        _extreme("min", operator.lt),
    ),
    Function(
        "max",
        ("values...",),
        "The greatest of several numbers or strings, or of the items of one array.",
        _extreme("max", operator.gt),
    ),
    Function("sum", ("numbers",), "The sum of an array of numbers; 0 for an empty one.", _sum),
    Function("lower", ("text",), "The string in lower case.", _lower),
    Function("upper", ("text",), "The string in upper case.", _upper),
    Function("strip", ("text",), "The string without white space at its ends.", _strip),
    Function(
        "split",
        ("text", "separator?"),
        "An array of the parts between separators, or between runs of white space.",
        _split,
    ),
    Function(
        "join", ("values", "separator?"), "The items of an array as one string, the separator between them.", _join
    ),
    Function("startswith", ("text", "start"), "Whether the string starts so.", _startswith),
    Function("endswith", ("text", "end"), "Whether the string ends so.", _endswith),
    Function("keys", ("object",), "An array of the keys of an object.", _keys),
    Function("values", ("object",), "An array of the values of an object.", _values),
    Function(
        "default", ("path", "value"), "The value at the path; the other value where the path is missing or holds null."
    ),
    Function("exists", ("path",), "Whether there is a value at the path, other than null."),
)

FUNCTIONS: Final[Mapping[str, Function]] = {function.name: function for function in _ALL}
"""Every function by its name, in the order of the reference."""
