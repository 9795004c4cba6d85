"""Trying again: waits between attempts, never past the deadline."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from dagflow.errors import LMError
from dagflow.types import Retry

__all__ = ["retry_wait", "with_retries"]

T = TypeVar("T")


def retry_wait(policy: Retry | None, attempt: int, error: Exception) -> float | None:
    """Say how many seconds to wait after the failed `attempt`, or `None` to give up.

    Gives up when the attempts are used up, when the error is not of a kind to retry, when a provider asks to
    wait for longer than `max_delay` (its `retry_after` is the least wait otherwise), and when the wait would
    pass the nearest deadline: a retry that cannot begin in time would only replace the error by a timeout.
    """
    if policy is None or attempt >= policy.attempts or not isinstance(error, policy.on):
        return None
    wait = policy.wait(attempt, random.random())
    asked = error.retry_after if isinstance(error, LMError) else None
    if asked is not None:
        if asked > policy.max_delay:
            error.add_note(f"not retried: the provider asks to wait {asked:g} s, above max_delay={policy.max_delay:g}")
            return None
        wait = max(wait, asked)
    left = anyio.current_effective_deadline() - anyio.current_time()
    if wait >= left:
        error.add_note(f"not retried: the next attempt would begin in {wait:.3g} s, the deadline is in {left:.3g} s")
        return None
    return wait


def always(error: Exception) -> bool:
    return True


async def with_retries(
    policy: Retry | None, attempt: Callable[[], Awaitable[T]], *, worth: Callable[[Exception], bool] = always
) -> T:
    """Await `attempt()` until it succeeds or `policy` gives up; the last error is raised as it is.

    An error that is not `worth` it is not retried.
    """
    number = 1
    while True:
        try:
            return await attempt()
        except Exception as error:
            wait = retry_wait(policy, number, error) if worth(error) else None
            if wait is None:
                raise
        await anyio.sleep(wait)
        number += 1
