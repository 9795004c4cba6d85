"""Nodes that call a function: `python` and `tool`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from dagflow.core.answers import InvalidAnswer
from dagflow.core.functions import Function
from dagflow.core.structure import structure
from dagflow.core.tools import Tool
from dagflow.declarative.bodies.body import NodeCall, Outcome
from dagflow.declarative.expressions import ValueTemplate
from dagflow.errors import NodeError
from dagflow.kernel.calling import call_function

__all__ = ["CallFunction", "CallTool"]

STATE = "state"


@attrs.frozen(eq=False)
class CallFunction:
    """Call a function with what its parameters name, and write what it returns.

    `from_state` are the parameters that get the state key of their name, each with whether it must have a value.
    """

    function: Function
    arguments: Mapping[str, ValueTemplate]
    from_state: tuple[tuple[str, bool], ...]
    takes_state: bool
    state_key: str | None

    async def __call__(self, call: NodeCall) -> Outcome:
        """Call the function; raises `NodeError` where a parameter has no value, or the result is no mapping."""
        result = await call_function(self.function, self._given(call), call.context)
        if self.state_key is not None:
            return Outcome({self.state_key: result})
        if result is None:
            return Outcome()
        if isinstance(result, Mapping) and all(isinstance(key, str) for key in result):
            return Outcome(dict(result))
        raise NodeError(
            f"{self.function.name} returned a {type(result).__name__}; name the key that it belongs to as `state_key`, "
            f"or return a mapping of state keys to values",
            node=call.activation.node,
        )

    def _given(self, call: NodeCall) -> dict[str, Any]:
        scope = call.scope
        given = {name: template.evaluate(scope) for name, template in self.arguments.items()}
        for name, required in self.from_state:
            if name in scope.locals:
                given[name] = scope.locals[name]
                continue
            try:
                given[name] = scope.state[name]
            except KeyError:
                if required:
                    raise NodeError(
                        f"{self.function.name} takes {name!r}, and that state key has no value yet; list it under "
                        f"`requires`, give it in `arguments`, or give the parameter a default",
                        node=call.activation.node,
                    ) from None
        if self.takes_state:
            given[STATE] = {**scope.state, **scope.locals}
        return given


@attrs.frozen(eq=False)
class CallTool:
    """Call a typed function with arguments that are checked as those that a model writes are."""

    tool: Tool
    function: Function
    arguments: ValueTemplate
    state_key: str | None

    async def __call__(self, call: NodeCall) -> Outcome:
        """Call the tool; raises `NodeError` with every argument that does not fit."""
        data = self.arguments.evaluate(call.scope)
        try:
            read: Any = structure(data, self.tool.arguments_type)
        except InvalidAnswer as error:
            problems = "; ".join(map(str, error.invalid))
            node = call.activation.node
            raise NodeError(f"the arguments of tool {self.tool.name} do not fit: {problems}", node=node) from error
        given = {field.name: getattr(read, field.name) for field in attrs.fields(self.tool.arguments_type)}
        result = await call_function(self.function, given, call.context)
        return Outcome({self.state_key: result} if self.state_key is not None else {})
