"""The operations that write to a store, each a plain function that works on the database in a worker thread."""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from dagflow.core.storage import Head, Lease, Record
from dagflow.kernel import fault_points
from dagflow.store.checks import check_numbers, not_following, taken
from dagflow.store.sqlite.database import Database, Hold, Seat
from dagflow.store.sqlite.schema import index_expiry

__all__ = ["acquire", "append", "cancel", "delete", "release", "renew", "sweep"]

SWEEP = 100
"""How many expired threads are removed at most at a time."""
BEGIN = "BEGIN IMMEDIATE"
"""Begins what `with connection:` ends, by commit or, where it raises, by rollback."""


def acquire(database: Database, seat: Seat, thread_id: str) -> Lease | None:
    """Take a lease; `None` where somebody else has the lock, who may only be looking at it."""
    if thread_id in database.holds:
        raise taken(thread_id)
    lock = database.locks.take(thread_id)
    if lock is None:
        return None
    connection = database.connection
    try:
        with connection:
            row = begin_alone(connection, thread_id)
            if row is not None and row[1] < database.expiry():
                remove(connection, row[0])
                row = None
    except BaseException:
        lock.release()
        raise
    lease = Lease(thread_id, secrets.token_hex(16))
    database.holds[thread_id] = Hold(lease, lock, seat, None if row is None else row[0])
    return lease


def renew(database: Database, lease: Lease) -> bool:
    """Check that a lease is still ours, and tell whether its run was asked to cancel."""
    database.held(lease)
    query = "SELECT 1 FROM cancel_request WHERE thread_id = ?"
    return database.connection.execute(query, (lease.thread_id,)).fetchone() is not None


def release(database: Database, lease: Lease) -> None:
    """Give a lease back, unless it is lost already."""
    hold = database.holds.get(lease.thread_id)
    if hold is not None and hold.lease.owner == lease.owner:
        database.give_up(hold)


def append(
    database: Database, lease: Lease, records: Sequence[Record], values: Mapping[str, str], head: Head | None
) -> None:
    """Add records and values to a thread, and bring its row up to date, in one transaction."""
    hold = database.held(lease)
    check_numbers(lease.thread_id, records)
    connection = database.connection
    with connection:
        connection.execute(BEGIN)
        number = write_thread(connection, hold, records, head)
        if number is None:
            check_repeated(connection, hold, records)
            return
        connection.executemany(
            "INSERT INTO record (thread, seq, text) VALUES (?, ?, ?)",
            [(number, record.seq, record.text) for record in records],
        )
        if values:
            connection.executemany(
                "INSERT OR IGNORE INTO value (thread, digest, text) VALUES (?, ?, ?)",
                [(number, digest, text) for digest, text in values.items()],
            )
        fault_points.reach("intxn", lease.thread_id)
    hold.number = number
    hold.first = records[0].seq


def write_thread(
    connection: sqlite3.Connection, hold: Hold, records: Sequence[Record], head: Head | None
) -> int | None:
    """Write the row of a thread and give its number; `None` where the records do not follow on its newest one.

    That they do is checked by the statement that writes: it saves another, and holds whoever else wrote.
    """
    newest, before, now = records[-1].seq, records[0].seq - 1, time.time()
    if hold.number is None:
        if before:
            return None
        return insert_thread(connection, hold.lease.thread_id, head or Head("", "running"), now, newest)
    if head is None:
        cursor = connection.execute(
            "UPDATE thread SET newest = ?, updated = ? WHERE number = ? AND newest = ?",
            (newest, now, hold.number, before),
        )
    else:
        cursor = connection.execute(
            "UPDATE thread SET newest = ?, updated = ?, graph = ?, status = ? WHERE number = ? AND newest = ?",
            (newest, now, head.graph, head.status, hold.number, before),
        )
    return hold.number if cursor.rowcount else None


def insert_thread(connection: sqlite3.Connection, thread_id: str, head: Head, now: float, newest: int) -> int | None:
    """Write the row of a thread that is new; `None` where it is not."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO thread (thread_id, graph, status, created, updated, newest) VALUES (?, ?, ?, ?, ?, ?)",
        (thread_id, head.graph, head.status, now, now, newest),
    )
    return cursor.lastrowid if cursor.rowcount else None


def check_repeated(connection: sqlite3.Connection, hold: Hold, records: Sequence[Record]) -> None:
    """Raise `CheckpointError` for records that do not follow, unless they are the ones appended last."""
    row = connection.execute("SELECT newest FROM thread WHERE number = ?", (hold.number,)).fetchone()
    newest = 0 if row is None else row[0]
    if hold.first == records[0].seq:
        query = "SELECT seq, text FROM record WHERE thread = ? AND seq >= ? ORDER BY seq"
        if [Record(*row) for row in connection.execute(query, (hold.number, hold.first))] == list(records):
            return
    raise not_following(hold.lease.thread_id, records, newest)


def cancel(database: Database, thread_id: str) -> bool:
    """Leave a request for whoever holds the lease, where somebody does."""
    connection = database.connection
    with connection:
        connection.execute(BEGIN)
        leased = database.is_leased(thread_id)
        if leased:
            connection.execute("INSERT OR IGNORE INTO cancel_request (thread_id) VALUES (?)", (thread_id,))
    return leased


def delete(database: Database, thread_id: str) -> bool | None:
    """Remove a thread, and tell whether it was there; `None` where somebody else has the lock."""
    if thread_id in database.holds:
        raise taken(thread_id)
    lock = database.locks.take(thread_id)
    if lock is None:
        return None
    connection = database.connection
    try:
        with connection:
            row = begin_alone(connection, thread_id)
            if row is None:
                return False
            number, updated = row
            remove(connection, number)
            return bool(updated >= database.expiry())
    finally:
        lock.release()


def sweep(database: Database) -> None:
    """Remove some of the threads that have expired, those first that have rested longest."""
    if database.ttl is None:
        return
    connection = database.connection
    index_expiry(connection)
    query = "SELECT number, thread_id FROM thread WHERE updated < ? ORDER BY updated LIMIT ?"
    expired = connection.execute(query, (database.expiry(), SWEEP)).fetchall()
    if not expired:
        return
    with ExitStack() as locks, connection:
        connection.execute(BEGIN)
        for number, thread_id in expired:
            lock = database.locks.take(thread_id)
            if lock is not None:
                locks.callback(lock.release)
                # Somebody may have gone on with it, or begun it anew, before we had the lock.
                query = "SELECT updated FROM thread WHERE number = ? AND thread_id = ?"
                row = connection.execute(query, (number, thread_id)).fetchone()
                if row is not None and row[0] < database.expiry():
                    remove(connection, number)


def begin_alone(connection: sqlite3.Connection, thread_id: str) -> tuple[int, float] | None:
    """Begin a transaction as who holds a thread's lock; give its row, if it has one. Earlier requests are void."""
    # `cancel` looks and writes in one transaction, so none that meant an earlier lease can come after this one.
    connection.execute(BEGIN)
    connection.execute("DELETE FROM cancel_request WHERE thread_id = ?", (thread_id,))
    row: tuple[int, float] | None = connection.execute(
        "SELECT number, updated FROM thread WHERE thread_id = ?", (thread_id,)
    ).fetchone()
    return row


def remove(connection: sqlite3.Connection, number: int) -> None:
    """Remove a thread and what belongs to it, in the transaction that is open."""
    connection.execute("DELETE FROM record WHERE thread = ?", (number,))
    connection.execute("DELETE FROM value WHERE thread = ?", (number,))
    connection.execute(
        "DELETE FROM cancel_request WHERE thread_id = (SELECT thread_id FROM thread WHERE number = ?)", (number,)
    )
    connection.execute("DELETE FROM thread WHERE number = ?", (number,))
