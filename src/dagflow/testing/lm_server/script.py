"""Scripts: what the server answers to which request."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from dagflow.core.unstructure import unstructure
from dagflow.testing.lm_server.reply import Answer, Reply
from dagflow.testing.lm_server.requests import RecordedRequest

__all__ = ["Script", "ScriptError", "Scripted"]

Scripted = Answer | Any
"""An answer, or what a `Reply` is made of: text as it is, anything else as its JSON."""


class ScriptError(AssertionError):
    """Raised by the server's end for a request that its script had no answer for."""


class Script:
    """Gives each request its answer: the same for all, one after the other, or what a function makes of it."""

    def __init__(self, script: Scripted | Sequence[Scripted] | Callable[[RecordedRequest], Any]) -> None:
        self._in_order: list[Any] | None = list(script) if isinstance(script, (list, tuple)) else None
        self._entry = script
        is_function = callable(script) and not isinstance(script, type) and not attrs.has(type(script))
        self._constant = None if is_function or self._in_order is not None else to_answer(script)

    async def answer(self, request: RecordedRequest) -> Answer:
        """Give the answer to this request; entries of a sequence are taken in the order of the requests."""
        if self._constant is not None:
            return self._constant
        entry = self._entry
        if self._in_order is not None:
            if not self._in_order:
                raise ScriptError(f"the script has no answer left for request {request.number}, to {request.path}")
            entry = self._in_order.pop(0)
        if callable(entry) and not isinstance(entry, type) and not attrs.has(type(entry)):
            entry = entry(request)
            if inspect.isawaitable(entry):
                entry = await _value(entry)
        return to_answer(entry)


async def _value(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def to_answer(entry: Scripted) -> Answer:
    """Make an answer of what a script has: text is what the model says, anything else is said as JSON."""
    if isinstance(entry, Answer):
        return entry
    if isinstance(entry, str):
        return Reply(entry)
    return Reply(json.dumps(unstructure(entry), ensure_ascii=False))
