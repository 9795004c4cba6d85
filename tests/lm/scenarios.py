"""What any client of the two protocols must make of what the local server does: scenarios, independent of the client.

The official SDKs run them, which keeps the server honest; then our own adapters do, which the server keeps honest.
"""

from __future__ import annotations

import datetime
import json
from typing import Annotated, Any, Literal

import attrs

from dagflow import LMRequest, LMResponse, Message, ToolCall, Usage
from dagflow.core.schema import json_schema
from dagflow.core.tools import Tool
from dagflow.testing.lm_server import RecordedRequest, Reply

__all__ = ["KEY", "MODEL", "PROVIDERS", "REQUEST", "SCENARIOS", "City", "Failure", "Scenario", "only"]

KEY = "sk-scenario-0123456789"
MODEL = "the-model"
PROVIDERS = ("openai", "anthropic")
FailureKind = Literal["status", "stream", "connection", "timeout"]


@attrs.frozen
class Mayor:
    """A type inside of another."""

    name: str
    since: datetime.date | None = None


@attrs.frozen
class City:
    """The type that structured answers have."""

    name: str
    people: int
    kind: Literal["town", "capital"]
    mayor: Mayor
    rivers: list[str] = attrs.field(factory=list)


CITY = json.dumps(
    {"name": "Zürich", "people": 448664, "kind": "town", "mayor": {"name": "Ma", "since": None}, "rivers": ["Limmat"]},
    ensure_ascii=False,
)


def weather(city: Annotated[str, "its name"], days: int = 1) -> str:
    """Tell the weather of a city."""
    return f"{city}: {days} days of rain"


WEATHER = Tool.of(weather)
CALLS = (
    ToolCall("call_1", "weather", '{"city": "Zürich", "days": 2}'),
    ToolCall("call_2", "weather", '{"city": "Bern", "days": 1}'),
)


REQUEST = LMRequest(system="Be brief.", messages=(Message("user", "Where are we?"),))


@attrs.frozen
class Failure:
    """How a request is expected to fail.

    `"status"` is an error status, `"stream"` an answer that broke off or told of an error midway, `"connection"` no
    answer at all, and `"timeout"` none in time. `said` stands in the message. `retriable` tells whether asking again
    can help; SDKs have no such notion.
    """

    kind: FailureKind
    status: int | None = None
    said: str = ""
    retriable: bool = False
    retry_after: float | None = None


@attrs.frozen(kw_only=True)
class Scenario:
    """What the server does, what is asked of it and how, and what must come out.

    `timeout` (seconds) and `key` are how the client is set up. It must not retry.
    """

    name: str
    script: Any
    expected: LMResponse | Failure
    request: LMRequest = REQUEST
    stream: bool = False
    key: str = KEY
    timeout: float | None = None
    providers: tuple[str, ...] = PROVIDERS


def answered(text: str, **rest: Any) -> LMResponse:
    """A response with the usage that replies have unless they say otherwise."""
    usage = Usage(requests=1, input_tokens=10, output_tokens=5)
    return LMResponse(**{"text": text, "usage": usage, "model": MODEL, **rest})


def asking(*messages: Message, **rest: Any) -> LMRequest:
    """A request with these messages."""
    return attrs.evolve(REQUEST, messages=messages or REQUEST.messages, **rest)


def both(name: str, script: Any, expected: LMResponse | Failure, **rest: Any) -> tuple[Scenario, Scenario]:
    """The same thing plain and streamed."""
    plain = Scenario(name=name, script=script, expected=expected, **rest)
    return plain, attrs.evolve(plain, name=f"{name}, streamed", stream=True)


def failing(name: str, script: Any, failure: Failure, **rest: Any) -> Scenario:
    """Something that goes wrong."""
    return Scenario(name=name, script=script, expected=failure, **rest)


def only(provider: str) -> list[Scenario]:
    """The scenarios of one provider."""
    return [scenario for scenario in SCENARIOS if provider in scenario.providers]


def whole_conversation(request: RecordedRequest) -> Reply:
    """Answer only what holds the calls and the results; that they fit together the server checks itself."""
    body = json.dumps(request.body, ensure_ascii=False)
    parts = ("two days of rain", "no such city", "call_1", "call_2", "Be brief.", "Zürich")
    return Reply("Take an umbrella." if all(part in body for part in parts) else f"Something is missing: {body}")


HELLO = "Grüezi\u2028in Zürich! 🏔 Where else?"
"""Text with characters of two, three and four bytes, one of which some take for the end of a line."""

AFTER_TOOLS = asking(
    Message("user", "What is the weather in Zürich and Bern?"),
    Message("assistant", "", tool_calls=CALLS),
    Message("tool", "two days of rain", tool_call_id="call_1"),
    Message("tool", "no such city", tool_call_id="call_2", failed=True),
    tools=(WEATHER,),
)
REPAIRED = asking(
    Message("user", "Where are we?"), Message("assistant", "Nowhere."), Message("user", "That is no city. Try again.")
)
STRUCTURED = asking(schema=json_schema(City), schema_name="City", purpose="fill", target="City")

ANSWERED = (
    *both("text", Reply(HELLO), answered(HELLO)),
    *both("text in many pieces", Reply(pieces=list(HELLO)), answered(HELLO)),
    *both("another usage", Reply("Hi", usage=(123, 45)), answered("Hi", usage=Usage(1, 123, 45))),
    *both("another model's name", Reply("Hi", model="the-model-2"), answered("Hi", model="the-model-2")),
    *both("a conversation", Reply("Here."), answered("Here."), request=REPAIRED),
    *both("structured output", Reply(CITY), answered(CITY), request=STRUCTURED),
    *both(
        "calls of tools",
        Reply(tool_calls=CALLS),
        answered("", tool_calls=CALLS, finish_reason="tool_calls"),
        request=asking(tools=(WEATHER,)),
    ),
    *both(
        "calls of tools after text",
        Reply("Let me see.", tool_calls=CALLS[:1]),
        answered("Let me see.", tool_calls=CALLS[:1], finish_reason="tool_calls"),
        request=asking(tools=(WEATHER,)),
    ),
    *both("results of tools", whole_conversation, answered("Take an umbrella."), request=AFTER_TOOLS),
    *both(
        "a refusal",
        Reply("I'd rather not.", finish_reason="refusal"),
        answered("I'd rather not.", finish_reason="refusal"),
    ),
    *both("a length stop", Reply("Once upon", finish_reason="length"), answered("Once upon", finish_reason="length")),
)

ERRORS = (
    failing("no key like that", Reply("Hi"), Failure("status", 401), key="sk-wrong"),
    failing("403", Reply.error(403, "not for you"), Failure("status", 403, "not for you")),
    failing("404", Reply.error(404, "no model of that name"), Failure("status", 404, "no model of that name")),
    failing("408", Reply.error(408, "too slow"), Failure("status", 408, "too slow", retriable=True)),
    failing(
        "429 that says when",
        Reply.error(429, "too many", retry_after=2),
        Failure("status", 429, "too many", retriable=True, retry_after=2.0),
    ),
    failing(
        "429 that says when in milliseconds",
        Reply.error(429, "too many", headers={"retry-after-ms": "1500"}),
        Failure("status", 429, "too many", retriable=True, retry_after=1.5),
    ),
    failing("429", Reply.error(429, "too many"), Failure("status", 429, "too many", retriable=True)),
    failing("500", Reply.error(500, "on fire"), Failure("status", 500, "on fire", retriable=True)),
    failing("503", Reply.error(503, "closed"), Failure("status", 503, "closed", retriable=True)),
    failing("529", Reply.error(529, "overloaded"), Failure("status", 529, "overloaded", retriable=True)),
    failing("529 for a stream", Reply.error(529, "no"), Failure("status", 529, "no", retriable=True), stream=True),
    failing(
        "a page of a proxy's",
        Reply.raw(502, b"<html><h1>Bad gateway</h1></html>", content_type="text/html"),
        Failure("status", 502, retriable=True),
    ),
)

BROKEN = (
    failing("an answer that is closed midway", Reply(HELLO, cut_after=20), Failure("connection", retriable=True)),
    failing(
        "an answer that is reset midway",
        Reply(HELLO, cut_after=20, cut="reset"),
        Failure("connection", retriable=True),
    ),
    failing("no answer but the end", Reply.garbage(b""), Failure("connection", retriable=True)),
    failing("an answer that is no HTTP", Reply.garbage(b"SSH-2.0-x\r\n"), Failure("connection", retriable=True)),
    failing(
        "a stream that is closed midway",
        Reply(HELLO, cut_after=3),
        Failure("stream", retriable=True),
        stream=True,
    ),
    failing(
        "a stream that is reset midway",
        Reply(HELLO, cut_after=3, cut="reset"),
        Failure("stream", retriable=True),
        stream=True,
    ),
    failing(
        "a stream that tells of an error midway",
        Reply(HELLO, cut_after=3, cut=Reply.error(529, "no room")),
        Failure("stream", said="no room", retriable=True),
        stream=True,
    ),
    failing("no answer in time", Reply.hang(), Failure("timeout"), timeout=0.3),
    failing(
        "a stream that falls silent",
        Reply(HELLO, cut_after=2, cut="stall"),
        Failure("timeout"),
        stream=True,
        timeout=0.3,
    ),
)

SCENARIOS: tuple[Scenario, ...] = (*ANSWERED, *ERRORS, *BROKEN)
