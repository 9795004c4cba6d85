"""Isolation of context variables for coroutines that share a task (being replaced by its owner)."""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


async def run_isolated(context: Context, fn: Callable[..., Awaitable[T]], /, *args: Any, **kwargs: Any) -> T:
    """Call `fn` and await what it gives, all inside `context`."""
    awaitable = context.run(fn, *args, **kwargs)
    coroutine = awaitable if isinstance(awaitable, Coroutine) else _as_coroutine(awaitable)
    try:
        first = context.run(coroutine.send, None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    return await resume(context, coroutine, first)


async def _as_coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable


@types.coroutine
def resume(context: Context, coroutine: Any, item: Any) -> Generator[Any, Any, Any]:
    while True:
        try:
            answer = yield item
        except BaseException as error:
            step, answer = coroutine.throw, error
        else:
            step = coroutine.send
        try:
            item = context.run(step, answer)
        except StopIteration as stop:
            return stop.value
