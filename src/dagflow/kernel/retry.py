"""Trying again: waits between attempts, never past the deadline."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from dagflow.types import Retry

__all__ = ["retry_wait", "with_retries"]

T = TypeVar("T")


def retry_wait(policy: Retry | None, attempt: int, error: Exception) -> float | None:
    """Say how many seconds to wait after the failed `attempt`, or `None` to give up.

    Gives up when the attempts are used up, when the error is not of a kind to retry, and when the wait would
    pass the nearest deadline: a retry that cannot begin in time would only replace the error by a timeout.
    """
    if policy is None or attempt >= policy.attempts or not isinstance(error, policy.on):
        return None
    wait = policy.wait(attempt, random.random())
    if anyio.current_time() + wait >= anyio.current_effective_deadline():
        return None
    return wait


async def with_retries(policy: Retry | None, attempt: Callable[[], Awaitable[T]]) -> T:
    """Await `attempt()` until it succeeds or `policy` gives up; the last error is raised as it is."""
    number = 1
    while True:
        try:
            return await attempt()
        except Exception as error:
            wait = retry_wait(policy, number, error)
            if wait is None:
                raise
        await anyio.sleep(wait)
        number += 1
