"""Running a pipeline inside a step of another, as a nested run that is recorded on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from dagflow.errors import NodeError, RunError
from dagflow.kernel.run import Run, RunSettings
from dagflow.pipeline.front import PipelineRun
from dagflow.pipeline.steps import StepCall

if TYPE_CHECKING:
    from dagflow.pipeline.compiled import CompiledPipeline

__all__ = ["Branch"]


@attrs.frozen(eq=False)
class Branch:
    """A pipeline that runs inside a step. It reads what the step reads, and writes a scope of its own."""

    name: str
    compiled: CompiledPipeline

    async def run(
        self,
        call: StepCall,
        name: str,
        identity: Mapping[str, Any],
        *,
        own: Mapping[str, Any] | None = None,
        siblings: int = 1,
    ) -> dict[str, Any]:
        """Run it under `name`, its scope beginning with `own`, and give what it returns.

        `identity` tells it from its siblings in the journal: a run that goes on finds it by that, and runs only what is
        missing; `siblings` is how many of them there are. Raises `NodeError` with the path to what failed.
        """
        compiled = self.compiled
        front = PipelineRun(
            compiled, own or {}, call.front.shared, outer=call.scopes, path=(*call.path, name), identity=identity
        )
        settings = RunSettings(max_steps=None, max_concurrency=compiled.max_concurrency)
        run = Run(attrs.evolve(compiled.program, name=name), front, settings)
        try:
            with run.journal.part(run.id, of=siblings):
                await run.execute()
        except RunError as error:
            raise _part_failed(call, name, error) from error
        assert run.schedule is not None
        state = run.schedule.final_state()
        return {name: state[name] for name in compiled.gives if name in state}


def _part_failed(call: StepCall, name: str, error: RunError) -> NodeError:
    """The error of a step whose part failed, with the failures of that."""
    step = call.activation.node
    separator = "" if name.startswith("[") else "."
    return NodeError(f"{step}{separator}{name}: {error}", node=step, failures=error.failures)
