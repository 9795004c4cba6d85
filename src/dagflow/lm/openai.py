"""OpenAI's chat completions, and any server that speaks them.

The protocol is that of https://platform.openai.com/docs/api-reference/chat; the official SDK and this adapter
pass the same scenarios against the same server in the tests.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from dagflow.core.dialects import strict
from dagflow.core.secrets import Secret
from dagflow.core.shapes import UnsupportedType
from dagflow.core.sse import ServerSentEvent
from dagflow.core.tools import Tool
from dagflow.errors import LMError
from dagflow.lm.base import DEFAULT_RETRY
from dagflow.lm.billing import Bill
from dagflow.lm.http import Endpoint
from dagflow.lm.prices import Price, PriceList
from dagflow.lm.protocol import LMRequest, LMResponse, Message, ToolCall
from dagflow.lm.provider import MAX_ANSWER_BYTES, HTTPBackend, at, key_of, list_at, shape_of, text_of
from dagflow.types import Retry, Usage

__all__ = ["OpenAIBackend"]

BASE_URL: Final = "https://api.openai.com/v1"
KEY_VARIABLE: Final = "OPENAI_API_KEY"

Structured = Literal["json_schema", "json_object", "prompt"]
FINISH: Final[Mapping[Any, Literal["stop", "length", "refusal", "tool_calls"]]] = {
    "stop": "stop",
    "length": "length",
    "content_filter": "refusal",
    "tool_calls": "tool_calls",
}


class OpenAIBackend(HTTPBackend):
    """A model of OpenAI's, or of any server that speaks its chat completions, at `base_url`.

    `api_key` is read from `OPENAI_API_KEY` where it is not given; a server of your own may need none. An answer
    is asked for in the model's strict mode where the type allows it. `structured="json_object"` is for servers
    that know no schemas, and `"prompt"` for those that know nothing of the kind: both have the schema in words.

    `timeout` (seconds) bounds each request, and so do all deadlines around the call. `retry` says how often a
    request is sent again after 408, 429, 5xx and failed connections; `None` is never. `stream=None` streams
    where somebody follows the run. `price` is what tokens cost; list prices are known with the extra `prices`.
    `headers` are sent along, and `extra` is merged into each request's body. `client` is an
    `httpx.AsyncClient` (or one of httpx2) of your own, which is not closed.

    Connections live as long as the run that they serve. Keep them between runs with `async with backend:`.

    Raises `LMError` where the key is missing, and `ValueError` where the URL is none.
    """

    def __init__(
        self,
        model: str,
        *,
        api_key: str | Secret | None = None,
        base_url: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        structured: Structured = "json_schema",
        timeout: float | None = 300.0,
        retry: Retry | None = DEFAULT_RETRY,
        stream: bool | None = None,
        price: Price | None = None,
        headers: Mapping[str, str | Secret] | None = None,
        extra: Mapping[str, Any] | None = None,
        client: Any = None,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        repairs: int = 2,
    ) -> None:
        url = base_url or BASE_URL
        key = key_of(api_key, KEY_VARIABLE, needed_by="OpenAIBackend" if url == BASE_URL else None)
        authorization = {"authorization": Secret(f"Bearer {key.reveal()}")} if key else {}
        prices = price or (PriceList(provider="openai") if url == BASE_URL else PriceList(url=url))
        settings: dict[str, Any] = {}
        if temperature is not None:
            settings["temperature"] = temperature
        if max_tokens is not None:
            # OpenAI has replaced the old name; most other servers know only that.
            settings["max_completion_tokens" if url == BASE_URL else "max_tokens"] = max_tokens
        settings |= extra or {}
        super().__init__(
            OpenAICodec(model, settings, structured, prices),
            Endpoint(
                url,
                {"content-type": "application/json", **authorization, **(headers or {})},
                key=key,
                client=client,
                timeout=timeout,
                max_answer_bytes=max_answer_bytes,
            ),
            identity={"adapter": "openai", "model": model, "base_url": url, "structured": structured, **settings},
            prices=prices,
            retry=retry,
            stream=stream,
            repairs=repairs,
        )


class OpenAICodec:
    """Writes requests and reads answers."""

    path = "/chat/completions"

    def __init__(
        self, model: str, settings: Mapping[str, Any], structured: Structured, price: Price | PriceList
    ) -> None:
        self._model = model
        self._settings = settings
        self._structured = structured
        self._price = price

    def encode(self, request: LMRequest, *, stream: bool) -> dict[str, Any]:
        """Write the body of a request."""
        native = self._structured == "json_schema"
        system = request.native_system if native else request.system
        messages = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "model": self._model,
            "messages": messages + [_message(message) for message in request.messages],
        }
        if request.schema is not None and native:
            body["response_format"] = {"type": "json_schema", "json_schema": _format(request)}
        elif request.schema is not None and self._structured == "json_object":
            body["response_format"] = {"type": "json_object"}
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body | dict(self._settings)

    def decode(self, data: Any) -> LMResponse:
        """Read a whole answer."""
        choice = at(data, "choices", 0)
        message = at(choice, "message")
        if not isinstance(message, dict):
            raise LMError(f"the answer is no chat completion: it has no choices, but {shape_of(data)}")
        calls = [_call(call) for call in list_at(message, "tool_calls")]
        return self._response(
            text=text_of(at(message, "content")),
            refusal=at(message, "refusal"),
            calls=calls,
            finish_reason=at(choice, "finish_reason"),
            usage=at(data, "usage"),
            model=text_of(at(data, "model")),
        )

    def stream(self) -> OpenAIStream:
        """Begin to read a streamed answer."""
        return OpenAIStream(self._response)

    def _response(
        self, *, text: str, refusal: Any, calls: Sequence[ToolCall], finish_reason: Any, usage: Any, model: str
    ) -> LMResponse:
        finish = FINISH.get(finish_reason)
        if finish is None:
            raise LMError(f"the answer ended for an unknown reason, {finish_reason!r}")
        if isinstance(refusal, str) and not text:  # it is null where there is none
            finish, text = "refusal", refusal
        elif calls and finish == "stop":  # some servers say so beside their calls
            finish = "tool_calls"
        model = model or self._model
        return LMResponse(
            text=text,
            usage=self._usage(usage, model),
            model=model,
            finish_reason=finish,
            tool_calls=tuple(calls),
        )

    def _usage(self, usage: Any, model: str) -> Usage:
        tokens_in, tokens_out = at(usage, "prompt_tokens"), at(usage, "completion_tokens")
        if not isinstance(tokens_in, int) or not isinstance(tokens_out, int):
            return Usage(requests=1)
        cached = at(usage, "prompt_tokens_details", "cached_tokens") or 0
        cost = at(usage, "cost")  # routers that stand before several providers say what it came to
        if not isinstance(cost, int | float):
            cost = self._price.cost(model, input_tokens=tokens_in, cached_tokens=cached, output_tokens=tokens_out)
        return Usage(requests=1, input_tokens=tokens_in, output_tokens=tokens_out, cost=cost)


class OpenAIStream:
    """Puts an answer together from the chunks of its stream."""

    def __init__(self, respond: Any) -> None:
        self._respond = respond
        self._texts: list[str] = []
        self._refusal: str | None = None
        self._calls: dict[int, dict[str, str]] = {}
        self._finish_reason: Any = None
        self._usage: Any = None
        self._model = ""

    @property
    def ended(self) -> bool:
        """Whether a reason for the end has come; what follows is the usage, and `[DONE]`."""
        return self._finish_reason is not None

    def feed(self, event: ServerSentEvent, bill: Bill) -> str:
        """Take a chunk and give the piece of text in it."""
        if event.data.strip() == "[DONE]":
            return ""
        try:
            chunk = json.loads(event.data)
        except (ValueError, RecursionError) as error:
            raise LMError(f"the stream holds a chunk that is no JSON: {event.data[:200]!r}", retriable=True) from error
        if not isinstance(chunk, dict):
            return ""
        problem = chunk.get("error")
        if problem is not None:
            said = text_of(at(problem, "message")) or str(problem)[:500]
            raise LMError(f"the provider broke its stream off: {said}", provider_message=said, retriable=True)
        self._usage = chunk.get("usage") or self._usage
        self._model = text_of(chunk.get("model")) or self._model
        choice = at(chunk, "choices", 0)
        if not isinstance(choice, dict):
            return ""
        self._finish_reason = choice.get("finish_reason") or self._finish_reason
        delta = choice.get("delta")
        if not isinstance(delta, dict):
            return ""
        if "tool_calls" in delta:
            for call in list_at(delta, "tool_calls"):
                self._add_call(call)
        refusal = delta.get("refusal")
        if isinstance(refusal, str):
            self._refusal = (self._refusal or "") + refusal
        piece = text_of(delta.get("content"))
        self._texts.append(piece)
        bill.text(piece)
        return piece

    def _add_call(self, call: Any) -> None:
        index = at(call, "index")
        parts = self._calls.setdefault(
            index if isinstance(index, int) else len(self._calls), {"id": "", "name": "", "arguments": ""}
        )
        parts["id"] = text_of(at(call, "id")) or parts["id"]
        parts["name"] += text_of(at(call, "function", "name"))
        parts["arguments"] += text_of(at(call, "function", "arguments"))

    def finish(self) -> LMResponse:
        """Give the whole answer."""
        response: LMResponse = self._respond(
            text="".join(self._texts),
            refusal=self._refusal,
            calls=[ToolCall(**self._calls[index]) for index in sorted(self._calls)],
            finish_reason=self._finish_reason,
            usage=self._usage,
            model=self._model,
        )
        return response


def _message(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": message.content}
    if not message.tool_calls:
        return {"role": message.role, "content": message.content}
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in message.tool_calls
    ]
    return {"role": message.role, "content": message.content or None, "tool_calls": calls}


def _format(request: LMRequest) -> dict[str, Any]:
    return {"name": request.schema_name[:64], **_in_dialect(json.dumps(request.schema))}


def _tool(tool: Tool) -> dict[str, Any]:
    dialect = _in_dialect(json.dumps(tool.schema))
    parameters = dialect.pop("schema")
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": parameters, **dialect},
    }


def _in_dialect(schema: str) -> dict[str, Any]:
    """The strict form of a schema where it has one, else the schema as it is."""
    written, is_strict = _strict(schema)
    return {"schema": written, "strict": is_strict}


@functools.lru_cache(maxsize=512)
def _strict(schema: str) -> tuple[dict[str, Any], bool]:
    plain = json.loads(schema)
    try:
        return strict(plain), True
    except UnsupportedType:
        return plain, False


def _call(call: Any) -> ToolCall:
    return ToolCall(
        id=text_of(at(call, "id")),
        name=text_of(at(call, "function", "name")),
        arguments=text_of(at(call, "function", "arguments")),
    )
