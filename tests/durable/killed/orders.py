"""What a process is told to do, and what it says when it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from dagflow.types import Durability

__all__ = ["Do", "Ended", "GraphName", "Orders", "Sabotage"]

Do = Literal["run", "resume", "cancel"]
GraphName = Literal["fifty", "questions"]
Sabotage = Literal["", "acknowledge-first", "never-write", "forget-last", "record-again"]


@attrs.frozen(kw_only=True)
class Orders:
    """Work on a thread of the store at `address`, in Redis with leases of some seconds; see `durable.killed.part`.

    The process kills itself at a `kill_point` of the activation `kill_at`, at the fault point that is the
    `kill_after`-th one of all, or after `kill_in` seconds of work, wherever that finds it. The body of the activation
    `hold_at` says so and waits to be told to go on, and each body takes `pause` seconds; with `wait` the process says
    that it is ready, and waits. With `follow` somebody reads the run's stream.
    """

    address: str
    thread: str
    ledger: str
    backend: str
    do: Do = "run"
    graph: GraphName = "fifty"
    answers: Mapping[str, Any] = attrs.field(factory=dict)
    durability: Durability = "sync"
    lease: float = 10.0
    lease_wait: float = 0.0
    kill_point: str = ""
    kill_at: str = ""
    kill_after: int = 0
    kill_in: float = 0.0
    hold_at: str = ""
    wait: bool = False
    pause: float = 0.0
    follow: bool = False
    sabotage: Sabotage = ""

    def to_line(self) -> str:
        """Write the orders in one line."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def of(cls, line: str) -> Orders:
        """Read orders from a line."""
        return cls(**json.loads(line))


@attrs.frozen
class Ended:
    """How a process ended: its id, its exit status (negative for a signal), and what it said last."""

    pid: int
    status: int
    answer: Mapping[str, Any]

    @property
    def outcome(self) -> str:
        """The run's outcome, or the name of the error that it raised; empty for a process that was killed."""
        return str(self.answer.get("outcome", ""))
