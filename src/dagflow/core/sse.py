"""Parse a stream of server-sent events piece by piece, as section 9.2.6 of the WHATWG HTML standard defines it.

Lines are told apart in the bytes and decoded on their own. That gives the same text as decoding the whole
stream does: the bytes of LF and CR are part of no other UTF-8 character, so a character that a line end cuts
off is replaced either way, and a character that is spread over two chunks stays whole.
"""

from __future__ import annotations

from typing import Final

import attrs

__all__ = ["SSEParser", "ServerSentEvent"]

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_LONGEST_RETRY: Final = 15  # digits, thirty thousand years; `int` refuses thousands of them with a `ValueError`


@attrs.frozen
class ServerSentEvent:
    """One event of a stream.

    `id` and `retry` (milliseconds) are the last ones that the stream had set by then: by the standard they
    stay until they are set again.
    """

    data: str
    event: str = "message"
    id: str = ""
    retry: int | None = None


class SSEParser:
    """Turns the bytes of a stream, cut into chunks anywhere, into events.

    An event is given with the chunk that ends it. The bytes of an event's data and of the line that is being
    read are kept, at most `max_event` of them. The time is linear in the length of the stream.
    """

    def __init__(self, max_event: int = 16 * 1024 * 1024) -> None:
        self._max_event = max_event
        self._line = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._event = ""
        self._id = ""
        self._retry: int | None = None
        self._at_start = True
        self._in_event = False
        self._after_return = False

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes of the stream and give the events that they complete.

        Raises `ValueError` when an event has more than `max_event` bytes; the parser is of no use after that.
        """
        if not data:
            return []
        # A return ends its line at once, so that its event does not wait for the next chunk; the line feed that
        # belongs to it may come with that chunk.
        rest = data.removeprefix(b"\n") if self._after_return else data
        self._after_return = data.endswith(b"\r")
        lines = rest.splitlines()
        tail = b"" if rest.endswith((b"\n", b"\r")) or not lines else lines.pop()
        events: list[ServerSentEvent] = []
        for line in lines:
            if self._line:
                line = bytes(self._line) + line
                self._line.clear()
            if self._at_start:
                line = self._without_mark(line)
                self._at_start = False
            self._refuse_too_much(len(line))
            if not line:
                if self._data:
                    events.append(self._whole_event())
                self._event = ""
                self._in_event = False
            elif line.startswith(b"data: "):  # most are
                self._in_event = True
                self._add_data(line[6:])
            elif self._is_field(line):
                self._in_event = True
                name, _, value = line.partition(b":")
                self._set(name, value.removeprefix(b" "))
        self._line += tail
        self._refuse_too_much(len(self._line))
        return events

    def finish(self) -> bool:
        """Tell, at the end of the stream, whether it was cut within an event, which the standard throws away."""
        return self._in_event or self._is_field(self._without_mark(bytes(self._line)))

    def _refuse_too_much(self, line: int) -> None:
        if self._size + line > self._max_event:
            raise ValueError(
                f"a server-sent event has more than {self._max_event} bytes, the limit set by max_event; "
                f"raise it if events that long are expected"
            )

    def _without_mark(self, line: bytes) -> bytes:
        return line.removeprefix(_BYTE_ORDER_MARK) if self._at_start else line

    def _add_data(self, value: bytes) -> None:
        self._data.append(value)
        self._size += len(value) + 1

    def _whole_event(self) -> ServerSentEvent:
        data = _text(b"\n".join(self._data))
        self._data.clear()
        self._size = 0
        return ServerSentEvent(data, self._event or "message", self._id, self._retry)

    @staticmethod
    def _is_field(line: bytes) -> bool:
        return bool(line) and not line.startswith(b":")  # a colon begins a comment

    def _set(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._add_data(value)
        elif name == b"event":
            self._event = _text(value)
        elif name == b"id" and b"\0" not in value:
            self._id = _text(value)
        elif name == b"retry" and value.isdigit() and len(value) <= _LONGEST_RETRY:
            self._retry = int(value)


def _text(data: bytes | bytearray) -> str:
    return data.decode("utf-8", errors="replace")
