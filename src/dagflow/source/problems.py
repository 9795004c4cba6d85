"""What is found wrong with a text while it is read: collected, until there is enough."""

from __future__ import annotations

import attrs

from dagflow.source.faults import MAX_FAULTS
from dagflow.source.paths import Path

__all__ = ["Enough", "Problem", "Problems"]


@attrs.frozen
class Problem:
    """Something wrong, at an offset into the text and at a path of the document."""

    offset: int
    path: Path
    text: str


class Enough(Exception):
    """Raised where reading on makes no sense, and caught by the reader itself."""


class Problems:
    """The problems of one text, each once."""

    def __init__(self) -> None:
        self._found: dict[tuple[int, str], Problem] = {}

    @property
    def found(self) -> tuple[Problem, ...]:
        """All of them, as they were found."""
        return tuple(self._found.values())

    def add(self, offset: int, text: str, path: Path = ()) -> None:
        """Keep a problem; raises `Enough` when there are more than can be told."""
        self._found.setdefault((offset, text), Problem(offset, path, text))
        if len(self._found) > MAX_FAULTS:
            raise Enough

    def only(self, offset: int, text: str) -> None:
        """Keep one problem in the place of all others."""
        self._found = {(offset, text): Problem(offset, (), text)}

    def keep(self, number: int) -> None:
        """Forget those that came after the first few."""
        self._found = dict(list(self._found.items())[:number])

    def __len__(self) -> int:
        return len(self._found)
