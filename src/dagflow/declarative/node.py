"""A node of a YAML graph, compiled: its body with what is checked before it and what follows it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import anyio
import attrs

from dagflow.core.schedule import Activation
from dagflow.declarative.bodies.asking import Routed
from dagflow.declarative.bodies.body import Body, NodeCall, Outcome
from dagflow.declarative.edges import Routing
from dagflow.declarative.expressions import ExpressionError, Scope
from dagflow.declarative.language_models import ModelNeed
from dagflow.declarative.state import StateSchema
from dagflow.errors import NodeError, describe
from dagflow.kernel.context import ActivationContext
from dagflow.kernel.engine import NodeBody, Step
from dagflow.types import Retry

if TYPE_CHECKING:
    from dagflow.declarative.front import YamlRun

__all__ = ["Handling", "YamlNode"]


@attrs.frozen(eq=False)
class Handling:
    """What happens when a body fails: `retry`, then one of the fallbacks, then `skip` or not.

    `value` is a one-item tuple where there is one, because null is a value.
    """

    retry: Retry | None = None
    lm: ModelNeed | None = None
    value: tuple[Any] | None = None
    target: tuple[str, ...] | None = None
    skip: bool = False

    @property
    def recovers(self) -> bool:
        """Whether anything stands in for a body that has failed for good."""
        return self.skip or self.lm is not None or self.value is not None or self.target is not None


@attrs.frozen(eq=False, kw_only=True)
class YamlNode:
    """A node that is ready to run in any number of runs.

    `state_key` is where a fallback's value belongs; `skip_key` is the state key that makes its work needless.
    `writes` are the keys that it may write, `None` where only its body knows.
    """

    name: str
    kind: str
    body: Body
    routing: Routing
    schema: StateSchema
    handling: Handling = attrs.field(factory=Handling)
    requires: tuple[str, ...] = ()
    state_key: str | None = None
    skip_key: str | None = None
    writes: tuple[str, ...] | None = None
    timeout: float | None = None
    max_concurrency: int | None = None
    needs: tuple[ModelNeed, ...] = ()
    description: str = ""

    def to_body(self) -> NodeBody:
        """What the engine runs."""
        return NodeBody(
            self._work,
            timeout=self.timeout,
            retry=self.handling.retry,
            max_concurrency=self.max_concurrency,
            recover=self._recover if self.handling.recovers else None,
        )

    async def _work(self, activation: Activation, context: ActivationContext) -> Step:
        front = _front(context)
        scope = front.scope(activation, context)
        self._check_required(scope)
        if self.skip_key is not None and scope.state.get(self.skip_key) is not None:
            return self._step(front, activation, scope, self._without_body({}, scope.state[self.skip_key], "found"))
        try:
            outcome = await self.body(NodeCall(activation, context, front, scope))
        except ExpressionError as error:
            raise NodeError(f"node {self.name}: {error}", node=self.name) from error
        return self._step(front, activation, scope, outcome)

    async def _recover(self, activation: Activation, context: ActivationContext, error: Exception) -> Step:
        """Let the fallback stand in; where that fails too, skip, or fail with both errors told."""
        front, handling = _front(context), self.handling
        scope = front.scope(activation, context)
        if handling.target is not None:
            return self._step(front, activation, scope, Outcome(targets=handling.target))
        if handling.value is not None:
            writes = {self.state_key: handling.value[0]} if self.state_key is not None else {}
            return self._step(front, activation, scope, self._without_body(writes, handling.value[0], "fell back to"))
        if handling.lm is not None:
            try:
                lm = front.models.find(handling.lm)
                with anyio.fail_after(self.timeout):
                    outcome = await self.body(NodeCall(activation, context, front, scope, lm))
                return self._step(front, activation, scope, outcome)
            except Exception as second:
                if not handling.skip:
                    second.add_note(f"the fallback of node {self.name} failed; before it: {describe(error)}")
                    raise
        return self._step(front, activation, scope, self._without_body({}, None, "was skipped with"))

    def _without_body(self, writes: Mapping[str, Any], value: Any, how: str) -> Outcome:
        """What stands for the outcome of a body that did not run, or failed; a router goes where `value` leads."""
        targets = self.body.follow(value, self.name, how) if isinstance(self.body, Routed) else None
        return Outcome(writes, targets)

    def _step(self, front: YamlRun, activation: Activation, scope: Scope, outcome: Outcome) -> Step:
        writes = self.schema.check(outcome.writes, self.name) if outcome.writes else outcome.writes
        front.last_writes = writes
        front.trace.append(activation.id)
        if outcome.targets is not None:
            return Step(targets=partial(self.routing.limited, outcome.targets, activation.turn), writes=writes)
        if self.routing.always:
            return Step(targets=self.routing.otherwise or (), writes=writes)
        after = Scope(state=self._after(scope, writes), locals=scope.locals) if writes else scope
        return Step(targets=partial(self.routing.follow, after, activation.turn), writes=writes)

    def _after(self, scope: Scope, writes: Mapping[str, Any]) -> Mapping[str, Any]:
        """The state that the edges of the node see: what it saw, and what it wrote."""
        return self.schema.fold(scope.state, writes)

    def _check_required(self, scope: Scope) -> None:
        for key in self.requires:
            if scope.state.get(key) is None:
                raise NodeError(
                    f"node {self.name} requires the state key {key!r}, and nothing before it has written it; "
                    f"pass it when the run starts, or let a node that leads here write it",
                    node=self.name,
                )


def _front(context: ActivationContext) -> YamlRun:
    return cast("YamlRun", context.run.front)
