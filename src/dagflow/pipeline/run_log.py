"""The run log: what became of every step of a run, as values that can be written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from dagflow.core.fitting import is_json
from dagflow.core.secrets import MASK, Secret
from dagflow.core.unstructure import unstructure

__all__ = ["Attempt", "PartLog", "RunLog", "RunStatus", "StepLog", "StepStatus"]

LONGEST_VALUE = 10_000
"""Characters of a value in JSON; of a longer one, the log tells only what it is."""

StepStatus = Literal["pending", "running", "succeeded", "failed", "handled", "cancelled", "waiting", "lost"]
"""How a step or an attempt stands. `handled` is a failure that `on_failure` took care of, `lost` one that was under way
when its process died."""

RunStatus = Literal["running", "complete", "interrupted", "failed", "cancelled", "lost"]
"""How a run stands; `lost` tells that its process died."""


@attrs.frozen(kw_only=True)
class Attempt:
    """One try of a step, counted from 1 over all the times that the run was gone on with.

    `started` and `ended` are seconds since the epoch, `duration` is in seconds.
    """

    number: int
    status: StepStatus
    started: float
    ended: float | None = None
    duration: float | None = None
    error: str = ""
    traceback: str = ""


@attrs.frozen(kw_only=True)
class StepLog:
    """A step: its attempts, the parameters that it read and gave, and the runs inside of it.

    `files` are the records of its catalog, under `got` and `put`. `parts` are the branches, items and iterations of a
    composite, and the runs that a task started. Of a map over more than 1,000 items, the log that comes with a result
    tells only those parts in which something other than success happened; `left_out` counts the others, which
    `read_run_log` has.
    """

    name: str
    kind: str
    status: StepStatus
    attempts: tuple[Attempt, ...] = ()
    inputs: Mapping[str, Any] = attrs.field(factory=dict)
    outputs: Mapping[str, Any] = attrs.field(factory=dict)
    metrics: Mapping[str, Any] = attrs.field(factory=dict)
    files: Mapping[str, Any] = attrs.field(factory=dict)
    parts: tuple[PartLog, ...] = ()
    left_out: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The log of the step as plain data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "status": self.status,
            "attempts": [attrs.asdict(attempt) for attempt in self.attempts],
            "inputs": _shown(self.inputs),
            "outputs": _shown(self.outputs),
            "metrics": _shown(self.metrics),
            "files": _shown(self.files),
            "parts": [part.to_dict() for part in self.parts],
            "left_out": self.left_out,
        }


@attrs.frozen(kw_only=True)
class PartLog:
    """A run inside of a step: a branch by its name, an item or iteration as `[3]`."""

    name: str
    status: RunStatus
    steps: tuple[StepLog, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The log of the part as plain data."""
        return {"name": self.name, "status": self.status, "steps": [step.to_dict() for step in self.steps]}


@attrs.frozen(kw_only=True)
class RunLog:
    """The whole story of a run. `begun` counts how often it was begun or gone on with.

    `git` has `commit`, `branch` and `dirty`, and is `None` where nothing is known. Times are seconds since the epoch.
    """

    pipeline: str
    status: RunStatus
    run_id: str = ""
    tag: str = ""
    begun: int = 0
    started: float = 0.0
    ended: float | None = None
    error: str = ""
    parameters: Mapping[str, Any] = attrs.field(factory=dict)
    git: Mapping[str, Any] | None = None
    python: str = ""
    dagflow: str = ""
    steps: tuple[StepLog, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The log as plain data; values that are long, or have no form in JSON, are described in their place."""
        found = {
            field.name: getattr(self, field.name)
            for field in attrs.fields(type(self))
            if field.name not in ("parameters", "steps")
        }
        return {**found, "parameters": _shown(self.parameters), "steps": [step.to_dict() for step in self.steps]}

    def to_json(self) -> str:
        """The log as a JSON document."""
        return json.dumps(self.to_dict(), indent=2)


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _shown_value(value) for name, value in values.items()}


def _shown_value(value: Any) -> Any:
    if isinstance(value, Secret):
        return MASK
    if value is None or isinstance(value, (bool, int)):
        return value
    try:
        data = value if is_json(value) else unstructure(value)
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return {"type": type(value).__name__}
    if len(text) <= LONGEST_VALUE:
        return data
    count = {"items": len(value)} if isinstance(value, (list, dict, tuple)) else {"characters": len(text)}
    return {"type": type(value).__name__, **count}
