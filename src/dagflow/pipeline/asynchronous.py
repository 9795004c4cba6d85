"""The asynchronous names of the same things: a pipeline, and one execution of it that has not begun."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.results import PipelineResult

__all__ = ["AsyncPipeline", "AsyncPipelineContext"]


class AsyncPipeline(Pipeline):
    """A `Pipeline`, whose `execute` is a coroutine function as that of every pipeline is."""


@attrs.frozen(eq=False)
class AsyncPipelineContext:
    """One execution of a pipeline: what to run, and the options of `Pipeline.execute`."""

    pipeline: Pipeline
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    async def execute(self) -> PipelineResult:
        """Execute the pipeline; raises what `Pipeline.execute` does."""
        return await self.pipeline.execute(**self.options)
