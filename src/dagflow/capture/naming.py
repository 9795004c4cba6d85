"""Names of files for tasks, whose names may be any text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

__all__ = ["file_of"]

_SAFE: Final = " !$&'()+,-.=@[]^_{}"
_LONGEST: Final = 200


def file_of(path: Sequence[str], attempt: int) -> str:
    """Name the file of an attempt of a task, relative to the folder of its run; no two have the same."""
    return "/".join([*map(_name, path), f"{attempt}.log"])


def _name(text: str) -> str:
    """Make a name for a folder out of any text."""
    name = quote(text, safe=_SAFE, errors="surrogatepass") or "%"
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= _LONGEST:
        return name
    # In a quoted name a % stands before two digits, so no short text has such a name.
    return f"{name[:100]}%-{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}"
