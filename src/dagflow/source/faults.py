"""What is wrong with a file, and where: `graph.yaml:8:14: nodes.study.retries: expected integer, got string 'x'`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from dagflow.errors import GraphError

__all__ = ["MAX_FAULTS", "Fault", "Mark", "SourceError"]

MAX_FAULTS: Final = 100
"""How many faults of one file are told."""


@attrs.frozen(order=True)
class Mark:
    """A place in a file; line and column count characters from 1, as editors do."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@attrs.frozen
class Fault:
    """One thing that is wrong: where, at which path (empty for the whole document), and what."""

    mark: Mark
    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.path}: {self.problem}" if self.path else f"{self.mark}: {self.problem}"


class SourceError(GraphError):
    """Raised when a YAML file cannot be read, or does not hold what it should.

    `found` has the faults in the order of the file, the first `MAX_FAULTS` of them; `faults` has them as sentences.
    """

    def __init__(self, found: Iterable[Fault], *, subject: str) -> None:
        ordered = sorted(found, key=lambda fault: fault.mark)
        self.found: tuple[Fault, ...] = tuple(ordered[:MAX_FAULTS])
        told = list(map(str, self.found))
        if len(ordered) > MAX_FAULTS:
            told.append(f"there are more than these {MAX_FAULTS} faults")
        super().__init__(told, subject=subject)
