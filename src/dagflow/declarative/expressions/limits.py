"""Bounds of the expression language, so that no text and no value makes an evaluation long or its result large."""

from __future__ import annotations

from typing import Final

__all__ = [
    "MAX_DEPTH",
    "MAX_EXPRESSIONS",
    "MAX_FILLED",
    "MAX_INTEGER",
    "MAX_INTEGER_BITS",
    "MAX_ITEMS",
    "MAX_PARTS",
    "MAX_SOURCE",
    "MAX_TEMPLATE",
    "MAX_TEXT",
]

MAX_SOURCE: Final = 10_000
"""Characters of one expression."""

MAX_DEPTH: Final = 50
"""How deep an expression may be nested, in brackets and operands alike; the parser and the closures recurse so deep."""

MAX_INTEGER_BITS: Final = 4096
"""Bits of an integer that an expression makes."""

MAX_INTEGER: Final = 1 << MAX_INTEGER_BITS

MAX_TEXT: Final = 1 << 20
"""Characters of a string that an expression makes; one that it only reads may be longer."""

MAX_ITEMS: Final = 100_000
"""Items of an array that an expression makes."""

MAX_PARTS: Final = 100_000
"""Parts of values, at every depth, that one comparison looks at, or that are written into text as JSON."""

MAX_TEMPLATE: Final = 1 << 20
"""Characters of a template."""

MAX_EXPRESSIONS: Final = 1000
"""Expressions in one template."""

MAX_FILLED: Final = 4 << 20
"""Characters of the text that a template is filled to."""
