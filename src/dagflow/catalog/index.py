"""The index of a run: a line of JSON for each file that is kept, in a file that many processes may add to.

The newest line of a path counts. Whoever adds holds a lock on the file; who reads takes whole lines only, and needs
none. A line that a killed process left half written is cut off by the next who adds.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from dagflow.catalog.patterns import check_path
from dagflow.catalog.spec import CatalogError, CatalogFile

__all__ = ["INDEX", "Indexes"]

INDEX: Final = "index.jsonl"
"""The name of the file."""

_KEPT: Final = 8
"""How many runs' indexes are kept in memory."""

_LOCK_PAUSE: Final = 0.005

_KINDS: Final = (str, str, int, str, bool)
"""The types of the fields of a `CatalogFile`."""


@attrs.define
class _Known:
    """What was read of one index file: how far, and the newest line of each path."""

    number: int
    end: int = 0
    files: dict[str, CatalogFile] = attrs.field(factory=dict)


class Indexes:
    """Reads and extends the indexes of runs; remembers what it has read, so that a run of many tasks reads it once."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()

    def read(self, folder: int, run: str) -> Mapping[str, CatalogFile]:
        """Give the files of a run by path; `folder` is its open folder. Raises `CatalogError` for a damaged line.

        The mapping grows with the index: look names up in it, or take a list of it, but do not go through it.
        """
        try:
            descriptor = os.open(INDEX, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return {}
        try:
            return self._catch_up(descriptor, run)
        finally:
            os.close(descriptor)

    @contextmanager
    def locked(self, folder: int, run: str, check: Callable[[], None]) -> Iterator[Addition]:
        """Hold the index of a run, to add to it; `check` is called while another process holds it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(INDEX, flags, 0o666, dir_fd=folder)
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    check()
                    time.sleep(_LOCK_PAUSE)
            known = self._catch_up(descriptor, run)
            yield Addition(descriptor, folder, known, is_new=os.fstat(descriptor).st_size == 0)
        finally:
            os.close(descriptor)  # and so ends the lock

    def _catch_up(self, descriptor: int, run: str) -> dict[str, CatalogFile]:
        status = os.fstat(descriptor)
        with self._guard:
            known = self._known.get(run)
            if known is None or known.number != status.st_ino or known.end > status.st_size:  # begun anew
                known = self._known[run] = _Known(status.st_ino)
            self._known.move_to_end(run)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
            data = _read_from(descriptor, known.end)
            data = data[: data.rfind(b"\n") + 1]
            for line in data.splitlines():
                found = _file_of(line, run)
                known.files[found.path] = found
            known.end += len(data)
            return known.files


@attrs.frozen
class Addition:
    """The right to add to an index, whose `files` cannot change meanwhile."""

    _descriptor: int
    _folder: int
    files: Mapping[str, CatalogFile]
    is_new: bool

    def write(self, files: Sequence[CatalogFile]) -> None:
        """Add files, and return when they are on the disk; those that the index has already are left out."""
        new = [file for file in files if self.files.get(file.path) != file]
        if not new:
            return
        end = os.fstat(self._descriptor).st_size
        whole = _end_of_lines(self._descriptor, end)
        if whole != end:
            os.ftruncate(self._descriptor, whole)
        rest = memoryview(b"".join(_line_of(file) for file in new))
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        os.fsync(self._descriptor)
        if self.is_new:
            os.fsync(self._folder)


def _line_of(file: CatalogFile) -> bytes:
    return json.dumps(attrs.asdict(file), ensure_ascii=False).encode() + b"\n"


def _file_of(line: bytes, run: str) -> CatalogFile:
    try:
        data: dict[str, Any] = json.loads(line)
        file = CatalogFile(**data)
        kinds = tuple(map(type, attrs.astuple(file)))
        if kinds == _KINDS and check_path(file.path) is None and len(bytes.fromhex(file.sha256)) == 32:
            return file
    except (ValueError, TypeError, RecursionError):
        pass
    raise CatalogError(f"{INDEX} of run {run} is damaged: it has the line {line[:200]!r}")


def _read_from(descriptor: int, start: int) -> bytes:
    found = bytearray()
    while chunk := os.pread(descriptor, 1 << 20, start + len(found)):
        found += chunk
    return bytes(found)


def _end_of_lines(descriptor: int, end: int) -> int:
    """Where the last whole line ends."""
    while end > 0:
        start = max(0, end - 4096)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
