"""Tests of the parser of server-sent events."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagflow.core.sse import ServerSentEvent, SSEParser
from schedule.campaign import SCALE


def parse(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def one_by_one(stream: bytes) -> list[bytes]:
    return [stream[place : place + 1] for place in range(len(stream))]


def cut(*chunks: bytes) -> bool:
    parser = SSEParser()
    for chunk in chunks:
        parser.feed(chunk)
    return parser.finish()


# The examples of the standard itself.


def test_messages_of_several_lines() -> None:
    """The data of an event are its lines, joined by line feeds."""
    stream = b"data: This is the first message.\n\ndata: This is the second message, it\ndata: has two lines.\n\n"
    assert [
        ServerSentEvent("This is the first message."),
        ServerSentEvent("This is the second message, it\nhas two lines."),
    ] == parse(stream)


def test_named_events() -> None:
    """An event has the name of its own `event` field, and "message" without one."""
    stream = b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\ndata: 113411\n\n"
    assert [
        ServerSentEvent("73857293", "add"),
        ServerSentEvent("2153", "remove"),
        ServerSentEvent("113411"),
    ] == parse(stream)


def test_stock_ticker() -> None:
    """Lines of data are joined without one at the end."""
    assert [ServerSentEvent("YHOO\n+2\n10")] == parse(b"data: YHOO\ndata: +2\ndata: 10\n\n")


def test_ids_and_comments() -> None:
    """Comments are left out, ids last until the next one, and an empty id resets it; the last block is no event."""
    stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event"
    assert [
        ServerSentEvent("first event", id="1"),
        ServerSentEvent("second event", id=""),
    ] == parse(stream)
    assert [ServerSentEvent(" third event")] == parse(stream + b"\n\n")[2:], "one space is taken off, not two"
    assert [ServerSentEvent("a", id="7"), ServerSentEvent("b", id="7")] == parse(b"id:7\ndata:a\n\ndata:b\n\n")


def test_fields_without_a_value() -> None:
    """A field without a colon is empty, and data that are one empty line are an event."""
    assert [ServerSentEvent(""), ServerSentEvent("\n")] == parse(b"data\n\ndata\ndata\n\ndata:")


def test_the_space_after_the_colon() -> None:
    """With one space after the colon and without it, the event is the same."""
    assert 2 * [ServerSentEvent("test")] == parse(b"data:test\n\ndata: test\n\n")


# The rest of the rules.


def test_no_event_without_data() -> None:
    """A block without data is no event, and its name is forgotten, but its id and its retry stay."""
    stream = b"event: lost\nid: 3\nretry: 500\n\ndata: x\n\n"
    assert [ServerSentEvent("x", "message", "3", 500)] == parse(stream)


@pytest.mark.parametrize("value", [b"", b"-1", b"1.5", b"1 ", b" 1", "٣".encode(), b"x", b"9" * 5000])
def test_retry_is_a_number(value: bytes) -> None:
    """A `retry` that is not all ASCII digits, or longer than any time, is ignored."""
    assert [ServerSentEvent("x", retry=20)] == parse(b"retry: 20\nretry: " + value + b"\ndata: x\n\n")


def test_an_id_with_a_null_is_ignored() -> None:
    """An `id` that holds NULL leaves the last one as it was."""
    assert [ServerSentEvent("x", id="1")] == parse(b"id: 1\nid: 2\x003\ndata: x\n\n")


def test_unknown_fields_are_ignored() -> None:
    """Names are compared as they are: other names, other case and spaces make another field."""
    assert [ServerSentEvent("y")] == parse(b"Data: x\ndata : x\n data: x\nfoo\nfoo: x\ndata: y\n\n")


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_line_ends(end: bytes) -> None:
    """LF, CR and CRLF end a line, wherever the chunks are cut."""
    stream = end.join([b"data: a", b"data: b", b"", b"data: c", b"", b""])
    expected = [ServerSentEvent("a\nb"), ServerSentEvent("c")]
    assert expected == parse(stream)
    assert expected == parse(*one_by_one(stream))


def test_a_return_ends_a_line_at_once() -> None:
    """An event that ends with a return does not wait for the next chunk, whose line feed is no line of its own."""
    parser = SSEParser()
    assert [ServerSentEvent("a")] == parser.feed(b"data: a\r\n\r")
    assert [] == parser.feed(b"\ndata: b\r")
    assert [] == parser.feed(b"")
    assert [] == parser.feed(b"\ndata: c\n")
    assert [ServerSentEvent("b\nc")] == parser.feed(b"\n")


def test_other_line_separators_are_data() -> None:
    """What Unicode, or Python for strings, takes for the end of a line is part of the data."""
    text = "a\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029b"
    assert [ServerSentEvent(text)] == parse(f"data: {text}\n\n".encode())


def test_the_byte_order_mark() -> None:
    """One byte order mark is taken off the beginning of the stream, in any chunks, and nowhere else."""
    mark = "\ufeff".encode()
    stream = mark + b"data: a\n\n" + mark + b"data: b\ndata: " + mark + b"c\n\n"
    expected = [ServerSentEvent("a"), ServerSentEvent("\ufeffc")]
    assert expected == parse(stream)
    assert expected == parse(*one_by_one(stream))
    assert [ServerSentEvent("b")] == parse(mark + mark + b"data: a\ndata: b\n\n")


def test_characters_across_chunks() -> None:
    """A character whose bytes come in different chunks is whole, and bytes that are none are replaced."""
    stream = "data: äößé€😀\n\n".encode()
    assert [ServerSentEvent("äößé€😀")] == parse(*one_by_one(stream))
    assert [ServerSentEvent("\ufffd\ufffd\nx")] == parse(b"data: \xff\xf0\x9f\x98\ndata: x\n\n")


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"", False),
        (b"data: a\n\n", False),
        (b"data: a\n\n: a comment", False),
        (b"data: a\n\n: a comment\n", False),
        (b"\xef\xbb\xbf", False),
        (b"\xef\xbb\xbf: a comment", False),
        (b"data: a\r\n\r", False),
        (b"data: a\n", True),
        (b"data: a\r\n", True),
        (b"data: a\n: a comment\n", True),
        (b"d", True),
        (b"event: a\n", True),
        (b"<html>", True),
        (b"\xef\xbb", True),
        (b"data: a\n\n\xef\xbb\xbf", True),
    ],
)
def test_a_cut_stream_is_told(stream: bytes, expected: bool) -> None:
    """`finish` is true when the stream ends within an event, and that event is not given."""
    assert expected == cut(stream)
    assert expected == cut(*one_by_one(stream))


# Hostile streams.


@pytest.mark.parametrize("chunk", [1, 7, 10_000])
@pytest.mark.parametrize(
    "stream",
    [b"data: " + b"x" * 95, b"x" * 101, b":" + b"x" * 100, b"data: xxxxx\n" * 20, b"data\n" * 101, b"data:\r" * 200],
    ids=["a line", "an unknown field", "a comment", "lines of data", "empty lines", "empty lines with a colon"],
)
def test_the_size_of_an_event_is_bounded(stream: bytes, chunk: int) -> None:
    """An event, or a line, with more bytes than the limit is refused, naming the limit, however it comes."""
    parser = SSEParser(max_event=100)
    with pytest.raises(ValueError, match="more than 100 bytes, the limit set by max_event"):
        for place in range(0, len(stream), chunk):
            parser.feed(stream[place : place + chunk])


def test_a_long_stream_of_small_events_is_not_bounded() -> None:
    """The limit is for one event: many events, and comments and ids without end, pass."""
    parser = SSEParser(max_event=100)
    line = b"data: " + b"x" * 80 + b"\n\n"
    assert 50 == sum(len(parser.feed(line)) for _ in range(50))
    assert [] == parser.feed(b": keep alive\n" * 50 + b"event: a\nid: b\nretry: 1\n" * 50)
    assert [ServerSentEvent("c", "a", "b", 1)] == parser.feed(b"data: c\n\n")


def test_an_event_as_long_as_the_limit_passes() -> None:
    """Exactly `max_event` bytes are allowed."""
    assert [ServerSentEvent("x" * 94)] == SSEParser(max_event=100).feed(b"data: " + b"x" * 94 + b"\n\n")


# Compared with a reference.


def reference(stream: bytes) -> tuple[list[ServerSentEvent], bool]:
    """Read a whole stream at once, rule by rule as the standard words them."""
    text = stream.decode("utf-8", errors="replace")
    if text.startswith("\ufeff"):
        text = text[1:]
    *lines, last = re.split("\r\n|\n|\r", text)
    events: list[ServerSentEvent] = []
    data, event_type, last_id, time = "", "", "", None
    begun = False
    for line in lines:
        if line == "":
            if data != "":
                data = data[:-1] if data.endswith("\n") else data
                events.append(ServerSentEvent(data, event_type or "message", last_id, time))
            data, event_type, begun = "", "", False
        elif line[0] == ":":
            continue
        else:
            begun = True
            field, value = line, ""
            if ":" in line:
                field, value = line[: line.index(":")], line[line.index(":") + 1 :]
            if value[:1] == " ":
                value = value[1:]
            if field == "event":
                event_type = value
            if field == "data":
                data = data + value + "\n"
            if field == "id" and "\0" not in value:
                last_id = value
            if field == "retry" and re.fullmatch("[0-9]{1,15}", value):
                time = int(value)
    return events, begun or (last != "" and last[0] != ":")


WORDS = [b"data", b"event", b"id", b"retry", b":", b": ", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"12", b"x"]
PARTS = [b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xbf", b"\xf0\x9f", b"\x98\x80", b"\xed\xa0\x80", b"\xc2", b"\xff"]
ODD = [b"data: x\n\n", "\u0663".encode(), "\u2028".encode(), "\x85".encode(), b"\x0b", b"\x1c"]
pieces = st.sampled_from([*WORDS, *PARTS, *ODD])
streams = st.one_of(st.lists(pieces, max_size=40).map(b"".join), st.binary(max_size=60))


@pytest.mark.slow
@pytest.mark.fuzz
@settings(max_examples=500 * SCALE)
@given(stream=streams, cuts=st.lists(st.integers(0, 100), max_size=12))
@example(stream=b"data\r\n\r\n\rdata\n\r\n", cuts=[5, 6, 7, 8, 9])
def test_any_stream_in_any_chunks(stream: bytes, cuts: list[int]) -> None:
    """Any bytes, cut anywhere, give the events of a reference that reads the whole text at once."""
    ends = [*sorted(min(place, len(stream)) for place in cuts), len(stream)]
    chunks = [stream[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    expected, ended_early = reference(stream)
    assert expected == parse(*chunks)
    assert expected == parse(*one_by_one(stream))
    assert ended_early == cut(*chunks)
