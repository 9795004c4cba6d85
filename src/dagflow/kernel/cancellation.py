"""Telling cancellation from its look-alikes, and letting the exceptions that nobody may wrap through.

This is the one module of the kernel that looks below anyio: asyncio raises the same `CancelledError` for a
task that was cancelled and for one that awaited something cancelled, and only the task knows which it was.
"""

from __future__ import annotations

import math
import sys

import anyio

__all__ = ["is_cancellation", "never_wrapped"]


def is_cancellation(exception: BaseException) -> bool:
    """Tell whether `exception` is the cancellation of the current task, and so must be passed on.

    A `CancelledError` that merely escaped from something else that was cancelled (a future, a foreign task) is
    an ordinary failure: passed on as a cancellation that nobody asked for, it would vanish in a task group.
    """
    if not isinstance(exception, anyio.get_cancelled_exc_class()):
        return False
    if anyio.current_effective_deadline() == -math.inf:
        return True
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or not isinstance(exception, asyncio.CancelledError):
        return True
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def never_wrapped(error: BaseException) -> BaseException | None:
    """Find the exception in `error` that must reach the caller as it is: one that is no `Exception`.

    `error` may be a group, as task groups raise them. Cancellation is not meant here.
    """
    if isinstance(error, BaseExceptionGroup):
        found = map(never_wrapped, error.exceptions)
        return next((item for item in found if item is not None), None)
    return None if isinstance(error, Exception) else error
