"""Folds over a run's events: timeline, usage, outcome and trace."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal

import attrs

from dagflow.events import (
    DependencyCancelled,
    DependencyFailed,
    DependencyStarted,
    DependencySucceeded,
    Event,
    LMCalled,
    NodeCancelled,
    NodeFailed,
    NodeInterrupted,
    NodeStarted,
    NodeSucceeded,
    RunEnded,
    RunStarted,
)
from dagflow.types import Outcome, Span, Timeline, Usage

__all__ = ["outcome", "timeline", "trace", "usage", "usage_by_node"]

Status = Literal["succeeded", "failed", "cancelled", "waiting", "running"]
Key = tuple[str, str, str]
"""What an event names a stretch of work by: its run, `node` or `dependency`, and its id there."""

ROUNDING = 1e-9
"""Seconds within which two moments count as one: an LM call's start is a difference of two readings."""


def usage(events: Iterable[Event]) -> Usage:
    """Sum what the language-model calls used, those of nested runs included."""
    return sum((event.usage for event in events if isinstance(event, LMCalled)), Usage())


def usage_by_node(events: Iterable[Event]) -> dict[str, Usage]:
    """Sum what the language-model calls used for each node's name, in the order of the nodes' first calls."""
    total: dict[str, Usage] = {}
    for event in events:
        if isinstance(event, LMCalled):
            total[event.node] = total.get(event.node, Usage()) + event.usage
    return total


def outcome(events: Iterable[Event]) -> Outcome | None:
    """Tell how the outermost run, the one of the first event, ended; `None` while it is under way."""
    run: str | None = None
    ended: Outcome | None = None
    for event in events:
        run = event.run if run is None else run
        if event.run == run and isinstance(event, RunEnded):
            ended = event.outcome
        elif event.run == run and isinstance(event, RunStarted):
            ended = None  # a resumed run goes on under its id
    return ended


def trace(events: Iterable[Event], *, run: str | None = None) -> tuple[Any, ...]:
    """List the nodes that ran, in the order in which they succeeded, with their fields filled.

    `run` is the id of the run or nested run; without it, the outermost one, that of the first event.
    """
    values: list[Any] = []
    for event in events:
        run = event.run if run is None else run
        if isinstance(event, NodeSucceeded) and event.run == run:
            values.append(event.value)
    return tuple(values)


def timeline(events: Iterable[Event]) -> Timeline:
    """Tell what ran when: nodes, dependencies and language-model calls, with the critical path marked.

    Times count from the first event. A node's span covers all its attempts. A span that is open at the end
    of the events has the status `running` and ends there. The critical path is found backwards from the node
    that ended last: what ended last inside a span, then what that one waited for, and so on, out again to
    what the span itself waited for. Takes O(n log n) time for n events.
    """
    recorder = Recorder()
    for event in events:
        recorder.feed(event)
    return recorder.finish()


@attrs.define(eq=False)
class Work:
    """A span in the making; `opened` and `closed` are positions among the events, to order equal times."""

    id: str
    kind: Literal["node", "dependency", "lm"]
    name: str
    start: float
    opened: int
    parent: Work | None
    after: tuple[Work, ...] = ()
    end: float = 0.0
    closed: int = -1
    status: Status = "running"
    critical: bool = False


class Recorder:
    """Turns events, one at a time, into the spans of a timeline."""

    def __init__(self) -> None:
        self._moments: list[float] = []
        self._work: list[Work] = []
        self._latest: dict[Key, Work] = {}
        self._owners: dict[str, Work | None] = {}
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            NodeStarted: self._node_started,
            NodeSucceeded: lambda event: self._close_node(event, "succeeded"),
            NodeFailed: lambda event: self._close_node(event, "failed"),
            NodeCancelled: lambda event: self._close_node(event, "cancelled"),
            NodeInterrupted: lambda event: self._close_node(event, "waiting"),
            DependencyStarted: self._dependency_started,
            DependencySucceeded: lambda event: self._close_dependency(event, "succeeded"),
            DependencyFailed: lambda event: self._close_dependency(event, "failed"),
            DependencyCancelled: lambda event: self._close_dependency(event, "cancelled"),
            LMCalled: self._lm_called,
        }

    def feed(self, event: Event) -> None:
        """Take in the next event."""
        self._moments.append(event.elapsed)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def finish(self) -> Timeline:
        """Close what is still open and give the timeline."""
        if not self._moments:
            return Timeline()
        # What has run the longest counts as ending last, so that work still ends after what is inside it.
        running = [work for work in self._work if work.closed < 0]
        for closed, work in enumerate(reversed(running), len(self._moments)):
            work.end, work.closed = self._moments[-1], closed
        mark_critical(self._work)
        began = self._moments[0]
        spans = [_span(work, began) for work in self._work]
        spans.sort(key=lambda span: span.start)
        return Timeline(tuple(spans), self._moments[-1] - began)

    def _run_started(self, event: RunStarted) -> None:
        # A nested run's id is a path that begins with that of its parent's run and the activation: two runs
        # can have activations of the same name.
        outer = event.run.rpartition(f"/{event.parent}/")[0]
        self._owners[event.run] = self._latest.get((outer, "node", event.parent))

    def _node_started(self, event: NodeStarted) -> None:
        after = self._finished(event.run, "node", event.parents)
        owner = self._owners.get(event.run)
        self._open((event.run, "node", event.activation), event.node, event.elapsed, owner, after)

    def _dependency_started(self, event: DependencyStarted) -> None:
        parent = self._latest.get((event.run, "node", event.activation))
        after = self._finished(event.run, "dependency", event.needs)
        self._open((event.run, "dependency", event.dependency), event.name, event.elapsed, parent, after)

    def _lm_called(self, event: LMCalled) -> None:
        start = max(event.elapsed - event.duration, self._moments[0])
        now = len(self._moments) - 1
        opened = min(bisect_right(self._moments, start + ROUNDING), now)
        parent = self._latest.get((event.run, "node", event.activation))
        model = event.model or "language model"
        name = f"{model}: {event.purpose}" if event.purpose else model
        work = Work(f"{event.run}/lm:{event.seq}", "lm", name, start, opened, parent)
        work.end, work.closed, work.status = event.elapsed, now, "succeeded" if event.answered else "failed"
        self._work.append(work)

    def _open(self, key: Key, name: str, start: float, parent: Work | None, after: tuple[Work, ...]) -> None:
        known = self._latest.get(key)
        if known is not None and known.closed < 0:
            return  # a further attempt
        run, kind, local = key
        id_ = f"{run}/{local}" if kind == "node" else f"{run}/dependency:{local}"
        now = len(self._moments) - 1
        if known is not None:
            id_ += f"~{now}"  # cancelled or interrupted, and begun again later
        work = Work(id_, "node" if kind == "node" else "dependency", name, start, now, parent, after)
        self._latest[key] = work
        self._work.append(work)

    def _close_node(self, event: NodeSucceeded | NodeFailed | NodeCancelled | NodeInterrupted, status: Status) -> None:
        self._close(self._latest.get((event.run, "node", event.activation)), status)

    def _close_dependency(
        self, event: DependencySucceeded | DependencyFailed | DependencyCancelled, status: Status
    ) -> None:
        self._close(self._latest.get((event.run, "dependency", event.dependency)), status)

    def _close(self, work: Work | None, status: Status) -> None:
        if work is not None and work.closed < 0:
            work.end, work.closed, work.status = self._moments[-1], len(self._moments) - 1, status

    def _finished(self, run: str, kind: str, ids: tuple[str, ...]) -> tuple[Work, ...]:
        if not ids:
            return ()
        found = (self._latest.get((run, kind, id_)) for id_ in ids)
        return tuple(work for work in found if work is not None)


def _span(work: Work, began: float) -> Span:
    return Span(
        work.id,
        work.kind,
        work.name,
        work.start - began,
        work.end - began,
        work.status,
        work.parent.id if work.parent else "",
        tuple(before.id for before in work.after),
        work.critical,
    )


def mark_critical(all_work: Iterable[Work]) -> None:
    """Mark the chain of work that decided when the last of it ended."""
    inside: dict[Work | None, list[Work]] = defaultdict(list)
    for work in sorted(all_work, key=lambda work: work.closed):
        inside[work.parent].append(work)
    if not inside[None]:
        return
    step: Work | None = inside[None][-1]
    while step is not None:
        step.critical = True
        step = _last_inside(step, inside) or _waited_for(step, inside)


def _last_inside(work: Work, inside: dict[Work | None, list[Work]]) -> Work | None:
    """Find what ended last within a span; a shared dependency may outlive the node that called it first."""
    return next((child for child in reversed(inside.get(work, ())) if child.closed <= work.closed), None)


def _waited_for(work: Work, inside: dict[Work | None, list[Work]]) -> Work | None:
    """Find what a span, or else the span that it is in, waited for before it began."""
    for scope in _outwards(work):
        found = _predecessor(scope, inside[scope.parent])
        if found is not None and not found.critical:
            return found
    return None


def _outwards(work: Work) -> Iterator[Work]:
    scope: Work | None = work
    while scope is not None:
        yield scope
        scope = scope.parent


def _predecessor(work: Work, siblings: list[Work]) -> Work | None:
    """Find what ended last of what had to, or of the siblings where those explain the wait better.

    A node follows its parents. A dependency may also have waited for the rest of a level, and a model call
    follows whatever its node did before: neither is recorded, so the sibling that ended last before stands in,
    unless the wait that it leaves unexplained is longer than the one it explains.
    """
    known = max(work.after, key=lambda before: before.closed, default=None)
    if known is not None and work.kind == "node":
        return known
    ended_before = bisect_left(siblings, work.opened, key=lambda sibling: sibling.closed)
    latest = siblings[ended_before - 1] if ended_before else None
    if known is None or latest is None or latest.closed <= known.closed:
        return known or latest
    return latest if latest.end - known.end > work.start - latest.end else known
