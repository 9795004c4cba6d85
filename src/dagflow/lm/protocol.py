"""What a language model can do for a graph, and what an adapter is asked and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

import attrs

from dagflow.core.node import Node
from dagflow.core.tools import Tool
from dagflow.types import Usage

__all__ = ["LM", "LMRequest", "LMResponse", "Message", "ToolCall"]

N = TypeVar("N", bound=Node)


@runtime_checkable
class LM(Protocol):
    """A language model as nodes see it. Adapters extend `BaseLM`, which derives all of this from one method.

    Every method raises `LMError` where the model cannot be asked or does not answer, and `FillError` where its
    answer stays invalid; cancellation passes through.
    """

    async def make(self, node: Node, target: type[N]) -> N:
        """Make a `target` that follows `node`: its dependencies resolved, its plain fields filled."""
        ...

    async def decide(self, node: Node) -> Node | None:
        """Choose what follows `node` among the types of its return hint, and make it; `None` is stopping."""
        ...

    async def choose_type(self, types: Sequence[type[Node] | None], context: Mapping[str, Any]) -> type[Node] | None:
        """Choose one of `types`, where `None` stands for stopping; `context` holds the current node's fields."""
        ...

    async def fill(
        self, target: type[N], resolved: Mapping[str, Any], instruction: str, source: Node | None = None
    ) -> N:
        """Fill the plain fields of `target`; `resolved` holds the values of its other fields, kept as they are."""
        ...


@attrs.frozen
class ToolCall:
    """A call of a tool that a model asks for; `arguments` is the JSON text that it wrote, valid or not."""

    id: str
    name: str
    arguments: str


@attrs.frozen
class Message:
    """One message of a conversation.

    An assistant's may ask for `tool_calls`. A message of the role `tool` answers the one call that
    `tool_call_id` names; `failed` tells that it holds an error.
    """

    role: Literal["user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    failed: bool = False


@attrs.frozen(kw_only=True)
class LMRequest:
    """One request to a model.

    `schema` is the JSON Schema that the answer must fit, `None` where any text will do; it is shared, and not
    to be changed. `schema_name` is a name for it (letters, digits and underscores). `system` has the schema in
    words; `native_system` is the same without it, for adapters that send the schema itself. `tools` are what
    the model may call.

    `purpose` is `"fill"`, `"choose"` or `"text"`, and `target` the name of the type that is made (empty
    otherwise). `source` is the node that is left and `resolved` the values that are known, as Python objects.
    The request's deadline is that of the calling code (`anyio.current_effective_deadline()`).
    """

    system: str
    messages: tuple[Message, ...]
    schema: Mapping[str, Any] | None = None
    schema_name: str = "Answer"
    purpose: Literal["fill", "choose", "text"] = "text"
    target: str = ""
    native_system: str = attrs.field(default=attrs.Factory(lambda self: self.system, takes_self=True), repr=False)
    tools: tuple[Tool, ...] = ()
    source: Any = attrs.field(default=None, repr=False)
    resolved: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class LMResponse:
    """A model's answer: its text, what it used, and why it ended.

    `finish_reason` is `"stop"` for a whole answer, `"length"` for one that was cut off, `"refusal"` for one that
    the model or its provider would not give, and `"tool_calls"` where the model waits for the results of its
    `tool_calls`. `request_id` is what the provider's support asks for.
    """

    text: str
    usage: Usage = attrs.field(factory=lambda: Usage(requests=1))
    model: str = ""
    finish_reason: Literal["stop", "length", "refusal", "tool_calls"] = "stop"
    tool_calls: tuple[ToolCall, ...] = ()
    request_id: str | None = None
