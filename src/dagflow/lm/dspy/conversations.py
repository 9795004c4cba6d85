"""A request as the one input of a DSPy signature."""

from __future__ import annotations

from typing import Final

from dagflow.core.prompts import SYSTEM
from dagflow.errors import LMError
from dagflow.lm.protocol import LMRequest

__all__ = ["CONVERSATION", "conversation", "instructions_of", "refuse_tools"]

CONVERSATION: Final = "conversation"
"""The name of the input field."""

_WHO = {"user": "User", "assistant": "You"}


def instructions_of(request: LMRequest) -> str:
    """The instructions of a request; its format is left out, for DSPy has formats of its own."""
    return request.native_system.replace(SYSTEM, "").strip()


def conversation(request: LMRequest) -> str:
    """The messages of a request as one text: DSPy makes the messages itself."""
    if len(request.messages) == 1:
        return request.messages[0].content
    return "\n\n".join(f"{_WHO[message.role]}: {message.content}" for message in request.messages)


def refuse_tools(request: LMRequest, who: str) -> None:
    """Raise `LMError` for a request with tools, which no signature can offer to a model."""
    if request.tools or any(message.role == "tool" for message in request.messages):
        names = ", ".join(tool.name for tool in request.tools)
        raise LMError(
            f"{who} cannot offer tools ({names}) to a model: DSPy's signatures have no place for them; give "
            f"{request.target or 'the node'} another model, as NodeConfig(lm=...), or take its tools away"
        )
