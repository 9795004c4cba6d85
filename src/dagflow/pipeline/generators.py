"""Async generators as the functions of tasks: what they yield is streamed, and one item says what they return."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

import anyio

from dagflow.core.callables import MISSING, evaluated_signature
from dagflow.errors import GraphError, name_of
from dagflow.events import Yielded
from dagflow.kernel.context import ActivationContext, current_activation
from dagflow.pipeline.front import front_of
from dagflow.pipeline.returns import Returned

__all__ = ["NOTHING", "as_coroutine", "is_async", "is_async_generator"]

NOTHING: Final[Any] = object()
"""Stands for the result of a generator that did not say what it returns."""

CLOSE_WAIT = 5.0
"""Seconds that a generator has for its clean-up when it is not read to its end."""


def is_async_generator(function: Callable[..., Any]) -> bool:
    """Tell whether a call of `function` gives an async generator; not so where it is decorated as a context manager."""
    while isinstance(function, functools.partial):
        function = function.func
    if not isinstance(function, (types.FunctionType, types.MethodType)):
        function = getattr(type(function), "__call__", function)
    return inspect.isasyncgenfunction(function)


def is_async(function: Callable[..., Any]) -> bool:
    """Tell whether a function is async, or an async generator."""
    return is_async_generator(function) or evaluated_signature(function, {}, [])[0] == "async"


def as_coroutine(function: Callable[..., Any], namespace: Mapping[str, Any]) -> Callable[..., Any]:
    """Make an async function of an async generator: it streams what that yields, and returns what it says it returns.

    It has the generator's parameters, with their hints evaluated; raises `GraphError` where they cannot be.
    """
    name = name_of(function)
    found: list[str] = []
    _, signature = evaluated_signature(function, namespace, found)
    faults = [fault for fault in found if "is an async generator" not in fault]  # which it may be here
    if faults:
        raise GraphError(faults, subject=name)

    async def call(**arguments: Any) -> Any:
        context = current_activation()
        assert context is not None
        return await _read(function(**arguments), name, context)

    call.__name__ = call.__qualname__ = name
    call.__signature__ = signature.replace(return_annotation=MISSING)  # type: ignore[attr-defined]  # read by inspect
    return call


async def _read(generator: AsyncGenerator[Any, None], name: str, context: ActivationContext) -> Any:
    returned: Returned | None = None
    try:
        async for item in generator:
            if returned is not None:
                raise ValueError(f"{name} yielded another item after what it returns; make `Returned` the last one")
            if isinstance(item, Returned):
                returned = item
                continue
            context.record(Yielded, value=front_of(context).shared.masking.value(item))
            await context.run.journal.settle()
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_WAIT):
            await generator.aclose()
    return returned.value if returned is not None else NOTHING
