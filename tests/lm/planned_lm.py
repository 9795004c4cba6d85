"""A language model for the tests of wrappers: it takes its time, fails, bills and cleans up by plan."""

from __future__ import annotations

from typing import Literal

import anyio
import anyio.lowlevel
import attrs

from dagflow import BaseLM, LMError, LMRequest, LMResponse, Message, Usage
from dagflow.core.secrets import Secret
from dagflow.lm.billing import billed


@attrs.frozen
class Step:
    """What happens to one request: it takes `seconds`, then there is `error` or an answer of `tokens` tokens.

    An answer whose `tokens` are `None` comes without a count. A cancelled one takes `clean_up` seconds to end; one
    that is `deaf` answers although it is cancelled.
    """

    seconds: float = 0.0
    error: BaseException | None = None
    text: str = "yes"
    tokens: int | None = 10
    cost: float | None = 0.0
    clean_up: float = 0.0
    deaf: bool = False
    finish_reason: Literal["stop", "length", "refusal", "tool_calls"] = "stop"


class PlannedLM(BaseLM):
    """Follows `steps` one request after the other, and the last one from then on."""

    def __init__(self, *steps: Step, name: str = "planned", secrets: tuple[Secret, ...] = (), repairs: int = 2) -> None:
        self.steps = steps or (Step(),)
        self.name = name
        self.began: list[float] = []
        self.under_way = 0
        self.most_under_way = 0
        self.cancelled = 0
        self.bill = Usage()
        self.held = secrets
        self.repairs = repairs

    @property
    def identity(self) -> dict[str, str]:
        return {"model": self.name}

    @property
    def secrets(self) -> tuple[Secret, ...]:
        return self.held

    async def complete(self, request: LMRequest) -> LMResponse:
        """Follow the next step; `bill` sums what all requests used, as an adapter would tell."""
        step = self.steps[min(len(self.began), len(self.steps) - 1)]
        self.began.append(anyio.current_time())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        usage = Usage()
        try:
            with billed(request) as bill:
                usage = bill.usage
                await self._follow(step)
            usage = Usage(requests=1, cost=step.cost)
            if step.tokens is not None:
                usage += Usage(input_tokens=bill.usage.input_tokens, output_tokens=step.tokens)
        finally:
            self.under_way -= 1
            self.bill += usage
        reason = step.finish_reason
        return LMResponse(text=step.text, usage=usage, model=self.name, finish_reason=reason, request_id="req_1")

    async def _follow(self, step: Step) -> None:
        try:
            with anyio.CancelScope(shield=step.deaf):
                await (anyio.sleep(step.seconds) if step.seconds else anyio.lowlevel.checkpoint())
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            if step.clean_up:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(step.clean_up)
            raise
        if step.error is not None:
            raise step.error


def ask(text: str = "well?") -> LMRequest:
    """A request for text."""
    return LMRequest(system="", messages=(Message("user", text),))


def passing(message: str = "overloaded", retry_after: float | None = None) -> LMError:
    """An error that passes."""
    return LMError(message, status=529, retriable=True, retry_after=retry_after)


def lasting(message: str = "wrong key") -> LMError:
    """An error that does not pass."""
    return LMError(message, status=401)
