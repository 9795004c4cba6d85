"""A language model that answers from a script: offline, deterministic, for tests and demonstrations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import attrs

from dagflow.core.prompts import STOP
from dagflow.core.unstructure import unstructure
from dagflow.errors import LMError
from dagflow.lm.base import BaseLM
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.types import Usage

__all__ = ["ScriptedLM"]

Script = Mapping[Any, Any] | Sequence[Any]


class ScriptedLM(BaseLM):
    """Answers from `script`, and keeps every request in `requests`.

    A mapping answers by what is asked for: the name of a type (or the type itself), `"choose"` for a choice,
    and `"text"` for free text. Each entry is one answer, which is given every time; a list of answers, given
    one after the other; or a function that is called with the `LMRequest` and returns an answer. A sequence in
    place of the mapping answers whatever is asked, in order.

    An answer is JSON-able data or an instance of a class (both are written as JSON), a string (sent as it is,
    so that malformed answers can be scripted too; for a choice, a lone name is what is chosen), an
    exception (raised) or an `LMResponse`. `latency` is in seconds, for each answer. The usage that it reports
    is counted in words, and costs nothing.

    Raises `LMError` for what the script has no answer for.
    """

    def __init__(self, script: Script, *, latency: float = 0.0, repairs: int = 2) -> None:
        self.requests: list[LMRequest] = []
        self.repairs = repairs
        self._latency = latency
        self._by_name: dict[str, Any] | None = None
        self._in_order: list[Any] = []
        if isinstance(script, Mapping):
            self._by_name = {_key(key): _copy(answer) for key, answer in script.items()}
        else:
            self._in_order = list(script)

    async def complete(self, request: LMRequest) -> LMResponse:
        """Give the next answer of the script for this request."""
        self.requests.append(request)
        # Taken before waiting, so that calls get their answers in the order in which they were made.
        answer = self._next(request)
        if self._latency:
            await anyio.sleep(self._latency)
        else:
            await anyio.lowlevel.checkpoint()
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, LMResponse):
            return answer
        text = _text(answer, request)
        words_in = sum(len(message.content.split()) for message in request.messages) + len(request.system.split())
        usage = Usage(requests=1, input_tokens=words_in, output_tokens=len(text.split()), cost=0.0)
        return LMResponse(text=text, usage=usage, model="scripted")

    def _next(self, request: LMRequest) -> Any:
        asked = request.target or request.purpose
        if self._by_name is None:
            if not self._in_order:
                raise LMError(f"the script has no answer left, and {asked} was asked for")
            return _called(self._in_order.pop(0), request)
        if asked not in self._by_name:
            raise LMError(f"the script has no answer for {asked}; it has {self._left()}")
        entry = self._by_name[asked]
        if isinstance(entry, list):
            if not entry:
                raise LMError(f"the script has no answer left for {asked}; it has {self._left()}")
            entry = entry.pop(0)
        return _called(entry, request)

    def _left(self) -> str:
        """What the script still has answers for, and how many where they are given one by one."""
        left = [
            f"{len(entry)} left for {name}" if isinstance(entry, list) else f"any number for {name}"
            for name, entry in (self._by_name or {}).items()
        ]
        return ", ".join(left) or "no answers"


def _key(key: Any) -> str:
    return key.__name__ if isinstance(key, type) else str(key)


def _copy(answer: Any) -> Any:
    """Answers are taken off a list as they are given; the caller's list stays whole."""
    return list(answer) if isinstance(answer, list) else answer


def _called(answer: Any, request: LMRequest) -> Any:
    """The answer that a function gives. Classes are answers themselves, and so are nodes, which can be called."""
    is_answer = isinstance(answer, type) and not issubclass(answer, BaseException)
    if callable(answer) and not is_answer and not attrs.has(type(answer)):
        return answer() if isinstance(answer, type) else answer(request)
    return answer


def _text(answer: Any, request: LMRequest) -> str:
    if isinstance(answer, type):
        answer = answer.__name__
    if isinstance(answer, str):
        is_name = request.purpose == "choose" and answer.isidentifier()
        return json.dumps({"choice": answer}) if is_name else answer
    if answer is None and request.purpose == "choose":
        return json.dumps({"choice": STOP})
    data = unstructure(answer)
    if attrs.has(type(answer)):
        # Of a whole node, what is asked for: the other fields are there already.
        asked_for = (request.schema or {}).get("properties", data)
        data = {key: value for key, value in data.items() if key in asked_for}
    return json.dumps(data, ensure_ascii=False)
