"""Spans as a fold over the events of a run: one for each run, nested run and activation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, TypeAlias

import attrs
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, Status, StatusCode, Tracer, set_span_in_context

from dagflow.core.secrets import Secret
from dagflow.events import (
    Event,
    NodeCancelled,
    NodeFailed,
    NodeInterrupted,
    NodeRaised,
    NodeRecovered,
    NodeRetried,
    NodeStarted,
    NodeSucceeded,
    RunEnded,
    RunStarted,
)
from dagflow.telemetry.showing import Showing

__all__ = ["EventTracer", "FrontEnd", "trace_events"]

FrontEnd: TypeAlias = Literal["graph", "pipeline"]
Key: TypeAlias = tuple[str, str]
"""What an open span is known by: its run, and its activation; that of the run itself has none."""


@attrs.define(eq=False)
class Open:
    """A span that has begun. `outputs` collects what the steps of a run have given, `told` is the attempt last told.

    `outer` is the run that a branch of a pipeline is inside of, whose parameters it reads.
    """

    span: Span
    outputs: dict[str, Any] = attrs.field(factory=dict)
    told: int = 0
    outer: Open | None = None

    def visible(self) -> dict[str, Any]:
        """The parameters that a step of this run can read, those of its own run first."""
        found: dict[str, Any] = {}
        run: Open | None = self
        while run is not None:
            for name, value in run.outputs.items():
                found.setdefault(name, value)
            run = run.outer
        return found


class EventTracer:
    """Is fed the events of a run in their order (`feed`), and makes spans of them.

    A run's span is named `graph:NAME` and those of its activations `node:NAME`; for a pipeline `pipeline:NAME` and
    `task:NAME`. A nested run's span is below that of the activation that it belongs to. Parents are passed on
    explicitly: the current span is neither read nor set, so that branches that run at once never mix. Times are those
    of the events. The inputs of a task are the parameters that its run and those around it have by then; the item of a
    map is in no event, and so in no span.

    `parent` is the context that the outermost run's span is below, `opentelemetry.context.get_current()` say; without
    it, the run begins a trace of its own. `inputs` are what the run began with, where no store records that. Inputs
    and outputs are texts of at most `limit` bytes, with `secrets` masked in them and in errors.

    `close` ends what is open, as a run that was killed leaves it. It is also the end of a `with` block.
    """

    def __init__(
        self,
        tracer: Tracer,
        *,
        kind: FrontEnd = "graph",
        parent: Context | None = None,
        inputs: Mapping[str, Any] | None = None,
        secrets: Iterable[str | Secret] = (),
        limit: int = 1024,
    ) -> None:
        self._tracer = tracer
        self._kind = kind
        self._parent = Context() if parent is None else parent
        self._inputs = inputs
        self._show = Showing(limit, secrets)
        self._open: dict[Key, Open] = {}
        self._outermost: Span | None = None
        self._newest = 0.0
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            RunEnded: self._run_ended,
            NodeStarted: self._node_started,
            NodeRaised: self._node_raised,
            NodeRetried: self._node_retried,
            NodeRecovered: self._node_recovered,
            NodeSucceeded: self._node_succeeded,
            NodeFailed: self._node_failed,
            NodeCancelled: lambda event: self._end_node(event, "cancelled"),
            NodeInterrupted: lambda event: self._end_node(event, "interrupted"),
        }

    def __enter__(self) -> EventTracer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def feed(self, event: Event) -> None:
        """Take in the next event; those that are not about runs and activations change nothing."""
        self._newest = max(self._newest, event.wall)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def close(self) -> None:
        """End the spans that are open, those within others first, at the time of the newest event."""
        for key in reversed(tuple(self._open)):
            self._end(key, "unknown", self._newest)

    def _run_started(self, event: RunStarted) -> None:
        outer = event.run.rpartition(f"/{event.parent}/")[0] if event.parent else ""
        around = self._open.get((outer, event.parent)) or self._open.get((outer, ""))
        links: Sequence[Link] = ()
        if not event.parent:
            self.close()  # a run that goes on after it was killed: its earlier end was never recorded
            links = () if self._outermost is None else (Link(self._outermost.get_span_context()),)
        inputs = event.input
        if inputs is None and around is None:
            inputs = self._inputs
        attributes = {"dagflow.run.id": event.run, "dagflow.run.resumed": event.resumed}
        opened = self._begin((event.run, ""), f"{self._kind}:{event.graph}", event.wall, around, attributes, links)
        if around is None:
            self._outermost = opened.span
        if inputs is not None:
            opened.span.set_attribute("dagflow.inputs", self._show.value(inputs))
        if self._kind != "pipeline":
            return
        if event.parent and not _has_parameters(inputs):  # a branch, which is recorded by what tells it from others
            opened.outer = self._open.get((outer, ""))
        else:
            opened.outputs.update(_parameters(inputs))

    def _run_ended(self, event: RunEnded) -> None:
        opened = self._open.get((event.run, ""))
        if opened is None:
            return
        if event.outcome == "failed":
            opened.span.set_status(Status(StatusCode.ERROR, self._show.text(event.error)))
        self._end((event.run, ""), event.outcome, event.wall)

    def _node_started(self, event: NodeStarted) -> None:
        opened = self._activation(event)
        opened.span.set_attribute("dagflow.attempt", event.attempt)

    def _node_raised(self, event: NodeRaised) -> None:
        self._tell(event, event.traceback)

    def _node_retried(self, event: NodeRetried) -> None:
        self._tell(event)
        attributes = {"dagflow.attempt": event.attempt, "dagflow.retry.delay": event.delay}
        self._activation(event).span.add_event("dagflow.retry", attributes, _nanoseconds(event.wall))

    def _node_recovered(self, event: NodeRecovered) -> None:
        self._tell(event)
        self._activation(event).span.set_attribute("dagflow.recovered", True)

    def _node_failed(self, event: NodeFailed) -> None:
        self._tell(event)
        self._activation(event).span.set_status(Status(StatusCode.ERROR, self._show.text(event.error)))
        self._end_node(event, "failed")

    def _node_succeeded(self, event: NodeSucceeded) -> None:
        span = self._activation(event).span
        if event.value is not None and attrs.has(type(event.value)):
            span.set_attribute("dagflow.inputs", self._show.fields(event.value))
        if event.result is not None:
            span.set_attribute("dagflow.outputs", self._show.value(event.result))
        elif event.writes:
            span.set_attribute("dagflow.outputs", self._show.values(event.writes))
        run = self._open.get((event.run, ""))
        if run is not None:
            run.outputs.update(event.writes)
        self._end_node(event, "succeeded")

    def _activation(self, event: Any) -> Open:
        """The span of an activation; of one that an answer completes, it begins only now."""
        key = (event.run, event.activation)
        known = self._open.get(key)
        if known is not None:
            return known
        run = self._open.get((event.run, ""))
        word = "task" if self._kind == "pipeline" else "node"
        attributes = {
            "dagflow.run.id": event.run,
            "dagflow.node": event.node,
            "dagflow.activation": event.activation,
            "dagflow.attempt": getattr(event, "attempt", 1),
        }
        opened = self._begin(key, f"{word}:{event.node}", event.wall, run, attributes)
        if run is not None and self._kind == "pipeline" and (inputs := run.visible()):
            # The steps of one pipeline follow each other, so this is what the task can read.
            opened.span.set_attribute("dagflow.inputs", self._show.values(inputs))
        return opened

    def _tell(self, event: NodeRaised | NodeRetried | NodeRecovered | NodeFailed, traceback: str = "") -> None:
        """Record an exception once for each attempt, by the conventions of OpenTelemetry."""
        opened = self._activation(event)
        if opened.told == event.attempt:
            return
        opened.told = event.attempt
        name, _, message = event.error.partition(": ")
        attributes = {"exception.type": self._show.text(name), "exception.message": self._show.text(message)}
        if traceback:
            attributes["exception.stacktrace"] = Showing(16 * self._show.limit, self._show.secrets).text(traceback)
        opened.span.add_event("exception", attributes, _nanoseconds(event.wall))

    def _begin(
        self,
        key: Key,
        name: str,
        wall: float,
        around: Open | None,
        attributes: Mapping[str, Any],
        links: Sequence[Link] = (),
    ) -> Open:
        if key in self._open:
            self._end(key, "unknown", wall)
        context = self._parent if around is None else set_span_in_context(around.span, Context())
        span = self._tracer.start_span(
            self._show.text(name), context, attributes=attributes, links=links, start_time=_nanoseconds(wall)
        )
        opened = self._open[key] = Open(span)
        return opened

    def _end_node(self, event: NodeSucceeded | NodeFailed | NodeCancelled | NodeInterrupted, outcome: str) -> None:
        self._activation(event)
        self._end((event.run, event.activation), outcome, event.wall)

    def _end(self, key: Key, outcome: str, wall: float) -> None:
        opened = self._open.pop(key)
        opened.span.set_attribute("dagflow.outcome", outcome)
        if not key[1] and opened.outputs:
            opened.span.set_attribute("dagflow.outputs", self._show.values(opened.outputs))
        opened.span.end(_nanoseconds(wall))


def trace_events(events: Iterable[Event], tracer: Tracer, *, kind: FrontEnd = "graph", **options: Any) -> None:
    """Make the spans of a run that is over, or was killed, from its recorded events; options are `EventTracer`'s."""
    with EventTracer(tracer, kind=kind, **options) as spans:
        for event in events:
            spans.feed(event)


def _parameters(inputs: Any) -> Mapping[str, Any]:
    """The parameters of a pipeline: recorded among other things that it began with, or given as they are."""
    if not isinstance(inputs, Mapping):
        return {}
    found: Mapping[str, Any] = inputs["parameters"] if _has_parameters(inputs) else inputs
    return found


def _has_parameters(inputs: Any) -> bool:
    """Whether a run was recorded with its parameters, as one that is executed is, and a branch is not."""
    return isinstance(inputs, Mapping) and isinstance(inputs.get("parameters"), Mapping)


def _nanoseconds(wall: float) -> int:
    return int(wall * 1_000_000_000)
