"""Attempts of tasks, as a front end would name them, and who is told their lines."""

from __future__ import annotations

import attrs

from dagflow.capture import Stream


@attrs.frozen
class At:
    """An attempt of a task."""

    run_id: str = "run"
    path: tuple[str, ...] = ("report", "fetch")
    attempt: int = 1


class Lines:
    """Collects the lines that are told."""

    def __init__(self) -> None:
        self.told: list[tuple[Stream, str]] = []

    async def __call__(self, stream: Stream, line: str) -> None:
        self.told.append((stream, line))

    @property
    def texts(self) -> list[str]:
        return [line for _, line in self.told]
