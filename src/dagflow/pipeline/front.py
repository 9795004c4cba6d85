"""One run of a pipeline, nested or not: the parameters that its steps see, and what all of them share."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import attrs

from dagflow.core.schedule import Activation
from dagflow.core.secrets import Secret
from dagflow.kernel.context import ActivationContext
from dagflow.kernel.limits import Limit
from dagflow.kernel.standalone import NodeMaker, resolve_inputs_of
from dagflow.pipeline.masking import Masking
from dagflow.pipeline.ports import Services
from dagflow.pipeline.steps import StepCall

if TYPE_CHECKING:
    from dagflow.core.codec import Codec
    from dagflow.pipeline.compiled import CompiledPipeline
    from dagflow.pipeline.recording import PipelineRecorder
    from dagflow.pipeline.tasks import Task

__all__ = ["PipelineRun", "Shared", "front_of"]


@attrs.define(eq=False, slots=False)
class Shared:
    """What an execution of a pipeline shares with the branches, items and iterations that run inside of it.

    `environ` is the environment of this process as it was when the execution began. `is_recorded` tells that there
    is a store.
    """

    compiled: CompiledPipeline
    services: Services
    run_id: str
    tag: str = ""
    environ: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    secrets: Mapping[str, Secret] = attrs.field(factory=dict, repr=False)
    hidden: tuple[Secret, ...] = attrs.field(default=(), repr=False)
    """What nothing may show: the secrets of tasks, and those among the parameters."""
    masking: Masking = attrs.field(factory=Masking)
    is_recorded: bool = False
    _limits: dict[int, Limit] = attrs.field(factory=dict, repr=False)

    def hide(self, *secrets: Iterable[Secret]) -> None:
        """Let nothing show these."""
        self.hidden = tuple(dict.fromkeys(secret for some in secrets for secret in some))
        self.masking = Masking(self.hidden)

    @cached_property
    def codec(self) -> Codec:
        """Writes the values of parameters."""
        return self.compiled.codec

    @property
    def by_reference(self) -> frozenset[str]:
        """The parameters that are passed on as they are."""
        return self.compiled.objects

    def limit_of(self, task: Task) -> Limit | None:
        """The limit of a task in this execution, in all branches and items together."""
        if task.max_concurrency is None:
            return None
        if id(task) not in self._limits:
            self._limits[id(task)] = Limit(task.max_concurrency)
        return self._limits[id(task)]


class PipelineRun:
    """One run. `parameters` are what its own scope begins with, `outer` the scopes around it, the nearest first.

    `path` leads to it from the outermost pipeline, and `identity` tells a nested run from its siblings in the journal.
    """

    def __init__(
        self,
        compiled: CompiledPipeline,
        parameters: Mapping[str, Any],
        shared: Shared,
        *,
        outer: tuple[Mapping[str, Any], ...] = (),
        path: tuple[str, ...] = (),
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.compiled = compiled
        self.parameters: dict[str, Any] = dict(parameters)
        self.shared = shared
        self.outer = outer
        self.path = path
        self.identity = identity
        self.trace: list[str] = []
        """The activations that have completed, in order."""
        self.heading: Mapping[str, Any] = {}
        """What the journal says of the execution as a whole."""
        self._recorder: PipelineRecorder | None = None

    @property
    def initial_writes(self) -> Mapping[str, Any]:
        """The parameters that the run begins with."""
        return self.parameters

    @property
    def recorder(self) -> PipelineRecorder:
        """How the run is recorded."""
        if self._recorder is None:
            from dagflow.pipeline.recording import PipelineRecorder  # a run without a store never needs it

            self._recorder = PipelineRecorder(self)
        return self._recorder

    def call(self, activation: Activation, context: ActivationContext) -> StepCall:
        """One attempt of a step, with the parameters that it sees: those of its own scope hide those around it."""
        view = context.run.schedule.view(activation)
        if not self.outer:
            return StepCall(activation, context, self, (view,), view)
        scopes = (view, *self.outer)
        return StepCall(activation, context, self, scopes, ChainMap(*cast("tuple[dict[str, Any], ...]", scopes)))

    async def resolve_inputs(self, activation: ActivationContext, target: type[Any]) -> dict[str, Any]:
        """Resolve the dependency fields of a typed node that a task makes."""
        return await resolve_inputs_of(target, activation)

    async def make_node(self, target: type[Any], resolved: dict[str, Any]) -> Any:
        """Make a dependency of a task that is a typed node, from the values of its dependency fields."""
        return await NodeMaker(None).make(target, resolved)


def front_of(context: ActivationContext) -> PipelineRun:
    """The run of the pipeline that an activation belongs to."""
    front = context.run.front
    assert isinstance(front, PipelineRun)
    return front
