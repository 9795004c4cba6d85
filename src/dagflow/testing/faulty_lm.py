"""A language model that fails or dawdles by plan, in front of another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from dagflow.core.secrets import Secret
from dagflow.lm.base import BaseLM
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.testing.faults import FaultPlan

__all__ = ["FaultyLM"]


class FaultyLM(BaseLM):
    """Asks `lm`, after `latency` seconds each, with the faults of `plan` put before its requests.

    The name in a `Fault` is that of the type which a request makes, `"choose"` for a choice and `"text"` for
    free text; its requests are counted from 1, repairs and the turns of tools among them.
    """

    def __init__(self, lm: BaseLM, plan: FaultPlan | None = None, *, latency: float = 0.0) -> None:
        self.repairs: int = lm.repairs
        self._lm = lm
        self._plan = FaultPlan(()) if plan is None else plan
        self._latency = latency
        self._by_name: dict[str, Callable[[LMRequest], Awaitable[LMResponse]]] = {}

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """That of the model behind it."""
        return self._lm.identity

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Those of the model behind it."""
        return self._lm.secrets

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
