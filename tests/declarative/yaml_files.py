"""Graph files that tests write."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

from dagflow.declarative.api import load_and_compile
from dagflow.declarative.graph import YamlGraph
from dagflow.source import SourceError

__all__ = ["compiled", "faults_in", "write_graph", "write_prompt"]


def write_graph(folder: Path, text: str, name: str = "graph.yaml") -> Path:
    """Write a graph file, its text indented as the test has it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    return path


def write_prompt(folder: Path, name: str, text: str) -> Path:
    """Write a prompt file."""
    return write_graph(folder, text, f"{name}.yaml")


def compiled(
    folder: Path, text: str, *, name: str = "graph.yaml", known: Mapping[str, Any] | None = None, **functions: Any
) -> YamlGraph:
    """Write a graph file and compile it; `functions` and what is `known` have names in it."""
    path = write_graph(folder, text, name)
    return load_and_compile(path, functions={**functions, **(known or {})}, root=folder, environment={})


def faults_in(folder: Path, text: str, *, known: Mapping[str, Any] | None = None, **functions: Any) -> list[str]:
    """What is wrong with a graph file, each without the file's name; nothing where it is sound."""
    path = write_graph(folder, text)
    try:
        load_and_compile(path, functions={**functions, **(known or {})}, root=folder, environment={})
    except SourceError as error:
        return [fault.removeprefix(f"{path}:") for fault in error.faults]
    return []
