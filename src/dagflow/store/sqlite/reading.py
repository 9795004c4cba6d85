"""The operations that read a store, each a plain function that works on the database in a worker thread."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from typing import Any

from dagflow.core.storage import Page, Record, Status, ThreadSummary
from dagflow.store.checks import Place
from dagflow.store.sqlite.database import Database
from dagflow.store.sqlite.writing import sweep

__all__ = ["find", "read", "read_values", "summaries"]

NUMBER = "(SELECT number FROM thread WHERE thread_id = ?)"
SUMMARY = "SELECT thread_id, graph, status, created, updated, newest FROM thread"


def read(database: Database, thread_id: str, after: int, limit: int | None) -> Sequence[Record]:
    """Give the records above `after`."""
    if has_expired(database, thread_id):
        return ()
    query = f"SELECT seq, text FROM record WHERE thread = {NUMBER} AND seq > ? ORDER BY seq LIMIT ?"
    rows = database.connection.execute(query, (thread_id, after, -1 if limit is None else max(limit, 0)))
    return tuple(Record(*row) for row in rows)


def read_values(database: Database, thread_id: str, digests: Collection[str]) -> Mapping[str, str]:
    """Give the texts of values by digest."""
    if has_expired(database, thread_id):
        return {}
    query = f"SELECT digest, text FROM value WHERE thread = {NUMBER} AND digest = ?"
    found = (database.connection.execute(query, (thread_id, digest)).fetchone() for digest in digests)
    return dict(row for row in found if row is not None)


def has_expired(database: Database, thread_id: str) -> bool:
    """Tell whether a thread is there still, but counts as gone."""
    return database.ttl is not None and find(database, thread_id) is None


def find(database: Database, thread_id: str) -> ThreadSummary | None:
    """Summarise one thread."""
    row = database.connection.execute(f"{SUMMARY} WHERE thread_id = ?", (thread_id,)).fetchone()
    return None if row is None else summary(database, row)


def summaries(database: Database, limit: int, behind: Place | None, status: Status | None) -> Page:
    """Give one page of a listing; its query reads in the order of an index, and no further than the page needs."""
    sweep(database)
    conditions: list[str] = ["true"]
    parameters: list[Any] = []
    if status is not None:
        conditions.append("status = ?")
        parameters.append(status)
    if behind is not None:
        conditions.append("created <= ? AND (created < ? OR thread_id > ?)")
        parameters += [behind.created, behind.created, behind.thread_id]
    query = f"{SUMMARY} WHERE {' AND '.join(conditions)} ORDER BY created DESC, thread_id"
    found: list[ThreadSummary] = []
    with closing(database.connection.execute(query, parameters)) as rows:
        for thread in filter(None, (summary(database, row) for row in rows)):
            if len(found) == limit:
                return Page(tuple(found), str(Place(found[-1].created, found[-1].thread_id)))
            found.append(thread)
    return Page(tuple(found))


def summary(database: Database, row: tuple[Any, ...]) -> ThreadSummary | None:
    """Describe a thread; `None` for one that has expired."""
    thread_id, graph, status, created, updated, newest = row
    leased = database.is_leased(thread_id)
    if updated < database.expiry() and not leased:
        return None
    return ThreadSummary(
        thread_id=thread_id,
        graph=graph,
        status=status,
        created=created,
        updated=updated,
        records=newest,
        leased=leased,
    )
