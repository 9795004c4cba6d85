"""What a typed answer costs outside the wire: the prompt, the schema, the body, and the answer read back."""

from __future__ import annotations

import gc
import json
import types
from collections.abc import Mapping
from statistics import median
from time import perf_counter
from typing import Any, Final

from benchmarks.lm_work import ANSWER, ANTHROPIC_MODEL, INSTRUCTION, LETTER, OPENAI_MODEL, Part, Size
from benchmarks.measure import without_old_garbage
from dagflow import BaseLM, LMRequest, LMResponse, Node
from dagflow.lm.anthropic import AnthropicCodec
from dagflow.lm.openai import OpenAICodec
from dagflow.lm.prices import Price
from dagflow.lm.provider import Codec

USES: Final = ("first", "second", "later")
LATER: Final = 100
PRICE: Final = Price(1, 2)
OPENAI_BODY: Final = {
    "model": OPENAI_MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}
ANTHROPIC_BODY: Final = {
    "type": "message",
    "model": ANTHROPIC_MODEL,
    "content": [{"type": "text", "text": ANSWER}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
CODECS: Final[Mapping[str, tuple[Codec, Any]]] = {
    "openai": (OpenAICodec(OPENAI_MODEL, {}, "json_schema", PRICE), OPENAI_BODY),
    "anthropic": (AnthropicCodec(ANTHROPIC_MODEL, {"max_tokens": 100}, True, PRICE), ANTHROPIC_BODY),
}


class WithoutWire(BaseLM):
    """Writes a request and reads an answer as the adapter does, and sends nothing."""

    def __init__(self, codec: Codec, answer: Any) -> None:
        self._codec = codec
        self._body = json.dumps(answer).encode()

    async def complete(self, request: LMRequest) -> LMResponse:
        json.dumps(self._codec.encode(request, stream=False), ensure_ascii=False).encode()
        return self._codec.decode(json.loads(self._body))


async def microseconds(provider: str, repeats: int) -> Mapping[str, float]:
    """Give the medians of the first use of a node type, of its second, and of the later ones."""
    lm = WithoutWire(*CODECS[provider])
    taken: dict[str, list[float]] = {use: [] for use in USES}
    with without_old_garbage():
        for number in range(repeats + 1):
            order = order_type(number)
            gc.collect()
            for use in USES:
                calls = LATER if use == "later" else 1
                began = perf_counter()
                for _ in range(calls):
                    await lm.fill(order, {}, INSTRUCTION, LETTER)
                if number:  # the first one imports what nothing else has needed by then
                    taken[use].append((perf_counter() - began) / calls * 1e6)
    return {use: median(times) for use, times in taken.items()}


def order_type(number: int) -> type[Node]:
    """Make a type that is like no other: its schema, too, is new."""

    async def end(self: Node) -> None:
        pass

    hints = {"customer": str, "size": Size, "parts": list[Part], "price": float, "urgent": bool, "note": str | None}
    added = f"note_{number}"
    body = {"__annotations__": {**hints, added: str | None}, added: None, "__call__": end, "__module__": __name__}
    return types.new_class("Order", (Node,), exec_body=lambda namespace: namespace.update(body))
