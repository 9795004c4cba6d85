"""What the program is asked: its arguments, and the prompt on its standard input."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import attrs

from dagflow.core.dialects import without_format
from dagflow.lm.protocol import LMRequest

__all__ = ["Question", "ask"]

_LONGEST_ARGUMENT: Final = 128 * 1024 - 1  # bytes; Linux's MAX_ARG_STRLEN, which counts the NUL at the end
_SYSTEM_IN_PROMPT: Final = "Follow the instructions in the system section of the prompt."


@attrs.frozen
class Question:
    """A request as the program takes it; `schema` is empty where it has to make do without one."""

    prompt: str
    system: str
    schema: str

    def arguments(self, model: str | None, *, stream: bool) -> list[str]:
        """The arguments of the program."""
        form = ["stream-json", "--verbose", "--include-partial-messages"] if stream else ["json"]
        return [
            "-p",
            *(["--model", model] if model is not None else []),
            "--output-format",
            *form,
            *(["--json-schema", self.schema] if self.schema else []),
            "--no-session-persistence",
            *("--tools", ""),
            "--strict-mcp-config",
            *("--setting-sources", ""),
            *("--system-prompt", self.system),
        ]


def ask(request: LMRequest) -> Question:
    """Write a request for the program: what cannot be an argument becomes a part of the prompt.

    A schema that is too long, or is not of an object, is left out: `request.system` has it in words.
    """
    schema = ""
    if request.schema is not None and request.schema.get("type") == "object":
        text = json.dumps(without_format(dict(request.schema)))
        schema = text if fits_argument(text) else ""
    system = encodable(request.native_system if schema else request.system)
    turns = [(message.role, encodable(message.content)) for message in request.messages]
    if fits_argument(system):
        return Question(conversation(turns), system, schema)
    return Question(conversation([("system", system), *turns]), _SYSTEM_IN_PROMPT, schema)


def conversation(turns: Sequence[tuple[str, str]]) -> str:
    """One text of several messages, since the program takes one: a lone message is the text itself."""
    if len(turns) == 1:
        return turns[0][1]
    sections = [f"<{role}>\n{content}\n</{role}>" for role, content in turns]
    return "\n\n".join([*sections, "Give the assistant's answer to the last message of this conversation."])


def fits_argument(text: str) -> bool:
    return len(text.encode()) <= _LONGEST_ARGUMENT and "\0" not in text


def encodable(text: str) -> str:
    # A lone surrogate has no encoding; written as JSON escapes it, it stays what it is inside of JSON.
    return text.encode(errors="backslashreplace").decode()
