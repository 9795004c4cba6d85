"""Finding the one JSON value in the text that a language model answered."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final, NoReturn

from dagflow.core.strict_json import members, refuse_constant
from dagflow.errors import InvalidField

__all__ = ["MAX_DEPTH", "InvalidAnswer", "parse_json"]

MAX_DEPTH: Final = 100
"""How deep an answer may be nested: far deeper than people's types, well within the recursion limit."""

_EXCERPT = 60
_MOST_PIECES = 1000  # bounds the time that a hostile answer can take
_WHOLE_FENCE = re.compile(r"\s*```[a-zA-Z0-9]*[ \t]*\n(.*)\n[ \t]*```\s*", re.DOTALL)
# A fence begins on a line of its own, which a JSON string cannot hold: text inside of a string never matches.
_JSON_FENCE = re.compile(r"^[ \t]*```json5?c?[ \t]*\n", re.MULTILINE | re.IGNORECASE)
_BRACKET = re.compile(r"[\[\]{}]")
_PLAIN_BRACKETS = re.compile(r"\{[^\[\]{}\"]*\}|\[[^\[\]{}\"]*\]")
_CUT_TOKEN = re.compile(r"t|tr|tru|f|fa|fal|fals|n|nu|nul|-|[.eE][-+]?\d*|[-+]\d*|\\?u[0-9a-fA-F]{0,4}")


class InvalidAnswer(Exception):  # it is an answer that is invalid, and never leaves the library
    """Raised for an answer that is no valid value; `invalid` has the path and problem of everything wrong."""

    def __init__(self, invalid: Iterable[InvalidField]) -> None:
        self.invalid: tuple[InvalidField, ...] = tuple(invalid)
        super().__init__("; ".join(map(str, self.invalid[:20])))


def parse_json(text: str) -> Any:
    """Read the one JSON value of an answer: the whole text, a fenced block, or a value with prose around it.

    Raises `InvalidAnswer` where there is none, where it is cut off or malformed, and where there are several
    that differ. Also refused are duplicate keys, NaN and infinities, lone surrogates, and values nested more
    than `MAX_DEPTH` deep. Never takes a part of a malformed value for the whole.
    """
    text = text.removeprefix("\ufeff").strip()
    if not text:
        _refuse("the answer is empty; expected one JSON value")
    _refuse_surrogates(text)
    values = _values(text)
    value = values[0]
    if any(_canonical(other) != _canonical(value) for other in values[1:]):
        _refuse(f"{len(values)} different JSON values in the answer; expected exactly one")
    _check_strings(value, text)
    return value


def _values(text: str) -> list[Any]:
    """Every JSON value in the text; at least one."""
    fence = _WHOLE_FENCE.fullmatch(text)
    try:
        return [_decode_whole(fence[1].strip() if fence else text)]
    except json.JSONDecodeError as error:
        whole_error = error
    marked = [match.end() for match in islice(_JSON_FENCE.finditer(text), _MOST_PIECES)]
    if marked:
        return [_decode_at(text, start)[0] for start in marked]
    found = _values_in_prose(text)
    if not found:
        _refuse_whole(text, whole_error)
    return found


def _values_in_prose(text: str) -> list[Any]:
    found: list[Any] = []
    position = 0
    for _ in range(_MOST_PIECES):
        bracket = _BRACKET.search(text, position)
        if bracket is None:
            return found
        start = bracket.start()
        if text[start] in "]}":
            _refuse(f"malformed JSON: {text[start]!r} at position {start} closes nothing")
        # Brackets that hold neither strings nor brackets may be part of the prose. Any others are JSON, and where
        # that is malformed its inner values must not pass for the answer.
        plain = _PLAIN_BRACKETS.match(text, start)
        if plain is not None and not _is_json(plain[0]):
            position = plain.end()
            continue
        value, position = _decode_at(text, start)
        found.append(value)
    return _refuse(f"more than {_MOST_PIECES} pieces in brackets in the answer; expected exactly one JSON value")


def _is_json(text: str) -> bool:
    """Tell whether a text is JSON by its syntax, be it refused on other grounds, such as NaN."""
    try:
        json.loads(text)
    except ValueError as error:
        return not isinstance(error, json.JSONDecodeError)
    return True


def _decode_whole(text: str) -> Any:
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError:
        _refuse(_TOO_DEEP)
    except json.JSONDecodeError:
        raise
    except ValueError as error:
        _refuse(_of_python(error))
    if end != len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return _check_depth(value, _opening_brackets(text, 0, end))


def _decode_at(text: str, start: int) -> tuple[Any, int]:
    """Read the value that starts at a position; the position after it comes with it."""
    while start < len(text) and text[start].isspace():
        start += 1
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        _refuse(_TOO_DEEP)
    except json.JSONDecodeError as error:
        _refuse(_explain(text, error))
    except ValueError as error:
        _refuse(_of_python(error))
    return _check_depth(value, _opening_brackets(text, start, end)), end


def _of_python(error: ValueError) -> str:
    """What else the parser refuses: only integers with thousands of digits."""
    return f"a number is too long: {str(error).partition(';')[0]}"


_TOO_DEEP = f"the answer is nested more than {MAX_DEPTH} levels deep"


def _check_depth(value: Any, brackets: int) -> Any:
    if brackets <= MAX_DEPTH:
        return value
    level = [value]
    for _ in range(MAX_DEPTH):
        children = (item.values() if isinstance(item, dict) else item for item in level)
        level = [child for group in children for child in group if isinstance(child, (dict, list))]
        if not level:
            return value
    return _refuse(_TOO_DEEP)


def _opening_brackets(text: str, start: int, end: int) -> int:
    return text.count("[", start, end) + text.count("{", start, end)


def _refuse_whole(text: str, error: json.JSONDecodeError) -> NoReturn:
    """Say why a text without any JSON object or array is no answer."""
    if text[0] in '{["-0123456789' or text.startswith(("true", "false", "null")):
        _refuse(_explain(text, error))
    if _cut(text, error):
        _refuse(_explain(text, error))
    excerpt = text[:_EXCERPT] + ("..." if len(text) > _EXCERPT else "")
    _refuse(f"no JSON value in the answer, which begins with {excerpt!r}")


def _explain(text: str, error: json.JSONDecodeError) -> str:
    place = f"line {error.lineno} column {error.colno} (position {error.pos})"
    if "Unterminated string" in error.msg:
        return f"the answer is cut off: the string that begins at {place} does not end"
    if _cut(text, error):
        return f"the answer is cut off at its end, position {len(text)}; expected the JSON value to be complete"
    near = text[error.pos : error.pos + 20]
    return f"malformed JSON at {place}: {error.msg}, near {near!r}"


def _cut(text: str, error: json.JSONDecodeError) -> bool:
    rest = text[error.pos :].rstrip()
    if rest.endswith("```"):
        rest = rest.removesuffix("```").rstrip()
    return not rest or (len(rest) < 8 and _CUT_TOKEN.fullmatch(rest) is not None)


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        _refuse(f"the answer has a lone surrogate, {text[error.start]!r}, at position {error.start}")


def _check_strings(value: Any, text: str) -> None:
    """Refuse an escaped lone surrogate: no encoder, file or database would take the string later."""
    if re.search(r"\\u[dD][89a-fA-F]", text) is None:
        return
    try:
        _canonical(value).encode()
    except UnicodeEncodeError as error:
        _refuse(f"a string of the answer holds a lone surrogate, {error.object[error.start]!r}")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    try:
        return members(pairs)
    except ValueError as error:
        _refuse(str(error))


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _refuse(f"the number {text[:_EXCERPT]} is too large for a float")
    return number


def _constant(name: str) -> NoReturn:
    try:
        refuse_constant(name)
    except ValueError as error:
        _refuse(str(error))


def _refuse(problem: str) -> NoReturn:
    raise InvalidAnswer([InvalidField("$", problem)])


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant)
