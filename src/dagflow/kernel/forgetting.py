"""What a journal need not keep in memory: the records of parts that went well, where there are thousands of them.

**Theory of operation.** A *part* is a run inside of another that does for one item what more than `MANY` do for theirs.
It collects the numbers of its events, and of those of the runs nested in it. If it ends well, and nothing happened in
it but starts and successes, these wait until the store has them, and everybody who reads the journal has read them;
then they are dropped. What a person would ask about (a retry, a failure that was handled, a call of a language model
that costs something) keeps the whole part.
"""

from __future__ import annotations

from collections import deque
from types import TracebackType

from dagflow.events import (
    DependencyStarted,
    DependencySucceeded,
    Event,
    NodeStarted,
    NodeSucceeded,
    RunEnded,
    RunStarted,
)
from dagflow.kernel.event_list import EventList

__all__ = ["MANY", "Parts"]

MANY = 1_000
"""Of as many runs side by side all is kept; of more, nothing of those that went well."""

UNEVENTFUL = frozenset(
    {RunStarted, RunEnded, NodeStarted, NodeSucceeded, DependencyStarted, DependencySucceeded},
)


class Parts:
    """The parts of a journal's runs that go on, and those whose events are to be dropped from `events`."""

    def __init__(self, events: EventList) -> None:
        self._events = events
        self.of_run: dict[str, Part] = {}
        """The parts that go on, by the runs that belong to them."""
        self._over: deque[list[int]] = deque()

    def begin(self, run: str) -> Part:
        """The part that `run` is, as a context manager around it."""
        return Part(self, run)

    def adopt(self, run: str, parent: str) -> None:
        """Let a run that is nested in another belong to the same part, if that one does."""
        part = self.of_run.get(parent)
        if part is not None and run not in self.of_run:
            self.add(run, part)

    def add(self, run: str, part: Part) -> None:
        """Let a run belong to a part."""
        part.runs.append(run)
        self.of_run[run] = part

    def note(self, event: Event) -> None:
        """Take note of an event that was recorded."""
        part = self.of_run.get(event.run)
        if part is not None:
            part.seqs.append(event.seq)
            if type(event) not in UNEVENTFUL:
                part.is_uneventful = False

    def end(self, part: Part, *, well: bool) -> None:
        """Take note that a part is over."""
        for run in part.runs:
            del self.of_run[run]
        if well and part.is_uneventful and part.seqs:
            self._over.append(part.seqs)

    def drop(self, upto: int) -> None:
        """Drop the parts that were over by the event of number `upto`, the newest that nobody needs any more."""
        while self._over and self._over[0][-1] <= upto:
            self._events.drop(self._over.popleft())


class Part:
    """A part that goes on: the numbers of its events, and the runs that belong to it."""

    __slots__ = ("_parts", "is_uneventful", "runs", "seqs")

    def __init__(self, parts: Parts, run: str) -> None:
        self._parts = parts
        self.runs: list[str] = []
        self.seqs: list[int] = []
        self.is_uneventful: bool = True
        parts.add(run, self)

    def __enter__(self) -> Part:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._parts.end(self, well=kind is None)
