"""Malformed YAML in words that a person understands.

The two parsers say the same things in words of their own, so what is told is read off the kind of error and off the
text around it. A mistake is often noticed behind its place: the place is mended too where it can be known.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import attrs

from dagflow.source.scalars import excerpt
from dagflow.source.text import Lines

__all__ = ["ALIAS", "BLOCK_TEXT", "CODE", "DIRECTIVE", "NO_KEY", "TAB", "TAG", "Malformed", "explain", "is_too_deep"]

TAB: Final = "a tab may stand only inside of quotes, block texts and comments; use spaces"
ALIAS: Final = "anchors (&) and aliases (*) are not allowed; write the value out, or put the text in quotes"
TAG: Final = "tags (!) are not allowed; leave the tag out, or put the text in quotes"
CODE: Final = (
    "there is no character of that code; \\x takes 2 hexadecimal digits, \\u 4, and \\U 8 for emoji and the like"
)
BLOCK_TEXT: Final = "a block text begins in the line below its | or >; put text that begins so in quotes"
NO_KEY: Final = "there is no key before the colon"
DIRECTIVE: Final = "the only directive that is allowed is %YAML 1.2; remove the line"

_NEAR = 20
_LONGEST_LINE = 200
_LONGEST_KEY = 1024  # to both parsers, in one line
_CLOSING = {"[": "]", "{": "}"}
_NO_SPACE = re.compile(r"[ \t-]*[^\s:#\"'\[{][^\s:]*:[^\s/]")


class Malformed(Exception):
    """Raised for what both parsers have to refuse alike, at an offset into the text."""

    def __init__(self, offset: int, problem: str) -> None:
        self.offset = offset
        self.problem = problem
        super().__init__(offset, problem)


@attrs.frozen
class _Error:
    """An error of a parser: `at` is the place where it was noticed, `opened` that of what was being read."""

    text: str
    lines: Lines
    at: int
    opened: int
    message: str

    @property
    def character(self) -> str:
        """The one that it was noticed at; empty at the end of the text."""
        return self.text[self.at : self.at + 1]

    @property
    def at_end(self) -> bool:
        """Whether nothing but white space follows."""
        return not self.text[self.at :].strip()

    @property
    def line_start(self) -> int:
        """Where the line begins that it was noticed in."""
        return self._line_start(self.at)

    @property
    def near(self) -> str:
        """What stands at the place, up to the end of its line, for a message."""
        return excerpt(re.split("[\r\n]", self.text[self.at : self.at + _NEAR], maxsplit=1)[0].strip())

    @property
    def before(self) -> str:
        """What stands before it in its line."""
        return self.text[self.line_start : self.at]

    @property
    def line_above(self) -> str:
        """The nearest line above that is not empty, as far as it is of interest."""
        above = self.text[: self.line_start].rstrip()
        return above[self._line_start(len(above)) :][:_LONGEST_LINE]

    def _line_start(self, offset: int) -> int:
        return max(self.text.rfind("\n", 0, offset), self.text.rfind("\r", 0, offset)) + 1


def is_too_deep(error: Any) -> bool:
    """Tell whether a parser gave up because lists or mappings are too deep inside of each other."""
    return "nesting" in (getattr(error, "problem", None) or "")


def explain(lines: Lines, text: str, error: Any) -> tuple[int, str]:
    """Say where and what is malformed, for a `YAMLError` of either parser."""
    problem = _offset(getattr(error, "problem_mark", None), 0)
    context = _offset(getattr(error, "context_mark", None), problem)
    message = f"{getattr(error, 'context', None) or ''}: {getattr(error, 'problem', None) or ''}"
    message = message.partition(", but ")[0]  # the parser in Python goes on with what it found
    found = _Error(text, lines, problem, context, message)
    if found.character == "\t":
        return problem, TAB
    for pattern, tell in _RULES:
        if re.search(pattern, message):
            return tell(found)
    return problem, f"malformed YAML near {found.near}"


def _offset(mark: Any, otherwise: int) -> int:
    return mark.index if mark is not None else otherwise


def _alias(error: _Error) -> tuple[int, str]:
    return error.opened, ALIAS


def _tag(error: _Error) -> tuple[int, str]:
    return error.opened, TAG


def _directive(error: _Error) -> tuple[int, str]:
    return error.line_start, DIRECTIVE


def _token(error: _Error) -> tuple[int, str]:
    if error.character in "|>":
        return error.at, f"a block text ({error.character}) may not stand inside of [] or {{}}; put the text in quotes"
    return error.at, f"text cannot begin with {error.character!r}; put it in quotes"


def _escape(error: _Error) -> tuple[int, str]:
    at = error.at if error.character == "\\" else error.at - 1
    told = f"{error.text[at : at + 2]!r}".replace("\\\\", "\\")
    return at, f"{told} is no escape; in double quotes a backslash is written \\\\, in single quotes it is itself"


def _code(error: _Error) -> tuple[int, str]:
    return error.at, CODE


def _quoted(error: _Error) -> tuple[int, str]:
    return error.opened, f"the quote {error.text[error.opened : error.opened + 1]} that opens here is never closed"


def _simple_key(error: _Error) -> tuple[int, str]:
    line = re.split("[\r\n]", error.text[error.opened : error.opened + _LONGEST_LINE], maxsplit=1)[0]
    if _NO_SPACE.match(line):
        return error.opened, f"there is no space after the colon in {excerpt(line)}; write `key: value`"
    return error.opened, f"expected `key: value`, got {excerpt(line)}"


def _values(error: _Error) -> tuple[int, str]:
    above = error.line_above
    if ": " in error.before:
        return error.at, "a second `: ` in one line; put text that holds it in quotes"
    if len(error.before.strip()) > _LONGEST_KEY:
        return error.at, f"a key has at most {_LONGEST_KEY} characters; put text that holds `: ` in quotes"
    if _NO_SPACE.match(above):
        return error.at, f"is a space missing after the colon in the line above, {excerpt(above.strip())}?"
    if not above or _indentation(error.before) > _indentation(above):
        return error.at, "a `key: value` cannot stand here, in the text of the line above; is it indented too deep?"
    return (
        error.at,
        f"a `key: value` cannot stand here; is a colon missing in the line above, {excerpt(above.strip())}?",
    )


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _entries(error: _Error) -> tuple[int, str]:
    if error.before.strip():
        return error.at, "a list begins on a line of its own; put text that begins with `- ` in quotes"
    return error.at, "a list item cannot stand here, in the text of the line above; is it indented too deep?"


def _keys(error: _Error) -> tuple[int, str]:
    return error.at, "text cannot begin with `? `; put it in quotes"


def _block(error: _Error) -> tuple[int, str]:
    before = error.before.strip()
    if before and before[-1] in "\"'":
        return error.at, "text goes on after its closing quote; put all of it in quotes, and a quote inside twice"
    if before and before[-1] in "]}":
        return error.at, f"text goes on after the {before[-1]}; put all of it in quotes"
    if error.character == ":":
        return error.at, NO_KEY
    if not before:
        return error.at, _misplaced(error)
    return error.at, f"{error.near} does not belong here; put the text in quotes"


def _misplaced(error: _Error) -> str:
    first = error.lines.mark(error.opened)
    kind = "list item" if "collection" in error.message else "key"
    if first.column != error.lines.mark(error.at).column:
        place = f"column {first.column}, as in line {first.line}"
        return f"the indentation fits no line above; the next {kind} begins in {place}"
    return f"expected another {kind}, as in line {first.line}, got {error.near}"


def _flow(error: _Error) -> tuple[int, str]:
    bracket = error.text[error.opened : error.opened + 1]
    closing = _CLOSING.get(bracket, "]")
    if error.at_end:
        return error.opened, f"the {bracket} that opens here is never closed"
    first = error.lines.mark(error.opened)
    if error.character in "[{" and not error.before.endswith((" ", "[", "{", "]", "}")):
        return error.at, f"text inside of {bracket}{closing} cannot hold {error.character}; put all of it in quotes"
    told = f"expected , or {closing} before {error.near}"
    if first.line == error.lines.mark(error.at).line:
        return error.at, f"{told}; the {bracket} opens in column {first.column}"
    return error.at, f"{told}; is the {bracket} in line {first.line}, column {first.column}, never closed?"


def _node(error: _Error) -> tuple[int, str]:
    character = error.character
    if error.at_end:
        return error.at, "the file ends where a value is expected; is a bracket never closed?"
    if character == "-":
        return error.at, "inside of [] and {} there are no list items with a dash; separate them by commas"
    if character in "]}," and "flow" not in error.message:
        return error.at, f"text cannot begin with {character!r}; put it in quotes"
    if character == ":" and error.text[error.at + 1 : error.at + 2].isspace():
        return error.at, NO_KEY
    if character == ":":
        return error.at, "text cannot begin with ':' inside of [] and {}; put it in quotes"
    return error.at, f"expected a value before {character!r}"


def _block_text(error: _Error) -> tuple[int, str]:
    return error.at, BLOCK_TEXT


def _plain(error: _Error) -> tuple[int, str]:
    return error.at, "there is no space after the colon; write `key: value`, or put the text in quotes"


def _end(error: _Error) -> tuple[int, str]:
    if error.text.startswith("%", error.line_start):
        return _directive(error)
    before = error.before.strip()
    if before and before[-1] in "\"'":
        return _block(error)
    return error.at, f"{error.near} stands behind the end of the document"


_RULES: tuple[tuple[str, Callable[[_Error], tuple[int, str]]], ...] = (
    (r"anchor|alias", _alias),
    (r"directive|incompatible", _directive),
    (r"\btag\b", _tag),
    (r"next token", _token),
    (r"unknown escape", _escape),
    (r"escape|hexadecimal|hexdecimal", _code),
    (r"quoted scalar", _quoted),
    (r"simple key", _simple_key),
    (r"mapping values", _values),
    (r"sequence entries", _entries),
    (r"mapping keys", _keys),
    (r"block mapping|block collection", _block),
    (r"flow mapping|flow sequence", _flow),
    (r"(flow|block) node", _node),
    (r"block scalar", _block_text),
    (r"plain scalar", _plain),
    (r"document start", _end),
)
"""What is told for each kind of error; the first pattern that is found in the parser's own words counts."""
