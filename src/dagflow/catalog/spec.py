"""What a task says about its files, what a catalog says about a file it keeps, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import attrs

from dagflow.catalog.patterns import parse_pattern
from dagflow.errors import DagflowError

__all__ = ["Catalog", "CatalogError", "CatalogFile", "Place", "task_name"]


def _patterns(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _all_parse(instance: object, attribute: attrs.Attribute[tuple[str, ...]], value: tuple[str, ...]) -> None:
    for pattern in value:
        parse_pattern(pattern)


@attrs.frozen
class Catalog:
    """The files of a task, as globs of paths in its working folder.

    `get` are files of the run that are copied there before the task, `put` are files that are kept after it. In a glob
    `*`, `?` and `[...]` stand for parts of one name, `**` for any number of folders, and none of them for a name that
    begins with a dot. Raises `ValueError` for a glob that is absolute, leads upwards, or cannot be a path.
    """

    get: tuple[str, ...] = attrs.field(default=(), converter=_patterns, validator=_all_parse)
    put: tuple[str, ...] = attrs.field(default=(), converter=_patterns, validator=_all_parse)


class Place(Protocol):
    """Which task of which run wants something."""

    @property
    def run_id(self) -> str:
        """The id of the run."""
        ...

    @property
    def path(self) -> Sequence[str]:
        """The names that lead to the task from the outermost pipeline."""
        ...


def task_name(place: Place) -> str:
    """Name a task by its path, for messages and records."""
    return "/".join(place.path)


@attrs.frozen
class CatalogFile:
    """A file of a run: its `path` in the working folders, what it holds by `sha256` and `size` in bytes.

    `task` is the path of the task that put it, with slashes.
    """

    path: str
    sha256: str
    size: int
    task: str
    executable: bool = False


class CatalogError(DagflowError):
    """Raised when files of a task cannot be kept or given back.

    `task` is the path of the task. A glob matches nothing, a path leads out of a folder, a file is no file, is damaged
    or cannot be read or written.
    """

    def __init__(self, message: str, *, task: str = "") -> None:
        super().__init__(message)
        self.task = task
