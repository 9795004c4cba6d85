"""The journal: the append-only record of a run's events, in memory, and the streams that follow it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Protocol

import anyio
from anyio.lowlevel import current_token

from dagflow.events import Event, NodeSucceeded
from dagflow.kernel.event_list import EventList
from dagflow.kernel.forgetting import MANY, Parts

__all__ = ["Cursor", "Journal", "Subscription", "Writer"]


class Writer(Protocol):
    """Where a journal is written down; see `dagflow.kernel.log`."""

    def add(self, event: Event, payload: Mapping[str, Any]) -> None:
        """Take an event that is to be written, with its values as JSON-able data."""
        ...

    def hurry(self) -> None:
        """Write soon what was added: somebody is waiting to see it."""
        ...

    @property
    def is_awaited(self) -> bool:
        """Whether those who follow see an event only once it is written."""
        ...


class Journal:
    """The events of a run and of the runs nested in it, numbered in the order in which they happened.

    Where it is written to a store (`write_to`), it begins with the events that are there, and those who follow
    see an event once the store has it, unless that is only at the end: `visible` counts them.

    Recording is synchronous, so that an event stands before anything that follows from it can start.
    Backpressure is apart from it: whoever records calls `settle()` where it can wait, which returns at once
    unless a follower has fallen behind (`congested`).

    All events stay in memory, but for those of parts that went well (`part`).
    """

    def __init__(self) -> None:
        self.events: EventList = EventList()
        self.congested: bool = False
        # `anyio.current_time` looks its event loop up anew at each call; events are recorded too often for that.
        self._clock = current_token().backend_class.current_time
        self._began = self._clock()
        self._wall = time.time()
        self._followers: list[Subscription] = []
        self._cursors: list[Cursor] = []
        self._parts = Parts(self.events)
        self._writer: Writer | None = None
        self._written = 0

    def write_to(self, writer: Writer, events: Sequence[Event]) -> None:
        """Go on from `events`, which are written already, and hand every new one to `writer`."""
        assert not self.events.newest
        self._writer = writer
        self._written = len(events)
        self.events.extend(events)
        if events:
            # Seconds since the first record of all, by the wall clock, and never before the newest one.
            past = max(self._wall - events[0].wall + events[0].elapsed, events[-1].elapsed)
            self._began -= past
            self._wall -= past
        for follower in self._followers:
            follower.begin(len(events))

    def replace(self, typed: Iterable[NodeSucceeded]) -> None:
        """Put events with typed values in the place of those with data that the journal began with."""
        for event in typed:
            self.events.replace(event)

    def publish(self, written: int) -> None:
        """Show those who follow the events up to the number `written`."""
        self._written = written
        for follower in self._followers:
            follower.wake()
        self._forget()

    @property
    def visible(self) -> int:
        """How many events those who follow may see."""
        return self._written if self._writer is not None and self._writer.is_awaited else self.events.newest

    @property
    def is_followed(self) -> bool:
        """Whether anybody follows the run now."""
        return bool(self._followers)

    def record(
        self,
        kind: type[Event],
        run: str,
        *,
        since: float | None = None,
        payload: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> float:
        """Append an event of `run`; a live one is only handed to those who follow now.

        `payload` holds the values among the `fields` as a store is given them. Returns the event's `elapsed`, in
        seconds. Given back later as `since`, it makes the `duration` of the event that tells the end.
        """
        elapsed = self.elapsed()
        if since is not None:
            fields["duration"] = elapsed - since
        seq = self.events.newest + (not kind.live)
        event = kind(seq=seq, run=run, wall=self._wall + elapsed, elapsed=elapsed, **fields)
        if not kind.live:
            self.append(event, payload)
        elif self._followers:
            self._offer(event)
        return elapsed

    def elapsed(self) -> float:
        """Seconds since the journal began."""
        return self._clock() - self._began

    def stamp(self, run: str, elapsed: float) -> dict[str, Any]:
        """What the next event of `run` has beside fields of its own, `elapsed` seconds after the journal began."""
        return {"seq": self.events.newest + 1, "run": run, "wall": self._wall + elapsed, "elapsed": elapsed}

    def append(self, event: Event, payload: Mapping[str, Any] | None = None) -> None:
        """Append an event that is made already, with the newest `stamp`.

        What `record` does, for those who record so often that it shows.
        """
        self.events.append(event)
        if self._parts.of_run:
            self._parts.note(event)
        if self._writer is not None:
            self._writer.add(event, payload or {})
        if self._followers:
            self._offer(event)

    def tell(self, make: Callable[..., Event], **fields: Any) -> None:
        """Hand a live event to those who follow now; `make` is given its number and times with the `fields`."""
        elapsed = self.elapsed()
        event = make(seq=self.events.newest, wall=self._wall + elapsed, elapsed=elapsed, **fields)
        self._offer(event)

    def _offer(self, event: Event) -> None:
        for follower in self._followers:
            follower.offer(event)
        if self._writer is not None and self._followers:
            self._writer.hurry()

    def of(self, run: str) -> tuple[Event, ...]:
        """The recorded events of `run` and of the runs nested in it, without those that were forgotten."""
        self._forget()
        return tuple(event for event in self.events if belongs(event, run))

    def follow(self, run: str = "", *, after: int | None = 0, capacity: int = 256) -> Subscription:
        """Follow the events of `run`, or all, from the first whose `seq` is above `after`; recorded ones come first.

        Where `after` is `None`, from where the journal stands now, or where it goes on from a store.
        """
        return Subscription(self, run, after, capacity)

    def part(self, run: str, *, of: int) -> AbstractContextManager[object]:
        """Give a context manager around a run, one of so many that do the same; see `dagflow.kernel.forgetting`."""
        if of <= MANY:
            return nullcontext()
        self._forget()
        return self._parts.begin(run)

    def adopt(self, run: str, parent: str) -> None:
        """Take note that a run is nested in another."""
        if self._parts.of_run:
            self._parts.adopt(run, parent)

    def _forget(self) -> None:
        self._parts.drop(min([self.visible, *(cursor.position for cursor in self._cursors)]))

    async def settle(self) -> None:
        """Wait until every follower has room again."""
        while self.congested:
            behind = [follower for follower in self._followers if follower.is_full]
            if not behind:
                self.congested = False
                return
            await behind[0].drained()

    def attach(self, follower: Subscription) -> None:
        """Hand every new event to `follower` too."""
        self._followers.append(follower)
        self.hold(follower)

    def detach(self, follower: Subscription) -> None:
        """Forget `follower`; a run that waits for it goes on."""
        if follower in self._followers:
            self._followers.remove(follower)
            self.release(follower)

    def hold(self, cursor: Cursor) -> None:
        """Keep the events that `cursor` has not read yet."""
        self._cursors.append(cursor)

    def release(self, cursor: Cursor) -> None:
        """Keep nothing for `cursor` any more."""
        self._cursors.remove(cursor)


def belongs(event: Event, run: str) -> bool:
    """Tell whether an event is of `run`, or of a run nested in it; every event is of the run without a name."""
    return event.run == run or not run or event.run.startswith(run + "/")


class Cursor:
    """How far somebody has read a journal: to the event of number `position`."""

    position: int

    def __init__(self, position: int = 0) -> None:
        self.position = position


class Subscription(Cursor):
    """An ordered view of a run's events: those recorded before it began, then each as it happens.

    Recorded events are read from the journal itself, so that a late follower misses none and sees none twice;
    only live ones are buffered. When more than `capacity` events wait, the run waits too.
    """

    position: int

    def __init__(self, journal: Journal, run: str, after: int | None, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a stream's buffer must hold at least 1 event, not {capacity}")
        super().__init__(journal.events.newest if after is None else after)
        self._journal = journal
        self._run = run
        self._from_now = after is None
        self._capacity = capacity
        self._live: deque[Event] = deque()
        self._finished = False
        self._arrival = anyio.Event()
        self._departure = anyio.Event()

    def __enter__(self) -> Subscription:
        self._journal.attach(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._journal.detach(self)
        self._departure.set()

    @property
    def is_full(self) -> bool:
        """Whether as many events wait as the buffer holds."""
        return self._journal.events.newest - self.position + len(self._live) >= self._capacity

    def begin(self, count: int) -> None:
        """Take note that the journal begins with `count` events of earlier."""
        if self._from_now:
            self.position = count

    def wake(self) -> None:
        """Look again at what there is."""
        self._arrival.set()

    def offer(self, event: Event) -> None:
        """Take note of a new event, and tell the journal when the buffer is full."""
        if event.live and belongs(event, self._run):
            self._live.append(event)
        if self.is_full:
            self._journal.congested = True
        self._arrival.set()

    def finish(self) -> None:
        """Let the iteration end after the events that are there."""
        self._finished = True
        self._arrival.set()

    async def drained(self) -> None:
        """Wait until the buffer has room, or its reader is gone."""
        if self._departure.is_set():
            self._departure = anyio.Event()
        await self._departure.wait()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Event:
        while True:
            event = self.take()
            if event is not None:
                return event
            if self._finished:
                raise StopAsyncIteration
            if self._arrival.is_set():
                self._arrival = anyio.Event()
            await self._arrival.wait()

    def take(self) -> Event | None:
        """The next event, if there is one: a live one when all that was recorded before it has been read."""
        event = self._next()
        if event is not None:
            self._departure.set()
        return event

    def _next(self) -> Event | None:
        events = self._journal.events
        while True:
            if self._live and self._live[0].seq <= self.position:
                return self._live.popleft()
            if self.position >= self._journal.visible:
                return None
            self.position += 1
            event = events.get(self.position)
            if event is not None and belongs(event, self._run):
                return event
