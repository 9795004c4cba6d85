"""One lock for each thread, which dies with the process that holds it: `flock` on a file of its own.

A descriptor of its own for each lock, because `flock` belongs to the open file: so two runs in one process exclude
each other as well. A file is removed with its lock; one that a killed process left is locked anew, or removed by
the next who looks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from contextlib import suppress

__all__ = ["FileLock", "LockFolder"]

TRIES = 100
"""How often a lock file may be replaced under our hands before it counts as taken."""


class FileLock:
    """A lock that is held, on the file at `path`."""

    __slots__ = ("_descriptor", "path")

    def __init__(self, path: str, descriptor: int) -> None:
        self.path: str = path
        self._descriptor = descriptor

    def is_ours(self) -> bool:
        """Tell whether the file that we locked is still the one that others would lock."""
        return is_at(self.path, self._descriptor)

    def release(self) -> None:
        """Remove the file and end the lock.

        Removed, the file is free for others at once, though a child that is between its fork and its exec has the
        descriptor still.
        """
        try:
            with suppress(OSError):  # a file that stays is locked by nobody, and harmless
                if self.is_ours():
                    os.unlink(self.path)
        finally:
            os.close(self._descriptor)

    def disown(self) -> None:
        """Close the descriptor in a forked child: the lock stays the parent's, and dies with it."""
        os.close(self._descriptor)


class LockFolder:
    """The folder of the lock files; it is made when the first lock is taken, and stays."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path: str = path

    def take(self, thread_id: str) -> FileLock | None:
        """Lock a thread, without waiting; `None` where it is locked, if only for the moment that a look takes."""
        path = self._path_of(thread_id)
        for _ in range(TRIES):
            descriptor = self._open(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it may have removed the file between our two calls.
                if is_at(path, descriptor):
                    return FileLock(path, descriptor)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except BaseException:
                os.close(descriptor)
                raise
            os.close(descriptor)
        return None

    def is_locked(self, thread_id: str) -> bool:
        """Tell whether a thread is locked now. Removes the file of a killed process, for which it locks it."""
        if not os.path.exists(self._path_of(thread_id)):
            return False
        lock = self.take(thread_id)
        if lock is None:
            return True
        lock.release()
        return False

    def _path_of(self, thread_id: str) -> str:
        return os.path.join(self.path, hashlib.sha256(thread_id.encode()).hexdigest())

    def _open(self, path: str) -> int:
        flags = os.O_RDWR | os.O_CREAT
        try:
            return os.open(path, flags, 0o666)
        except FileNotFoundError:
            with suppress(FileExistsError):
                os.mkdir(self.path)
            return os.open(path, flags, 0o666)


def is_at(path: str, descriptor: int) -> bool:
    """Tell whether an open file is the one at `path`."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False
