"""What the program prints: one JSON object, a list, or a line for each thing that happens; and the answer in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from dagflow.errors import LMError
from dagflow.kernel.context import TokenStream, token_stream
from dagflow.lm.billing import Bill
from dagflow.lm.claude_cli.question import Question
from dagflow.lm.protocol import LMResponse
from dagflow.types import Usage

__all__ = ["StreamReader", "Transcript", "answer_of", "read_transcript", "session_of", "too_much", "usage_of"]

_ANSWER_TOOL: Final = "StructuredOutput"  # how the program has the model give a value that fits a schema


@attrs.define
class Transcript:
    """What matters of the program's output: its result, the model that it named, and what was no JSON.

    `unread` is the first text that was none.
    """

    result: Mapping[str, Any] | None = None
    model: str = ""
    unread: str = ""

    def add(self, item: Any) -> None:
        """Take one object of the output; of several results the last one counts."""
        if not isinstance(item, dict):
            return
        if item.get("type") == "result":
            self.result = item
        elif item.get("type") == "system" and isinstance(item.get("model"), str):
            self.model = item["model"]

    def add_line(self, line: bytes) -> Any:
        """Take one line of the output and give the value in it."""
        try:
            item = json.loads(line) if line.strip() else None
        except (ValueError, RecursionError):
            self.unread = self.unread or line.decode(errors="replace").strip()
            return None
        self.add(item)
        return item


def read_transcript(stdout: bytes) -> Transcript:
    """Read what the program printed: an object, a list of objects, or an object a line."""
    transcript = Transcript()
    try:
        whole = json.loads(stdout)
    except (ValueError, RecursionError):
        for line in stdout.splitlines():
            transcript.add_line(line)
        return transcript
    for item in whole if isinstance(whole, list) else [whole]:
        transcript.add(item)
    return transcript


class StreamReader:
    """Reads the lines that the program prints while it works, and streams the pieces of the answer."""

    def __init__(self, tokens: TokenStream, bill: Bill, question: Question, max_line: int) -> None:
        self._tokens = tokens
        self._bill = bill
        self._structured = bool(question.schema)
        self._max_line = max_line
        self._transcript = Transcript()
        self._line = bytearray()
        self._in_answer = False
        self._sent = False

    async def __call__(self, chunk: bytes) -> None:
        """Take the next piece of output; raises `LMError` for a line that is too long."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._add(part)
            await self._end_line()
        self._add(rest)

    async def finish(self) -> Transcript:
        """Give what was read, at the end of the output."""
        await self._end_line()
        return self._transcript

    async def send_whole(self, text: str) -> None:
        """Stream an answer of which no piece has come."""
        if not self._sent:
            await self._tokens.send(text)

    def _add(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._max_line:
            raise too_much(self._max_line)

    async def _end_line(self) -> None:
        item = self._transcript.add_line(bytes(self._line))
        self._line.clear()
        piece = self._piece(item)
        if piece:
            self._sent = True
            self._bill.text(piece)
            await self._tokens.send(piece)

    def _piece(self, item: Any) -> str:
        """The piece of the answer in an object of the stream, which is often none.

        The events inside are those of Anthropic's messages. With a schema the answer is the input of a tool,
        and other text is not part of it.
        """
        event = part_of(item, "event") if part_of(item, "type") == "stream_event" else None
        kind = part_of(event, "type")
        if kind == "content_block_start":
            self._begin_block(part_of(event, "content_block"))
        elif kind == "content_block_delta" and self._in_answer:
            piece = part_of(part_of(event, "delta"), "partial_json" if self._structured else "text")
            return piece if isinstance(piece, str) else ""
        return ""

    def _begin_block(self, block: Any) -> None:
        if not self._structured:
            self._in_answer = part_of(block, "type") == "text"
            return
        self._in_answer = part_of(block, "name") == _ANSWER_TOOL
        if self._in_answer and self._sent:
            # The program turned down what the model gave first; what follows is another answer.
            self._tokens = token_stream() or self._tokens


def answer_of(transcript: Transcript, model: str | None) -> LMResponse:
    """The answer in a result that has one."""
    result = transcript.result or {}
    value = result.get("structured_output")
    reasons: dict[str, Literal["length", "refusal"]] = {"max_tokens": "length", "refusal": "refusal"}
    return LMResponse(
        text=str(result.get("result")) if value is None else json.dumps(value, ensure_ascii=False),
        usage=usage_of(result),
        model=transcript.model or largest_model(result) or model or "",
        finish_reason=reasons.get(str(result.get("stop_reason")), "stop"),
        request_id=session_of(result),
    )


def usage_of(result: Mapping[str, Any]) -> Usage:
    """What a result says that the request used; input that was read from a cache or written to one counts."""
    usage = result.get("usage")
    kinds = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    cost = result.get("total_cost_usd")
    return Usage(
        requests=1,
        input_tokens=sum(count(part_of(usage, kind)) for kind in kinds),
        output_tokens=count(part_of(usage, "output_tokens")),
        cost=float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) else None,
    )


def largest_model(result: Mapping[str, Any]) -> str:
    """The model that wrote most of the answer: the program uses a small one beside it."""
    used = result.get("modelUsage")
    if not isinstance(used, dict) or not used:
        return ""
    return str(max(used, key=lambda name: count(part_of(used[name], "outputTokens"))))


def session_of(result: Mapping[str, Any]) -> str | None:
    """The id that the program knows the request by."""
    found = result.get("session_id") or result.get("uuid")
    return found if isinstance(found, str) else None


def part_of(data: Any, key: str) -> Any:
    return data.get(key) if isinstance(data, dict) else None


def count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def too_much(limit: int) -> LMError:
    """The error of a program that prints and prints."""
    return LMError(
        f"the Claude CLI printed more than {limit} bytes for one answer and was ended; "
        f"raise max_output= if answers that long are expected"
    )
