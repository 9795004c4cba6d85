"""The connection driver: HTTP/1.1 in and out of one socket, and an eye on whether the client is still there.

A reader task feeds h11 for as long as the connection lives. The other task answers, one request after the other;
when the reader meets the end of the client's bytes, it cancels the answer that is under way. (A client that closes
only its sending half counts as gone. None of the clients in question does that.)
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Awaitable, Iterable
from contextlib import suppress
from typing import Protocol

import anyio
import h11
from anyio.abc import ByteStream, SocketAttribute

from dagflow.testing.lm_server.requests import HTTPRequest
from dagflow.testing.lm_server.routes import MAX_BODY
from dagflow.testing.lm_server.wire import Encoded

__all__ = ["Connection", "Desk", "Exchange"]

MAX_HEAD = 64 * 1024
MAX_UNREAD = 256 * 1024
"""Bytes that may wait to be looked at before the reader stops, so that a client cannot fill the memory."""

LINGER = 1.0
"""Seconds for a client to finish a request whose answer it already has."""


class Exchange(Protocol):
    """One request and its answer, as the server sees them."""

    def answer(self) -> Awaitable[Encoded]:
        """Give the answer."""
        ...

    def answered(self) -> None:
        """Note that all of the answer was sent."""
        ...

    def aborted(self) -> None:
        """Note that the client left before that."""
        ...

    def close(self) -> None:
        """Note that it is over, in whatever way."""
        ...


class Desk(Protocol):
    """Who takes the requests."""

    def take(self, request: HTTPRequest) -> Exchange:
        """Begin to answer a request."""
        ...


class Connection:
    """Serves one client until one of both sides has had enough."""

    def __init__(self, stream: ByteStream, number: int, desk: Desk) -> None:
        self._stream = stream
        self._number = number
        self._desk = desk
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._arrived = anyio.Event()
        self._room = anyio.Event()
        self._unread = 0
        self._gone = False
        self._discarding = False
        self._answering: anyio.CancelScope | None = None
        self._is_head = False

    async def serve(self) -> None:
        """Answer requests; returns when the connection is to be closed."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._read)
            while await self._serve_request():
                self._http.start_next_cycle()
            tasks.cancel_scope.cancel()

    async def _read(self) -> None:
        while not self._gone:
            while self._unread > MAX_UNREAD and not self._discarding:
                self._room = anyio.Event()
                await self._room.wait()
            try:
                data = await self._stream.receive(65536)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
                data = b""
            self._unread += len(data)
            if not self._discarding:
                self._http.receive_data(data)
            if not data:
                self._gone = True
                if self._answering is not None:
                    self._answering.cancel()
            self._arrived.set()

    async def _serve_request(self) -> bool:
        """Answer the next request; false when there will be no other."""
        try:
            request = await self._request()
        except h11.RemoteProtocolError as error:
            await self._refuse(error)
            return False
        if request is None:
            return False
        exchange = self._desk.take(request)
        try:
            with anyio.CancelScope() as self._answering:
                if self._gone:
                    self._answering.cancel()
                await self._answer(await exchange.answer())
                exchange.answered()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            exchange.aborted()
            return False
        finally:
            self._answering = None
            if self._gone:
                exchange.aborted()
            exchange.close()
        if self._gone:
            return False
        if self._http.their_state is h11.SEND_BODY:
            await self._linger()
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def _request(self) -> HTTPRequest | None:
        """Read the next request; `None` when the client leaves instead."""
        event = await self._event()
        if not isinstance(event, h11.Request):
            return None
        self._is_head = event.method == b"HEAD"
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
        body: bytes | None = b""
        if int(headers.get("content-length", 0)) > MAX_BODY:
            body = None
        else:
            body = await self._body()
        return HTTPRequest(event.method.decode(), event.target.decode("latin-1"), headers, body, self._number)

    async def _body(self) -> bytes | None:
        """Read the body of a request; `None` when it is too large."""
        parts: list[bytes] = []
        size = 0
        while isinstance(event := await self._event(), h11.Data):
            parts.append(bytes(event.data))
            size += len(event.data)
            if size > MAX_BODY:
                return None
        return b"".join(parts)

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                await self._stream.send(self._sent(h11.InformationalResponse(status_code=100, headers=[])))
                continue
            self._unread = 0
            self._room.set()
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return event

    async def _answer(self, encoded: Encoded) -> None:
        if not encoded.status:
            await self._send_all(encoded, [])
        else:
            await self._send_all(encoded, [self._sent(self._head(encoded))])
        if encoded.ending == "stall":
            await anyio.sleep_forever()
        if encoded.ending == "reset":
            reset_on_close(self._stream)

    def _head(self, encoded: Encoded) -> h11.Response:
        headers = list(encoded.headers)
        if encoded.length is not None:
            headers.append(("content-length", str(encoded.length)))
        else:
            headers.append(("transfer-encoding", "chunked"))
        if self._http.their_state is not h11.DONE:
            headers.append(("connection", "close"))
        return h11.Response(status_code=encoded.status, headers=headers)

    async def _send_all(self, encoded: Encoded, waiting: list[bytes]) -> None:
        """Send the parts; what has no pause in between goes out together, as it would in the kernel's buffers."""
        for part in encoded.parts:
            waiting.append(self._part(encoded, part))
            if encoded.pace:
                await self._flush(waiting)
                await anyio.sleep(encoded.pace)
        if encoded.ending == "whole" and not encoded.repeated and encoded.status:
            waiting.append(self._sent(h11.EndOfMessage()))
        await self._flush(waiting)
        while encoded.repeated:
            for part in encoded.repeated:
                await self._stream.send(self._part(encoded, part))
                if encoded.pace:
                    await anyio.sleep(encoded.pace)

    def _part(self, encoded: Encoded, part: bytes) -> bytes:
        if self._is_head:
            return b""
        return self._sent(h11.Data(data=part)) if encoded.status else part

    async def _flush(self, waiting: list[bytes]) -> None:
        data = b"".join(waiting)
        waiting.clear()
        if data:
            await self._stream.send(data)

    def _sent(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""

    async def _refuse(self, error: h11.RemoteProtocolError) -> None:
        """Tell a client that it does not speak HTTP."""
        if self._gone or self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        body = str(error).encode()
        headers = [("content-type", "text/plain"), ("content-length", str(len(body))), ("connection", "close")]
        head = h11.Response(status_code=error.error_status_hint, headers=headers)
        with suppress(anyio.BrokenResourceError):
            data: Iterable[h11.Event] = (head, h11.Data(data=body), h11.EndOfMessage())
            await self._stream.send(b"".join(self._sent(event) for event in data))
            await self._linger()

    async def _linger(self) -> None:
        """Wait for the client to leave first.

        Closing while its bytes still come would reset the connection, and the answer would be lost with it.
        """
        self._discarding = True
        self._room.set()
        with anyio.move_on_after(LINGER):
            with suppress(NotImplementedError, anyio.BrokenResourceError):
                await self._stream.send_eof()
            while not self._gone:
                self._arrived = anyio.Event()
                await self._arrived.wait()


def reset_on_close(stream: ByteStream) -> None:
    """Make closing a reset: the kernel drops what is unsent and tells the client so."""
    raw = stream.extra(SocketAttribute.raw_socket)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
