"""A language model that fails or dawdles by plan, in front of another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from dagflow.lm.base import BaseLM
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.wrappers.base import Wrapper
from dagflow.testing.faults import FaultPlan

__all__ = ["FaultyLM"]


class FaultyLM(Wrapper):
    """Asks `lm`, after `latency` seconds each, with the faults of `plan` put before its requests.

    The name in a `Fault` is that of the type which a request makes, `"choose"` for a choice and `"text"` for
    free text; its requests are counted from 1, repairs and the turns of tools among them.
    """

    made_by = "FaultyLM"

    def __init__(self, lm: BaseLM, plan: FaultPlan | None = None, *, latency: float = 0.0) -> None:
        super().__init__(lm)
        self._lm = lm
        self._plan = FaultPlan(()) if plan is None else plan
        self._latency = latency
        self._by_name: dict[str, Callable[[LMRequest], Awaitable[LMResponse]]] = {}

    async def complete(self, request: LMRequest) -> LMResponse:
        """Wait or fail as the plan says, then ask the model."""
        name = request.target or request.purpose
        if name not in self._by_name:
            self._by_name[name] = self._plan.wrap(self._ask_late, name=name)
        return await self._by_name[name](request)

    async def _ask_late(self, request: LMRequest) -> LMResponse:
        if self._latency:
            await anyio.sleep(self._latency)
        return await self._lm.complete(request)
