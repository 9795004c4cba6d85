"""Anthropic's messages.

The protocol is that of https://docs.anthropic.com/en/api/messages; the official SDK and this adapter pass the
same scenarios against the same server in the tests.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from dagflow.core.dialects import closed
from dagflow.core.secrets import Secret
from dagflow.core.shapes import UnsupportedType
from dagflow.core.sse import ServerSentEvent
from dagflow.errors import LMError
from dagflow.lm.base import DEFAULT_RETRY
from dagflow.lm.billing import Bill
from dagflow.lm.http import Endpoint
from dagflow.lm.prices import Price, PriceList
from dagflow.lm.protocol import LMRequest, LMResponse, Message, ToolCall
from dagflow.lm.provider import MAX_ANSWER_BYTES, HTTPBackend, at, key_of, shape_of, text_of
from dagflow.types import Retry, Usage

__all__ = ["AnthropicBackend"]

BASE_URL: Final = "https://api.anthropic.com"
KEY_VARIABLE: Final = "ANTHROPIC_API_KEY"
VERSION: Final = "2023-06-01"

FINISH: Final[Mapping[Any, Literal["stop", "length", "refusal", "tool_calls"]]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}
PIECES: Final = {"text_delta": "text", "input_json_delta": "partial_json"}
"""The deltas that continue a block, and where the text in them is."""

STATUS_OF_ERROR: Final = {
    "overloaded_error": 529,
    "api_error": 500,
    "rate_limit_error": 429,
    "timeout_error": 504,
}
"""The statuses that the errors in a stream would have had before it began; all of these may be gone later."""


class AnthropicBackend(HTTPBackend):
    """A model of Anthropic's, or of any server that speaks its messages, at `base_url`.

    `api_key` is read from `ANTHROPIC_API_KEY` where it is not given; a server of your own may need none.
    `max_tokens` bounds an answer, which the provider wants to be told. `structured="prompt"` puts the schema in
    words into the prompt, for models without structured output.

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
        max_tokens: int = 8192,
        structured: Literal["json_schema", "prompt"] = "json_schema",
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
        key = key_of(api_key, KEY_VARIABLE, needed_by="AnthropicBackend" if url == BASE_URL else None)
        authorization = {"x-api-key": key} if key else {}
        prices = price or (PriceList(provider="anthropic") if url == BASE_URL else PriceList(url=url))
        settings: dict[str, Any] = {"max_tokens": max_tokens}
        if temperature is not None:
            settings["temperature"] = temperature
        settings |= extra or {}
        super().__init__(
            AnthropicCodec(
                model,
                settings,
                structured == "json_schema",
                prices,
            ),
            Endpoint(
                url,
                {
                    "content-type": "application/json",
                    "anthropic-version": VERSION,
                    **authorization,
                    **(headers or {}),
                },
                key=key,
                client=client,
                timeout=timeout,
                max_answer_bytes=max_answer_bytes,
            ),
            identity={"adapter": "anthropic", "model": model, "base_url": url, "structured": structured, **settings},
            prices=prices,
            retry=retry,
            stream=stream,
            repairs=repairs,
        )


class AnthropicCodec:
    """Writes requests and reads answers."""

    path = "/v1/messages"

    def __init__(self, model: str, settings: Mapping[str, Any], native: bool, price: Price | PriceList) -> None:
        self._model = model
        self._settings = settings
        self._native = native
        self._price = price

    def encode(self, request: LMRequest, *, stream: bool) -> dict[str, Any]:
        """Write the body of a request; a schema that the dialect cannot express is left to the prompt."""
        schema = _closed(json.dumps(request.schema)) if request.schema is not None and self._native else None
        body: dict[str, Any] = {"model": self._model, "messages": _messages(request.messages)}
        system = request.system if schema is None else request.native_system
        if system:
            body["system"] = system
        if schema is not None:
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        if request.tools:
            body["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": dict(tool.schema)}
                for tool in request.tools
            ]
        if stream:
            body["stream"] = True
        return body | dict(self._settings)

    def decode(self, data: Any) -> LMResponse:
        """Read a whole answer."""
        content = at(data, "content")
        if not isinstance(content, list):
            raise LMError(f"the answer is no message: it has no content, but {shape_of(data)}")
        return self.respond(
            blocks=[_Block.of(block) for block in content],
            stop_reason=at(data, "stop_reason"),
            explanation=text_of(at(data, "stop_details", "explanation")),
            usage=at(data, "usage"),
            model=text_of(at(data, "model")),
        )

    def stream(self) -> AnthropicStream:
        """Begin to read a streamed answer."""
        return AnthropicStream(self)

    def respond(
        self, *, blocks: Sequence[_Block], stop_reason: Any, explanation: str, usage: Any, model: str
    ) -> LMResponse:
        """Make the response of what was read, whole or in pieces."""
        finish = FINISH.get(stop_reason)
        if finish is None:
            raise LMError(f"the answer ended for an unknown reason, {stop_reason!r}")
        text = "".join(block.text for block in blocks if block.kind == "text")
        model = model or self._model
        return LMResponse(
            text=(text or explanation) if finish == "refusal" else text,
            usage=self._usage(usage, model),
            model=model,
            finish_reason=finish,
            tool_calls=tuple(
                ToolCall(block.id, block.name, block.text) for block in blocks if block.kind == "tool_use"
            ),
        )

    def _usage(self, usage: Any, model: str) -> Usage:
        fresh, tokens_out = at(usage, "input_tokens"), at(usage, "output_tokens")
        if not isinstance(fresh, int) or not isinstance(tokens_out, int):
            return Usage(requests=1)
        read = at(usage, "cache_read_input_tokens") or 0
        tokens_in = fresh + read + (at(usage, "cache_creation_input_tokens") or 0)
        cost = self._price.cost(model, input_tokens=tokens_in, cached_tokens=read, output_tokens=tokens_out)
        return Usage(requests=1, input_tokens=tokens_in, output_tokens=tokens_out, cost=cost)


class _Block:
    """A content block: text, or a call of a tool whose `text` is its arguments. Other kinds are passed over."""

    def __init__(self, kind: str, text: str, id: str, name: str) -> None:
        self.kind = kind
        self.text = text
        self.id = id
        self.name = name

    @classmethod
    def of(cls, block: Any) -> _Block:
        kind = text_of(at(block, "type"))
        given = at(block, "input")
        text = json.dumps(given, ensure_ascii=False) if kind == "tool_use" and given else text_of(at(block, "text"))
        return cls(kind, text, text_of(at(block, "id")), text_of(at(block, "name")))


class AnthropicStream:
    """Puts an answer together from the events of its stream."""

    def __init__(self, codec: AnthropicCodec) -> None:
        self._codec = codec
        self._blocks: dict[int, _Block] = {}
        self._usage: dict[str, Any] = {}
        self._model = ""
        self._stop_reason: Any = None
        self._explanation = ""
        self._stopped = False

    @property
    def ended(self) -> bool:
        """Whether `message_stop` has come."""
        return self._stopped

    def feed(self, event: ServerSentEvent, bill: Bill) -> str:
        """Take an event and give the piece of text in it."""
        try:
            data = json.loads(event.data)
        except (ValueError, RecursionError) as error:
            raise LMError(f"the stream holds an event that is no JSON: {event.data[:200]!r}", retriable=True) from error
        if not isinstance(data, dict):
            return ""
        match data.get("type"):
            case "content_block_delta":
                return self._delta(data, bill)
            case "message_start":
                self._model = text_of(at(data, "message", "model"))
                self._note_usage(at(data, "message", "usage"))
                tokens = at(data, "message", "usage", "input_tokens")
                if isinstance(tokens, int):
                    bill.input_tokens(tokens)
            case "content_block_start":
                self._blocks[self._index(data)] = _Block.of(at(data, "content_block"))
            case "message_delta":
                self._stop_reason = at(data, "delta", "stop_reason") or self._stop_reason
                self._explanation = text_of(at(data, "delta", "stop_details", "explanation")) or self._explanation
                self._note_usage(at(data, "usage"))
            case "message_stop":
                self._stopped = True
            case "error":
                raise _stream_error(at(data, "error"))
        return ""

    def _delta(self, data: dict[str, Any], bill: Bill) -> str:
        block, delta = self._blocks.get(self._index(data)), data.get("delta")
        if block is None:
            raise LMError("the stream continues a content block that it has not begun", retriable=True)
        kind = delta.get("type") if isinstance(delta, dict) else None
        if kind not in PIECES:
            return ""
        piece = text_of(at(delta, PIECES[kind]))
        block.text += piece
        bill.text(piece)
        return piece if block.kind == "text" else ""

    def _index(self, data: dict[str, Any]) -> int:
        index = data.get("index")
        return index if isinstance(index, int) else 0

    def _note_usage(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage |= {key: value for key, value in usage.items() if value is not None}

    def finish(self) -> LMResponse:
        """Give the whole answer."""
        return self._codec.respond(
            blocks=[self._blocks[index] for index in sorted(self._blocks)],
            stop_reason=self._stop_reason,
            explanation=self._explanation,
            usage=self._usage,
            model=self._model,
        )


def _stream_error(error: Any) -> LMError:
    kind, said = text_of(at(error, "type")), text_of(at(error, "message")) or str(error)[:500]
    status = STATUS_OF_ERROR.get(kind)
    return LMError(
        f"the provider broke its stream off: {kind}: {said}",
        status=status,
        provider_message=said,
        retriable=status is not None,
    )


def _messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as blocks; results of tools are the user's, and all of one turn stand in one message."""
    written: list[dict[str, Any]] = []
    for message in messages:
        role = "user" if message.role == "tool" else message.role
        blocks = _blocks(message)
        if written and written[-1]["role"] == role:
            written[-1]["content"].extend(blocks)
        else:
            written.append({"role": role, "content": blocks})
    return written


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
        return [result | {"is_error": True} if message.failed else result]
    text = [{"type": "text", "text": message.content}] if message.content else []
    return text + [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}
        for call in message.tool_calls
    ]


def _input(arguments: str) -> dict[str, Any]:
    """The arguments of a call that is told back; what was no object cannot be told as one."""
    try:
        data = json.loads(arguments or "{}")
    except ValueError:
        data = None
    return data if isinstance(data, dict) else {"invalid": arguments}


@functools.lru_cache(maxsize=512)
def _closed(schema: str) -> dict[str, Any] | None:
    try:
        return closed(json.loads(schema))
    except UnsupportedType:
        return None
