"""What may stand in texts in quotes and blocks, where the two parsers differ: both are held to the stricter one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dagflow.source.syntax import BLOCK_TEXT, CODE, TAB, Malformed

__all__ = ["check_block", "check_surrogates", "span", "tabs_outside"]

_HEADER = re.compile(r"[|>](?P<indicators>(?:[+-][1-9]?|[1-9][+-]?)?)")
_REST_OF_HEADER = re.compile(r" *(?:(?<= )#[^\r\n]*)?(?=[\r\n]|\Z)")
_TAB_IN_INDENTATION = re.compile(r"[\r\n ]*\t")
_TO_LINE_END = re.compile(r"[^\r\n]*")
_SPACES = re.compile(r" *")
_ESCAPE = re.compile(r"\\(?:u(....)|U(........)|.)", re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_COMMENT_OR_TAB = re.compile(r"(?<!\S)#[^\r\n]*|\t")


def check_block(text: str, start: int, value: str) -> None:
    """Check a block text by what begins at `start`: `| # comment`, and then its indentation.

    libyaml takes tabs, and comments without a space, behind the `|`; the parser in Python takes tabs behind the
    spaces of a first line, whose indentation is not clear then. A text such as `>5` is a mistake for YAML to both.
    Raises `Malformed`.
    """
    header = _HEADER.match(text, start)
    if header is None:  # behind an anchor or a tag, which is refused
        return
    rest = _REST_OF_HEADER.match(text, header.end())
    if rest is None:
        wrong = _end(_SPACES, text, header.end())
        raise Malformed(wrong, TAB if text.startswith("\t", wrong) else BLOCK_TEXT)
    if header["indicators"].strip("+-"):
        if not value:
            raise Malformed(start, BLOCK_TEXT)
        return
    tab = _TAB_IN_INDENTATION.match(text, rest.end())
    if tab is not None:
        raise Malformed(tab.end() - 1, TAB)


def check_surrogates(text: str, start: int, end: int, value: str) -> None:
    """Refuse escapes that stand for surrogates, as libyaml does by itself; raises `Malformed` at the first."""
    if value.isascii() or _SURROGATE.search(value) is None:
        return
    for escape in _ESCAPE.finditer(text, start, end):
        digits = escape[1] or escape[2]
        if digits and 0xD800 <= int(digits, 16) <= 0xDFFF:
            raise Malformed(escape.start() + 2, CODE)


def span(text: str, start: int, end: int, style: str) -> tuple[int, int]:
    """Give the part of a text in which tabs may stand: of a block not its first line."""
    return (_end(_TO_LINE_END, text, start) if style in "|>" else start), end


def tabs_outside(text: str, spans: Sequence[tuple[int, int]], end: int) -> Iterator[int]:
    """Find the tabs before `end` that are neither in one of the spans nor in a comment."""
    begin = 0
    for start, behind in [*spans, (end, end)]:
        yield from (found.start() for found in _COMMENT_OR_TAB.finditer(text, begin, start) if found[0] == "\t")
        begin = behind


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    """Tell where a pattern that fits everywhere ends."""
    found = pattern.match(text, start)
    return found.end() if found is not None else start
