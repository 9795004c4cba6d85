"""Finding what a graph file names in Python: functions, classes and graphs, as `module:name` or `./file.py:name`."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from dagflow.core.structure import nearest
from dagflow.declarative.project import PathError, confined
from dagflow.errors import describe

__all__ = ["Locator", "NotFound"]


class NotFound(ValueError):
    """Raised for a name that leads to nothing, or whose module cannot be imported; says what to do."""


class Locator:
    """Finds names on behalf of one graph file. `given` are names that the caller gave things for; they come first.

    A module is imported as Python does. A file is relative to the graph's folder `base` and confined to `root`; it is
    run once, and nothing is put on `sys.path` for it.
    """

    def __init__(self, base: Path, root: Path, given: Mapping[str, Any]) -> None:
        self._base = base
        self._root = root
        self._given = given

    def find(self, text: str) -> Any:
        """Find what a text names; raises `NotFound`."""
        if text in self._given:
            return self._given[text]
        place, separator, name = text.rpartition(":")
        if not separator or not place or not name:
            raise NotFound(f"{text!r} names nothing; write module:name or ./file.py:name{self._nearest_given(text)}")
        found: Any = self._file(place) if place.endswith(".py") else self._module(place)
        for part in name.split("."):
            try:
                found = getattr(found, part)
            except AttributeError:
                known = [known for known in dir(found) if not known.startswith("_")]
                raise NotFound(f"{place} has no {name}{nearest(part, known)}") from None
        return found

    def _nearest_given(self, text: str) -> str:
        return nearest(text, list(self._given)) if self._given else ""

    def _module(self, name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                beside = " (to name a file beside the graph, write ./file.py:name)"
                raise NotFound(f"there is no module {name}{beside}") from error
            raise NotFound(f"importing {name} failed: {describe(error)}") from error
        except Exception as error:
            raise NotFound(f"importing {name} failed: {describe(error)}") from error

    def _file(self, text: str) -> ModuleType:
        try:
            path = confined(text, base=self._base, root=self._root, what="Python file")
        except PathError as error:
            raise NotFound(str(error)) from error
        name = f"dagflow_file_{sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
        if name in sys.modules:
            return sys.modules[name]
        spec = importlib.util.spec_from_file_location(name, path)
        if spec is None or spec.loader is None:
            raise NotFound(f"{text} cannot be imported")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # classes look their module up while they are made
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise NotFound(f"importing {text} failed: {describe(error)}") from error
        return module
