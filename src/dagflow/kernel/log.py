"""The log: writes a run's journal to its store, and keeps the lease of its thread.

**Theory of operation.** Recording an event is synchronous: its text is queued here. `commit` makes sure that all
that was queued before is in the store: one caller writes everything that waits, while the others wait for it, so
that activations which end together share a transaction. A write is shielded: a run that is cancelled has written
all of a batch or nothing.

When a run writes is its `durability`. `"sync"`: after each activation, before anything follows from it; whoever
follows the run sees an event once it is written. `"async"`: within `SOON` seconds, while the run goes on. `"exit"`:
when the run ends. In the first two, what nobody waits for (a start, a retry) is written within `SOON` seconds too.

A failed write ends the run: from then on nothing is written, `error` says why, and what was not written did not
happen as far as the journal knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import anyio

from dagflow.core import records
from dagflow.core.storage import Head, Lease, Record, Session
from dagflow.errors import CheckpointError, DagflowError, RunLocked, describe
from dagflow.events import Event, RunEnded, RunStarted
from dagflow.kernel.journal import Journal
from dagflow.types import Durability

__all__ = ["PAGE", "Log", "acquire", "read_events", "read_records", "to_events"]

SOON = 0.05
"""Seconds after which what nobody waits for is written."""

RENEWAL = 0.5
"""Seconds between two looks at the lease, and at whether somebody asked to cancel the run."""

FAREWELL = 15.0
"""Seconds that the last write of a run, and giving back its lease, may take where the run was cancelled."""

BACKLOG = 10_000
"""How many records may wait before a run that need not wait for them does."""

PATIENCE = 60.0
"""Seconds after which a write that a store has not finished counts as failed; the stores here give up much earlier."""

PAGE = 5_000
"""How many records are read at a time."""


async def acquire(session: Session, thread_id: str, *, wait: float) -> Lease:
    """Take a thread's lease, trying again for up to `wait` seconds; raises `RunLocked` after that."""
    pause = 0.02
    deadline = anyio.current_time() + wait
    while True:
        try:
            return await session.acquire(thread_id)
        except RunLocked:
            left = deadline - anyio.current_time()
            if left <= 0:
                raise
            await anyio.sleep(min(pause, left))
            pause = min(pause * 2, 0.5)


async def read_records(session: Session, thread_id: str, *, after: int = 0, until: int | None = None) -> list[Record]:
    """Read the records of a thread from a number to another, page by page."""
    found: list[Record] = []
    while until is None or after < until:
        limit = PAGE if until is None else min(PAGE, until - after)
        page = await session.read(thread_id, after=after, limit=limit)
        found += page
        if len(page) < limit:
            break
        after = page[-1].seq
    return found


async def to_events(session: Session, thread_id: str, found: Sequence[Record], *, after: int = 0) -> list[Event]:
    """Make the events of records that follow on number `after`, with the values that they refer to.

    Raises `CheckpointError` for what is damaged.
    """
    parsed = records.parse(found, thread_id=thread_id, after=after)
    digests = records.references(parsed)
    values = await session.read_values(thread_id, digests) if digests else {}
    return records.to_events(parsed, values, thread_id=thread_id)


async def read_events(session: Session, thread_id: str, *, after: int = 0, until: int | None = None) -> list[Event]:
    """Read the events of a thread from a number to another; raises `CheckpointError` for what is damaged."""
    found = await read_records(session, thread_id, after=after, until=until)
    return await to_events(session, thread_id, found, after=after)


class Log:
    """Writes the events of one run, which holds the `lease` of its thread."""

    def __init__(self, session: Session, lease: Lease, journal: Journal, durability: Durability) -> None:
        self._session = session
        self._lease = lease
        self._journal = journal
        self.durability: Durability = durability
        self.error: DagflowError | None = None
        self.cancel_requested: bool = False
        """Whether somebody asked, through the store, for the run to be cancelled."""
        self._cancel_scope: anyio.CancelScope | None = None
        self._added = self._written = 0
        self._queue: list[Record] = []
        self._values: dict[str, str] = {}
        self._known: set[str] = set()
        self._head: Head | None = None
        self._graph = ""
        self._is_writing = False
        self._end_of_write: anyio.Event | None = None
        self._arrival = anyio.Event()
        self._hurry = anyio.Event()

    @property
    def thread_id(self) -> str:
        """The thread that is written to."""
        return self._lease.thread_id

    def add(self, event: Event, payload: Mapping[str, Any]) -> None:
        """Queue an event that has just been recorded."""
        values: dict[str, str] = {}
        self._added = event.seq
        self._queue.append(records.write(event, payload, values))
        for digest in values.keys() - self._known:
            self._known.add(digest)
            self._values[digest] = values[digest]
        if isinstance(event, RunStarted) and not event.parent:
            self._graph = event.graph
            self._head = Head(event.graph, "running")
        elif isinstance(event, RunEnded) and "/" not in event.run:
            self._head = Head(self._graph, event.outcome)
        self._arrival.set()

    def hurry(self) -> None:
        """Write soon what was added: somebody is waiting to see it."""
        self._hurry.set()

    @property
    def is_awaited(self) -> bool:
        """Whether those who follow see an event only once it is written: not where that is when the run ends."""
        return self.durability != "exit"

    async def settle(self) -> None:
        """Wait until an activation that has just succeeded may be told of, as the durability has it."""
        if self.durability == "sync" or (self.durability == "async" and len(self._queue) > BACKLOG):
            await self.commit()
        elif self.error is not None:
            raise self.error

    async def commit(self) -> None:
        """Wait until everything that was added is in the store; raises `CheckpointError` where that fails.

        Cancelled, what is being written is written to its end first.
        """
        target = self._added
        while self._queue or self._is_writing:
            if self.error is not None:
                raise self.error
            if self._is_writing:
                if self._end_of_write is None:
                    self._end_of_write = anyio.Event()
                await self._end_of_write.wait()
            else:
                await self._write()
            if self._written >= target:
                return
        if self.error is not None:
            raise self.error

    async def _write(self) -> None:
        batch, self._queue = self._queue, []
        values, self._values = self._values, {}
        head, self._head = self._head, None
        self._is_writing = True
        if self._hurry.is_set():
            self._hurry = anyio.Event()
        try:
            with anyio.move_on_after(PATIENCE, shield=True) as scope:
                await self._session.append(self._lease, batch, values=values, head=head)
            if scope.cancelled_caught:
                raise self._error(f"the store did not answer for {PATIENCE:g} s")
        except DagflowError as error:
            self._fail(error)
            raise
        except BaseException as error:
            failure = self._error(f"writing to the store failed: {describe(error)}")
            self._fail(failure)
            if isinstance(error, Exception):  # which no store may raise
                raise failure from error
            raise
        else:
            self._written = batch[-1].seq
            self._journal.publish(self._written)
        finally:
            self._is_writing = False
            if self._end_of_write is not None:
                self._end_of_write.set()
                self._end_of_write = None

    def _error(self, problem: str) -> CheckpointError:
        return CheckpointError(f"thread {self.thread_id}: {problem}", thread_id=self.thread_id)

    def _fail(self, error: DagflowError) -> None:
        self.error = self.error or error
        self._end_run()

    def _end_run(self) -> None:
        if self._cancel_scope is not None:
            self._cancel_scope.cancel()

    def end_with(self, scope: anyio.CancelScope) -> None:
        """Cancel `scope` when a write fails, the lease is lost, or somebody asks for it."""
        self._cancel_scope = scope
        if self.error is not None or self.cancel_requested:
            scope.cancel()

    async def write_soon(self) -> None:
        """Write now and then, for ever, what nobody waits for; meant for a task of its own."""
        if self.durability == "exit":
            return
        while self.error is None:
            await self._arrival.wait()
            self._arrival = anyio.Event()
            with anyio.move_on_after(SOON):
                await self._hurry.wait()
            try:
                await self.commit()
            except CheckpointError:
                return  # `error` says it, and the run ends

    async def keep_lease(self) -> None:
        """Renew the lease, for ever, and end the run when somebody asked for it; meant for a task of its own."""
        while True:
            await anyio.sleep(RENEWAL)
            try:
                wanted = await self._session.renew(self._lease)
            except DagflowError as error:
                self._fail(error)
                return
            if wanted:
                self.cancel_requested = True
                self._end_run()
                return

    async def finish(self) -> None:
        """Write what is left after the run has failed or was cancelled; a failure of it is only noted in `error`."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(FAREWELL), suppress(CheckpointError):
            await self.commit()

    async def release(self) -> None:
        """Give the lease back; where that fails, it ends by itself, and how the run ended counts more."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(FAREWELL), suppress(CheckpointError):
            await self._session.release(self._lease)
