"""Files of plain data, in JSON or in YAML."""

from __future__ import annotations

import os
from typing import Any

from dagflow.core.strict_json import read_json
from dagflow.source.files import MAX_BYTES, UnreadableFile, read_text
from dagflow.source.reading import read_document

__all__ = ["read_plain"]


def read_plain(path: str | os.PathLike[str], most: int = MAX_BYTES) -> Any:
    """Read a file of at most `most` bytes as JSON, where its name ends with `.json`, else as YAML; blocks.

    Raises `UnreadableFile` for what cannot be read or is no JSON, and `SourceError` with the places of all that is
    wrong with YAML; `ImportError`, which names the extra, where its parser is not installed.
    """
    text, name = read_text(path, most), os.fspath(path)
    if not name.endswith(".json"):
        return read_document(text, file=name).data
    try:
        return read_json(text)
    except ValueError as error:
        raise UnreadableFile(f"it is no JSON: {error}") from error
