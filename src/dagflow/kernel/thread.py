"""Threads of a store from outside: what is recorded, following a run live, forks, cancelling and pruning."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from types import TracebackType

import anyio
import attrs

from dagflow.core import records
from dagflow.core.replay import fold
from dagflow.core.storage import Head, Page, Session, Status, Store, ThreadSummary, check_thread_id
from dagflow.errors import CheckpointError, RunLocked
from dagflow.events import Event, NodeInterrupted, NodeSucceeded, RunEnded, RunStarted
from dagflow.kernel.log import PAGE, read_events, read_records, to_events
from dagflow.types import Interrupt, Outcome

__all__ = ["Follower", "Thread", "ThreadState", "ThreadStep", "list_threads", "prune"]

Decode = Callable[[Event], Event]


@attrs.frozen
class ThreadStep:
    """A place in a thread's journal where its state can be read, and which a fork can begin from.

    `seq` is the number of the event, `wall` when it was, in seconds since the epoch. `activation` completed,
    or asked; it is empty where a run began or ended.
    """

    seq: int
    wall: float
    run: str
    kind: str
    activation: str = ""


@attrs.frozen
class ThreadState:
    """How a thread stood at one of its events.

    `trace` holds the nodes of its newest run that had completed, in order: typed where the thread was asked for
    through its graph, else as JSON-able data. `interrupts` are the open questions. `outcome` is `None` where the run
    had not ended.
    """

    seq: int
    run: str
    graph: str
    outcome: Outcome | None
    trace: tuple[object, ...]
    interrupts: tuple[Interrupt, ...]


def _as_it_is(event: Event) -> Event:
    return event


class Thread:
    """One thread of a store. Made without I/O; every method opens the store for itself, on either event loop.

    `Graph.thread` gives one whose nodes are typed; without a graph their values are JSON-able data, by field.
    Methods raise `CheckpointError` where there is no such thread, or the store cannot be reached.
    """

    def __init__(self, thread_id: str, store: Store, *, decode: Decode = _as_it_is) -> None:
        self.thread_id: str = check_thread_id(thread_id)
        self._store = store
        self._decode = decode

    def __repr__(self) -> str:
        return f"Thread({self.thread_id!r}, {self._store!r})"

    async def summary(self) -> ThreadSummary:
        """Tell how the thread stands: graph, status, times, number of records, whether a run works on it."""
        async with self._store.open() as session:
            return await self._summary(session)

    async def events(self, *, after: int = 0, until: int | None = None) -> list[Event]:
        """Give the recorded events whose number is above `after`, and at most `until`."""
        async with self._store.open() as session:
            await self._summary(session)
            return list(map(self._decode, await read_events(session, self.thread_id, after=after, until=until)))

    async def steps(self) -> tuple[ThreadStep, ...]:
        """List the places that a state can be read at: where a run began or ended, and each activation's end."""
        return tuple(
            ThreadStep(event.seq, event.wall, event.run, type(event).__name__, getattr(event, "activation", ""))
            for event in await self.events()
            if isinstance(event, (RunStarted, NodeSucceeded, NodeInterrupted, RunEnded)) and "/" not in event.run
        )

    async def state(self, at: int | None = None) -> ThreadState:
        """Tell how the thread stood at the event with the number `at`; now, without it.

        Raises `ValueError` for a number that no event of the thread has.
        """
        summary = await self.summary()
        self._check_place(at, summary)
        events = await self.events(until=at)
        recording = fold(events)
        run = recording.runs[recording.newest]
        return ThreadState(
            seq=events[-1].seq,
            run=run.id,
            graph=run.started.graph,
            outcome=run.outcome,
            trace=tuple(event.value for event in run.succeeded),
            interrupts=tuple(recording.open.values()),
        )

    def follow(self, *, after: int = 0, poll: float = 0.05) -> Follower:
        """Follow the thread: `async with thread.follow() as events: async for event in events`.

        Gives the recorded events whose number is above `after`, then each one once it is recorded, without a gap or
        a repeat, whichever process records them. Ends when nobody works on the thread any more and all was
        read. Looks for new ones every `poll` seconds. What is live only (tokens, progress) is seen by those who
        stream the run itself.
        """
        return Follower(self.thread_id, self._store, after, poll, self._decode)

    async def fork(self, thread_id: str, *, at: int | None = None) -> Thread:
        """Begin a new thread with this one's journal, up to the event with the number `at`, and give it.

        `resume` goes on with it from there; this thread stays as it is. Raises `ValueError` for a number that no
        event has, and `CheckpointError` where there is a thread of the new name already.
        """
        forked = Thread(thread_id, self._store, decode=self._decode)
        async with self._store.open() as session:
            summary = await self._summary(session)
            self._check_place(at, summary)
            lease = await session.acquire(forked.thread_id)
            try:
                if await session.find(forked.thread_id) is not None:
                    raise CheckpointError(
                        f"there is a thread {forked.thread_id} already; fork to another name, or delete it",
                        thread_id=forked.thread_id,
                    )
                copied = await read_records(session, self.thread_id, until=at)
                parsed = records.parse(copied, thread_id=self.thread_id)
                digests = records.references(parsed)
                values = await session.read_values(self.thread_id, digests) if digests else {}
                recording = fold(records.to_events(parsed, values, thread_id=self.thread_id))
                run = recording.runs[recording.newest]
                head = Head(run.started.graph, run.outcome or "running")
                # As one append, so that a fork is there as a whole or not at all.
                await session.append(lease, copied, values=values, head=head)
            finally:
                with anyio.CancelScope(shield=True), anyio.move_on_after(5):
                    await session.release(lease)
        return forked

    async def cancel(self) -> bool:
        """Ask whoever works on the thread to cancel its run, within about a second; `False` where nobody does.

        The run raises `RunCancelled` there, and can be resumed.
        """
        async with self._store.open() as session:
            await self._summary(session)
            return await session.cancel(self.thread_id)

    async def delete(self) -> bool:
        """Remove the thread and all that belongs to it; `False` where there is none.

        Raises `RunLocked` while a run works on it.
        """
        async with self._store.open() as session:
            return await session.delete(self.thread_id)

    async def _summary(self, session: Session) -> ThreadSummary:
        found = await session.find(self.thread_id)
        if found is None:
            raise CheckpointError(f"there is no thread {self.thread_id} in the store", thread_id=self.thread_id)
        return found

    def _check_place(self, at: int | None, summary: ThreadSummary) -> None:
        if at is not None and not 1 <= at <= summary.records:
            raise ValueError(f"thread {self.thread_id} has the events 1 to {summary.records}, and none at {at}")


class Follower:
    """An async context manager over a thread's events, recorded ones first; see `Thread.follow`."""

    def __init__(self, thread_id: str, store: Store, after: int, poll: float, decode: Decode) -> None:
        if after < 0:
            raise ValueError(f"after is the number of the last event that was seen, 0 or more, not {after}")
        if not poll > 0:
            raise ValueError(f"poll is a number of seconds above 0, not {poll}")
        self._thread_id = thread_id
        self._store = store
        self._position = after
        self._poll = poll
        self._decode = decode
        self._ready: deque[Event] = deque()
        self._opened: AbstractAsyncContextManager[Session] | None = None
        self._session: Session | None = None

    async def __aenter__(self) -> Follower:
        if self._opened is not None:
            raise RuntimeError("this thread is followed already: call follow() again for another reader")
        self._opened = self._store.open()
        self._session = await self._opened.__aenter__()
        try:
            if await self._session.find(self._thread_id) is None:
                raise CheckpointError(f"there is no thread {self._thread_id} in the store", thread_id=self._thread_id)
        except BaseException as error:
            await self._opened.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._opened is not None
        return await self._opened.__aexit__(kind, error, trace)

    def __aiter__(self) -> Follower:
        if self._session is None:
            raise RuntimeError("a thread is followed inside a block: `async with thread.follow() as events:`")
        return self

    async def __anext__(self) -> Event:
        assert self._session is not None
        while not self._ready:
            # Asked before reading: what was recorded before the lease was given back is found then.
            summary = await self._session.find(self._thread_id)
            await self._read(self._session)
            if self._ready:
                break
            if summary is None or not summary.leased:
                raise StopAsyncIteration
            await anyio.sleep(self._poll)
        return self._ready.popleft()

    async def _read(self, session: Session) -> None:
        page = await session.read(self._thread_id, after=self._position, limit=PAGE)
        if page:
            events = await to_events(session, self._thread_id, page, after=self._position)
            self._ready.extend(map(self._decode, events))
            self._position = page[-1].seq


async def list_threads(
    store: Store, *, limit: int = 50, cursor: str | None = None, status: Status | None = None
) -> Page:
    """List the threads of a store, the newest first; `page.cursor` leads on to the next `limit`.

    Raises `ValueError` for a cursor that is none, and a limit below 1.
    """
    async with store.open() as session:
        return await session.list(limit=limit, cursor=cursor, status=status)


async def prune(
    store: Store, *, older_than: float, status: Collection[Status] = ("complete", "failed", "cancelled")
) -> list[str]:
    """Delete the threads that nothing was added to for `older_than` seconds, and give their names.

    Only those whose newest run stands as `status` says, and that no run works on.
    """
    deleted: list[str] = []
    limit = time.time() - older_than
    async with store.open() as session:
        cursor: str | None = None
        while True:
            page = await session.list(limit=200, cursor=cursor)
            for thread in page.threads:
                if thread.updated <= limit and thread.status in status and not thread.leased:
                    deleted += await _delete(session, thread.thread_id)
            cursor = page.cursor
            if cursor is None:
                return deleted


async def _delete(session: Session, thread_id: str) -> list[str]:
    try:
        return [thread_id] if await session.delete(thread_id) else []
    except RunLocked:  # somebody has gone on with it since
        return []
