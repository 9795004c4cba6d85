"""The events of a run: frozen records, numbered in the order in which they happened.

State, trace, timeline and usage are folds over them (`dagflow.core.folds`), and a stream is a view of them as
they come. A nested run's events stand in the journal of the run that it belongs to, told apart by `run`.

Every event has `seq` (counting from 1 within the journal), `run` (the id of the run or nested run), `wall`
(seconds since the epoch) and `elapsed` (seconds since the journal began, on the monotonic clock of the event
loop). `Token`, `Progress`, `Printed` and `Yielded` are live only: they are streamed with the `seq` of the event
before them, and never kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs

from dagflow.types import Interrupt, Outcome, Usage

__all__ = [
    "DependencyCancelled",
    "DependencyFailed",
    "DependencyStarted",
    "DependencySucceeded",
    "Event",
    "InterruptAnswered",
    "LMCalled",
    "NodeCancelled",
    "NodeFailed",
    "NodeInterrupted",
    "NodeRaised",
    "NodeRecovered",
    "NodeRetried",
    "NodeStarted",
    "NodeSucceeded",
    "Printed",
    "Progress",
    "RunEnded",
    "RunStarted",
    "Token",
    "Yielded",
]


@attrs.frozen(kw_only=True)
class Event:
    """Base of all events."""

    seq: int
    run: str
    wall: float
    elapsed: float

    live: ClassVar[bool] = False
    """Whether the event is streamed only, and not kept in the journal."""


@attrs.frozen(kw_only=True)
class RunStarted(Event):
    """A run began. `parent` is the activation that a nested run belongs to (empty for a run of its own).

    `resumed` tells that it goes on from what was recorded. Where runs are recorded in a store, `input` is what it
    began with, and `outline` what its `fingerprint` covers, by node, with the first run that has it.
    """

    graph: str
    fingerprint: str
    parent: str = ""
    resumed: bool = False
    input: Any = None
    outline: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class RunEnded(Event):
    """A run ended, one way or another; nothing of it is left by now. `error` is the text of what ended it."""

    outcome: Outcome
    error: str = ""


@attrs.frozen(kw_only=True)
class NodeStarted(Event):
    """An activation began its `attempt` (counting from 1); `parents` are the activations before it."""

    node: str
    activation: str
    attempt: int
    parents: tuple[str, ...]


@attrs.frozen(kw_only=True)
class NodeSucceeded(Event):
    """An activation ended well. `value` is the node with its fields filled, `targets` the nodes that follow.

    The nodes of a YAML graph are no values: there, what happened is in `writes`.

    `result` is the next node, where a body made it itself. `writes` are what it wrote to the state. `duration` is
    in seconds and counts all attempts.
    """

    node: str
    activation: str
    attempt: int
    value: Any = None
    result: Any = None
    targets: tuple[str, ...]
    duration: float
    writes: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class NodeRaised(Event):
    """An attempt of a task raised `error`; `traceback` is the text of where it came from, without known secrets.

    Only pipelines record it. What follows from it, a retry or a failure, is an event of its own.
    """

    node: str
    activation: str
    attempt: int
    error: str
    traceback: str


@attrs.frozen(kw_only=True)
class NodeRetried(Event):
    """An attempt failed with `error`, and the next one begins after `delay` seconds."""

    node: str
    activation: str
    attempt: int
    error: str
    delay: float


@attrs.frozen(kw_only=True)
class NodeFailed(Event):
    """The last attempt of an activation failed with `error`."""

    node: str
    activation: str
    attempt: int
    error: str
    duration: float


@attrs.frozen(kw_only=True)
class NodeRecovered(Event):
    """The last attempt of an activation failed with `error`, and what the node has for that case took its place."""

    node: str
    activation: str
    attempt: int
    error: str


@attrs.frozen(kw_only=True)
class NodeCancelled(Event):
    """An activation was cancelled, and has finished its clean-up."""

    node: str
    activation: str
    attempt: int
    duration: float


@attrs.frozen(kw_only=True)
class NodeInterrupted(Event):
    """An activation waits for answers to `interrupts`: its own questions, or those of a run nested in it."""

    node: str
    activation: str
    attempt: int
    interrupts: tuple[Interrupt, ...]
    duration: float


@attrs.frozen(kw_only=True)
class InterruptAnswered(Event):
    """A question was answered; `interrupt` is its id, and `answer` has the type that it asked for."""

    node: str
    activation: str
    interrupt: str
    answer: Any


@attrs.frozen(kw_only=True)
class DependencyStarted(Event):
    """A dependency was called. `name` is the callable's, `activation` the first that asked for it.

    `dependency` identifies the call within the run, and `needs` holds the `dependency` of its own inputs.
    """

    dependency: str
    name: str
    activation: str
    needs: tuple[str, ...]


@attrs.frozen(kw_only=True)
class DependencySucceeded(Event):
    """A dependency's value is there; `duration` is in seconds.

    `key` names the callable across processes, and `value` is what it gave, where that is recorded in a store.
    """

    dependency: str
    name: str
    activation: str
    duration: float
    key: str = ""
    value: Any = None


@attrs.frozen(kw_only=True)
class DependencyFailed(Event):
    """A dependency failed with `error`."""

    dependency: str
    name: str
    activation: str
    error: str
    duration: float


@attrs.frozen(kw_only=True)
class DependencyCancelled(Event):
    """A dependency's call was cancelled, and has finished its clean-up."""

    dependency: str
    name: str
    activation: str
    duration: float


@attrs.frozen(kw_only=True)
class LMCalled(Event):
    """A request to a language model is over; `duration` is in seconds.

    `usage` also holds what was used for nothing: by attempts that failed, and by requests that lost a race.
    `answered` is false for a request that ended without an answer, and then no `model` is known.
    """

    node: str
    activation: str
    model: str
    purpose: str
    usage: Usage
    duration: float
    answered: bool = True


@attrs.frozen(kw_only=True)
class Token(Event):
    """A piece of a language model's answer, as it streams in.

    The pieces of one answer share their `request`, a number within the run. An answer that is retried,
    repaired or raced has another; which of them counted, the node's value tells.
    """

    node: str
    activation: str
    text: str
    request: int

    live: ClassVar[bool] = True


@attrs.frozen(kw_only=True)
class Progress(Event):
    """A note from a running activation; `fraction` is between 0 and 1 where it is known."""

    node: str
    activation: str
    message: str
    fraction: float | None = None

    live: ClassVar[bool] = True


@attrs.frozen(kw_only=True)
class Printed(Event):
    """A line that a task printed or logged, or a piece of one that is too long, without known secrets."""

    node: str
    activation: str
    stream: Literal["stdout", "stderr", "log"]
    text: str

    live: ClassVar[bool] = True


@attrs.frozen(kw_only=True)
class Yielded(Event):
    """An item that the async generator of a task yielded."""

    node: str
    activation: str
    value: Any

    live: ClassVar[bool] = True
