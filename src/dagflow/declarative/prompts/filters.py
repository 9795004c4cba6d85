"""The filters and tests that templates have: a few of Jinja2's, over values of JSON and within bounds.

Where Jinja2 writes a value as Python would, these write it as `values.as_text` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from dagflow.declarative.prompts.operations import bounded, key, number
from dagflow.declarative.prompts.rendering import Refused, Rendering, Undefined, describe
from dagflow.declarative.prompts.text import MAX_CHARACTERS
from dagflow.declarative.prompts.values import too_long

__all__ = ["FILTERS", "TESTS"]

MAX_INDENT: Final = 8
MAX_DIGITS: Final = 100


def _default(rendering: Rendering, value: Any, other: Any = "", boolean: bool = False) -> Any:
    return other if type(value) is Undefined or (boolean and not value) else value


def _first(rendering: Rendering, value: Any) -> Any:
    found = _sequence(value, "first")
    return found[0] if found else Undefined("there is no first item: nothing is in it")


def _last(rendering: Rendering, value: Any) -> Any:
    found = _sequence(value, "last")
    return found[-1] if found else Undefined("there is no last item: nothing is in it")


def _float(rendering: Rendering, value: Any, default: Any = 0.0) -> Any:
    try:
        return bounded(float(_short(value)))
    except (TypeError, ValueError, OverflowError, Refused):
        return default


def _int(rendering: Rendering, value: Any, default: Any = 0) -> Any:
    try:
        return bounded(int(_short(value)))
    except (TypeError, ValueError, OverflowError, Refused):
        found = _float(rendering, value, None)
        return default if found is None else int(found)


def _short(value: Any) -> Any:
    """Reading a number takes a time that grows with the square of its digits."""
    if type(value) is str and len(value) > MAX_DIGITS:
        raise ValueError(value)
    return value


def _items(rendering: Rendering, value: Any) -> list[list[Any]]:
    if type(value) is not dict:
        raise Refused(f"`items` takes an object, not {describe(value)}")
    rendering.spend(len(value))
    return [[name, item] for name, item in value.items()]


def _join(rendering: Rendering, value: Any, separator: Any = "", attribute: Any = None) -> str:
    found = [rendering.text_of(item) for item in _of_all(rendering, value, "join", attribute)]
    words = _text(separator, "join")
    rendering.fit(sum(map(len, found)) + len(words) * max(len(found) - 1, 0))
    return words.join(found)


def _length(rendering: Rendering, value: Any) -> int:
    if type(value) not in (str, list, dict):
        raise Refused(f"`length` takes a list, an object or a text, not {describe(value)}")
    return len(value)


def _lower(rendering: Rendering, value: Any) -> str:
    rendering.fit(len(_text(value, "lower")))
    return str(value.lower())


def _upper(rendering: Rendering, value: Any) -> str:
    rendering.fit(len(_text(value, "upper")))
    return str(value.upper())


def _trim(rendering: Rendering, value: Any) -> str:
    rendering.fit(len(_text(value, "trim")))
    return str(value.strip())


def _replace(rendering: Rendering, value: Any, old: Any, new: Any) -> str:
    text, part, other = _text(value, "replace"), _text(old, "replace"), _text(new, "replace")
    rendering.fit(len(text))
    rendering.fit(len(text) + text.count(part) * max(len(other) - len(part), 0))
    return text.replace(part, other)


def _round(rendering: Rendering, value: Any, precision: Any = 0) -> Any:
    if type(precision) is not int or not 0 <= precision <= 20:
        raise Refused("`round` takes the number of digits behind the point, from 0 to 20")
    return bounded(round(bounded(number(value, "`round`")), precision))


def _sort(
    rendering: Rendering, value: Any, reverse: Any = False, case_sensitive: Any = False, attribute: Any = None
) -> list[Any]:
    items = _list(value, "sort")
    words = [_comparable(word, case_sensitive, "sort") for word in _of_all(rendering, value, "sort", attribute)]
    if len({type(word) is str for word in words}) > 1:
        raise Refused("`sort` takes texts or numbers, not both at once")
    rendering.spend((sum(len(word) for word in words if type(word) is str) // 256 + len(words)) * 2)
    order = sorted(range(len(words)), key=words.__getitem__, reverse=bool(reverse))
    return [items[place] for place in order]


def _unique(rendering: Rendering, value: Any, case_sensitive: Any = False) -> list[Any]:
    items = _list(value, "unique")
    rendering.spend(sum(len(item) for item in items if type(item) is str) // 256 + len(items))
    found: dict[Any, Any] = {}
    for item in items:
        found.setdefault(_comparable(item, case_sensitive, "unique"), item)
    return list(found.values())


def _tojson(rendering: Rendering, value: Any, indent: Any = None) -> str:
    if indent is not None and (type(indent) is not int or not 0 <= indent <= MAX_INDENT):
        raise Refused(f"`tojson` takes an indent from 0 to {MAX_INDENT}")
    if type(value) is str:
        rendering.fit(len(value))
    pieces = []
    size = 0
    # Piece by piece: behind an indent, what stands deep in a value takes more spaces than it is long itself.
    for piece in _json_pieces(value, indent):
        size += len(piece)
        rendering.spend(1)
        if size > MAX_CHARACTERS:
            break
        pieces.append(piece)
    rendering.fit(size)
    return "".join(pieces)


def _json_pieces(value: Any, indent: int | None) -> Iterator[str]:
    try:
        if indent is None:
            yield json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        else:
            yield from json.JSONEncoder(ensure_ascii=False, indent=indent).iterencode(value)
    except ValueError as error:
        raise Refused(too_long(error)) from error


def _of_all(rendering: Rendering, value: Any, name: str, attribute: Any) -> list[Any]:
    items = _list(value, name)
    rendering.spend(len(items))
    if attribute is None:
        return items
    if type(attribute) is not str:
        raise Refused(f"`{name}` takes the name of a key as its attribute, not {describe(attribute)}")
    found = [key(rendering, item, attribute, f"{attribute!r} of an item") for item in items]
    missing = next((item for item in found if type(item) is Undefined), None)
    if missing is not None:
        raise Refused(missing.problem)
    return found


def _comparable(value: Any, case_sensitive: Any, name: str) -> Any:
    if type(value) is str:
        return value if case_sensitive else value.lower()
    return number(value, f"`{name}`")


def _list(value: Any, name: str) -> list[Any]:
    if type(value) is not list:
        raise Refused(f"`{name}` takes a list, not {describe(value)}")
    return value


def _sequence(value: Any, name: str) -> Any:
    if type(value) not in (list, str):
        raise Refused(f"`{name}` takes a list or a text, not {describe(value)}")
    return value


def _text(value: Any, name: str) -> str:
    if type(value) is not str:
        raise Refused(f"`{name}` takes a text, not {describe(value)}")
    return value


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "default": _default,
    "first": _first,
    "float": _float,
    "int": _int,
    "items": _items,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _lower,
    "replace": _replace,
    "round": _round,
    "sort": _sort,
    "tojson": _tojson,
    "trim": _trim,
    "unique": _unique,
    "upper": _upper,
}
"""Each takes the rendering, the value, and the arguments in the template."""

TESTS: Final[dict[str, Callable[[Any], bool]]] = {
    "boolean": lambda value: type(value) is bool,
    "defined": lambda value: type(value) is not Undefined,
    "false": lambda value: value is False,
    "float": lambda value: type(value) is float,
    "integer": lambda value: type(value) is int,
    "mapping": lambda value: type(value) is dict,
    "none": lambda value: value is None,
    "number": lambda value: type(value) in (int, float),
    "sequence": lambda value: type(value) is list,
    "string": lambda value: type(value) is str,
    "true": lambda value: value is True,
    "undefined": lambda value: type(value) is Undefined,
}
"""What may stand behind `is`."""
