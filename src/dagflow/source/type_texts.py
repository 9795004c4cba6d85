"""Types such as `list[str]` that stand unquoted in a flow mapping, which YAML has no way to say.

In `{type: list[str], reducer: add}` YAML ends the text at the bracket. People write it all the same, and what they mean
leaves no doubt: a word, a bracket right behind it, and after the bracket that closes it the end of the item. Such a
text is read as if it were quoted. It is looked for only where a syntax error was found, so that nothing that YAML can
read is read in another way.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from dagflow.source.faults import Mark
from dagflow.source.text import Lines

__all__ = ["Quoted", "QuotedLines", "quote_type_at"]

MOST_QUOTED = 200
MOST_READ_AGAIN = 200_000
"""Each text that is quoted costs another parse, up to the next one: so many, and so many characters of them in all.

A file with more of them is told what to do. Without the second limit a hostile file takes a tenth of a second for each.
"""

_LONGEST = 500
"""Characters of what stands before a bracket in its line that are looked at."""

_WORD = re.compile(r"[A-Za-z_][\w.:]*\Z")
# Brackets in brackets as far as anybody nests types. Possessive: no text takes longer than its length.
_INSIDE = r"[^\[\]{}\"'\n]*+"
_BRACKETS = rf"\[{_INSIDE}(?:\[{_INSIDE}(?:\[{_INSIDE}\]{_INSIDE})*+\]{_INSIDE})*+\]"
_BRACKETED = re.compile(rf"[A-Za-z_][\w.:]*({_BRACKETS}) *\Z")
_REST = re.compile(rf"{_BRACKETS}(?: *\| *[A-Za-z_][\w.:]*(?:{_BRACKETS})?)*(?= *(?:[,}}\]\n#]|\Z))")
_UNION = re.compile(r"(?:[A-Za-z_][\w.:]* *\| *)+\Z")


class Quoted:
    """A text with some of its types quoted, and the way back to the places of the text as it was."""

    def __init__(self, text: str) -> None:
        self.text: str = text
        self._inserted: list[int] = []
        """Where quotes were put in, as offsets in the text as it is now, ascending."""
        self._left = MOST_READ_AGAIN

    def original(self, offset: int) -> int:
        """The offset in the text as it was."""
        return offset - bisect_right(self._inserted, offset - 1)

    def quote_at(self, offset: int) -> bool:
        """Quote the type that stands at `offset`; `False` where there is none."""
        if len(self._inserted) >= 2 * MOST_QUOTED or self._left < 0:
            return False
        found = quote_type_at(self.text, offset)
        if found is None:
            return False
        self._left -= offset + len(self.text) // 40
        start, end = found
        self.text = f"{self.text[:start]}'{self.text[start:end]}'{self.text[end:]}"
        shifted = [place + (place >= start) + (place >= end) for place in self._inserted]
        self._inserted = sorted([*shifted, start, end + 1])
        return True


class QuotedLines(Lines):
    """Turns offsets into a quoted text into marks of the text as it was."""

    def __init__(self, file: str, text: str, quoted: Quoted) -> None:
        super().__init__(file, text)
        self._quoted = quoted

    def mark(self, offset: int) -> Mark:
        """Give the place of a character by its offset in the quoted text."""
        return super().mark(self._quoted.original(offset))


def quote_type_at(text: str, offset: int) -> tuple[int, int] | None:
    """The start and end of the type of which YAML refuses what is at `offset`; `None` where there is no type."""
    line = max(text.rfind("\n", 0, offset) + 1, offset - _LONGEST)
    if text.startswith("|", offset):  # for the parser, what comes first is the `|` behind the brackets
        bracketed = _BRACKETED.search(text, line, offset)
        offset = bracketed.start(1) if bracketed is not None else offset
    if not text.startswith("[", offset):
        return None
    word = _WORD.search(text, line, offset)
    rest = _REST.match(text, offset)
    if word is None or rest is None:
        return None
    # A union begins further left: `str | list[int]`.
    union = _UNION.search(text, line, word.start())
    start = (union or word).start()
    begins = start == 0 or text[start - 1] in " [{,\r\n"
    return (start, rest.end()) if begins else None
