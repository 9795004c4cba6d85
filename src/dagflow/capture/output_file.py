"""The file that a task's output goes to, opened when there is some."""

from __future__ import annotations

import os
import threading
from typing import Final

__all__ = ["OutputFile"]

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NOCTTY


class OutputFile:
    """Collects bytes, and writes them to a file when it is told to; used from any thread.

    The file and its folder are made with the first byte. Once something cannot be written, everything else is dropped,
    and `failure` says why: what a task prints must not fail at the place where it prints.
    """

    def __init__(self, path: str) -> None:
        self.path: str = path
        self.failure: OSError | None = None
        self._buffer = bytearray()
        # Not a plain lock: a print in a `__del__` that the garbage collector calls can come at any allocation.
        self._guard = threading.RLock()
        self._writing = threading.Lock()
        self._descriptor: int | None = None

    @property
    def waiting(self) -> int:
        """How many bytes are not written yet."""
        return len(self._buffer)

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever taken, so that there is nothing to close."""
        return self._descriptor is None and not self._buffer

    def append(self, data: bytes) -> None:
        """Take bytes; never blocks for longer than another thread takes for the same."""
        with self._guard:
            if self.failure is None:
                self._buffer += data

    def flush(self) -> None:
        """Write what was taken; blocks while it does."""
        with self._writing:
            with self._guard:
                data = bytes(self._buffer)
                self._buffer.clear()
            if data and self.failure is None:
                try:
                    self._write(data)
                except OSError as error:
                    self.failure = error

    def close(self) -> None:
        """Write what is left, and close the file."""
        self.flush()
        with self._writing:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            self._descriptor = os.open(self.path, _FLAGS, 0o666)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
