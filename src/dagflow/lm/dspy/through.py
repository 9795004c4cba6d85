"""Asking one of our own models through DSPy's adapters, which are pure: any event loop, any wrapper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from dagflow.lm.base import BaseLM
from dagflow.lm.billing import billed
from dagflow.lm.dspy.forms import AnswerForm
from dagflow.lm.dspy.library import load_dspy
from dagflow.lm.protocol import LMRequest, LMResponse, Message
from dagflow.types import Usage

__all__ = ["ask_through_adapter"]


async def ask_through_adapter(
    inner: BaseLM,
    adapter: Any,
    form: AnswerForm,
    request: LMRequest,
    *,
    inputs: Mapping[str, str],
    demos: Sequence[Mapping[str, Any]] = (),
    turns: tuple[Message, ...] = (),
) -> LMResponse:
    """Ask `inner` in the words of a DSPy adapter, and give the answer as the JSON that `request` asks for.

    `turns` follow DSPy's own messages: what was answered before, and what is wrong with it. As in DSPy, an answer
    that the chat format cannot be read from is asked for once more in its JSON format. One that cannot be read
    then either is given as the model wrote it, so that it can be repaired.

    Raises whatever `inner` raises.
    """
    dspy = load_dspy("a DSPy adapter")
    used, response = Usage(), LMResponse(text="")
    formats = _formats(dspy, adapter)
    for attempt in formats:
        with billed(request) as bill:
            bill.settle(used)  # what the first answer used is lost if the second never comes
            response = await inner.complete(_plain(attempt, form, request, inputs, demos, turns))
        used += response.usage
        if response.finish_reason in ("refusal", "tool_calls"):
            break
        values = _read(dspy, formats, form, response.text)
        if values is not None:
            return attrs.evolve(response, text=form.write(values), usage=used)
    return attrs.evolve(response, usage=used)


def _read(dspy: Any, formats: Sequence[Any], form: AnswerForm, text: str) -> dict[str, Any] | None:
    """Read an answer in any of the formats: models mix them up, above all after a repair."""
    for adapter in formats:
        try:
            values: dict[str, Any] = adapter.parse(form.signature, text)
        except (dspy.utils.exceptions.AdapterParseError, ValueError):
            continue
        return values
    return None


def _formats(dspy: Any, adapter: Any) -> tuple[Any, ...]:
    """The adapter, and the one that DSPy falls back to."""
    is_chat = isinstance(adapter, dspy.ChatAdapter) and not isinstance(adapter, dspy.JSONAdapter)
    if is_chat and adapter.use_json_adapter_fallback:
        return adapter, dspy.JSONAdapter()
    return (adapter,)


def _plain(
    adapter: Any,
    form: AnswerForm,
    request: LMRequest,
    inputs: Mapping[str, str],
    demos: Sequence[Mapping[str, Any]],
    turns: tuple[Message, ...],
) -> LMRequest:
    formatted = adapter.format(form.signature, [dict(demo) for demo in demos], dict(inputs))
    system = "\n\n".join(str(part["content"]) for part in formatted if part["role"] == "system")
    messages = [Message(part["role"], str(part["content"])) for part in formatted if part["role"] != "system"]
    messages += turns
    if turns:
        # A repair asks for JSON; without a reminder the model would leave the format that it is read in.
        reminder = adapter.user_message_output_requirements(form.signature)
        messages[-1] = attrs.evolve(messages[-1], content=f"{messages[-1].content}\n\n{reminder}")
    return attrs.evolve(request, system=system, native_system=system, messages=tuple(messages), schema=None, tools=())
