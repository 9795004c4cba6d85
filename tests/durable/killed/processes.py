"""Processes that tests begin, one for each part of a run, through the server that forks them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from durable.killed.orders import Ended, Orders

__all__ = ["Process", "Processes", "fork_server", "scratch"]

TESTS = Path(__file__).parents[2]
PATIENCE = 30.0
"""Seconds after which a process that says nothing is given up."""


class Process:
    """One process. As a context manager, it is over when the block is left."""

    def __init__(self, path: str, orders: Orders) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(PATIENCE)
        self._connection.connect(path)
        self._lines = self._connection.makefile("r")
        self.tell(orders.to_line())

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lines.close()
        self._connection.close()

    def tell(self, line: str = "go on") -> None:
        """Say a line to the process."""
        self._connection.sendall(line.encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        """Wait for what it says next."""
        heard: dict[str, Any] = json.loads(self._lines.readline())
        return heard

    def end(self) -> Ended:
        """Wait until it is over, whatever it says before."""
        answer: dict[str, Any] = {}
        while True:
            heard = self.hear()
            if "status" in heard:
                return Ended(heard["pid"], heard["status"], answer)
            answer = heard.get("answer", answer)


class Processes:
    """Begins processes."""

    def __init__(self, path: str) -> None:
        self._path = path

    def begin(self, orders: Orders) -> Process:
        """Begin a process; it works while the caller does."""
        return Process(self._path, orders)

    def do(self, orders: Orders) -> Ended:
        """Begin a process and wait until it is over."""
        with self.begin(orders) as process:
            return process.end()


@contextmanager
def fork_server() -> Iterator[Processes]:
    """Begin the server, and end it with all that it began."""
    with scratch() as folder:
        path = str(folder / "socket")
        command = [sys.executable, "-W", "error", "-m", "durable.killed.fork_server", path]
        with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            try:
                assert b"ready\n" == server.stdout.readline(), "the server starts"
                yield Processes(path)
            finally:
                server.stdin.close()


@contextmanager
def scratch() -> Iterator[Path]:
    """Make a folder in memory where there is such a place: a kill leaves what is written, on a disk or not."""
    shared = "/dev/shm"
    with tempfile.TemporaryDirectory(prefix="dagflow-", dir=shared if os.access(shared, os.W_OK) else None) as folder:
        yield Path(folder)
