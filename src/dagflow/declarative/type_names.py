"""Types as files write them: `str`, `list[int]`, `'yes' | 'no'`, `text | null`, `module:Class`."""

from __future__ import annotations

import datetime
import decimal
import functools
import operator
import re
import uuid
from collections.abc import Callable, Iterable
from types import NoneType
from typing import Any, Final, Literal, NoReturn, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.shapes import kind_of, peel
from dagflow.core.structure import nearest
from dagflow.core.unions import json_types

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "InvalidType", "parse_type"]

MAX_LENGTH: Final = 2000
"""How many characters the text of a type may have."""

MAX_DEPTH: Final = 10
"""How deep brackets may be nested."""

_PLAIN: Final[dict[str, Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
    "any": Any,
    "null": None,
    "date": datetime.date,
    "datetime": datetime.datetime,
    "time": datetime.time,
    "duration": datetime.timedelta,
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
    "true": Literal[True],
    "false": Literal[False],
}
_ALIASES: Final = {
    "string": "str",
    "text": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "none": "null",
    "timedelta": "duration",
    "dict": "object",
    "array": "list",
}
"""What people write as well, from JSON Schema and from Python. The case of a word does not matter."""

_CONTAINERS: Final = ("list", "set", "tuple", "object", "optional", "literal")
_KNOWN: Final = sorted({*_PLAIN, *_ALIASES, *_CONTAINERS})

_TOKEN: Final = re.compile(
    r"""\s*+(?:
      (?P<text> '(?:[^'\\]|\\.)*+' | "(?:[^"\\]|\\.)*+" )
    | (?P<reference> [\w./-]++ : \w[\w.]*+ )
    | (?P<word> [^\W\d]\w*+ )
    | (?P<number> -?\d++ (?![\w.]) )
    | (?P<sign> \.\.\. | [][|,] )
    | (?P<end> \Z )
    )""",
    re.VERBOSE,
)
_STRAY: Final = {
    "'": "the text does not end",
    '"': "the text does not end",
    "?": "`?` is no type; write `| null` for what may be missing",
}
_ESCAPE: Final = re.compile(r"\\(.)")
_ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", "'": "'", '"': '"'}
_MAX_DIGITS: Final = 18


class InvalidType(ValueError):
    """Raised for a text that is no type; `position` counts characters from 0, and `problem` says what is wrong."""

    def __init__(self, text: str, position: int, problem: str) -> None:
        self.text = text
        self.position = position
        self.problem = problem
        shown = text if len(text) <= 60 else f"{text[:57]}..."
        super().__init__(f"the type {shown!r}, at character {position + 1}: {problem}")


def parse_type(text: str, *, find_class: Callable[[str], Any] | None = None, object_type: Any = dict[str, Any]) -> Any:
    """Read the text of a type as a Python hint.

    There are `str`, `int`, `float`, `bool`, `any`, `null`, `date`, `datetime`, `time`, `duration`, `decimal`, `uuid`,
    `object`, `list`, `set` and `tuple`; `list[T]`, `set[T]`, `tuple[A, B]`, `tuple[T, ...]`, `dict[K, V]`,
    `optional[T]`, `A | B`; and values themselves, as `'a' | 'b'`, `1 | 2` or `true`. `string`, `text`, `integer`,
    `number`, `boolean`, `array`, `dict` and `none` are other words for the same. A class is `module:Class`, which
    `find_class` gets whole; it raises `ValueError` for what it does not find. `object_type` is what `object` (or
    `dict`) without brackets stands for. `core.hints.show` writes a hint as text again.

    Raises `InvalidType` for anything else, naming the place and the nearest name.
    """
    return _Reader(text, find_class, object_type).whole()


@attrs.frozen
class _Token:
    kind: str
    text: str
    position: int


class _Reader:
    """Reads the text of one type, from left to right."""

    def __init__(self, text: str, find_class: Callable[[str], Any] | None, object_type: Any) -> None:
        self._text = text
        self._find_class = find_class
        self._object_type = object_type
        self._depth = 0
        if len(text) > MAX_LENGTH:
            raise InvalidType(text, MAX_LENGTH, f"it is longer than {MAX_LENGTH} characters")
        self._next = self._scan(0)

    def whole(self) -> Any:
        if self._next.kind == "end":
            raise InvalidType(self._text, 0, "it is empty; write a type, such as str")
        found = self._union()
        if self._next.kind != "end":
            self._refuse(self._next, f"expected `|` or the end, got {self._next.text!r}")
        return found

    def _scan(self, position: int) -> _Token:
        match = _TOKEN.match(self._text, position)
        if match is None:
            position += len(self._text[position:]) - len(self._text[position:].lstrip())
            near = self._text[position : position + 10]
            raise InvalidType(self._text, position, _STRAY.get(near[0], f"{near!r} is no type"))
        kind = str(match.lastgroup)
        return _Token(kind, match[kind], match.start(kind))

    def _take(self) -> _Token:
        token = self._next
        self._next = self._scan(token.position + len(token.text)) if token.kind != "end" else token
        return token

    def _takes(self, sign: str) -> bool:
        if self._next.kind != "sign" or self._next.text != sign:
            return False
        self._take()
        return True

    def _refuse(self, token: _Token, problem: str) -> NoReturn:
        raise InvalidType(self._text, token.position, problem)

    def _union(self) -> Any:
        members = [self._member()]
        while self._takes("|"):
            members.append(self._member())
        return join(members)

    def _member(self) -> Any:
        token = self._take()
        if token.kind == "text":
            return Literal[self._unquote(token)]
        if token.kind == "number":
            if len(token.text) > _MAX_DIGITS:
                self._refuse(token, "the number is too long")
            return Literal[int(token.text)]
        if token.kind == "reference":
            return self._class(token)
        if token.kind != "word":
            self._refuse(token, f"expected a type, got {token.text!r}" if token.text else "a type is missing")
        return self._word(token)

    def _word(self, token: _Token) -> Any:
        word = _ALIASES.get(token.text.lower(), token.text.lower())
        brackets = self._brackets(token) if self._takes("[") else None
        if word in _PLAIN:
            if brackets is not None:
                self._refuse(token, f"{token.text} takes nothing in brackets")
            return _PLAIN[word]
        if word not in _CONTAINERS:
            self._refuse(token, f"no type is called {token.text!r}{nearest(token.text, _KNOWN) or _INSTEAD}")
        if brackets is None:
            return self._bare(token, word)
        return self._container(token, word, brackets)

    def _bare(self, token: _Token, word: str) -> Any:
        if word in ("optional", "literal"):
            self._refuse(token, f"{token.text} takes something in brackets")
        return self._object_type if word == "object" else {"list": list, "set": set, "tuple": tuple}[word]

    def _brackets(self, opening: _Token) -> list[Any]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._refuse(opening, f"brackets are nested more than {MAX_DEPTH} deep")
        found = [self._argument()]
        while self._takes(","):
            found.append(self._argument())
        if not self._takes("]"):
            self._refuse(self._next, f"expected `,` or `]` for {opening.text}[")
        self._depth -= 1
        return found

    def _argument(self) -> Any:
        return ... if self._takes("...") else self._union()

    def _container(self, token: _Token, word: str, brackets: list[Any]) -> Any:
        ends_open = word == "tuple" and len(brackets) == 2 and brackets[1] is ...
        if any(one is ... for one in (brackets[:1] if ends_open else brackets)):
            self._refuse(token, "`...` stands only at the end of a tuple, as in tuple[str, ...]")
        wanted = {"list": 1, "set": 1, "object": 2, "optional": 1}.get(word, len(brackets))
        if len(brackets) != wanted:
            self._refuse(token, f"{token.text} takes {wanted} in brackets, not {len(brackets)}")
        if word == "optional":
            return join([brackets[0], None])
        if word == "literal":
            return self._values(token, brackets)
        if word == "object":
            return self._mapping(token, brackets[0], brackets[1])
        if word == "set" and any(kind_of(one) in _UNHASHABLE for one in hints.union_members(brackets[0])):
            self._refuse(token, f"a set cannot hold {hints.show(brackets[0])}; use a list")
        generic: Any = {"list": list, "set": set, "tuple": tuple}[word]
        return generic[tuple(brackets)]

    def _mapping(self, token: _Token, key: Any, value: Any) -> Any:
        if json_types(key) != {"string"}:
            self._refuse(token, f"the keys of an object are texts, not {hints.show(key)}; write dict[str, ...]")
        return dict[key, value]

    def _values(self, token: _Token, brackets: list[Any]) -> Any:
        if any(get_origin(one) is not Literal and one is not NoneType for one in _members(brackets)):
            self._refuse(token, "literal takes values, as in literal['a', 'b']")
        return join(brackets)

    def _class(self, token: _Token) -> Any:
        if self._find_class is None:
            self._refuse(token, "no class can be named here")
        try:
            found = self._find_class(token.text)
        except ValueError as error:
            raise InvalidType(self._text, token.position, str(error)) from error
        if not _is_type(found):
            self._refuse(token, f"{token.text} is no type that a file can use; name a class")
        return found

    def _unquote(self, token: _Token) -> str:
        def unescape(match: re.Match[str]) -> str:
            if match[1] not in _ESCAPED:
                self._refuse(token, f"the text has an unknown escape, {match[0]!r}; a backslash is written twice")
            return _ESCAPED[match[1]]

        return _ESCAPE.sub(unescape, token.text[1:-1])


_INSTEAD: Final = "; write str, int, float, bool, any, object, list[...], 'a' | 'b', or module:Class"
_UNHASHABLE: Final = ("array", "set", "mapping", "object")


def join(members: Iterable[Any]) -> Any:
    """Make one hint of several: values become one `Literal`, which stands where the first of them stood."""
    values: list[Any] = []
    others: list[Any] = []
    for member in _members(members):
        if get_origin(member) is not Literal:
            others.append(member)
            continue
        if not values:
            others.append(Literal)
        values.extend(get_args(member))
    found = [Literal[tuple(values)] if one is Literal else one for one in others]
    return found[0] if len(found) == 1 else functools.reduce(operator.or_, found)


def _members(given: Iterable[Any]) -> list[Any]:
    return [member for one in given for member in hints.union_members(one)]


def _is_type(found: Any) -> bool:
    try:
        return kind_of(peel(found)) is not None
    except TypeError:  # it cannot even be looked up
        return False
