"""Text in pictures: characters that can be printed, shortening, and an estimate of the width."""

from __future__ import annotations

import unicodedata

__all__ = ["printable", "shorten", "text_width"]

# XML 1.0 forbids most control characters and lone surrogates, even as references; a bidirectional override
# would let a name rearrange the text around it.
UNPRINTABLE = {code: chr(0x2400 + code) for code in range(0x20)}
UNPRINTABLE |= {0x7F: "\u2421"} | dict.fromkeys(range(0x80, 0xA0), "\ufffd")
UNPRINTABLE |= dict.fromkeys([*range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")
UNPRINTABLE |= dict.fromkeys([0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)], "\ufffd")
NARROW = frozenset("fijltrI.,:;'|!()[]{} `")
WIDE = frozenset("mwMW@%—…")


def printable(text: str) -> str:
    """Replace what cannot be shown (control characters, lone surrogates) by a picture of it."""
    return text.translate(UNPRINTABLE)


def shorten(text: str, longest: int) -> str:
    """Make text printable and cut it to at most `longest` characters, the last of them an ellipsis."""
    text = printable(text)
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def text_width(text: str, size: float) -> float:
    """Estimate the width of a line of text at a font size, on the generous side of common fonts."""
    return size * sum(_em(character) for character in text)


def _em(character: str) -> float:
    if character in NARROW:
        return 0.4
    if character in WIDE:
        return 1.0
    if character < "\x7f":
        return 0.74 if character.isupper() else 0.64
    if unicodedata.combining(character):
        return 0.0
    return 1.1 if unicodedata.east_asian_width(character) in "WF" else 0.8
