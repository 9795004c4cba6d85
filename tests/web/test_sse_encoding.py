"""Tests of the writer of server-sent events: what it writes is read back by the parser."""

from __future__ import annotations

import re

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagflow.core.sse import ServerSentEvent, SSEParser
from dagflow.core.sse_encoding import encode_comment, encode_event
from schedule.campaign import SCALE

TRICKY = ["\r", "\n", "\r\n", "\0", ":", " ", "data: x", "\x85", "\u2028", "\x0b", "\ufeff", "ä", "😀", "a"]
texts = st.lists(st.sampled_from(TRICKY) | st.text(max_size=5), max_size=8).map("".join)
names = texts.map(lambda text: re.sub("[\r\n]", "", text))
ids = names.map(lambda text: text.replace("\0", ""))


@attrs.frozen
class Written:
    """What `encode_event` is given."""

    data: str
    event: str | None = None
    id: str | None = None
    retry: int | None = None

    def encode(self) -> bytes:
        return encode_event(self.data, event=self.event, id=self.id, retry=self.retry)


events = st.builds(
    Written,
    data=texts,
    event=st.none() | names,
    id=st.none() | ids,
    retry=st.none() | st.integers(0, 10**15 - 1),
)


def chunked(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


def as_read(written: list[Written]) -> list[ServerSentEvent]:
    """What a reader gets: lines end in line feeds, and ids and retries stay until they are set again."""
    found, last, retry = [], "", None
    for item in written:
        last = last if item.id is None else item.id
        retry = retry if item.retry is None else item.retry
        found.append(ServerSentEvent(re.sub("\r\n|\r", "\n", item.data), item.event or "message", last, retry))
    return found


@pytest.mark.fuzz
@settings(max_examples=200 * SCALE)
@given(st.lists(events | texts, max_size=5), st.lists(st.integers(0, 1000), max_size=20))
@example([Written("a\r\nb\rc\n\n", "x", "7", 20)], [])
@example([Written(""), Written("\n"), Written("\ufeffa")], [1, 2, 3])
def test_what_is_written_is_read_back(items: list[Written | str], cuts: list[int]) -> None:
    """For any events with comments (texts) between them, cut into any chunks, the parser gives the events."""
    stream = b"".join(item.encode() if isinstance(item, Written) else encode_comment(item) for item in items)
    parser = SSEParser()
    read = [event for chunk in chunked(stream, cuts) for event in parser.feed(chunk)]
    assert as_read([item for item in items if isinstance(item, Written)]) == read
    assert not parser.finish()


def test_the_bytes_of_an_event() -> None:
    """Name, id and retry stand before the data, each line of which is a field of its own."""
    written = encode_event("one\r\ntwo\rthree\n", event="Some", id="12", retry=3000)
    assert b"event: Some\nid: 12\nretry: 3000\ndata: one\ndata: two\ndata: three\ndata: \n\n" == written
    assert b"data: \n\n" == encode_event("")
    assert b": \n\n" == encode_comment()
    assert b": a\n: event: b\n\n" == encode_comment("a\nevent: b")


@pytest.mark.parametrize("text", ["a\nb", "a\rb", "a\r\n", "\n"])
def test_names_and_ids_are_one_line(text: str) -> None:
    """A line end in a name or an id, which would begin another field, is refused."""
    with pytest.raises(ValueError, match="the event of an event must be one line"):
        encode_event("x", event=text)
    with pytest.raises(ValueError, match="the id of an event must be one line"):
        encode_event("x", id=text)


def test_what_readers_would_ignore_is_refused() -> None:
    """An id with a NULL, and a retry that is no count of milliseconds, are refused."""
    with pytest.raises(ValueError, match="NULL"):
        encode_event("x", id="1\0")
    for retry in (-1, 10**15):
        with pytest.raises(ValueError, match="milliseconds"):
            encode_event("x", retry=retry)


def test_lone_surrogates_do_not_end_a_stream() -> None:
    """What UTF-8 cannot write becomes a question mark."""
    assert b"data: a?b\n\n" == encode_event("a\ud800b")
