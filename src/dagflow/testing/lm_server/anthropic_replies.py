"""Anthropic's messages protocol, the answering half: from replies to bytes."""

from __future__ import annotations

import json
from typing import Any

from dagflow.testing.lm_server.reply import Answer, ErrorReply, FinishReason, Reply
from dagflow.testing.lm_server.requests import Asked
from dagflow.testing.lm_server.wire import Encoded, Headers, json_bytes, plain, sse, stream

__all__ = ["encode_error", "encode_models", "encode_reply"]

ID = "msg_dagflow"
JSON: Headers = (("content-type", "application/json"),)
EVENTS: Headers = (("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache"))

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "refusal": "refusal",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}

DEFAULT_ERRORS: dict[int, tuple[str, str]] = {
    400: ("The request was refused.", "invalid_request_error"),
    401: ("invalid x-api-key", "authentication_error"),
    403: ("Your API key does not have permission to use the specified resource.", "permission_error"),
    404: ("The model does not exist.", "not_found_error"),
    413: ("Request exceeds the maximum size", "request_too_large"),
    429: ("This request would exceed your rate limit.", "rate_limit_error"),
    500: ("Internal server error", "api_error"),
    504: ("The request timed out.", "timeout_error"),
    529: ("Overloaded", "overloaded_error"),
}


def encode_reply(reply: Reply, asked: Asked) -> Encoded:
    """Write what the model says, as a stream or in one piece."""
    return _encode_stream(reply, asked) if asked.stream else _encode_message(reply, asked)


def encode_error(error: ErrorReply, request_id: str) -> Encoded:
    """Write an error, which has the request's id in its body too."""
    body = {"type": "error", "error": _error(error), "request_id": request_id}
    return plain(error.status, JSON + error.headers, json_bytes(body), error)


def encode_models(names: tuple[str, ...]) -> Encoded:
    """List the models that there are."""
    models = [
        {"type": "model", "id": name, "display_name": name, "created_at": "2026-01-01T00:00:00Z"} for name in names
    ]
    page = {"data": models, "has_more": False, "first_id": names[0], "last_id": names[-1]}
    return plain(200, JSON, json_bytes(page), Answer())


def _error(error: ErrorReply) -> dict[str, Any]:
    kind = 500 if error.status >= 500 else 400
    message, name = DEFAULT_ERRORS.get(error.status, DEFAULT_ERRORS[kind])
    return {"type": error.type or name, "message": error.message or message}


def _usage(given: int, made: int) -> dict[str, Any]:
    return {
        "input_tokens": given,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": made,
        "service_tier": "standard",
    }


def _message(reply: Reply, asked: Asked, content: list[Any], usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": reply.model or asked.model,
        "id": ID,
        "type": "message",
        "role": "assistant",
        "content": content,
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _stop(reply: Reply) -> dict[str, Any]:
    reason = STOP_REASONS[reply.finish_reason]
    stop: dict[str, Any] = {"stop_reason": reason, "stop_sequence": None}
    if reason == "refusal":
        stop["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return stop


def _encode_message(reply: Reply, asked: Asked) -> Encoded:
    content: list[dict[str, Any]] = [{"type": "text", "text": reply.text}] if reply.text else []
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call.arguments)}
        for call in reply.tool_calls
    ]
    message = _message(reply, asked, content, _usage(*(reply.usage or (0, 0)))) | _stop(reply)
    return plain(200, JSON, json_bytes(message), reply)


def _input(arguments: str) -> dict[str, Any]:
    value = json.loads(arguments or "{}")
    if not isinstance(value, dict):
        raise TypeError(f"this protocol carries arguments as a JSON object, not as {arguments!r}; stream them instead")
    return value


def _encode_stream(reply: Reply, asked: Asked) -> Encoded:
    given, made = reply.usage or (0, 0)
    head = _event("message_start", message=_message(reply, asked, [], _usage(given, 1)))
    pieces: list[bytes] = []
    pending = b""
    for index, (block, deltas) in enumerate(_blocks(reply)):
        pending += _event("content_block_start", index=index, content_block=block)
        if index == 0:
            pending += _event("ping")
        for delta in deltas:
            pieces.append(pending + _event("content_block_delta", index=index, delta=delta))
            pending = b""
        pending += _event("content_block_stop", index=index)
    usage = {key: value for key, value in _usage(given, made).items() if key != "service_tier"}
    tail = pending + _event("message_delta", delta=_stop(reply), usage=usage) + _event("message_stop")
    again = [
        _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in reply.pieces
    ]
    error = _event("error", error=_error(reply.cut)) if isinstance(reply.cut, ErrorReply) else b""
    return stream(EVENTS, head, pieces, tail, reply, again or [_event("ping")], error)


def _blocks(reply: Reply) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The blocks of content as they begin, each with what comes after."""
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if reply.pieces:
        deltas = [{"type": "text_delta", "text": piece} for piece in reply.pieces]
        blocks.append(({"type": "text", "text": ""}, deltas))
    for call in reply.tool_calls:
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        parts = ("", *Reply(call.arguments).pieces)
        blocks.append((block, [{"type": "input_json_delta", "partial_json": part} for part in parts]))
    return blocks


def _event(name: str, **data: Any) -> bytes:
    return sse({"type": name} | data, event=name)
