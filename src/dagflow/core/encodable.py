"""Text that UTF-8 can hold: all but text with lone surrogates, of file names and JSON escapes, say."""

from __future__ import annotations

__all__ = ["is_encodable"]


def is_encodable(text: str) -> bool:
    """Tell whether a text can be encoded, and so be stored and sent."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
