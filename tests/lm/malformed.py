"""Three hundred malformed answers: 25 kinds of 12 each, and what must come of each of them."""

import enum
import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import attrs

from dagflow import Node, field
from dagflow.testing.lm_server import Reply


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen
class Part:
    name: str
    count: int = attrs.field(validator=attrs.validators.ge(1))


class Order(Node):
    """What the answers should have been."""

    customer: str = field(validator=attrs.validators.min_len(2))
    size: Size
    parts: list[Part]
    price: float
    urgent: bool = False
    note: str | None = None

    async def __call__(self) -> None: ...


class Ask(Node):
    text: str

    async def __call__(self) -> Order: ...


GOOD: dict[str, Any] = {
    "customer": "Ana",
    "size": "large",
    "parts": [{"name": "hinge", "count": 2}, {"name": "lid", "count": 1}],
    "price": 12.5,
    "urgent": True,
    "note": "ring twice",
}
VALUE = Order(
    customer="Ana",
    size=Size.LARGE,
    parts=[Part("hinge", 2), Part("lid", 1)],
    price=12.5,
    urgent=True,
    note="ring twice",
)
TEXT = json.dumps(GOOD)
LINES = json.dumps(GOOD, indent=1)

Outcome = Literal["value", "invalid", "failed"]
"""A value; `FillError` after all repairs; or `LMError`."""


@attrs.frozen
class Case:
    """A malformed answer, given to every request. `requests` is how many may be sent for it."""

    kind: str
    number: int
    reply: Any = attrs.field(repr=False)
    outcome: Outcome
    requests: int
    stream: bool = False
    timeout: float | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}-{self.number}"


Twelve = Iterator[Any]


def changed(**fields: Any) -> str:
    return json.dumps(GOOD | fields)


def truncated() -> Twelve:
    step = (len(TEXT) - 2) // 12
    yield from (TEXT[: 1 + step * turn] for turn in range(12))


def fenced() -> Twelve:
    for text in (TEXT, LINES, f"  {TEXT}  "):
        yield f"```json\n{text}\n```"
        yield f"```\n{text}\n```"
        yield f"```JSON\n{text}\n```\n"
        yield f"Here it is:\n```json\n{text}\n```\nAnything else?"


def in_prose() -> Twelve:
    for before in ("", "Sure! ", "Here you go:\n\n", "I think [roughly] this {one}: "):
        for after in ("\n\nTell me if that helps.", " (done)", "\n---"):
            yield f"{before}{TEXT}{after}"


def duplicate_keys() -> Twelve:
    for key in GOOD:
        yield TEXT[:-1] + f', "{key}": {json.dumps(GOOD[key])}}}'
        yield f'{{"{key}": null, ' + TEXT[1:]


def not_a_number() -> Twelve:
    for word in ("NaN", "Infinity", "-Infinity", "1e999"):
        yield TEXT.replace("12.5", word)
        yield TEXT.replace('"count": 2', f'"count": {word}')
        yield TEXT.replace('"ring twice"', word)


def lone_surrogates() -> Twelve:
    for escape in ("\\ud800", "\\udfff", "\\ud83d", "\\uDC00"):
        yield TEXT.replace("Ana", f"A{escape}na")
        yield TEXT.replace("hinge", f"{escape}")
        yield TEXT.replace("ring", f"{escape}{escape}"[:6] + "x")


def wrong_types() -> Twelve:
    yield from (changed(customer=value) for value in (7, None, ["Ana"], {"name": "Ana"}))
    yield from (changed(price=value) for value in ("12.5", True, None))
    yield from (changed(parts=value) for value in ("hinge", {"name": "hinge", "count": 1}, [1]))
    yield changed(urgent="yes")
    yield changed(parts=[{"name": "lid", "count": 1.5}])


def unknown_enum() -> Twelve:
    values: tuple[Any, ...] = ("medium", "LARGE", "Large", " large", "", "large.", 1, None, ["large"], "small|large")
    for value in (*values, {}, True):
        yield changed(size=value)


def extra_fields() -> Twelve:
    for name in ("total", "Customer", "sizes", "", "parts2", "$schema", "type", "__class__"):
        yield changed(**{name: 1})
    for name in ("colour", "Count", "names", "id"):
        yield changed(parts=[{"name": "lid", "count": 1, name: "x"}])


def missing_fields() -> Twelve:
    required = ("customer", "size", "parts", "price")
    for name in required:
        yield json.dumps({key: value for key, value in GOOD.items() if key != name})
    for name in required:
        yield json.dumps({name: GOOD[name]})
    yield changed(parts=[{"name": "lid"}])
    yield changed(parts=[{"count": 1}])
    yield changed(parts=[{}])
    yield "{}"


def empty() -> Twelve:
    yield from ("", " ", "\n", "\t\r\n", "\ufeff", "```json\n```", "```\n\n```", "\u00a0", "\x00", "   \n" * 50)
    yield from ("\u200b", "...")


def five_megabytes() -> Twelve:
    for turn in range(3):
        yield changed(note="x" * (5_000_000 + turn)), "value"
    for turn in range(3):
        yield changed(customer=5, note="x" * (5_000_000 + turn)), "invalid"
    for turn in range(3):
        yield "[" * (5_000_000 + turn), "invalid"
    for turn in range(3):
        yield TEXT[:-1] + ", " * (2_500_000 + turn), "invalid"


def bad_gateway() -> Twelve:
    page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    for status in (502, 503, 500, 504, 520, 529):
        yield Reply.raw(status, page, content_type="text/html")
        yield Reply.raw(status, b"", content_type=None)


def cut_stream() -> Twelve:
    for turn in range(6):
        yield Reply(TEXT, cut_after=turn * 4, cut="close")
        yield Reply(TEXT, cut_after=turn * 4, cut="reset")


def endless_stream() -> Twelve:
    for pieces in (("x",), ("",), ('{"customer": ', '"a"'), (" ",), ("{",), ("é" * 100,)):
        yield Reply(pieces=pieces, never_ends=True, pace=0.001)
    for turn in range(6):
        yield Reply(TEXT, cut_after=turn, cut="stall")


def wrong_content_type() -> Twelve:
    for kind in ("text/html", "text/plain", "application/xml", "image/png"):
        yield Reply.raw(200, b"<html>Please log in to the network</html>", content_type=kind)
        yield Reply.raw(200, b"", content_type=kind)
        yield Reply.raw(200, b"\x89PNG\xff\xfe\x00", content_type=kind)


def refusals() -> Twelve:
    for turn in range(12):
        yield Reply(("I cannot help with that. " * turn).strip(), finish_reason="refusal")


def length_stops() -> Twelve:
    for text in (TEXT, LINES, f"```json\n{TEXT}\n```", TEXT[:-1]):
        for usage in ((1, 1), (10, 4096), None):
            yield Reply(text, finish_reason="length", usage=usage)


def several_values() -> Twelve:
    other = changed(customer="Bo")
    for between in ("\n", " ", "\n\nor\n\n"):
        yield TEXT + between + other
        yield other + between + TEXT
        yield f"```json\n{TEXT}\n```{between}\n```json\n{other}\n```"
        yield f"First: {TEXT}{between}Then: {other}"


def too_deep() -> Twelve:
    for depth in (101, 150, 500, 1000, 5000, 100_000):
        yield changed(note=None)[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"
        yield '{"a":' * depth + "1" + "}" * depth


def other_languages() -> Twelve:
    yield str(GOOD)
    yield TEXT.replace('"', "'")
    yield TEXT[:-1] + ",}"
    yield TEXT.replace("}]", "},]")
    yield TEXT.replace('"customer"', "customer")
    yield TEXT.replace("true", "True")
    yield TEXT.replace("12.5", "12,5")
    yield TEXT.replace("12.5", "+12.5")
    yield TEXT.replace("12.5", "0x0C")
    yield "\n".join(f"{key}: {value}" for key, value in GOOD.items())
    yield f"<order>{GOOD['customer']}</order>"
    yield TEXT.replace('"Ana",', '"Ana", // the customer\n')


def no_object() -> Twelve:
    yield from ("null", "true", "0", "-1.5", '"Ana"', "[]", f"[{TEXT}]", "[1, 2]", '""', "1e3", "[[]]", "false")


def broken_constraints() -> Twelve:
    yield from (changed(customer=name) for name in ("", "A", "é"))
    yield from (changed(parts=[{"name": "lid", "count": count}]) for count in (0, -1, -(10**20)))
    yield from (changed(customer="B", parts=[{"name": "lid", "count": count}]) for count in (0, -5, 1))
    yield from (
        changed(parts=[{"name": "lid", "count": 1}] * count + [{"name": "x", "count": 0}]) for count in (1, 2, 9)
    )


def broken_envelopes() -> Twelve:
    for body in (b"{}", b"[]", b"null", b'"text"', b'{"choices": []}', b'{"content": "text"}', b'{"choices": [{}]}'):
        yield Reply.raw(200, body)
    yield Reply.raw(200, b'{"choices": [{"message": {"content": "' + b"x" * 20 + b'"}, "finish_reason": "stop"')
    yield Reply.raw(200, b'{"choices": [{"message": {"content": "{}"}, "finish_reason": "confused"}], "content": []}')
    yield Reply.raw(200, b'{"error": {"message": "not today"}}')
    yield Reply.raw(200, b"\xff\xfe\x00")
    yield Reply.raw(200, b"[" * 100_000)


def broken_streams() -> Twelve:
    kind = "text/event-stream"
    for body in (
        b"data: not json\n\n",
        b"data: {\n\n",
        b"event: error\ndata: {}\n\n",
        b"data: []\n\ndata: [DONE]\n\n",
        b": nothing but comments\n\n" * 10,
        b"",
        b"\xff\xfe\xfa\n\n",
        b"data: " + b"[" * 10_000 + b"\n\n",
        b'data: {"error": {"message": "overloaded", "type": "overloaded_error"}, "type": "error"}\n\n',
        b'data: {"choices": [{"delta": {"content": "{}"}}]}\n\ndata: [DONE]\n\n',
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 3, "delta": {}}\n\n',
        b"HTTP/1.1 200 OK\r\n\r\n{}",
    ):
        yield Reply.raw(200, body, content_type=kind)


@attrs.frozen
class Kind:
    """How a kind is made, and what must come of its answers unless one says otherwise."""

    make: Callable[[], Twelve]
    outcome: Outcome
    requests: int = 3
    stream: bool = False
    timeout: float | None = None


KINDS = (
    Kind(truncated, "invalid"),
    Kind(fenced, "value", requests=1),
    Kind(in_prose, "value", requests=1),
    Kind(duplicate_keys, "invalid"),
    Kind(not_a_number, "invalid"),
    Kind(lone_surrogates, "invalid"),
    Kind(wrong_types, "invalid"),
    Kind(unknown_enum, "invalid"),
    Kind(extra_fields, "invalid"),
    Kind(missing_fields, "invalid"),
    Kind(empty, "invalid"),
    Kind(five_megabytes, "invalid"),
    Kind(bad_gateway, "failed"),
    Kind(cut_stream, "failed", stream=True),
    Kind(endless_stream, "failed", requests=1, stream=True, timeout=0.05),
    Kind(wrong_content_type, "failed", requests=1),
    Kind(refusals, "failed", requests=1),
    Kind(length_stops, "invalid"),
    Kind(several_values, "invalid"),
    Kind(too_deep, "invalid"),
    Kind(other_languages, "invalid"),
    Kind(no_object, "invalid"),
    Kind(broken_constraints, "invalid"),
    Kind(broken_envelopes, "failed", requests=1),
    Kind(broken_streams, "failed", stream=True),
)


def cases() -> Iterator[Case]:
    for kind in KINDS:
        for number, made in enumerate(kind.make()):
            answer, outcome = made if isinstance(made, tuple) else (made, kind.outcome)
            reply = Reply(answer) if isinstance(answer, str) else answer
            yield Case(
                kind.make.__name__, number, reply, outcome, kind.requests, stream=kind.stream, timeout=kind.timeout
            )


CASES = tuple(cases())
