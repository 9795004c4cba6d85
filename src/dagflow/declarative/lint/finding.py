"""What the linter finds, and how a report of it reads: as text for people, as JSON for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Literal

import attrs

from dagflow.source import Mark

__all__ = ["LEVELS", "Finding", "Level", "LintReport"]

Level = Literal["error", "warning", "info"]
"""`error`: a run cannot begin, fails when it gets there, or lets a value run code. `warning`: most likely not what is
meant. `info`: a hint."""

LEVELS: Final[tuple[Level, ...]] = ("error", "warning", "info")
"""The levels, the gravest first."""


@attrs.frozen
class Finding:
    """One thing that the linter tells: which rule, how grave, where, at which path of the file, and what."""

    code: str
    level: Level
    mark: Mark
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.path}: " if self.path else ""
        return f"{self.mark}: {self.code} {self.level}: {place}{self.message}"

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain data."""
        mark = self.mark
        return {
            "code": self.code,
            "level": self.level,
            "file": mark.file,
            "line": mark.line,
            "column": mark.column,
            "path": self.path,
            "message": self.message,
        }


@attrs.frozen
class LintReport:
    """The findings of one graph file, in the order of the file; those of its prompt files are among them."""

    file: str
    findings: tuple[Finding, ...]

    def count(self, level: Level) -> int:
        """How many findings have this level."""
        return Counter(finding.level for finding in self.findings)[level]

    def at_least(self, level: Level) -> Sequence[Finding]:
        """The findings that are as grave as `level`, or graver."""
        return [finding for finding in self.findings if LEVELS.index(finding.level) <= LEVELS.index(level)]

    def exit_status(self, fail_on: Level = "error") -> int:
        """The exit status of a command that checks: 1 where anything is as grave as `fail_on`, else 0."""
        return 1 if self.at_least(fail_on) else 0

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data: `file`, `counts` by level, and `findings`."""
        return {
            "file": self.file,
            "counts": {level: self.count(level) for level in LEVELS},
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_json(self) -> str:
        """The report as JSON, with two spaces of indentation."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def text(self) -> str:
        """The report for people: a line for each finding, and how many there are."""
        return "\n".join([*map(str, self.findings), self._summary()])

    def _summary(self) -> str:
        counts = [
            f"{count} {'info' if level == 'info' else level + 's' * (count != 1)}"
            for level in LEVELS
            if (count := self.count(level))
        ]
        return f"{self.file}: {', '.join(counts) or 'nothing found'}"
