"""Ask again where asking again can help."""

from __future__ import annotations

from typing import Final

import attrs

from dagflow.kernel.retry import with_retries
from dagflow.lm.base import BaseLM, is_retriable
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.wrappers.base import Wrapper
from dagflow.types import Retry

__all__ = ["Retrying", "retrying"]

# A provider that is overloaded is not well again after the tenth of a second that does for other failures.
PATIENT: Final = Retry(attempts=4, delay=0.5)


class Retrying(Wrapper):
    """A language model that asks again; `retrying` makes it.

    `retries` counts how often it has.
    """

    made_by = "retrying"

    def __init__(self, lm: BaseLM, retry: Retry) -> None:
        super().__init__(lm)
        self.retries = 0
        self._lm = lm
        self._retry = retry

    async def complete(self, request: LMRequest) -> LMResponse:
        """Ask until there is an answer; see `retrying`."""
        attempts = 0

        async def attempt() -> LMResponse:
            nonlocal attempts
            attempts += 1
            self.retries += attempts > 1
            return await self._lm.complete(request)

        return await with_retries(self._retry, attempt, worth=is_retriable)


def retrying(lm: BaseLM, retry: Retry | int = PATIENT) -> Retrying:
    """Ask again when a request fails in a way that passes: too many requests, an overloaded or lost server.

    `retry` is a policy, or how many attempts there are in all, waits being those of the default: half a second,
    twice as long each time, 30 seconds at most. A wait is never shorter than what the provider asks for
    (`LMError.retry_after`); one that asks for more than `max_delay` seconds is not waited for.

    Raises the last error as it is, with a note when it was given up because of time: no attempt is waited for
    that would begin after the deadline. An `LMError` that is not `retriable` is raised at once. Cancellation ends
    a wait like any other.
    """
    return Retrying(lm, attrs.evolve(PATIENT, attempts=retry) if isinstance(retry, int) else retry)
