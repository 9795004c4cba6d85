"""What is said in Pydantic AI's words: requests, conversations, answers. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from pydantic_ai import messages
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.tools import ToolDefinition

from dagflow.core.dialects import strict
from dagflow.core.shapes import UnsupportedType
from dagflow.errors import LMError
from dagflow.lm.billing import Bill
from dagflow.lm.protocol import LMRequest, LMResponse, Message, ToolCall
from dagflow.lm.pydantic_ai.source import AnyModel
from dagflow.types import Usage

__all__ = ["check_whole", "conversation_of", "native_form", "plain_form", "read_answer", "text_in"]

TELLS_ITS_END: Final = frozenset({"openai", "azure", "anthropic"})
"""Providers whose whole answers always say why they ended, also where Pydantic AI takes a missing word for "stop"."""


def native_form(request: LMRequest, model: AnyModel) -> ModelRequestParameters | None:
    """How to ask in the model's own structured output; `None` where it has none, or none for this schema."""
    try:
        supported = model.profile.get("supports_json_schema_output", False)
    except NotImplementedError:  # a model that routes to others has no profile of its own
        supported = False
    if request.schema is None or not supported:
        return None
    try:
        schema = strict(dict(request.schema))
    except UnsupportedType:
        return None
    return ModelRequestParameters(
        function_tools=_tools(request),
        output_mode="native",
        output_object=OutputObjectDefinition(json_schema=schema, name=request.schema_name, strict=True),
    )


def plain_form(request: LMRequest) -> ModelRequestParameters:
    """How to ask with the schema in words; models that have a JSON mode are put into it."""
    if request.schema is None:
        return ModelRequestParameters(function_tools=_tools(request))
    return ModelRequestParameters(
        function_tools=_tools(request),
        output_mode="prompted",
        output_object=OutputObjectDefinition(json_schema=dict(request.schema), name=request.schema_name),
        prompted_output_template=False,  # the words are in our system prompt already
    )


def _tools(request: LMRequest) -> list[ToolDefinition]:
    return [
        ToolDefinition(name=tool.name, description=tool.description, parameters_json_schema=dict(tool.schema))
        for tool in request.tools
    ]


def conversation_of(
    conversation: Sequence[Message], system: str, answers: Mapping[str, messages.ModelResponse]
) -> list[messages.ModelMessage]:
    """Write a conversation in Pydantic AI's messages."""
    written: list[messages.ModelMessage] = []
    names = {call.id: call.name for message in conversation for call in message.tool_calls}
    parts: list[messages.ModelRequestPart] = []
    for message in conversation:
        if message.role == "assistant":
            if parts:
                written.append(messages.ModelRequest(parts, instructions=system))
            written.append(_kept_answer(message, answers) or _answer_of(message))
            parts = []
        elif message.role == "tool":
            parts.append(
                messages.ToolReturnPart(
                    names.get(message.tool_call_id, ""),
                    message.content,
                    message.tool_call_id,
                    outcome="failed" if message.failed else "success",
                )
            )
        else:
            parts.append(messages.UserPromptPart(message.content))
    return [*written, messages.ModelRequest(parts, instructions=system)]


def _kept_answer(message: Message, answers: Mapping[str, messages.ModelResponse]) -> messages.ModelResponse | None:
    """The answer that a message was made from, if it is still known."""
    answer = answers.get(message.tool_calls[0].id) if message.tool_calls else None
    return answer if answer is not None and tuple(_tool_calls(answer)) == message.tool_calls else None


def _answer_of(message: Message) -> messages.ModelResponse:
    parts: list[messages.ModelResponsePart] = [messages.TextPart(message.content)] if message.content else []
    parts += [messages.ToolCallPart(call.name, call.arguments, call.id) for call in message.tool_calls]
    return messages.ModelResponse(parts)


def _tool_calls(answer: messages.ModelResponse) -> Iterator[ToolCall]:
    for part in answer.tool_calls:
        yield ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str())


def text_in(event: object) -> str:
    """The piece of text that an event of a stream brings, which is often none."""
    if isinstance(event, messages.PartStartEvent) and isinstance(event.part, messages.TextPart):
        return event.part.content
    if isinstance(event, messages.PartDeltaEvent) and isinstance(event.delta, messages.TextPartDelta):
        return event.delta.content_delta
    return ""


def read_answer(answer: messages.ModelResponse, bill: Bill) -> LMResponse:
    """Read an answer, and settle the bill with what it says that it used; raises `LMError` for one that failed."""
    if answer.usage.has_values() and not answer.usage.unmeasured_requests:
        bill.settle(_usage(answer))
    elif not bill.usage.output_tokens:
        bill.text(answer.text or "")
    reason = _finish_reason(answer)
    text = answer.text or ""
    if reason == "refusal" and not text:
        details = answer.provider_details or {}
        text = str(details.get("refusal") or details.get("finish_reason") or "")
    return LMResponse(
        text=text,
        usage=bill.usage,
        model=answer.model_name or "",
        finish_reason=reason,
        tool_calls=tuple(_tool_calls(answer)) if reason == "tool_calls" else (),
        request_id=answer.provider_response_id,
    )


def check_whole(answer: messages.ModelResponse) -> None:
    """Refuse an answer that just stops: what was cut off may look complete, and is not.

    It comes from a stream. Anthropic's SDK streams also where nobody follows, for answers that may be long.
    """
    details = answer.provider_details or {}
    told = "finish_reason" in details or "refusal" in details or answer.provider_name not in TELLS_ITS_END
    if answer.state == "incomplete" or not told:
        raise LMError("the stream ended before the answer was whole", retriable=True)


def _finish_reason(answer: messages.ModelResponse) -> Literal["stop", "length", "refusal", "tool_calls"]:
    if answer.finish_reason == "content_filter":
        return "refusal"
    if answer.finish_reason == "length":
        return "length"
    if answer.state == "suspended":
        raise LMError("the model has put its answer off, and would have to be asked for the rest of it")
    if answer.finish_reason == "error":
        raise LMError(f"the model ended its answer with an error: {answer.provider_details}", retriable=True)
    return "tool_calls" if answer.tool_calls else "stop"


def _usage(answer: messages.ModelResponse) -> Usage:
    return Usage(
        requests=1,
        input_tokens=answer.usage.input_tokens,
        output_tokens=answer.usage.output_tokens,
        cost=_cost(answer),
    )


def _cost(answer: messages.ModelResponse) -> float | None:
    """The list price of an answer in US dollars, where it is known."""
    if answer.model_name is None:
        return None
    try:
        return float(answer.cost().total_price)
    except (LookupError, ValueError):
        return None
