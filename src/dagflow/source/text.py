"""The text of a file: UTF-8, without characters that YAML does not take, and where its lines begin."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property

from dagflow.source.faults import Mark

__all__ = ["Lines", "decode", "unwanted_character"]

_BYTE_ORDER_MARK = "\ufeff"
_OTHER_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")

_UNWANTED = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_BREAK = re.compile(r"\r\n?|\n")
_SEPARATORS = {"\x85": "NEL", "\u2028": "LINE SEPARATOR", "\u2029": "PARAGRAPH SEPARATOR"}


class Lines:
    """Turns offsets into a text into marks.

    Marks are mostly wanted one behind the other, or just one, so lines are counted on from the last; only when an
    earlier one is wanted, all of them are looked up once.
    """

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._text = text
        self._counted = (0, 1)

    def mark(self, offset: int) -> Mark:
        """Give the place of a character by its offset; past the end is the end."""
        text = self._text
        offset = min(offset, len(text))
        if offset and text.startswith("\r\n", offset - 1):
            offset -= 1
        start = max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1
        return Mark(self.file, self._line(offset), offset - start + 1)

    def _line(self, offset: int) -> int:
        begin, line = self._counted
        if offset < begin:
            return bisect_right(self._starts, offset)
        line += sum(self._text.count(end, begin, offset) for end in "\n\r") - self._text.count("\r\n", begin, offset)
        self._counted = (offset, line)
        return line

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(found.end() for found in _BREAK.finditer(self._text))]


def decode(data: bytes) -> tuple[str, str | None]:
    """Decode a file; where it is not UTF-8 the text ends before the first byte that is wrong, and a problem is told.

    A byte order mark at the beginning is left out.
    """
    if _looks_wide(data):
        return "", "the file looks like UTF-16 or UTF-32; save it as UTF-8"
    try:
        return data.decode().removeprefix(_BYTE_ORDER_MARK), None
    except UnicodeDecodeError as error:
        text = data[: error.start].decode().removeprefix(_BYTE_ORDER_MARK)
        return text, f"the byte 0x{data[error.start]:02x} is not UTF-8 here; save the file as UTF-8"


def _looks_wide(data: bytes) -> bool:
    if data.startswith(_OTHER_MARKS) or (len(data) >= 4 and data[:3] == b"\0\0\0"):
        return True
    return len(data) >= 4 and (data[0] == 0) != (data[1] == 0)


def unwanted_character(text: str) -> tuple[int, str] | None:
    """Find the first character that may not stand in a file, with the problem; `None` if there is none.

    YAML 1.1, which the parsers follow, takes some separators of Unicode for line ends, and YAML 1.2 does not: they
    are refused, and so everybody sees the same lines.
    """
    found = _UNWANTED.search(text)
    if found is None:
        return None
    character = found[0]
    code = ord(character)
    if character == _BYTE_ORDER_MARK:
        return found.start(), "a byte order mark (U+FEFF) may stand only at the beginning of a file; remove it"
    if 0xD800 <= code <= 0xDFFF:
        return found.start(), f"a lone surrogate (U+{code:04X}) is no character; remove it"
    if character == "\0":
        return found.start(), "a NUL character (U+0000); is this a text file? Remove it"
    name = _SEPARATORS.get(character, "control character")
    form = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return found.start(), f'a {name} (U+{code:04X}) may not stand in a file; remove it, or write "{form}" in quotes'
