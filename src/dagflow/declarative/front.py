"""One run of a YAML graph: what its nodes see, the answers that they wait for, and how it is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagflow.core.plan import Plan
from dagflow.core.schedule import Activation
from dagflow.declarative.expressions import Scope
from dagflow.declarative.language_models import Models
from dagflow.declarative.state import StateSchema
from dagflow.kernel.context import ActivationContext
from dagflow.kernel.standalone import NodeMaker, resolve_inputs_of

if TYPE_CHECKING:
    from dagflow.declarative.node import YamlNode
    from dagflow.declarative.recording import Answered, YamlRecorder

__all__ = ["YamlRun"]


class YamlRun:
    """One run, nested or not. `state` is what it begins with, and `plan` that of its graph.

    The run of a node inside another (`outer`) sees what that one sees, and `identity` tells it from its siblings in
    the journal.
    """

    def __init__(
        self,
        nodes: Mapping[str, YamlNode],
        schema: StateSchema,
        state: dict[str, Any],
        models: Models,
        *,
        plan: Plan | None = None,
        outer: Scope | None = None,
        identity: Any = None,
    ) -> None:
        self.nodes = nodes
        self.schema = schema
        self.state = state
        self.models = models
        self.plan = plan
        self.given: Mapping[str, Any] = {}
        """What the caller gave, without the defaults."""
        self.outer = outer
        self.identity = identity
        self.answers: dict[str, Answered] = {}
        self.trace: list[str] = []
        """The activations that have completed, in order."""
        self.last_writes: Mapping[str, Any] = {}
        """What the activation wrote that completed last; of use where a run has one node."""
        self._recorder: YamlRecorder | None = None

    @property
    def initial_writes(self) -> Mapping[str, Any]:
        """The state that the run begins with."""
        return self.state

    @property
    def recorder(self) -> YamlRecorder:
        """How the run is recorded."""
        if self._recorder is None:
            from dagflow.declarative.recording import YamlRecorder  # a run without a store never needs it

            self._recorder = YamlRecorder(self)
        return self._recorder

    def scope(self, activation: Activation, context: ActivationContext) -> Scope:
        """What the expressions of an activation see."""
        return self.outer if self.outer is not None else Scope(state=context.run.schedule.view(activation))

    async def resolve_inputs(self, activation: ActivationContext, target: type[Any]) -> dict[str, Any]:
        """Resolve the dependency fields of a typed node that a function of the graph makes."""
        return await resolve_inputs_of(target, activation)

    async def make_node(self, target: type[Any], resolved: dict[str, Any]) -> Any:
        """Make a dependency that is a typed node; the run's language model fills its plain fields."""
        return await NodeMaker(self.models.default).make(target, resolved)
