"""What a run of a pipeline came to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from dagflow.events import Event
from dagflow.kernel.account import RunAccount
from dagflow.kernel.stream import RunStream
from dagflow.types import Interrupt, Outcome

if TYPE_CHECKING:
    from dagflow.pipeline.run_log import RunLog

__all__ = ["PipelineResult", "PipelineStream"]


@attrs.frozen(eq=False, slots=False)
class PipelineResult(RunAccount):
    """The parameters at the end of a run, and the events that tell the rest.

    `status` is `"complete"`, or `"interrupted"` where a graph inside of a task asks a person: a run that fails or is
    cancelled raises instead. `metrics` are the parameters that were returned as such. `run_id` names the run in its
    store, and `run` in its events.
    """

    status: Outcome
    run_id: str
    parameters: dict[str, Any]
    metrics: dict[str, Any]
    run: str
    events: tuple[Event, ...] = attrs.field(repr=False)
    interrupts: tuple[Interrupt, ...] = ()
    _outlines: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict, repr=False, alias="outlines")
    _heading: Mapping[str, Any] = attrs.field(factory=dict, repr=False, alias="heading")

    @cached_property
    def log(self) -> RunLog:
        """The run log: every step with its attempts, inputs, outputs, metrics and errors."""
        from dagflow.pipeline.run_log_fold import run_log  # a run that nobody asks about needs none of it

        return run_log(self.events, outlines=self._outlines, heading=self._heading)


class PipelineStream(RunStream[PipelineResult]):
    """An async context manager over the events of a run; see `Pipeline.stream`."""
