"""Reading a graph file, with the graphs inside of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from dagflow.declarative.model import GraphFile
from dagflow.declarative.project import find_root
from dagflow.errors import GraphError
from dagflow.source import Document, read_file, structure_document

__all__ = ["LoadedFile", "Surroundings", "load_file"]


@attrs.frozen(eq=False)
class Surroundings:
    """What a graph is loaded in: the folder that its paths may not leave, and what the caller gives names to.

    `environment` has the variables that a checkpointer may name. `above` are the files whose subgraphs led here.
    """

    root: Path
    functions: Mapping[str, Callable[..., Any]]
    environment: Mapping[str, str]
    above: tuple[Path, ...] = ()

    @classmethod
    def of(
        cls,
        path: Path,
        *,
        root: str | Path | None,
        functions: Mapping[str, Callable[..., Any]] | None,
        environment: Mapping[str, str],
    ) -> Surroundings:
        """The surroundings of a graph that is loaded by itself."""
        found = find_root(path.parent) if root is None else Path(root).resolve()
        return cls(found, functions or {}, environment)


@attrs.frozen(eq=False)
class LoadedFile:
    """A graph file that is well formed; nothing is known yet of what it names."""

    path: Path
    document: Document
    spec: GraphFile

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.spec.name or self.path.stem


def load_file(path: Path) -> LoadedFile:
    """Read a graph file. Raises `SourceError` with every fault at its line, `GraphError` where there is no file."""
    try:
        resolved = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise GraphError([_missing(path, error)], subject=str(path)) from error
    document = read_file(resolved, file=str(path))
    return LoadedFile(resolved, document, structure_document(document, GraphFile))


def _missing(path: Path, error: Exception) -> str:
    from dagflow.core.structure import nearest

    if not isinstance(error, FileNotFoundError):
        return f"{path} cannot be read: {error}"
    folder = path.parent
    names = [found.name for found in folder.iterdir()] if folder.is_dir() else []
    return f"there is no file {path}{nearest(path.name, names)}"
