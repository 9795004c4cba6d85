"""What the language models are asked for in the benchmarks, in the terms of every contender, and what they say."""

from __future__ import annotations

import enum
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import pydantic

from dagflow import BaseLM, LMRequest, LMResponse, Message, Node

Note = Callable[[str], None]
"""Takes each piece of a streamed answer as it comes."""
Stream = Callable[[Note], Awaitable[object]]

# Names that pydantic-ai knows: it makes less of models that it does not.
OPENAI_MODEL: Final = "gpt-4o"
ANTHROPIC_MODEL: Final = "claude-sonnet-4-5"
KEY: Final = "sk-benchmark"
INSTRUCTION: Final = "Read the order out of the letter."
PIECES: Final = 1_000
LONG_ANSWER: Final = " ".join(f"w{number:05}" for number in range(PIECES))
QUESTION: Final = "Say a thousand words."


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen
class Part:
    name: str
    count: int


class Order(Node):
    customer: str
    size: Size
    parts: list[Part]
    price: float
    urgent: bool = False
    note: str | None = None

    async def __call__(self) -> None:
        pass


class Letter(Node):
    text: str

    async def __call__(self) -> Order: ...


class PydanticPart(pydantic.BaseModel):
    name: str
    count: int


class PydanticOrder(pydantic.BaseModel):
    """`Order`, as the rivals want it; the official SDK makes no strict schema of a class with defaults."""

    customer: str
    size: Size
    parts: list[PydanticPart]
    price: float
    urgent: bool
    note: str | None


LETTER: Final = Letter(text="Please send two large hinges to Ana, who pays 12.50 for them.")
ANSWER: Final = json.dumps(
    {"customer": "Ana", "size": "large", "parts": [{"name": "hinge", "count": 2}], "price": 12.5}
    | {"urgent": False, "note": None}
)


@attrs.frozen
class Calls:
    """What contenders do, by their names.

    `plain` takes the same request and gives its answer as the library represents it; `typed` gives an `Order`
    of some kind; `streams` streams `LONG_ANSWER`.
    """

    plain: Mapping[str, Callable[[], Awaitable[Any]]]
    typed: Mapping[str, Callable[[], Awaitable[Any]]]
    streams: Mapping[str, Stream]


async def order_request() -> LMRequest:
    """Give the request that `fill` makes for an order."""

    class Probe(BaseLM):
        async def complete(self, request: LMRequest) -> LMResponse:
            seen.append(request)
            return LMResponse(text=ANSWER)

    seen: list[LMRequest] = []
    await Probe().fill(Order, {}, INSTRUCTION, LETTER)
    return seen[0]


LONG_REQUEST: Final = LMRequest(system="", messages=(Message("user", QUESTION),))
