"""What the sessions of one store share: a connection, the locks of the leases that are out, and who has it open."""

from __future__ import annotations

import math
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from typing import Concatenate, ParamSpec, TypeVar

import attrs

from dagflow.core.storage import Lease
from dagflow.errors import CheckpointError
from dagflow.store.checks import lost
from dagflow.store.sqlite.locks import FileLock, LockFolder
from dagflow.store.sqlite.problems import translated
from dagflow.store.sqlite.schema import connect

__all__ = ["Database", "Hold", "Seat"]

P = ParamSpec("P")
T = TypeVar("T")


@attrs.define(eq=False)
class Seat:
    """A session's place at the database."""

    closed: bool = False


@attrs.define(eq=False)
class Hold:
    """A lease that is out, with its lock and whose it is.

    `number` is the row of its thread, if there is one. `first` is where the last append under the lease began.
    """

    lease: Lease
    lock: FileLock
    seat: Seat
    number: int | None
    first: int = 0


class Database:
    """One connection, opened for the first seat and closed with the last; used from any thread, by one at a time."""

    def __init__(self, path: str, ttl: float | None) -> None:
        self.path = path
        self.ttl = ttl
        self.holds: dict[str, Hold] = {}
        self.locks: LockFolder = LockFolder("")
        self._guard = threading.Lock()
        self._seats: set[Seat] = set()
        self._connection: sqlite3.Connection | None = None
        _databases.add(self)

    @property
    def connection(self) -> sqlite3.Connection:
        """The open connection, for who was called by `use`."""
        assert self._connection is not None
        return self._connection

    def enter(self, seat: Seat) -> None:
        """Open the database for a session, unless that one was given up meanwhile."""
        with self._guard:
            if seat.closed:
                return
            if self._connection is None:
                # Beside the real file, so that processes that know it by other names have the same locks.
                path = os.path.realpath(self.path)
                self._connection = connect(path)
                self.locks = LockFolder(f"{path}-locks")
            self._seats.add(seat)

    def leave(self, seat: Seat) -> None:
        """End the leases of a session, and close the connection with the last one; does nothing the second time."""
        with self._guard, translated(self.path), ExitStack() as stack:
            seat.closed = True
            if seat not in self._seats:
                return
            self._seats.remove(seat)
            if not self._seats:
                stack.callback(self._close)
            for hold in [hold for hold in self.holds.values() if hold.seat is seat]:
                stack.callback(self.give_up, hold)

    def use(
        self,
        seat: Seat,
        thread_id: str,
        operation: Callable[Concatenate[Database, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call an operation, which may use the connection."""
        with self._guard:
            if seat.closed:
                raise CheckpointError(f"this session of the store {self.path} is closed; open the store again")
            with translated(self.path, thread_id):
                return operation(self, *args, **kwargs)

    def held(self, lease: Lease) -> Hold:
        """Find a lease that is out, and whose lock is still ours; raises `RunLocked` for any other."""
        hold = self.holds.get(lease.thread_id)
        if hold is None or hold.lease.owner != lease.owner:
            raise lost(lease.thread_id)
        if not hold.lock.is_ours():
            self.give_up(hold)
            raise lost(lease.thread_id)
        return hold

    def give_up(self, hold: Hold) -> None:
        """End a lease."""
        del self.holds[hold.lease.thread_id]
        hold.lock.release()

    def expiry(self) -> float:
        """Give the time, in seconds since the epoch, before which a thread that rests since then has expired."""
        return -math.inf if self.ttl is None else time.time() - self.ttl

    def is_leased(self, thread_id: str) -> bool:
        """Tell whether anybody holds the lease of a thread."""
        return thread_id in self.holds or self.locks.is_locked(thread_id)

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def forget(self) -> None:
        """Start anew in a forked child; what was open belongs to the parent.

        The connection is neither used nor closed here, because SQLite would take the parent's locks for ours.
        """
        self._guard = threading.Lock()  # a thread that the child does not have may hold the other one
        if self._connection is not None:
            _inherited.append(self._connection)
            self._connection = None
        for seat in self._seats:
            seat.closed = True
        self._seats = set()
        for hold in self.holds.values():
            hold.lock.disown()
        self.holds = {}


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []


def _forget_all() -> None:
    for database in _databases:
        database.forget()


# A child that never looks at the store would still keep its locks alive, so this cannot wait for the next use.
os.register_at_fork(after_in_child=_forget_all)
