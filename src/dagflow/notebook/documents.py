"""Notebooks as files: read strictly, and written without secrets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from dagflow.notebook.library import Jupyter
from dagflow.notebook.problems import NotebookError
from dagflow.source.files import UnreadableFile, read_text

__all__ = ["MAX_BYTES", "read_notebook", "write_notebook"]

MAX_BYTES: Final = 256 * 1024 * 1024
"""How large a notebook may be."""


def read_notebook(jupyter: Jupyter, path: Path) -> Any:
    """Read and check a notebook of any version; blocks. Raises `NotebookError`."""
    shown = os.fspath(path)
    try:
        text = read_text(path, MAX_BYTES)
    except UnreadableFile as error:
        raise NotebookError(f"the notebook {shown} cannot be read: {error}", notebook=shown) from error
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotebookError(f"{shown} is no notebook: it is no JSON: {error}", notebook=shown) from error
    if not isinstance(data, dict) or not isinstance(data.get("nbformat"), int):
        raise NotebookError(f"{shown} is no notebook: it has no `nbformat`", notebook=shown)
    try:
        notebook = jupyter.nbformat.reads(json.dumps(_with_ids(data)), as_version=4)
        jupyter.validator.validate(notebook)
    except Exception as error:  # whatever the library meets in a file that is none of its own
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise NotebookError(f"{shown} is no valid notebook: {said}", notebook=shown) from error
    return notebook


def _with_ids(data: dict[str, Any]) -> dict[str, Any]:
    """Give cells the ids that they lack: editors leave them out, and the library only warns of it, for now."""
    cells = data.get("cells")
    if data["nbformat"] != 4 or data.get("nbformat_minor", 0) < 5 or not isinstance(cells, list):
        return data
    taken: set[Any] = set()
    for number, cell in enumerate(cells):
        if isinstance(cell, dict):
            name = cell.get("id")
            if not isinstance(name, str) or name in taken:
                cell["id"] = f"cell-{number}" if f"cell-{number}" not in taken else f"cell-{number}-{len(cells)}"
            taken.add(cell["id"])
    return data


def write_notebook(jupyter: Jupyter, notebook: Any, mask: Callable[[str], str]) -> bytes:
    """Write a notebook, with every text in it masked."""
    masked = jupyter.nbformat.from_dict(_masked(notebook, mask))
    text: str = jupyter.nbformat.writes(masked, version=jupyter.nbformat.NO_CONVERT)
    return f"{text}\n".encode(errors="replace")


def _masked(value: Any, mask: Callable[[str], str]) -> Any:
    # Before the texts are cut into lines, as the format has them: a secret may have several.
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [_masked(item, mask) for item in value]
    if isinstance(value, dict):
        return {mask(key): _masked(item, mask) for key, item in value.items()}
    return value
