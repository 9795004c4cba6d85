"""From a run's events to its run log: a fold over the journal, in memory or read from a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from dagflow.core.storage import Store
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
from dagflow.pipeline.run_log import Attempt, PartLog, RunLog, RunStatus, StepLog, StepStatus
from dagflow.pipeline.signature import Signature, read_outline

__all__ = ["RunLogFold", "read_run_log", "run_log"]

Outlines = Mapping[str, Mapping[str, str]]


def run_log(
    events: Iterable[Event], *, outlines: Outlines | None = None, heading: Mapping[str, Any] | None = None
) -> RunLog:
    """Tell the story of a run from its events.

    A run that is recorded in a store tells everything itself. Of one that is not, `outlines` are those of its
    pipelines, by fingerprint, and `heading` is what it began with.
    """
    fold = RunLogFold(outlines or {}, heading or {})
    for event in events:
        fold.feed(event)
    return fold.finish()


async def read_run_log(store: Store, run_id: str) -> RunLog:
    """Read the log of a run from its store, at any time; raises `CheckpointError` where it is not there."""
    from dagflow.kernel.thread import Thread  # a log from memory never needs it

    thread = Thread(run_id, store)
    leased = (await thread.summary()).leased
    log = run_log(await thread.events())
    if log.status == "running" and not leased:
        return attrs.evolve(log, status="lost", steps=_lost(log.steps))
    return log


def _lost(steps: Sequence[StepLog]) -> tuple[StepLog, ...]:
    return tuple(_lost_step(step) if step.status == "running" else step for step in steps)


def _lost_step(step: StepLog) -> StepLog:
    *before, last = step.attempts
    parts = tuple(
        attrs.evolve(part, status="lost", steps=_lost(part.steps)) if part.status == "running" else part
        for part in step.parts
    )
    return attrs.evolve(step, status="lost", attempts=(*before, attrs.evolve(last, status="lost")), parts=parts)


@attrs.define(eq=False)
class _Step:
    name: str
    signature: Signature
    status: StepStatus = "pending"
    attempts: list[Attempt] = attrs.field(factory=list)
    inputs: dict[str, Any] = attrs.field(factory=dict)
    outputs: Mapping[str, Any] = attrs.field(factory=dict)
    files: Mapping[str, Any] = attrs.field(factory=dict)
    parts: dict[str, _Run] = attrs.field(factory=dict)
    carried: dict[str, Any] = attrs.field(factory=dict)
    """What the iterations of a loop have given so far."""

    def mark(self, status: StepStatus, event: Any, *, error: str = "") -> None:
        """Note how the newest attempt ended."""
        self.status = status
        if self.attempts:
            last = self.attempts[-1]
            self.attempts[-1] = attrs.evolve(
                last,
                status=status,
                ended=event.wall,
                duration=event.wall - last.started,
                error=error or last.error,
            )

    def finish(self) -> StepLog:
        metrics = {name: value for name, value in self.outputs.items() if name in self.signature.metrics}
        return StepLog(
            name=self.name,
            kind=self.signature.kind,
            status=self.status,
            attempts=tuple(self.attempts),
            inputs=self.inputs,
            outputs={name: value for name, value in self.outputs.items() if name not in metrics},
            metrics=metrics,
            files=self.files,
            parts=tuple(part.finish() for part in self.parts.values()),
            left_out=self._left_out(),
        )

    def _left_out(self) -> int:
        """How many parts of a map that is over are not in memory any more."""
        items = self.inputs.get(self.signature.over)
        if self.status != "succeeded" or not isinstance(items, (list, tuple)):
            return 0
        return len(items) - len(self.parts)


@attrs.define(eq=False)
class _Run:
    name: str
    scopes: list[dict[str, Any]]
    holder: _Step | None = None
    status: RunStatus = "running"
    steps: dict[str, _Step] = attrs.field(factory=dict)

    def look_up(self, name: str) -> tuple[Any, ...]:
        """The value of a parameter, as a tuple of one; empty where there is none."""
        return next(((scope[name],) for scope in self.scopes if name in scope), ())

    def finish(self) -> PartLog:
        return PartLog(name=self.name, status=self.status, steps=tuple(step.finish() for step in self.steps.values()))


class RunLogFold:
    """Takes events, one at a time, in order, and gives the log at any moment."""

    def __init__(self, outlines: Outlines, heading: Mapping[str, Any]) -> None:
        self._outlines = dict(outlines)
        self._heading: Mapping[str, Any] = heading
        self._signatures: dict[str, dict[str, Signature]] = {}
        self._runs: dict[str, _Run] = {}
        self._outermost: _Run | None = None
        self._began = self._ended = 0.0
        self._begun = 0
        self._error = ""
        self._handlers: dict[type[Event], Callable[[Any], None]] = {
            RunStarted: self._run_started,
            RunEnded: self._run_ended,
            NodeStarted: self._node_started,
            NodeSucceeded: self._node_succeeded,
            NodeRaised: self._node_raised,
            NodeRetried: lambda event: self._marked(event, "failed", event.error),
            NodeFailed: lambda event: self._marked(event, "failed", event.error),
            NodeRecovered: lambda event: self._marked(event, "handled", event.error),
            NodeCancelled: lambda event: self._marked(event, "cancelled", ""),
            NodeInterrupted: lambda event: self._marked(event, "waiting", ""),
        }

    def feed(self, event: Event) -> None:
        """Take in the next event."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def finish(self) -> RunLog:
        """Give the log as it stands."""
        run, heading = self._outermost, self._heading
        if run is None:
            return RunLog(pipeline="", status="running")
        return RunLog(
            pipeline=run.name,
            status=run.status,
            run_id=heading.get("run_id", ""),
            tag=heading.get("tag", ""),
            begun=self._begun,
            started=self._began,
            ended=self._ended if run.status != "running" else None,
            error=self._error,
            parameters=heading.get("parameters", {}),
            git=heading.get("git"),
            python=heading.get("python", ""),
            dagflow=heading.get("dagflow", ""),
            steps=run.finish().steps,
        )

    def _run_started(self, event: RunStarted) -> None:
        if event.outline:
            self._outlines[event.fingerprint] = event.outline
        known = self._runs.get(event.run)
        if not event.parent:
            self._begun += 1
            self._began = self._began or event.wall
            self._error = ""
        if known is not None and event.resumed:
            self._go_on(known)
            return
        run = self._runs[event.run] = self._made(event)
        for name, signature in self._signatures_of(event.fingerprint).items():
            run.steps[name] = _Step(name, signature)

    def _go_on(self, run: _Run) -> None:
        """What was under way when the process died is told as lost; it is begun again."""
        run.status = "running"
        for step in run.steps.values():
            if step.status == "running":
                step.status = "lost"
                if step.attempts:
                    step.attempts[-1] = attrs.evolve(step.attempts[-1], status="lost")

    def _made(self, event: RunStarted) -> _Run:
        given = event.input if isinstance(event.input, Mapping) else None
        if not event.parent:
            self._heading = given if given is not None else self._heading
            run = self._outermost = _Run(event.graph, [dict(self._heading.get("parameters", {}))])
            return run
        outer, holder = self._holder_of(event)
        if given is not None and "parameters" in given:  # a pipeline that a task executed: it sees nothing else
            scopes = [dict(given["parameters"])]
        else:
            scopes = [self._own_scope(event.graph, outer, holder), *(outer.scopes if outer is not None else [])]
        run = _Run(event.graph, scopes, holder)
        if holder is not None:
            holder.parts[event.run] = run
        return run

    def _holder_of(self, event: RunStarted) -> tuple[_Run | None, _Step | None]:
        """The run and the step that a run is inside of."""
        outer = self._runs.get(event.run.rpartition(f"/{event.parent}/")[0])
        return outer, outer.steps.get(event.parent.partition("#")[0]) if outer is not None else None

    def _own_scope(self, name: str, outer: _Run | None, holder: _Step | None) -> dict[str, Any]:
        """What the scope of a branch, an item or an iteration begins with."""
        if holder is None or outer is None or not name.startswith("["):
            return {}
        place, signature = int(name.strip("[]")), holder.signature
        scope = dict(holder.carried)
        if signature.over:
            (items,) = outer.look_up(signature.over) or ((),)
            scope.update({signature.item: items[place]} if place < len(items) else {})
        if signature.index:
            scope[signature.index] = place
        return scope

    def _run_ended(self, event: RunEnded) -> None:
        run = self._runs.get(event.run)
        if run is None:
            return
        run.status = event.outcome
        if run is self._outermost:
            self._ended, self._error = event.wall, event.error
        elif run.holder is not None and run.holder.signature.kind == "loop":
            run.holder.carried.update(run.scopes[0])

    def _node_started(self, event: NodeStarted) -> None:
        run = self._runs.get(event.run)
        if run is None:
            return
        step = run.steps.setdefault(event.node, _Step(event.node, Signature()))
        step.status = "running"
        step.attempts.append(Attempt(number=len(step.attempts) + 1, status="running", started=event.wall))
        found = ((name, run.look_up(name)) for name in step.signature.inputs)
        step.inputs = {name: value[0] for name, value in found if value}

    def _node_succeeded(self, event: NodeSucceeded) -> None:
        run = self._runs.get(event.run)
        if run is None or event.node not in run.steps:
            return
        step = run.steps[event.node]
        if step.status != "handled":
            step.mark("succeeded", event)
        step.outputs = event.writes
        step.files = event.value if isinstance(event.value, Mapping) else {}
        run.scopes[0].update(event.writes)

    def _node_raised(self, event: NodeRaised) -> None:
        step = self._step(event)
        if step is not None and step.attempts:
            step.attempts[-1] = attrs.evolve(step.attempts[-1], error=event.error, traceback=event.traceback)

    def _marked(self, event: Any, status: StepStatus, error: str) -> None:
        step = self._step(event)
        if step is not None:
            step.mark(status, event, error=error)

    def _step(self, event: Any) -> _Step | None:
        run = self._runs.get(event.run)
        return run.steps.get(event.node) if run is not None else None

    def _signatures_of(self, fingerprint: str) -> dict[str, Signature]:
        if fingerprint not in self._signatures:
            self._signatures[fingerprint] = read_outline(self._outlines.get(fingerprint, {}))
        return self._signatures[fingerprint]
