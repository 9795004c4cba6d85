"""What the server answers: values that a script is made of."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from dagflow.lm.protocol import ToolCall

__all__ = ["Answer", "ErrorReply", "FinishReason", "GarbageReply", "RawReply", "Reply"]

FinishReason = Literal["stop", "length", "refusal", "tool_calls", "content_filter"]
Cut = Literal["close", "reset", "stall"]

PIECE = 4
"""Characters of a piece of a stream: about a token."""

MOST_PIECES = 256


def _calls(calls: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(calls)


def _tuple(pieces: Iterable[str]) -> tuple[str, ...]:
    return tuple(pieces)


def _pairs(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple(headers)


def _parts(body: bytes | Iterable[bytes]) -> bytes | tuple[bytes, ...]:
    return body if isinstance(body, bytes) else tuple(body)


@attrs.frozen(kw_only=True)
class Answer:
    """What every kind of answer has: how it travels, and where it breaks off.

    `latency` is the time before its first byte and `pace` the time between the pieces of it, in seconds; both
    end when the client hangs up. `cut_after` pieces of a stream, or bytes of any other body, it breaks off, in the
    way of `cut`: the connection is closed (`"close"`), reset (`"reset"`), or stays open in silence (`"stall"`).
    One that `never_ends` goes on until the client leaves: a stream repeats its pieces, any other body gets blanks.
    """

    latency: float = 0.0
    pace: float = 0.0
    cut_after: int | None = None
    cut: Cut | ErrorReply = "close"
    never_ends: bool = False


@attrs.frozen
class Reply(Answer):
    """What the model says, written in the protocol of whoever asks.

    `pieces` tells how a stream cuts the text (small pieces by default), and is the text where none is given.
    `usage` is input and output tokens; `None` reports none, as some compatible servers do (Anthropic's protocol
    always does). `model` is the name in the answer, the one that was asked for by default. The text of a
    `"refusal"` is what the model says instead. The arguments of a call in `tool_calls` are JSON text, valid or not
    (Anthropic's protocol carries invalid ones in a stream only).

    With an error for `cut`, a stream tells it after `cut_after` pieces; a plain answer is the error itself.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = attrs.field(default=(), converter=_calls, kw_only=True)
    finish_reason: FinishReason = attrs.field(
        default=attrs.Factory(lambda self: "tool_calls" if self.tool_calls else "stop", takes_self=True), kw_only=True
    )
    usage: tuple[int, int] | None = attrs.field(default=(10, 5), kw_only=True)
    model: str | None = attrs.field(default=None, kw_only=True)
    pieces: tuple[str, ...] = attrs.field(
        default=attrs.Factory(lambda self: _cut_up(self.text), takes_self=True),
        converter=_tuple,
        kw_only=True,
        repr=False,
    )

    def __attrs_post_init__(self) -> None:
        if not self.text:
            object.__setattr__(self, "text", "".join(self.pieces))
        if self.text != "".join(self.pieces):
            raise ValueError("the pieces of a reply are not its text: give one of them, or equal ones")

    @staticmethod
    def error(
        status: int,
        message: str = "",
        *,
        type: str = "",
        code: str | None = None,
        retry_after: float | str | None = None,
        headers: Mapping[str, str] | None = None,
        **delivery: Any,
    ) -> ErrorReply:
        """Answer with an error in the provider's own form; message and type are what it says with that status.

        `retry_after` is in seconds, or text for the header as it is (a date, say).
        """
        return ErrorReply(
            status, message, type=type, code=code, retry_after=retry_after, headers=(headers or {}).items(), **delivery
        )

    @staticmethod
    def raw(
        status: int,
        body: bytes | Sequence[bytes] = b"",
        *,
        content_type: str | None = "application/json",
        headers: Mapping[str, str] | None = None,
        **delivery: Any,
    ) -> RawReply:
        """Answer with a body that is no business of either protocol; a sequence is sent as a stream of chunks."""
        return RawReply(status, body, content_type=content_type, headers=(headers or {}).items(), **delivery)

    @staticmethod
    def garbage(data: bytes, **delivery: Any) -> GarbageReply:
        """Answer with bytes that are not HTTP, then close; none at all hangs up without an answer."""
        return GarbageReply(data, **delivery)

    @staticmethod
    def hang() -> Reply:
        """Never answer; the client has to leave."""
        return Reply(latency=math.inf)


@attrs.frozen
class ErrorReply(Answer):
    """An error, written in the protocol of whoever asks: see `Reply.error`."""

    status: int
    message: str = ""
    type: str = attrs.field(default="", kw_only=True)
    code: str | None = attrs.field(default=None, kw_only=True)
    param: str | None = attrs.field(default=None, kw_only=True)
    retry_after: float | str | None = attrs.field(default=None, kw_only=True)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_pairs, kw_only=True)


@attrs.frozen
class RawReply(Answer):
    """A body that is sent as it is: see `Reply.raw`."""

    status: int
    body: bytes | tuple[bytes, ...] = attrs.field(converter=_parts, repr=False)
    content_type: str | None = attrs.field(default="application/json", kw_only=True)
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=_pairs, kw_only=True)


@attrs.frozen
class GarbageReply(Answer):
    """Bytes that are not HTTP: see `Reply.garbage`."""

    data: bytes


def _cut_up(text: str) -> tuple[str, ...]:
    size = max(PIECE, -(-len(text) // MOST_PIECES))
    return tuple(text[start : start + size] for start in range(0, len(text), size))
