"""Files that people write: nothing but regular ones is read, up to a limit, and nobody is waited for."""

from __future__ import annotations

import os
import stat
from typing import Final

__all__ = ["FILE", "MAX_BYTES", "UnreadableFile", "kind_of", "read_bytes", "read_text"]

MAX_BYTES: Final = 1024 * 1024
"""How large a file may be, unless its reader says otherwise."""

FILE: Final = "a file"

_KINDS: Final = (
    (stat.S_ISREG, FILE),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symlink"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISCHR, "a device"),
)


class UnreadableFile(Exception):  # each reader tells it in its own error, with the name of the file
    """Raised for a file that cannot be read; its text says why, and shows nothing of what is in the file."""


def kind_of(mode: int) -> str:
    """Say what a mode is the mode of."""
    return next((name for test, name in _KINDS if test(mode)), "something else")


def read_bytes(path: str | os.PathLike[str], most: int) -> bytes:
    """Read a regular file, or the first `most` bytes of it and one; blocks while it reads.

    Raises `UnreadableFile` for one that is not there, may not be read, or is no regular file.
    """
    try:
        # A pipe without a writer would make us wait; a terminal would become ours.
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            mode = os.fstat(opened).st_mode
            if not stat.S_ISREG(mode):
                raise UnreadableFile(f"expected a file, this is {kind_of(mode)}")
            with open(opened, "rb", closefd=False) as file:  # which takes no folder, and would leave it open
                return file.read(most + 1)
        finally:
            os.close(opened)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise UnreadableFile(getattr(error, "strerror", None) or str(error)) from error


def read_text(path: str | os.PathLike[str], most: int = MAX_BYTES) -> str:
    """Read a regular file of UTF-8, with a byte order mark or without, and at most `most` bytes; blocks while it reads.

    Raises `UnreadableFile` as `read_bytes` does, and for what is larger or no UTF-8.
    """
    data = read_bytes(path, most)
    if len(data) > most:
        raise UnreadableFile(f"it has more than {most} bytes")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Not as the cause, which shows what is in the file.
        raise UnreadableFile(f"it is not UTF-8 at byte {error.start}") from None
