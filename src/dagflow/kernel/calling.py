"""Calling a user's function as the work of an activation: its dependencies, its permit, and where it runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from anyio.to_thread import run_sync

from dagflow.core.functions import Function
from dagflow.kernel.context import ActivationContext, enter_activation
from dagflow.kernel.limits import Permit

if TYPE_CHECKING:
    from dagflow.kernel.offload import ChildOutput

__all__ = ["call_function", "call_here", "under_permit"]

T = TypeVar("T")


async def call_function(function: Function, arguments: Mapping[str, Any], context: ActivationContext) -> Any:
    """Resolve what the function depends on, and call it with `arguments` where it is to run.

    A sync function runs in a worker thread unless its `offload` says otherwise. A permit of the run's limit is held
    while it works. Raises `DepError` for a dependency that fails and what the function raises. Cancelled, an async
    function and a process of its own are cancelled; a thread is waited for.
    """
    given = arguments
    if function.dependencies is not None:
        resolver = context.run.resolver
        values = await resolver.resolve(function.dependencies, node=context.node, asker=context, exclusive=False)
        given = {**arguments, **values}
    return await under_permit(context, partial(call_here, function, given))


async def call_here(function: Function, arguments: Mapping[str, Any], output: ChildOutput | None = None) -> Any:
    """Call the function with all of its arguments, where it is to run; the caller holds a permit.

    `output` takes what it says in a process of its own.
    """
    if function.kind == "async":
        return await function.fn(**arguments)
    if function.offload == "inline":
        return function.fn(**arguments)
    if function.offload == "process":
        from dagflow.kernel.offload import call_in_process  # few need what it imports

        return await call_in_process(function.fn, (), arguments, output=output)
    # anyio gives the thread a copy of the context of its own, but what is set in it must not be seen here either.
    return await run_sync(partial(copy_context().run, function.fn, **arguments))


async def under_permit(context: ActivationContext, work: Callable[[], Awaitable[T]]) -> T:
    """Await `work()` under a permit of the run's limit, if there is one; nested runs of it lend the permit."""
    if context.run.limit is None:
        return await work()
    async with Permit(context.run.limit) as permit:
        enter_activation(context.calling(context.dependency, permit))
        result = await work()
        enter_activation(context)
        return result
