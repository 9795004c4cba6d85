"""Isolation: coroutines that share a task, each with context variables of its own.

asyncio and trio give every task a context, so that code in one task sees what others of its coroutines have set.
Here a coroutine is driven by hand: each of its steps is entered through its own `contextvars.Context`, and what
it yields to the event loop is passed on as it is. The event loop sees one task that runs and waits as usual.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar, cast

from dagflow.errors import name_of

__all__ = ["NotAsync", "coroutine_function", "resume", "run_isolated"]

T = TypeVar("T")


class NotAsync(TypeError):
    """Raised for a sync function where an async one is needed; it may be found out only by what it returns."""


async def run_isolated(context: Context, fn: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
    """Call `fn` and await what it gives, all inside `context`; results and exceptions are those of `await`."""
    awaitable = context.run(fn, *args, **kwargs)
    # Not `isinstance`: asking an abstract class costs as much as the rest of a small call.
    coroutine: Any = awaitable if type(awaitable) is types.CoroutineType else _as_coroutine(awaitable, fn)
    try:
        suspended = context.run(coroutine.send, None)
    except StopIteration as stop:
        finished: T = stop.value
        return finished
    resumed: T = await resume(context, coroutine, suspended)
    return resumed


async def _as_coroutine(awaitable: Awaitable[T], fn: Callable[..., Any]) -> T:
    if not inspect.isawaitable(awaitable):
        raise NotAsync(f"{name_of(fn)} returned {awaitable!r}, which cannot be awaited; make it an async function")
    return await awaitable


@types.coroutine
def resume(context: Context, coroutine: Any, suspended: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that was started inside `context` and has yielded `suspended` to the event loop."""
    while True:
        try:
            answer = yield suspended
        except GeneratorExit:
            # The event loop is gone: the coroutine must not wait for anything more.
            context.run(coroutine.close)
            raise
        except BaseException as error:
            step, answer = coroutine.throw, error
        else:
            step = coroutine.send
        try:
            suspended = context.run(step, answer)
        except StopIteration as stop:
            return stop.value


def coroutine_function(fn: Callable[..., Awaitable[T]]) -> Callable[..., Coroutine[Any, Any, T]]:
    """Give `fn` itself if calling it only makes a coroutine, else a coroutine function around it.

    Raises `NotAsync` for a callable that is seen not to be async. One that is known only by its result raises it
    when it is awaited.
    """
    flags = _code_flags(fn)
    if flags & inspect.CO_COROUTINE:
        return cast("Callable[..., Coroutine[Any, Any, T]]", fn)
    if not_async := _why_not_async(fn, flags):
        raise NotAsync(f"an async function is needed, and {name_of(fn)} is {not_async}; wrap it in one")

    async def call(*args: Any, **kwargs: Any) -> T:
        return await _as_coroutine(fn(*args, **kwargs), fn)

    return call


def _why_not_async(fn: object, flags: int) -> str:
    if flags & inspect.CO_ASYNC_GENERATOR:
        return "an async generator function"
    if flags & inspect.CO_GENERATOR and not flags & inspect.CO_ITERABLE_COROUTINE:
        return "a generator function"
    return "a class" if isinstance(fn, type) and not issubclass(fn, Awaitable) else ""


def _code_flags(fn: Any) -> int:
    """The flags of the code that a call of `fn` enters first; 0 where it is not Python code."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    if not isinstance(fn, (types.FunctionType, types.MethodType)):
        fn = getattr(type(fn), "__call__", fn)
    code = getattr(fn, "__code__", None)
    return code.co_flags if code is not None else 0
