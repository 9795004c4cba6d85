"""Plain values that cross the layers: usage, timings and the shape of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

__all__ = [
    "Durability",
    "EdgeShape",
    "GraphShape",
    "Interrupt",
    "NodeShape",
    "Outcome",
    "Retry",
    "Span",
    "Timeline",
    "Usage",
]

Outcome = Literal["complete", "interrupted", "failed", "cancelled"]
"""How a run can end."""

Durability = Literal["sync", "async", "exit"]
"""When what happened is in the store: before anything follows from it, soon after, or when the run ends."""


@attrs.frozen
class Interrupt:
    """A question to a person that a run waits for.

    `id` names it when it is answered, and is unique among the open questions of a thread. `run`, `activation` and
    `field` say what the answer fills, `type` and `schema` (JSON Schema) what it must be.
    """

    id: str
    question: str
    run: str
    node: str
    activation: str
    field: str
    type: str = ""
    schema: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@attrs.frozen
class Retry:
    """How often, and after how long, to try again what failed.

    `attempts` counts the first one too. The n-th retry waits `delay * factor ** (n - 1)` seconds, at most
    `max_delay`, less a random part of up to `jitter` (a fraction of the wait, so that many do not retry at
    the same moment). Only exceptions of the types in `on` are retried; cancellation never is.
    """

    attempts: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    delay: float = attrs.field(default=0.1, validator=attrs.validators.ge(0))
    factor: float = attrs.field(default=2.0, validator=attrs.validators.ge(1))
    max_delay: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    jitter: float = attrs.field(default=0.25, validator=[attrs.validators.ge(0), attrs.validators.le(1)])
    on: tuple[type[Exception], ...] = (Exception,)

    def wait(self, attempt: int, random: float) -> float:
        """The seconds to wait after the failed `attempt` (from 1); `random` is between 0 and 1."""
        delay = min(self.max_delay, self.delay * self.factor ** min(attempt - 1, 64))
        return delay * (1 - self.jitter * random)


@attrs.frozen
class Usage:
    """What language-model calls have used: requests, tokens, and cost in US dollars where it is known.

    `estimated` tells that the tokens are partly a guess: a request that was cancelled, or broke off, may have
    been charged for all the same, and most providers tell only at the end what it used.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    estimated: bool = False

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            sum(costs) if costs else None,
            self.estimated or other.estimated,
        )


@attrs.frozen
class Span:
    """One stretch of work in a run's timeline; `start` and `end` are seconds since the run began.

    `id` is unique within the timeline and `parent` is the `id` of the span that it belongs to (a dependency
    or a model call belongs to a node, a nested run's nodes to the node that ran it; empty for a node of the
    run itself). `after` holds the ids of the spans that had to finish before this one could start. A span that is
    `waiting` ended with a question to a person; when the answer is there another begins.
    """

    id: str
    kind: Literal["node", "dependency", "lm"]
    name: str
    start: float
    end: float
    status: Literal["succeeded", "failed", "cancelled", "waiting", "running"]
    parent: str = ""
    after: tuple[str, ...] = ()
    critical: bool = False

    @property
    def duration(self) -> float:
        """The length of the span in seconds."""
        return self.end - self.start


@attrs.frozen
class Timeline:
    """What ran when: every span in order of start, and the chain of spans that decided how long it took."""

    spans: tuple[Span, ...] = ()
    duration: float = 0.0

    @property
    def critical_path(self) -> tuple[Span, ...]:
        """The spans that no other could have hidden: making one of them faster makes the run faster."""
        return tuple(span for span in self.spans if span.critical)


@attrs.frozen
class NodeShape:
    """A node of a drawn graph; `kind` tells a start, a terminal or an inner node, or a dependency."""

    name: str
    kind: Literal["start", "node", "terminal", "dependency"] = "node"
    detail: tuple[str, ...] = ()


@attrs.frozen
class EdgeShape:
    """An edge of a drawn graph; a `dependency` edge leads from a dependency to what reads it."""

    source: str
    target: str
    label: str = ""
    kind: Literal["route", "dependency"] = "route"


@attrs.frozen
class GraphShape:
    """The nodes and edges of a graph, ready to be drawn; names are unique."""

    name: str
    nodes: tuple[NodeShape, ...]
    edges: tuple[EdgeShape, ...]
