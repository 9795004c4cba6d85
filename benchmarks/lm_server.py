"""The local server of the benchmarks, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE = 5  # seconds


@contextmanager
def serving(text: str, *, pieces: int) -> Iterator[str]:
    """Give the URL of a server that answers everything with `text`; it ends with the block."""
    arguments = ["--port", "0", "--text", text, "--pieces", str(pieces)]
    command = [sys.executable, "-m", "dagflow.testing.lm_server", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            if not url:
                raise RuntimeError(f"the server did not start: {' '.join(command[:3])}")
            yield url
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()
