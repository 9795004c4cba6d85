"""A YAML document: plain data that knows where in its file everything is, and how it becomes values of classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

import attrs

from dagflow.core.answers import InvalidAnswer
from dagflow.core.structure import structure
from dagflow.errors import InvalidField
from dagflow.source.compose import Place
from dagflow.source.faults import Fault, Mark, SourceError
from dagflow.source.paths import LONGEST_KEY, Path, parse_path, show_path
from dagflow.source.text import Lines

__all__ = ["Document", "faults_of", "structure_document"]

T = TypeVar("T")


@attrs.frozen(eq=False)
class Document:
    """What a file holds: `data` is made of `dict`, `list`, `str`, `int`, `float`, `bool` and `None`."""

    file: str
    data: Any
    _places: Place = attrs.field(repr=False)
    _lines: Lines = attrs.field(repr=False)

    def mark(self, path: str | Path = ()) -> Mark:
        """Give the place of the value at a path: keys and indexes, or text such as `$.nodes.sort.routes[0]`.

        Where there is no such value, it is the place of the nearest thing around it: of the mapping, for a key that
        is missing. A value that is left empty is where its key is.
        """
        return self._lines.mark(_offset(_place(self._places, path)[1]))

    def key_mark(self, path: str | Path) -> Mark:
        """Give the place of the key that a path ends with; that of the value for an item of a list."""
        return self._lines.mark(_place(self._places, path)[0])


def _place(place: Place, path: str | Path) -> tuple[int, Place]:
    """Follow a path as far as it goes, to the place of a key and of its value."""
    key = _offset(place)
    for step in parse_path(path) if isinstance(path, str) else path:
        inside = place[1] if isinstance(place, tuple) else None
        if isinstance(inside, dict) and isinstance(step, str):
            name = step if step in inside else _whole_key(step, inside)
            if name is None:
                return _offset(place), place
            key, place = inside[name]
        elif isinstance(inside, list) and isinstance(step, int) and 0 <= step < len(inside):
            place = inside[step]
            key = _offset(place)
        else:
            return _offset(place), place
    return key, place


def _whole_key(step: str, keys: Iterable[str]) -> str | None:
    """Find the key that was cut in a path."""
    if len(step) != LONGEST_KEY + 3 or not step.endswith("..."):
        return None
    return next((key for key in keys if key.startswith(step[:LONGEST_KEY])), None)


def _offset(place: Place) -> int:
    offset: int = place[0] if isinstance(place, tuple) else place
    return offset


def faults_of(document: Document, invalid: Iterable[InvalidField]) -> list[Fault]:
    """Give problems with their marks: of an unknown field that of its key, of any other that of the value."""
    return [_fault_of(document, item) for item in invalid]


def _fault_of(document: Document, item: InvalidField) -> Fault:
    find = document.key_mark if item.problem.startswith("unknown field") else document.mark
    return Fault(find(item.path), show_path(parse_path(item.path)), item.problem)


@overload
def structure_document(document: Document, target: Callable[..., T]) -> T: ...


@overload
def structure_document(document: Document, target: Any) -> Any: ...


def structure_document(document: Document, target: Any) -> Any:
    """Make a value of a class, or of any type hint, from a document; nothing is coerced.

    Raises `SourceError` with every problem, each with its place.
    """
    try:
        return structure(document.data, target)
    except InvalidAnswer as error:
        raise SourceError(faults_of(document, error.invalid), subject=document.file) from error
