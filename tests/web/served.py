"""Apps under real servers, in the test's own event loop, and a client that has its socket in its own hands."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import anyio
import attrs
import h11

from dagflow.core.sse import ServerSentEvent, SSEParser
from dagflow.web.asgi import ASGIApp
from dagflow.web.servers import ServerName
from dagflow.web.serving import serve

PATIENCE = 10.0
"""Seconds after which a test is taken to hang."""


@attrs.frozen
class Kind:
    """A server on an event loop."""

    server: ServerName
    backend: Literal["asyncio", "trio"]

    def __str__(self) -> str:
        return f"{self.server} on {self.backend}"


KINDS = (Kind("uvicorn", "asyncio"), Kind("hypercorn", "asyncio"), Kind("hypercorn", "trio"))


def environment() -> dict[str, str]:
    """The environment of a program among the tests, which finds their modules, and the library where we do."""
    path = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


@asynccontextmanager
async def serving(
    app: ASGIApp, kind: Kind, *, on_stop: Callable[[], Awaitable[None]] | None = None, grace: float = 5.0
) -> AsyncIterator[int]:
    """Serve an app inside the block, which is given the port; the server has ended after it."""
    urls: list[str] = []
    started = anyio.Event()

    def start(url: str) -> None:
        urls.append(url)
        started.set()

    async def run() -> None:
        await serve(app, port=0, server=kind.server, on_start=start, on_stop=on_stop, grace=grace)

    with anyio.fail_after(PATIENCE + grace):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await started.wait()
            yield int(urls[0].rpartition(":")[2])
            group.cancel_scope.cancel()


@attrs.frozen
class Answer:
    """A whole answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[ServerSentEvent]:
        return SSEParser().feed(self.body)


class Client:
    """One connection to a server, byte by byte."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.setblocking(False)
        problem = self._socket.connect_ex(("127.0.0.1", port))
        if problem not in (0, errno.EINPROGRESS):
            self._socket.close()
            raise OSError(problem, os.strerror(problem))
        self._http = h11.Connection(h11.CLIENT)
        self._events = SSEParser()
        self._ready: list[ServerSentEvent] = []
        self.status: int = 0

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    async def send(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._socket)

    async def ask(
        self, path: str = "/", *, method: str = "GET", body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        """Send a request."""
        fields = {"Host": "test", **(headers or {})}
        if body and "Transfer-Encoding" not in fields:
            fields["Content-Length"] = str(len(body))
        request = h11.Request(method=method, target=path, headers=list(fields.items()))
        await self.send(self._http.send(request) or b"")
        if body:
            await self.send(self._http.send(h11.Data(data=body)) or b"")
        await self.send(self._http.send(h11.EndOfMessage()) or b"")

    async def next(self) -> Any:
        """The next part of the answer."""
        while (part := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._receive())
        return part

    async def _receive(self) -> bytes:
        while True:
            try:
                return self._socket.recv(65536)
            except BlockingIOError:
                await anyio.wait_readable(self._socket)

    async def answer(self) -> Answer:
        """Read the answer to its end."""
        head = await self.next()
        while isinstance(head, h11.InformationalResponse):
            head = await self.next()
        assert isinstance(head, h11.Response), head
        body = b""
        while isinstance(part := await self.next(), h11.Data):
            body += part.data
        assert isinstance(part, h11.EndOfMessage), f"cut after {body!r}"
        headers = {name.decode(): value.decode() for name, value in head.headers}
        return Answer(head.status_code, headers, body)

    async def event(self) -> ServerSentEvent:
        """Read the next event of a stream."""
        while not self._ready:
            part = await self.next()
            if isinstance(part, h11.Response):
                self.status = part.status_code
            elif isinstance(part, h11.Data):
                self._ready += self._events.feed(bytes(part.data))
            else:
                raise AssertionError(f"the stream ended: {part}")
        return self._ready.pop(0)

    def again(self) -> None:
        """Make ready for another request."""
        self._http.start_next_cycle()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def reset(self) -> None:
        """Hang up with an RST, as a process that is killed with unread data does."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def half_close(self) -> None:
        """Say that no more requests will come."""
        self._socket.shutdown(socket.SHUT_WR)


async def ask(port: int, path: str = "/", **request: Any) -> Answer:
    """Ask once, on a connection of its own."""
    async with Client(port) as client:
        await client.ask(path, **request)
        return await client.answer()
