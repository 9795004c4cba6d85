"""The ledger: a file that says what processes did, written past dagflow, which outlives a kill line by line."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Literal, cast

import attrs

__all__ = ["Entry", "Kind", "Ledger", "read_ledger"]

Kind = Literal["body", "told", "streamed", "writing", "written", "killed"]
"""A body was called; an activation passed `committed`, so that others may be told; a reader of the stream saw it.

A write to the store began, and ended; the process killed itself.
"""


@attrs.frozen
class Entry:
    """One line: what happened to which activation, in which process, and when, in seconds on the monotonic clock."""

    kind: Kind
    activation: str
    pid: int
    at: float


class Ledger:
    """Appends to a ledger. A line is one write, so that processes do not garble each other's."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, kind: Kind, activation: str) -> None:
        """Write a line, which is on the disk when this returns."""
        os.write(self._descriptor, f"{kind} {activation} {os.getpid()} {time.monotonic()!r}\n".encode())
        os.fsync(self._descriptor)


def read_ledger(path: Path, *kinds: Kind) -> list[Entry]:
    """Read a ledger, or the entries of some `kinds` in it; one that nobody wrote to is empty."""
    if not path.exists():
        return []
    lines = [line.split() for line in path.read_text().splitlines()]
    return [
        Entry(cast(Kind, kind), activation, int(pid), float(at))
        for kind, activation, pid, at in lines
        if not kinds or kind in kinds
    ]
