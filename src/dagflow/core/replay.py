"""What a journal comes to when a run is to go on from it: a fold over its events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs

from dagflow.core.plan import Plan, outline_changes
from dagflow.core.schedule import Activation, Schedule
from dagflow.errors import GraphChanged
from dagflow.events import (
    DependencySucceeded,
    Event,
    InterruptAnswered,
    NodeInterrupted,
    NodeSucceeded,
    RunEnded,
    RunStarted,
)
from dagflow.types import Interrupt, Outcome

__all__ = ["RecordedRun", "Recording", "check_unchanged", "fold", "replay"]


@attrs.define(eq=False)
class RecordedRun:
    """What is recorded of one run, or nested run, since it began anew.

    `succeeded` are its activations in the order in which they did, `interrupted` those that asked and have not
    succeeded since, by id. `answers` are by the id of the interrupt, `dependencies` by their key. `outcome` is
    `None` where no end is recorded.
    """

    started: RunStarted
    succeeded: list[NodeSucceeded] = attrs.field(factory=list)
    interrupted: dict[str, NodeInterrupted] = attrs.field(factory=dict)
    answers: dict[str, InterruptAnswered] = attrs.field(factory=dict)
    dependencies: dict[str, DependencySucceeded] = attrs.field(factory=dict)
    outcome: Outcome | None = None

    @property
    def id(self) -> str:
        """The run's id."""
        return self.started.run


@attrs.define(eq=False)
class Recording:
    """What is recorded of a thread: its newest run and those nested in it, by id, and what came before.

    `open` are the questions that wait for an answer, by id. `history` are the activations of earlier runs,
    `previous` is the newest run where another one begins, and `outlines` are those of all graphs that were recorded,
    by fingerprint.
    """

    newest: str = ""
    runs: dict[str, RecordedRun] = attrs.field(factory=dict)
    open: dict[str, Interrupt] = attrs.field(factory=dict)
    history: list[NodeSucceeded] = attrs.field(factory=list)
    previous: RecordedRun | None = None
    outlines: dict[str, Mapping[str, str]] = attrs.field(factory=dict)

    def feed(self, event: Event) -> None:
        """Take in the next event of the journal."""
        if isinstance(event, RunStarted):
            self._run_started(event)
            return
        run = self.runs.get(event.run)
        if run is None:
            return
        if isinstance(event, NodeSucceeded):
            run.succeeded.append(event)
            asked = run.interrupted.pop(event.activation, None)
            for interrupt in asked.interrupts if asked is not None else ():
                self.open.pop(interrupt.id, None)
        elif isinstance(event, DependencySucceeded):
            if event.key:
                run.dependencies[event.key] = event
        elif isinstance(event, NodeInterrupted):
            run.interrupted[event.activation] = event
            self.open.update((interrupt.id, interrupt) for interrupt in event.interrupts)
        elif isinstance(event, InterruptAnswered):
            run.answers[event.interrupt] = event
            self.open.pop(event.interrupt, None)
        elif isinstance(event, RunEnded):
            run.outcome = event.outcome

    def _run_started(self, event: RunStarted) -> None:
        if event.outline:
            self.outlines[event.fingerprint] = event.outline
        if not event.parent and event.run != self.newest:
            if self.newest:
                self.history += self.runs[self.newest].succeeded
            self.newest = event.run
            self.runs.clear()
            self.open.clear()
        known = self.runs.get(event.run)
        if known is None or not event.resumed:
            self.runs[event.run] = RecordedRun(event)
            self.open = {name: asked for name, asked in self.open.items() if asked.run != event.run}
        else:
            known.outcome = None
            known.started = attrs.evolve(event, input=known.started.input)


def fold(events: Iterable[Event]) -> Recording:
    """Fold a thread's events, in order, into what a run can go on from."""
    recording = Recording()
    for event in events:
        recording.feed(event)
    return recording


def check_unchanged(plan: Plan, recorded: RecordedRun, recording: Recording, *, thread_id: str) -> None:
    """Raise `GraphChanged` where the graph is not the one that the run was recorded with."""
    started = recorded.started
    if started.fingerprint == plan.fingerprint:
        return
    changes = outline_changes(recording.outlines.get(started.fingerprint, {}), plan.outline)
    raise _changed(plan.name or started.graph, thread_id, changes)


def _changed(graph: str, thread_id: str, changes: list[str]) -> GraphChanged:
    lines = "\n".join(f"  - {change}" for change in changes)
    return GraphChanged(
        f"graph {graph} has changed since thread {thread_id} was recorded:\n{lines}\n"
        f"go on with the graph as it was, start a new thread, or pass accept_changes=True "
        f"if what was recorded still means the same",
        thread_id=thread_id,
        changes=changes,
    )


def replay(
    schedule: Schedule, recorded: RecordedRun, still_open: Collection[str], *, writes: Mapping[str, Any], thread_id: str
) -> list[Activation]:
    """Bring a new schedule to where a recorded run stands, and return what is to run now.

    An activation that asked goes on when all of its own questions, or any of a run nested in it, are answered:
    those that are not are in `still_open`. Raises `GraphChanged` where the graph leads elsewhere than it did.
    """
    live = {activation.id: activation for activation in schedule.start(writes)}
    for event in recorded.succeeded:
        try:
            following = schedule.succeeded(live.pop(event.activation), event.targets, event.writes)
        except (KeyError, ValueError) as error:
            targets = " and ".join(event.targets) or "the end"
            change = f"{event.activation} ran, and was followed by {targets}, which cannot be in the graph as it is"
            raise _changed(schedule.plan.name, thread_id, [change]) from error
        for activation in following:
            live[activation.id] = activation
    for name, asked in recorded.interrupted.items():
        if name in live and _waits(asked, still_open):
            schedule.interrupted(live.pop(name))
    return list(schedule.running)


def _waits(asked: NodeInterrupted, still_open: Collection[str]) -> bool:
    own = [interrupt.id in still_open for interrupt in asked.interrupts if interrupt.run == asked.run]
    nested = [interrupt.id in still_open for interrupt in asked.interrupts if interrupt.run != asked.run]
    return any(own) or (bool(nested) and all(nested))
