"""A step of a pipeline as the engine runs it: its body, what follows it, and what follows a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from dagflow.core.schedule import Activation
from dagflow.errors import describe
from dagflow.kernel.context import ActivationContext
from dagflow.kernel.engine import NodeBody
from dagflow.kernel.engine import Step as EngineStep
from dagflow.pipeline.front import front_of
from dagflow.pipeline.steps import CompiledStep, Outcome, StepCall

if TYPE_CHECKING:
    from dagflow.pipeline.nesting import Branch

__all__ = ["OnFailure", "PipelineNode"]


@attrs.frozen(eq=False)
class OnFailure:
    """What follows a failure: the steps in `targets`, after the pipeline that stands in, where there is one."""

    targets: tuple[str, ...]
    instead: Branch | None = None


@attrs.frozen(eq=False)
class PipelineNode:
    """A step that is ready to run, and the steps that follow it."""

    step: CompiledStep
    targets: tuple[str, ...]
    on_failure: OnFailure | None

    def to_body(self) -> NodeBody:
        """What the engine runs."""
        recover = self._recover if self.on_failure is not None else None
        return NodeBody(self._work, retry=self.step.retry, recover=recover)

    async def _work(self, activation: Activation, context: ActivationContext) -> EngineStep:
        call = front_of(context).call(activation, context)
        return self._ended(call, await self.step.body(call), self.targets)

    async def _recover(self, activation: Activation, context: ActivationContext, error: Exception) -> EngineStep:
        assert self.on_failure is not None
        call = front_of(context).call(activation, context)
        outcome = Outcome()
        if self.on_failure.instead is not None:
            try:
                writes = await self.on_failure.instead.run(call, self.on_failure.instead.name, {"on_failure": True})
            except Exception as second:
                second.add_note(f"it stood in for step {self.step.name}, which had failed: {describe(error)}")
                raise
            outcome = Outcome(writes=writes)
        return self._ended(call, outcome, self.on_failure.targets)

    def _ended(self, call: StepCall, outcome: Outcome, targets: tuple[str, ...]) -> EngineStep:
        call.front.trace.append(call.activation.id)
        return EngineStep(value=outcome.log, targets=targets, writes=outcome.writes)
