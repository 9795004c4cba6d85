"""What is wrong with a graph file, collected while it is compiled: everything at once, each at its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from dagflow.core.answers import InvalidAnswer
from dagflow.declarative.expressions import ExpressionError
from dagflow.errors import GraphError, InvalidField
from dagflow.plugins import PluginError

__all__ = ["Faults", "Place"]

T = TypeVar("T")


class Place(str):
    """A path in the file, as `core.structure` writes it: `$.nodes.study.over`."""

    __slots__ = ()

    def __truediv__(self, key: str | int) -> Place:
        if isinstance(key, int):
            return Place(f"{self}[{key}]")
        return Place(f"{self}.{key}" if key.isidentifier() else f"{self}[{key!r}]")


class Faults:
    """Collects faults. What a fault leaves undone is left out, so that what depends on it is not told as well."""

    def __init__(self) -> None:
        self.found: list[InvalidField] = []

    def add(self, place: Place, problem: str) -> None:
        """Note that something at `place` is wrong."""
        self.found.append(InvalidField(str(place), problem))

    def add_all(self, place: Place, invalid: Iterable[InvalidField]) -> None:
        """Note faults whose paths begin at `place`."""
        self.found += [InvalidField(str(place) + item.path.removeprefix("$"), item.problem) for item in invalid]

    def attempt(self, place: Place, work: Callable[[], T]) -> T | None:
        """Give what `work` gives, or note what it raises and give `None`."""
        try:
            return work()
        except InvalidAnswer as error:
            self.add_all(place, error.invalid)
        except GraphError as error:
            for fault in error.faults:
                self.add(place, fault)
        except ExpressionError as error:
            self.add(place, f"{error}")
        except (ValueError, ImportError, TypeError, PluginError) as error:
            self.add(place, str(error))
        return None
