"""Nodes that ask a language model: `llm`, `router` and `agent`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import attrs

from dagflow.core.tools import Tool
from dagflow.core.unstructure import unstructure
from dagflow.declarative.bodies.body import NodeCall, Outcome
from dagflow.declarative.expressions import ValueTemplate
from dagflow.declarative.language_models import ModelNeed
from dagflow.declarative.prompts.files import LoadedPrompt
from dagflow.errors import NodeError
from dagflow.kernel.calling import under_permit

__all__ = ["Asking", "Routed"]


@attrs.frozen(eq=False)
class Asking:
    """Render the prompt, ask, and write the answer: text, or JSON with the fields of the schema."""

    prompt: LoadedPrompt
    answer: Any
    variables: Mapping[str, ValueTemplate]
    need: ModelNeed
    state_key: str | None
    tools: tuple[Tool, ...] = ()
    max_turns: int = 10

    async def __call__(self, call: NodeCall) -> Outcome:
        """Ask once; repairs of an invalid answer belong to the language model's adapter."""
        answer = await self.ask(call)
        return Outcome({self.state_key: unstructure(answer)} if self.state_key is not None else {})

    async def ask(self, call: NodeCall) -> Any:
        """Ask, and give the answer as a value of its type."""
        values = {name: template.evaluate(call.scope) for name, template in self.variables.items()}
        system, user = self.prompt.render(values)
        lm = call.lm if call.lm is not None else call.front.models.find(self.need)
        ask = partial(
            lm.extract,
            self.answer,
            system=system,
            user=user,
            name=self.prompt.name,
            tools=self.tools,
            max_tool_turns=self.max_turns,
        )
        return await under_permit(call.context, ask)


@attrs.frozen(eq=False)
class Routed:
    """Ask, and go where the answer's route field leads; the state key gets the name of the route."""

    asking: Asking
    field: str
    routes: Mapping[str, tuple[str, ...]]
    default: tuple[str, ...] | None

    async def __call__(self, call: NodeCall) -> Outcome:
        """Ask once. Raises `NodeError` for an answer that names no route, where there is no default."""
        answer = await self.asking.ask(call)
        route = unstructure(getattr(answer, self.field))
        targets = self.follow(route, call.activation.node, "was answered")
        key = self.asking.state_key
        return Outcome({key: route} if key is not None else {}, targets)

    def follow(self, route: Any, node: str, how: str) -> tuple[str, ...]:
        """Say where a route leads; raises `NodeError` for none of the routes, where there is no default."""
        targets = self.routes.get(route, self.default) if isinstance(route, str) else self.default
        if targets is not None:
            return targets
        known = ", ".join(map(repr, self.routes))
        raise NodeError(
            f"router {node} {how} {self.field}={route!r}, which is none of its routes ({known}); "
            f"give it a default_route, or list the values as the field's enum in the prompt's schema",
            node=node,
        )
