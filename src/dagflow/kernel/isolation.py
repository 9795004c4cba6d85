"""Isolation: coroutines that share a task, each with context variables of its own.

asyncio and trio give every task a context, so that code in one task sees what others of its coroutines have set.
Here a coroutine is driven by hand: each of its steps is entered through its own `contextvars.Context`, and what
it yields to the event loop is passed on as it is. The event loop sees one task that runs and waits as usual.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

from dagflow.errors import name_of

__all__ = ["resume", "run_isolated"]

T = TypeVar("T")


async def run_isolated(context: Context, fn: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
    """Call `fn` and await what it gives, all inside `context`; results and exceptions are those of `await`."""
    awaitable = context.run(fn, *args, **kwargs)
    coroutine = awaitable if isinstance(awaitable, Coroutine) else _as_coroutine(awaitable, fn)
    try:
        suspended = context.run(coroutine.send, None)
    except StopIteration as stop:
        finished: T = stop.value
        return finished
    resumed: T = await resume(context, coroutine, suspended)
    return resumed


async def _as_coroutine(awaitable: Awaitable[T], fn: Callable[..., Any]) -> T:
    if not hasattr(awaitable, "__await__"):
        raise TypeError(f"{name_of(fn)} returned {awaitable!r}, which cannot be awaited; make it an async function")
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
