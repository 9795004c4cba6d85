"""Names of files for tasks, whose names may be any text."""

from __future__ import annotations

from collections.abc import Sequence

from dagflow.core.folder_names import folder_name

__all__ = ["file_of"]


def file_of(path: Sequence[str], attempt: int) -> str:
    """Name the file of an attempt of a task, relative to the folder of its run; no two have the same."""
    return "/".join([*map(folder_name, path), f"{attempt}.log"])
