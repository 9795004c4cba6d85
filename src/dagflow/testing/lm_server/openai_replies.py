"""OpenAI's chat completions protocol, the answering half: from replies to bytes."""

from __future__ import annotations

from typing import Any

from dagflow.testing.lm_server.reply import Answer, ErrorReply, FinishReason, Reply
from dagflow.testing.lm_server.requests import Asked
from dagflow.testing.lm_server.wire import Encoded, Headers, json_bytes, plain, sse, stream

__all__ = ["encode_error", "encode_models", "encode_reply"]

ID = "chatcmpl-dagflow"
CREATED = 1_700_000_000
DONE = b"data: [DONE]\n\n"
JSON: Headers = (("content-type", "application/json"), ("openai-version", "2020-10-01"))
EVENTS: Headers = (("content-type", "text/event-stream; charset=utf-8"), ("openai-version", "2020-10-01"))

FINISH_REASONS: dict[FinishReason, str] = {"refusal": "stop"}
"""Where the protocol's word is another; a refusal is told by the message."""

DEFAULT_ERRORS: dict[int, tuple[str, str, str | None]] = {
    400: ("The request was refused.", "invalid_request_error", None),
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to use this model.", "invalid_request_error", "unsupported_country_region_territory"),
    404: ("The model does not exist or you do not have access to it.", "invalid_request_error", "model_not_found"),
    413: ("The request is too large.", "invalid_request_error", "request_too_large"),
    429: ("Rate limit reached for requests.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request.", "server_error", None),
    503: ("The engine is currently overloaded, please try again later.", "server_error", None),
}


def encode_reply(reply: Reply, asked: Asked) -> Encoded:
    """Write what the model says, as a stream or in one piece."""
    return _encode_stream(reply, asked) if asked.stream else _encode_completion(reply, asked)


def encode_error(error: ErrorReply) -> Encoded:
    """Write an error."""
    return plain(error.status, JSON + error.headers, json_bytes({"error": _error(error)}), error)


def encode_models(names: tuple[str, ...]) -> Encoded:
    """List the models that there are."""
    models = [{"id": name, "object": "model", "created": CREATED, "owned_by": "dagflow"} for name in names]
    return plain(200, JSON, json_bytes({"object": "list", "data": models}), Answer())


def _error(error: ErrorReply) -> dict[str, Any]:
    kind = 500 if error.status >= 500 else 400
    message, name, code = DEFAULT_ERRORS.get(error.status, DEFAULT_ERRORS[kind])
    return {
        "message": error.message or message,
        "type": error.type or name,
        "param": error.param,
        "code": error.code if error.type or error.message else error.code or code,
    }


def _usage(reply: Reply) -> dict[str, Any] | None:
    if reply.usage is None:
        return None
    given, made = reply.usage
    return {
        "prompt_tokens": given,
        "completion_tokens": made,
        "total_tokens": given + made,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _finish_reason(reply: Reply) -> str:
    return FINISH_REASONS.get(reply.finish_reason, reply.finish_reason)


def _encode_completion(reply: Reply, asked: Asked) -> Encoded:
    refused = reply.finish_reason == "refusal"
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if refused or (reply.tool_calls and not reply.text) else reply.text,
        "refusal": reply.text if refused else None,
        "annotations": [],
    }
    if reply.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.tool_calls
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(reply)}
    completion = {
        "id": ID,
        "object": "chat.completion",
        "created": CREATED,
        "model": reply.model or asked.model,
        "choices": [choice],
        "service_tier": "default",
        "system_fingerprint": None,
    }
    if reply.usage is not None:
        completion["usage"] = _usage(reply)
    return plain(200, JSON, json_bytes(completion), reply)


def _encode_stream(reply: Reply, asked: Asked) -> Encoded:
    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return sse(_chunk(reply, asked, [choice]))

    word = "refusal" if reply.finish_reason == "refusal" else "content"
    opening = None if word == "refusal" or (reply.tool_calls and not reply.text) else ""
    head = chunk({"role": "assistant", "content": opening, "refusal": None})
    texts = [chunk({word: piece}) for piece in reply.pieces]
    tail = chunk({}, _finish_reason(reply))
    if asked.include_usage and reply.usage is not None:
        tail += sse(_chunk(reply, asked, []) | {"usage": _usage(reply)})
    error = sse({"error": _error(reply.cut)}) if isinstance(reply.cut, ErrorReply) else b""
    calls = [chunk({"tool_calls": [delta]}) for delta in _call_deltas(reply)]
    # A comment is what keeps a silent stream alive.
    return stream(EVENTS, head, texts + calls, tail + DONE, reply, texts or [b": keep-alive\n\n"], error)


def _chunk(reply: Reply, asked: Asked, choices: list[Any]) -> dict[str, Any]:
    chunk = {
        "id": ID,
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": reply.model or asked.model,
        "service_tier": "default",
        "system_fingerprint": None,
        "choices": choices,
    }
    return chunk | {"usage": None} if asked.include_usage else chunk


def _call_deltas(reply: Reply) -> list[dict[str, Any]]:
    """A call begins with its id and name; then come pieces of its arguments."""
    deltas: list[dict[str, Any]] = []
    for index, call in enumerate(reply.tool_calls):
        named = {"name": call.name, "arguments": ""}
        deltas.append({"index": index, "id": call.id, "type": "function", "function": named})
        deltas += [{"index": index, "function": {"arguments": piece}} for piece in Reply(call.arguments).pieces]
    return deltas
