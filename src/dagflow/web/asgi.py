"""The little of ASGI that is needed to answer a request: https://asgi.readthedocs.io/en/latest/specs/www.html."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, TypeAlias

from dagflow.core.encodable import is_encodable

__all__ = ["ASGIApp", "Header", "Message", "Receive", "Scope", "Send", "headers_of", "send_answer", "to_text"]

Scope: TypeAlias = "MutableMapping[str, Any]"
Message: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[Message]]"
Send: TypeAlias = "Callable[[Message], Awaitable[None]]"
ASGIApp: TypeAlias = "Callable[[Scope, Receive, Send], Awaitable[None]]"
Header: TypeAlias = "tuple[bytes, bytes]"


def headers_of(scope: Scope, name: bytes) -> list[bytes]:
    """The values of a request's header, by its name in lower case: none, one, or several of them."""
    return [value for key, value in scope["headers"] if key.lower() == name]


def to_text(data: Any) -> str:
    """Write JSON-able data as JSON in one line; what UTF-8 cannot hold, lone surrogates, is escaped."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text if is_encodable(text) else json.dumps(data, separators=(",", ":"), allow_nan=False)


async def send_answer(
    scope: Scope, send: Send, status: int, text: str, *, headers: Iterable[Header] = (), type: str = "application/json"
) -> None:
    """Send a whole answer; one to a HEAD request has the headers only."""
    body = text.encode()
    head = [(b"content-type", type.encode()), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
