"""Loading what TARGET names: `module[:name]`, `file.py[:name]` or `file.yaml`."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from dagflow.cli.problems import BrokenTarget, UsageProblem
from dagflow.cli.runnable import PipelineTarget, Runnable, TypedTarget, YamlTarget
from dagflow.core.structure import nearest
from dagflow.declarative.api import load_and_compile
from dagflow.declarative.graph import YamlGraph
from dagflow.errors import GraphError, describe
from dagflow.graph.graph import Graph
from dagflow.pipeline.pipeline import Pipeline

__all__ = ["FORMS", "YAML_SUFFIXES", "Target", "find_attribute", "load_module", "load_target", "parse"]

FORMS = "module[:name], file.py[:name] or file.yaml"
YAML_SUFFIXES = (".yaml", ".yml")
FILE_SUFFIXES = (".py", ".yaml", ".yml", ".ipynb", ".json")


@attrs.frozen
class Target:
    """A target as it was written: a module or a file, and the name of something in it, or none."""

    place: str
    name: str

    @property
    def is_file(self) -> bool:
        """Whether the place is a file, and not the dotted name of a module."""
        path = Path(self.place)
        return os.sep in self.place or path.suffix in FILE_SUFFIXES or path.is_file()


def parse(text: str) -> Target:
    """Take a target apart. Raises `UsageProblem` where there is no place in it."""
    place, _, name = text.partition(":")
    if not place:
        raise UsageProblem(f"{text!r} names no module or file; write {FORMS}")
    return Target(place, name)


def load_target(text: str, *, with_checkpointer: bool = True) -> Runnable:
    """Load the graph that a target names; the checkpointer that a file names is left out unless it is wanted.

    Raises `UsageProblem` where there is no such thing, `BrokenTarget` where importing it fails, and
    `GraphError` where its graph is faulty.
    """
    target = parse(text)
    if target.place.endswith(YAML_SUFFIXES):
        return YamlTarget(_load_yaml(target, with_checkpointer=with_checkpointer))
    module = load_module(target)
    found = find_attribute(module, target) if target.name else _only_graph(module, target)
    if isinstance(found, Graph):
        return TypedTarget(found, module)
    if isinstance(found, YamlGraph):
        return YamlTarget(found, module)
    if isinstance(found, Pipeline):
        return PipelineTarget(found, module)
    what = f"the class {found.__name__}" if isinstance(found, type) else f"a {type(found).__name__}"
    raise UsageProblem(f"{text} is {what}, and no graph{_graphs_instead(module, target)}")


def _load_yaml(target: Target, *, with_checkpointer: bool) -> YamlGraph:
    path = Path(target.place)
    if target.name:
        raise UsageProblem(f"{target.place} holds one graph; leave :{target.name} out")
    if not path.is_file():
        raise UsageProblem(f"there is no file {path}{_nearest_file(path)}")
    # Modules that the file names are looked for where Python would look for a script's: beside it, and here.
    put_on_path(Path.cwd())
    put_on_path(path.resolve().parent)
    return load_and_compile(path, with_checkpointer=with_checkpointer)


def _nearest_file(path: Path) -> str:
    return nearest(path.name, os.listdir(path.parent)) if path.parent.is_dir() else ""


def load_module(target: Target) -> ModuleType:
    """Import the module or file of a target, its folder first on the path, as Python itself does."""
    if target.is_file:
        return _load_file(target)
    put_on_path(Path.cwd())
    try:
        return _import(target.place, target.place)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing != target.place and not target.place.startswith(missing + "."):
            raise _broken(target.place, error) from error
        raise UsageProblem(f"there is no module {target.place}{_nearest_module(target.place, missing)}") from None


def find_attribute(module: ModuleType, target: Target) -> Any:
    """Find what a target names in its module; dots lead further in. Raises `UsageProblem` where it is not there."""
    found: Any = module
    for part in target.name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            known = [name for name in vars(found) if not name.startswith("_")] if hasattr(found, "__dict__") else []
            raise UsageProblem(f"{target.place} has no {target.name}{nearest(part, known)}") from None
    return found


def put_on_path(folder: Path) -> None:
    """Let Python look for modules in a folder first."""
    text = str(folder)
    if text not in sys.path:
        sys.path.insert(0, text)


def _load_file(target: Target) -> ModuleType:
    path = Path(target.place)
    if path.suffix != ".py":
        raise UsageProblem(f"{target.place}: unsupported file type {path.suffix!r}; TARGET is {FORMS}")
    if not path.is_file():
        raise UsageProblem(f"there is no file {path}{_nearest_file(path)}")
    path = path.resolve()
    if "." in path.stem:
        raise UsageProblem(f"{target.place} cannot be imported: rename it, so that its name has no further dot")
    put_on_path(path.parent)
    try:
        module = _import(path.stem, target.place)
    except ModuleNotFoundError as error:
        raise _broken(target.place, error) from error
    if getattr(module, "__file__", None) is None or not path.samefile(str(module.__file__)):
        raise UsageProblem(
            f"{target.place} has the name of another module that is imported already, {path.stem}; rename the file"
        )
    return module


def _import(name: str, place: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (GraphError, ModuleNotFoundError):
        raise
    except Exception as error:
        raise _broken(place, error) from error


def _broken(place: str, error: Exception) -> BrokenTarget:
    frames = traceback.extract_tb(error.__traceback__)
    # The frames of the import machinery and of this module tell the user nothing.
    theirs = [frame for frame in frames if "importlib" not in frame.filename and frame.filename != __file__]
    where = f" ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else ""
    return BrokenTarget(f"importing {place} failed: {describe(error)}{where}")


def _only_graph(module: ModuleType, target: Target) -> Graph | YamlGraph | Pipeline:
    graphs = _graphs(module)
    distinct = {id(graph): graph for graph in graphs.values()}
    if len(distinct) == 1:
        return next(iter(distinct.values()))
    if not graphs:
        raise UsageProblem(f"{target.place} has no Graph; make one in it: `graph = Graph(start=...)`")
    choices = ", ".join(f"{target.place}:{name}" for name in graphs)
    raise UsageProblem(f"{target.place} has {len(distinct)} graphs; say which one: {choices}")


def _graphs(module: ModuleType) -> dict[str, Graph | YamlGraph | Pipeline]:
    return {name: value for name, value in vars(module).items() if isinstance(value, (Graph, YamlGraph, Pipeline))}


def _graphs_instead(module: ModuleType, target: Target) -> str:
    graphs = ", ".join(f"{target.place}:{name}" for name in _graphs(module))
    return f"; there is {graphs}" if graphs else "; make one in it: `graph = Graph(start=...)`"


def _nearest_module(name: str, missing: str) -> str:
    """Suggest a module beside the one that is missing."""
    package, _, last = (missing or name).rpartition(".")
    folders = getattr(sys.modules.get(package), "__path__", None) if package else None
    beside = f"{package}." if package else ""
    return nearest(f"{beside}{last}", [f"{beside}{found.name}" for found in pkgutil.iter_modules(folders)])
