"""Notebooks that are made for a test, and what a run of one gave."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import attrs
import psutil

from dagflow.notebook.outputs import Stream


def code(source: str, *tags: str) -> dict[str, Any]:
    """Make a code cell."""
    metadata = {"tags": list(tags)} if tags else {}
    return {"cell_type": "code", "metadata": metadata, "execution_count": None, "outputs": [], "source": source}


def text(source: str) -> dict[str, Any]:
    """Make a cell of text."""
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def notebook(folder: Path, *cells: dict[str, Any] | str, minor: int = 5, **metadata: Any) -> Path:
    """Write a notebook of cells; a string stands for a code cell."""
    made = [code(cell) if isinstance(cell, str) else dict(cell) for cell in cells]
    if minor >= 5:
        for number, cell in enumerate(made):
            cell["id"] = f"c{number}"
    path = folder / "made.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": minor, "metadata": metadata, "cells": made}))
    return path


@attrs.define
class Kept:
    """What was printed, and the executed notebook."""

    printed: list[tuple[Stream, bytes]] = attrs.field(factory=list)
    data: bytes = b""

    async def on_output(self, stream: Stream, data: bytes) -> None:
        """Take output."""
        self.printed.append((stream, data))

    async def keep(self, data: bytes) -> None:
        """Take the notebook."""
        self.data = data

    def text(self, stream: Stream) -> str:
        """What was printed to a stream."""
        return b"".join(data for name, data in self.printed if name == stream).decode()

    @property
    def cells(self) -> list[Any]:
        """The cells of the executed notebook."""
        cells: list[Any] = json.loads(self.data)["cells"]
        return cells


def running(marker: str) -> list[int]:
    """The processes that have a marker in their command, but for our own and those that are dead."""
    return [
        process.pid
        for process in psutil.process_iter(["pid", "cmdline", "status"])
        if process.pid != os.getpid()
        and process.info["status"] != psutil.STATUS_ZOMBIE
        and any(marker in word for word in process.info["cmdline"] or ())
    ]
