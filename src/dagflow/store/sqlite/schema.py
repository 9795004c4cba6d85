"""Open the database file: make it, migrate it, or refuse one that is not ours."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable

from dagflow.errors import CheckpointError
from dagflow.store.sqlite.problems import is_busy, translated

__all__ = ["APPLICATION_ID", "MIGRATIONS", "connect", "index_expiry"]

APPLICATION_ID = 0x64616766  # "dagf"; SQLite keeps it at byte 68 of the file
BUSY_SECONDS = 5.0
"""How long a lock of another connection is waited for."""


def create(connection: sqlite3.Connection) -> None:
    """Version 0 to 1: from an empty file."""
    connection.execute(
        "CREATE TABLE thread ("
        " number INTEGER PRIMARY KEY,"
        " thread_id TEXT NOT NULL UNIQUE,"
        " graph TEXT NOT NULL,"
        " status TEXT NOT NULL,"
        " created REAL NOT NULL,"  # seconds since the epoch
        " updated REAL NOT NULL,"
        " newest INTEGER NOT NULL)"  # the number of the newest record
    )
    connection.execute("CREATE INDEX thread_by_age ON thread (created DESC, thread_id)")
    connection.execute("CREATE INDEX thread_by_status ON thread (status, created DESC, thread_id)")
    connection.execute(
        "CREATE TABLE record (thread INTEGER NOT NULL, seq INTEGER NOT NULL, text TEXT NOT NULL,"
        " PRIMARY KEY (thread, seq))"
    )
    connection.execute(
        "CREATE TABLE value (thread INTEGER NOT NULL, digest TEXT NOT NULL, text TEXT NOT NULL,"
        " PRIMARY KEY (thread, digest))"
    )
    # Not a column of `thread`: a thread that has no record yet can be asked to cancel its first run.
    connection.execute("CREATE TABLE cancel_request (thread_id TEXT PRIMARY KEY) WITHOUT ROWID")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (create,)
"""What leads from each version of the schema to the next; the version is the number of those that were done."""


def connect(path: str) -> sqlite3.Connection:
    """Open the database at `path`, which is made where there is none.

    Raises `CheckpointError` for one that cannot be opened, is another application's, or of a newer version; it is
    left as it is.
    """
    check_place(path)
    with translated(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def check_place(path: str) -> None:
    """Raise `CheckpointError` where no database can be; SQLite says the same of all such places."""
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        raise CheckpointError(f"the store {path} cannot be made: there is no folder {folder}; make it first")
    with translated(path):
        if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
            raise CheckpointError(f"the store {path} cannot be opened: it is not a file; give the path of a file")


def prepare(connection: sqlite3.Connection, path: str) -> None:
    """Check whose the database is before anything is written, then bring it to our settings and version."""
    connection.execute("PRAGMA synchronous = FULL")
    with connection:
        connection.execute("BEGIN")  # one look: another process may mark the file at this moment
        version = own_version(connection, path)
    set_wal(connection, path)
    if version < len(MIGRATIONS):
        migrate(connection, path)


def own_version(connection: sqlite3.Connection, path: str) -> int:
    """Read the version of the schema; 0 for an empty database."""
    application = number(connection, "PRAGMA application_id")
    version = number(connection, "PRAGMA user_version")
    if application != APPLICATION_ID:
        if application or version or number(connection, "SELECT count(*) FROM sqlite_master"):
            raise CheckpointError(f"{path} is the database of another application; give the store a file of its own")
    elif version > len(MIGRATIONS):
        raise CheckpointError(
            f"{path} was written by a newer dagflow (its schema has version {version}, this dagflow knows "
            f"{len(MIGRATIONS)}); upgrade dagflow"
        )
    return version


def set_wal(connection: sqlite3.Connection, path: str) -> None:
    """Let readers and the writer work side by side; SQLite does not wait for other connections here by itself."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            break
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.005)
    if mode != "wal":
        raise CheckpointError(
            f"the store {path} cannot be opened: its file system has no shared memory, which SQLite's write-ahead log "
            f"needs; give a path on a local disk"
        )


def migrate(connection: sqlite3.Connection, path: str) -> None:
    """Bring the schema to our version, in one transaction; others may do the same at this moment."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        for step in MIGRATIONS[own_version(connection, path) :]:
            step(connection)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")


def index_expiry(connection: sqlite3.Connection) -> None:
    """Index threads by how long they have rested: only where they expire, because it costs a page each append."""
    connection.execute("CREATE INDEX IF NOT EXISTS thread_by_rest ON thread (updated)")


def number(connection: sqlite3.Connection, query: str) -> int:
    return int(connection.execute(query).fetchone()[0])
