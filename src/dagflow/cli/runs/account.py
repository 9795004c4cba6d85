"""What is recorded of a thread, as an account of it: its runs, steps, nodes and questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from dagflow.core import folds
from dagflow.core.replay import fold
from dagflow.core.storage import ThreadSummary
from dagflow.events import Event, NodeInterrupted, NodeSucceeded, RunEnded, RunStarted
from dagflow.types import Interrupt, Outcome, Usage

__all__ = ["Account", "NodeAccount", "RunAccount", "StepAccount", "account_of", "newest_run"]


@attrs.define
class RunAccount:
    """One run of a thread; `began` and `ended` are seconds since the epoch, and `worked` the seconds of work between.

    `outcome` is `None` where the run has not ended, and `error` the text of what ended it otherwise.
    """

    run: str
    graph: str
    began: float
    ended: float | None = None
    worked: float = 0.0
    outcome: Outcome | None = None
    error: str = ""
    nodes: int = 0
    resumed: int = 0


@attrs.frozen
class StepAccount:
    """A place that a state can be read at, and a fork begin from; `activation` is empty where a run began or ended."""

    seq: int
    run: str
    kind: str
    activation: str


@attrs.frozen
class NodeAccount:
    """A node that completed, with its fields as JSON; of a YAML graph, with what it wrote."""

    activation: str
    value: Any


@attrs.frozen
class Account:
    """A thread as it is, or as it was `at` one of its events; `nodes` and `events` are those of its newest run."""

    summary: ThreadSummary
    at: int
    runs: tuple[RunAccount, ...]
    steps: tuple[StepAccount, ...]
    nodes: tuple[NodeAccount, ...]
    questions: tuple[Interrupt, ...]
    usage: Usage
    events: tuple[Event, ...]

    @property
    def newest(self) -> RunAccount:
        """The newest run."""
        return self.runs[-1]


def account_of(summary: ThreadSummary, events: Sequence[Event]) -> Account:
    """Fold a thread's events, one or more, into an account."""
    own = [event for event in events if "/" not in event.run]
    recording = fold(events)
    newest = recording.runs[recording.newest]
    return Account(
        summary=summary,
        at=events[-1].seq,
        runs=tuple(_runs(own)),
        steps=tuple(_step(event) for event in own if isinstance(event, STEPS)),
        nodes=tuple(NodeAccount(event.activation, _value_of(event)) for event in newest.succeeded),
        questions=tuple(recording.open.values()),
        usage=folds.usage(events),
        events=newest_run(events),
    )


def newest_run(events: Sequence[Event]) -> tuple[Event, ...]:
    """The events of a thread's newest run, and of those nested in it."""
    newest = next(event.run for event in reversed(events) if "/" not in event.run)
    return tuple(event for event in events if event.run == newest or event.run.startswith(f"{newest}/"))


def _value_of(event: NodeSucceeded) -> Any:
    return event.writes if event.value is None else event.value


STEPS = (RunStarted, NodeSucceeded, NodeInterrupted, RunEnded)


def _step(event: Event) -> StepAccount:
    return StepAccount(event.seq, event.run, type(event).__name__, getattr(event, "activation", ""))


def _runs(events: Sequence[Event]) -> list[RunAccount]:
    runs: dict[str, RunAccount] = {}
    last = 0.0
    for event in events:
        if isinstance(event, RunStarted):
            last = event.elapsed  # nobody worked before
            known = runs.setdefault(event.run, RunAccount(event.run, event.graph, event.wall))
            known.outcome, known.ended, known.error = None, None, ""
            known.resumed += event.resumed
        runs[event.run].worked += event.elapsed - last
        last = event.elapsed
        if isinstance(event, NodeSucceeded):
            runs[event.run].nodes += 1
        elif isinstance(event, RunEnded):
            ended = runs[event.run]
            ended.outcome, ended.ended, ended.error = event.outcome, event.wall, event.error
    return list(runs.values())
