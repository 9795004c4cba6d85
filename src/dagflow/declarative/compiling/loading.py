"""Reading a graph file, with the graphs inside of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import attrs

from dagflow.declarative.checkpointers import plugin_of
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
    return LoadedFile(resolved, document, _spec_of(document))


def _spec_of(document: Document) -> GraphFile:
    """Make the graph of a document. What the file format does not know are the options of plug-ins."""
    plugin = plugin_of(document.data)
    if plugin is None:
        return structure_document(document, GraphFile)
    rest = {key: value for key, value in document.data.items() if key != "checkpointer"}
    spec = structure_document(attrs.evolve(document, data=rest), GraphFile)
    return attrs.evolve(spec, checkpointer=cast("Any", plugin))


def _missing(path: Path, error: Exception) -> str:
    from dagflow.core.structure import nearest

    if not isinstance(error, FileNotFoundError):
        return f"{path} cannot be read: {error}"
    folder = path.parent
    names = [found.name for found in folder.iterdir()] if folder.is_dir() else []
    return f"there is no file {path}{nearest(path.name, names)}"
