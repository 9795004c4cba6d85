"""What a `Conditional` chooses by and a `Loop` ends by: a parameter, or a quick function of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from dagflow.core.functions import Function
from dagflow.errors import GraphError, NodeError, describe, name_of
from dagflow.pipeline.binding import bind, missing
from dagflow.pipeline.raising import told_by
from dagflow.pipeline.steps import Read, StepCall

__all__ = ["Predicate"]


@attrs.frozen(eq=False)
class Predicate:
    """A value that is worked out from the parameters: that of one, or of a function of several.

    The function is called on the event loop, and again when a run goes on: it is quick, and gives the same value for
    the same parameters.
    """

    parameter: str | None
    function: Function | None = None

    @classmethod
    def of(cls, what: str | Callable[..., Any], namespace: Mapping[str, Any]) -> Predicate:
        """Look at what was given; raises `GraphError` for what cannot be called so."""
        if isinstance(what, str):
            if not what.isidentifier():
                raise GraphError([f"{what!r} is no name of a parameter"], subject=what)
            return cls(what)
        function = Function.of(what, namespace=namespace)
        if function.kind != "sync" or function.dependencies is not None:
            what_it_is = "has dependencies" if function.kind == "sync" else "is async"
            fault = f"{function.name} {what_it_is}, and is to be a quick function that is called where it stands"
            raise GraphError([fault], subject=function.name)
        return cls(None, function)

    @property
    def reads(self) -> tuple[Read, ...]:
        """The parameters that it is worked out from."""
        if self.function is None:
            return (Read(str(self.parameter)),)
        return tuple(Read(p.name, p.type, p.required) for p in self.function.parameters)

    @property
    def reads_all(self) -> bool:
        """Whether it takes parameters of any name."""
        return self.function is not None and self.function.open

    @property
    def described(self) -> str:
        """What it is called in messages."""
        return f"parameter {self.parameter!r}" if self.function is None else name_of(self.function.fn)

    def evaluate(self, call: StepCall, scope: Mapping[str, Any]) -> Any:
        """Work the value out; raises `NodeError` where a parameter is missing or the function fails."""
        step = call.activation.node
        if self.function is None:
            name = str(self.parameter)
            if name not in scope:
                raise NodeError(f"step {step}: {missing(name, scope)}", node=step)
            return scope[name]
        arguments = bind(step, self.function, scope, {}, call.front.shared.by_reference)
        try:
            return self.function.fn(**arguments)
        except Exception as error:
            told = told_by(call, error)
            raise NodeError(f"{self.described} of step {step} failed: {describe(told)}", node=step) from told
