"""Tasks that call a function."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import attrs

from dagflow.core.callables import MISSING
from dagflow.core.functions import Function, Offload
from dagflow.errors import GraphError, NodeError
from dagflow.kernel.calling import call_here
from dagflow.pipeline.binding import bind
from dagflow.pipeline.generators import NOTHING, as_coroutine, is_async_generator
from dagflow.pipeline.signature import taken
from dagflow.pipeline.steps import Read
from dagflow.pipeline.task_types.task_type import TaskCall

__all__ = ["AsyncPythonTaskType", "PythonTaskType"]


@attrs.frozen(eq=False)
class PythonTaskType:
    """Calls a function; what an async generator yields is streamed."""

    task_type: ClassVar[str] = "python"

    called: Function
    streams: bool
    declared: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        *,
        offload: Offload | None = None,
        timeout: float | None = None,
        declared: tuple[str, ...] = (),
        secrets: Mapping[str, str],
        namespace: Mapping[str, Any],
    ) -> PythonTaskType:
        """Look at a function; raises `GraphError` with every fault."""
        streams = is_async_generator(function)
        call = as_coroutine(function, namespace) if streams else function
        called = Function.of(call, offload=offload, timeout=timeout, namespace=namespace)
        names = {parameter.name for parameter in called.parameters}
        unknown = [name for name in secrets if name not in names and not called.open]
        if unknown:
            faults = [f"{called.name} takes no parameter {name!r} for the secret {secrets[name]!r}" for name in unknown]
            raise GraphError(faults, subject=called.name)
        return cls(called, streams, declared, tuple(secrets))

    @property
    def reads(self) -> tuple[Read, ...]:
        """The function's parameters, without its secrets."""
        parameters = self.called.parameters
        return tuple(Read(p.name, p.type, p.required) for p in parameters if p.name not in self.secrets)

    @property
    def reads_all(self) -> bool:
        """Whether it takes keyword arguments of any name."""
        return self.called.open

    @property
    def types(self) -> tuple[Any, ...]:
        """The hints of its parameters and of its result."""
        returns = () if self.called.returns is MISSING else (self.called.returns,)
        return (*(parameter.type for parameter in self.called.parameters), *returns)

    @property
    def returns(self) -> Any:
        """What the function is declared to return; of a generator, nothing is known."""
        return Any if self.called.returns is MISSING or self.streams else self.called.returns

    @property
    def signature(self) -> tuple[str, ...]:
        """The parameters with their types."""
        return taken(self.reads)

    @property
    def function(self) -> Callable[..., Any] | None:
        """The function, unless it has to be read item by item here."""
        return None if self.streams else self.called.fn

    async def arguments(self, call: TaskCall) -> Mapping[str, Any]:
        """Bind the parameters, and resolve the dependencies."""
        step = call.step
        arguments = bind(call.task, self.called, step.scope, call.secrets, step.front.shared.by_reference)
        if self.called.dependencies is None:
            return arguments
        resolver, context = step.context.run.resolver, step.context
        values = await resolver.resolve(self.called.dependencies, node=context.node, asker=context, exclusive=False)
        return {**arguments, **values}

    async def run(self, call: TaskCall, arguments: Mapping[str, Any]) -> Any:
        """Call the function where its `offload` says."""
        result = await call_here(self.called, arguments, call.output)
        if result is NOTHING and self.declared:
            raise NodeError(
                f"task {call.task}: the generator {self.called.name} did not say what it returns; yield "
                f"Returned(value) as its last item",
                node=call.task,
            )
        return result


@attrs.frozen(eq=False)
class AsyncPythonTaskType(PythonTaskType):
    """Calls an async function, or reads an async generator."""

    task_type: ClassVar[str] = "async-python"
