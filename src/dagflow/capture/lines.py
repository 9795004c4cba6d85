"""Cutting a stream of bytes into lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["LONGEST_LINE", "LineCutter"]

LONGEST_LINE: Final = 16 * 1024
"""Bytes after which a line is given in pieces, so that one without an end takes no memory."""


class LineCutter:
    """Takes pieces of a stream and gives its lines, without what ends them; what is no UTF-8 is shown as such."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[str]:
        """Give the lines that a piece completes; a line that grows too long is given in pieces."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = b""
        for line in lines:
            while len(line) > LONGEST_LINE:
                piece, line = _cut(line)
                yield _text(piece)
            yield _text(line.removesuffix(b"\r"))
        while len(rest) > LONGEST_LINE:
            piece, rest = _cut(rest)
            yield _text(piece)
        self._rest = rest

    def finish(self) -> Iterator[str]:
        """Give the last line, if nothing ended it."""
        rest, self._rest = self._rest, b""
        if rest:
            yield _text(rest)


def _cut(line: bytes) -> tuple[bytes, bytes]:
    """Cut a piece off, between two characters."""
    end = LONGEST_LINE
    while end > LONGEST_LINE - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end], line[end:]


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
