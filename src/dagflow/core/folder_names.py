"""Names of folders for what people name: runs and tasks, whose names may be any text."""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import quote

__all__ = ["folder_name"]

_SAFE: Final = " !$&'()+,-.=@[]^_{}"
_LONGEST: Final = 200


def folder_name(text: str) -> str:
    """Make a name for one folder out of any text; no two texts have the same."""
    name = quote(text, safe=_SAFE, errors="surrogatepass") or "%"
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= _LONGEST:
        return name
    # In a quoted name a % stands before two digits, so no short text has such a name.
    return f"{name[:100]}%-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
