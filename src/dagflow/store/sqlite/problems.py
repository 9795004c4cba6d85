"""Translate what SQLite and the file system report into `CheckpointError`, with what to do about it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from dagflow.errors import CheckpointError

__all__ = ["is_busy", "translated"]

BUSY = "another process has locked it for long: look for a backup or a database browser, and try again"
UNWRITABLE = "check that it and its folder are there and may be written by this user"
FULL = "make room on its disk; what was recorded before is safe"
BROKEN = "look after its disk, then go on from what was recorded before"
DAMAGED = "restore it from a backup, or save what can be read with `sqlite3 FILE .recover`"

ADVICE = {
    sqlite3.SQLITE_BUSY: BUSY,
    sqlite3.SQLITE_LOCKED: BUSY,
    sqlite3.SQLITE_READONLY: UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: UNWRITABLE,
    sqlite3.SQLITE_PERM: UNWRITABLE,
    sqlite3.SQLITE_FULL: FULL,
    sqlite3.SQLITE_IOERR: BROKEN,
    sqlite3.SQLITE_NOTADB: "it is no SQLite database, or a damaged one: give another path, or restore it",
    sqlite3.SQLITE_TOOBIG: "a text may have a billion bytes at most",
}


@contextmanager
def translated(path: str, thread_id: str = "") -> Iterator[None]:
    """Raise `CheckpointError` that names the file and what to do, from what SQLite or the file system raise."""
    try:
        yield
    except sqlite3.Error as error:
        advice = ADVICE.get(code_of(error), DAMAGED)
        raise CheckpointError(describe(path, thread_id, error, advice), thread_id=thread_id) from error
    except OSError as error:
        advice = FULL if error.errno == errno.ENOSPC else UNWRITABLE
        raise CheckpointError(describe(path, thread_id, error, advice), thread_id=thread_id) from error


def describe(path: str, thread_id: str, error: Exception, advice: str) -> str:
    about = f" for thread {thread_id!r}" if thread_id else ""
    return f"the store {path} cannot be used{about}: {error}; {advice}"


def code_of(error: sqlite3.Error) -> int:
    """Give the primary result code; 0 for an error of the `sqlite3` module itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Tell whether another connection was in the way."""
    return code_of(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
