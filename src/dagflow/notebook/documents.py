"""Notebooks as files: read strictly, and written without secrets."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from dagflow.notebook.library import Jupyter
from dagflow.notebook.problems import NotebookError

__all__ = ["MAX_BYTES", "read_notebook", "write_notebook"]

MAX_BYTES: Final = 256 * 1024 * 1024
"""How large a notebook may be."""


def read_notebook(jupyter: Jupyter, path: Path) -> Any:
    """Read and check a notebook of any version; blocks. Raises `NotebookError`."""
    shown = os.fspath(path)
    text = _read_text(shown)
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


def _read_text(path: str) -> str:
    try:
        # A pipe without a writer would make us wait.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise NotebookError(f"{path} is no notebook: it is no regular file", notebook=path)
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise NotebookError(f"{path} is no notebook: it has more than {MAX_BYTES} bytes", notebook=path)
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotebookError(f"{path} is no notebook: it is not UTF-8", notebook=path) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        why = getattr(error, "strerror", None) or str(error)
        raise NotebookError(f"the notebook {path} cannot be read: {why}", notebook=path) from error


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
