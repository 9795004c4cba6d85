"""Answers as they go over the wire: what is sent, in which parts, and how it ends. Pure values and functions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import attrs

from dagflow.testing.lm_server.reply import Answer, ErrorReply, GarbageReply, RawReply

__all__ = ["Encoded", "Headers", "garbage", "json_bytes", "plain", "raw", "sse", "stream"]

Headers = tuple[tuple[str, str], ...]
Ending = Literal["whole", "close", "reset", "stall"]

BLANKS = b" " * 64


@attrs.frozen
class Encoded:
    """An answer, ready to be sent: its parts one after the other, then those of `repeated` for ever.

    `length` is what the head says of the body's; `None` sends it in chunks. A status of 0 has no head.
    """

    status: int
    headers: Headers
    parts: tuple[bytes, ...]
    length: int | None
    repeated: tuple[bytes, ...] = ()
    ending: Ending = "whole"
    latency: float = 0.0
    pace: float = 0.0


def plain(status: int, headers: Headers, body: bytes, answer: Answer) -> Encoded:
    """Send a body in one part, or the beginning of it."""
    if answer.never_ends:
        return Encoded(status, headers, (body[:-1],), None, (BLANKS,), latency=answer.latency, pace=answer.pace)
    sent = body if answer.cut_after is None else body[: answer.cut_after]
    return Encoded(status, headers, (sent,), len(body), ending=_ending(answer), latency=answer.latency)


def stream(
    headers: Headers,
    head: bytes,
    pieces: Sequence[bytes],
    tail: bytes,
    answer: Answer,
    repeated: Sequence[bytes],
    error: bytes = b"",
) -> Encoded:
    """Send server-sent events; `error` takes the place of those after the cut."""
    kept = tuple(pieces if answer.cut_after is None else pieces[: answer.cut_after])
    whole = Encoded(200, headers, (head, *kept, tail), None, latency=answer.latency, pace=answer.pace)
    if answer.cut_after is not None:
        if isinstance(answer.cut, ErrorReply):
            return attrs.evolve(whole, parts=(head, *kept, error))
        return attrs.evolve(whole, parts=(head, *kept), ending=answer.cut)
    if answer.never_ends:
        return attrs.evolve(whole, parts=(head, *kept), repeated=tuple(repeated))
    return whole


def raw(answer: RawReply) -> Encoded:
    """Send a body as it is."""
    named = answer.headers
    if answer.content_type is not None:
        named += (("content-type", answer.content_type),)
    if isinstance(answer.body, bytes):
        return plain(answer.status, named, answer.body, answer)
    encoded = stream(named, b"", answer.body, b"", answer, answer.body or (BLANKS,))
    return attrs.evolve(encoded, status=answer.status)


def garbage(answer: GarbageReply) -> Encoded:
    """Send bytes that are not HTTP, then close the connection."""
    sent = answer.data if answer.cut_after is None else answer.data[: answer.cut_after]
    ending: Ending = "close" if isinstance(answer.cut, ErrorReply) else answer.cut
    repeated = (answer.data or BLANKS,) if answer.never_ends else ()
    return Encoded(0, (), (sent,), None, repeated, ending, answer.latency, answer.pace)


def sse(data: Any, event: str | None = None) -> bytes:
    """Write one server-sent event."""
    text = data if isinstance(data, bytes) else json_bytes(data)
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + text + b"\n\n"


def json_bytes(data: Any) -> bytes:
    """Write JSON as the providers do: UTF-8 as it is; lone surrogates, which UTF-8 has not, escaped."""
    try:
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(data, separators=(",", ":")).encode()


def _ending(answer: Answer) -> Ending:
    if answer.cut_after is None:
        return "whole"
    return "close" if isinstance(answer.cut, ErrorReply) else answer.cut
