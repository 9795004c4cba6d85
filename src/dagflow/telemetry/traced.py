"""The stream of a run that makes spans of what it gives."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Generic, TypeVar

from opentelemetry.trace import Tracer

from dagflow.events import Event, RunStarted
from dagflow.kernel.journal import belongs
from dagflow.kernel.stream import RunStream
from dagflow.telemetry.spans import EventTracer, FrontEnd

__all__ = ["TracedStream", "traced"]

R = TypeVar("R")


def traced(stream: RunStream[R], *, tracer: Tracer, kind: FrontEnd = "graph", **options: Any) -> TracedStream[R]:
    """Follow a run and make spans of its events: `async with traced(graph.stream(start), tracer=tracer) as events`.

    The block is that of the stream: leaving it ends the run, and all spans, also those of what happened after the last
    event that was read. `events.result` is the run's result. Options are those of `EventTracer`.
    """
    return TracedStream(stream, EventTracer(tracer, kind=kind, **options))


class TracedStream(Generic[R]):
    """An async context manager over the events of a run; see `traced`."""

    def __init__(self, stream: RunStream[R], spans: EventTracer) -> None:
        self._stream = stream
        self._spans = spans
        self._run = ""
        self._seen = 0
        self._nested = False

    @property
    def result(self) -> R:
        """The run's result; raises `RuntimeError` while there is none."""
        return self._stream.result

    async def __aenter__(self) -> TracedStream[R]:
        await self._stream.__aenter__()
        self._nested = bool(self._stream.journal.events.newest)  # that of a run of its own is still empty
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            return await self._stream.__aexit__(kind, error, trace)
        finally:
            self._feed_the_rest()
            self._spans.close()

    def __aiter__(self) -> TracedStream[R]:
        return self

    async def __anext__(self) -> Event:
        event = await self._stream.__anext__()
        self._feed(event)
        return event

    def _feed(self, event: Event) -> None:
        self._spans.feed(event)
        self._run = self._run or event.run
        self._seen = event.seq

    def _feed_the_rest(self) -> None:
        """A consumer that stops early reads nothing of how the run ended."""
        events = self._stream.journal.events
        if not self._run:  # it read nothing at all
            self._seen = events.newest if self._nested else _newest_beginning(events)
        for event in events.after(self._seen):
            if belongs(event, self._run):
                self._feed(event)


def _newest_beginning(events: Iterable[Event]) -> int:
    """Before which event the newest stretch of a run begins: one that goes on begins in the midst of its journal."""
    begun = [event.seq - 1 for event in events if isinstance(event, RunStarted) and not event.parent]
    return begun[-1] if begun else 0
