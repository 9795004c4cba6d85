"""The server: a socket, a script, and the memory of what was asked."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import Any

import anyio
import attrs
from anyio.abc import ByteStream, Listener, SocketAttribute, SocketStream, TaskGroup
from anyio.streams.tls import TLSStream

from dagflow.testing.lm_server import routes
from dagflow.testing.lm_server.reply import ErrorReply, Reply
from dagflow.testing.lm_server.requests import Asked, HTTPRequest, RecordedRequest, Refused
from dagflow.testing.lm_server.script import Script, Scripted, ScriptError
from dagflow.testing.lm_server.wire import Encoded

__all__ = ["LMServer"]

HOST = "127.0.0.1"

PATIENCE = 10.0
"""Seconds to wait for what a client should do."""


class LMServer:
    """Answers OpenAI's chat completions and Anthropic's messages protocol on a local port, from a script.

    `script` is one answer for every request, a sequence of answers in order, or a function, sync or async, from
    `RecordedRequest` to an answer. An answer is a `Reply` or what its methods make; text stands for a
    `Reply` with that text, anything else for one with its JSON. With an `api_key`, requests without it get 401.
    Requests that the real services would refuse get their errors, and use up no answer of the script.

    An async context manager that is entered and exited in one task; leaving it hangs up on whoever is left. It
    then raises what the script raised, or `ScriptError` where a sequence had no answer left (the client got a 400
    that says so), unless the block raises something itself.

    `tls` is the server's side of it; then `url` begins with `https`. With `record=False`, `requests` stays empty.

    Raises `ImportError` without h11, which the `testing` extra installs.
    """

    def __init__(
        self,
        script: Scripted | Sequence[Scripted] | Callable[[RecordedRequest], Any],
        *,
        api_key: str | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        record: bool = True,
    ) -> None:
        try:
            from dagflow.testing.lm_server.connection import Connection
        except ImportError as error:
            raise ImportError("LMServer needs h11: pip install 'dagflow[testing]'", name="h11") from error
        self._connect = Connection
        self.requests: list[RecordedRequest] = []
        self.received = 0
        self.aborted = 0
        self.active = 0
        self.peak_active = 0
        self.connections: int = 0
        self.open_connections: int = 0
        self._script = Script(script)
        self._api_key = api_key
        self._port = port
        self._tls = tls
        self._record = record
        self._failures: list[Exception] = []
        self._encode: Callable[..., Encoded] = lru_cache(maxsize=16)(routes.encode)
        self._changed: anyio.Event | None = None
        self._tasks: TaskGroup
        self._listener: Listener[SocketStream]

    async def __aenter__(self) -> LMServer:
        listeners = await anyio.create_tcp_listener(local_host=HOST, local_port=self._port)
        self._port = listeners.extra(SocketAttribute.local_port)
        [self._listener] = listeners.listeners
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._listener.serve, self._serve, self._tasks)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Without the block's own exception, which a task group would wrap. Nothing of ours takes long to end, and
        # an outer cancellation must not replace that exception either.
        self._tasks.cancel_scope.shield = True
        self._tasks.cancel_scope.cancel()
        try:
            await self._tasks.__aexit__(None, None, None)
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(self._listener)
        if self._failures and error is None:
            raise self._failures[0]
        if error is not None:
            for failure in self._failures:
                error.add_note(f"the script of the server raised {failure!r}")

    @property
    def url(self) -> str:
        """The base URL for Anthropic's clients; OpenAI's want `/v1` after it."""
        return f"{'http' if self._tls is None else 'https'}://{HOST}:{self._port}"

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition()` is true; it is asked again whenever a request or connection begins or ends.

        Raises `TimeoutError` after ten seconds, so that a test fails and does not hang.
        """
        with anyio.fail_after(PATIENCE):
            while not condition():
                if self._changed is None:
                    self._changed = anyio.Event()
                await self._changed.wait()

    async def arrived(self, count: int = 1) -> None:
        """Wait until the server has had `count` requests."""
        await self.until(lambda: self.received >= count)

    async def closed_early(self, count: int = 1) -> None:
        """Wait until `count` clients have hung up before their answers were whole."""
        await self.until(lambda: self.aborted >= count)

    async def _serve(self, stream: ByteStream) -> None:
        self.connections += 1
        self.open_connections += 1
        self._notify()
        try:
            if secure := await self._secured(stream):
                await self._connect(secure, self.connections, self).serve()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)
            self.open_connections -= 1
            self._notify()

    async def _secured(self, stream: ByteStream) -> ByteStream | None:
        """The stream with TLS around it where the server has that; `None` where the client will not have it."""
        if self._tls is None:
            return stream
        try:
            return await TLSStream.wrap(stream, server_side=True, ssl_context=self._tls, standard_compatible=False)
        except (ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream):
            return None

    def take(self, request: HTTPRequest) -> Exchange:
        """Begin to answer a request; what a connection calls."""
        return Exchange(self, request)

    def _notify(self) -> None:
        if self._changed is not None:
            self._changed.set()
            self._changed = None


class Exchange:
    """One request to the server and its answer."""

    def __init__(self, server: LMServer, request: HTTPRequest) -> None:
        self._server = server
        self._request = request
        self._body = routes.json_of(request)
        server.received += 1
        server.active += 1
        server.peak_active = max(server.peak_active, server.active)
        number = server.received
        self._recorded = RecordedRequest(
            number=number,
            connection=request.connection,
            method=request.method,
            path=request.path,
            headers=request.headers,
            body=None if isinstance(self._body, Exception) else self._body,
            provider=routes.provider_of(request),
            streamed=isinstance(self._body, dict) and self._body.get("stream") is True,
            request_id=f"req_{number:024}",
        )
        self._index = len(server.requests)
        if server._record:
            server.requests.append(self._recorded)
        server._notify()

    async def answer(self) -> Encoded:
        """Give the answer of the script, or the error that the service would give."""
        provider, request_id = self._recorded.provider, self._recorded.request_id
        try:
            asked = routes.ask(self._request, self._body, self._server._api_key)
        except Refused as refused:
            encoded = routes.encode(refused.reply, provider, None, request_id)
        else:
            encoded = await self._scripted(asked)
        if encoded.latency:
            await anyio.sleep(encoded.latency)
        self._update(status=encoded.status or None)
        name = "request-id" if provider == "anthropic" else "x-request-id"
        headers = ((name, request_id), *encoded.headers) if encoded.status else ()
        self._ending = encoded.ending
        return attrs.evolve(encoded, headers=headers)

    async def _scripted(self, asked: Asked) -> Encoded:
        provider, request_id = self._recorded.provider, self._recorded.request_id
        if asked.kind == "models":
            return routes.encode_models(provider)
        try:
            answer = await self._server._script.answer(self._recorded)
            if isinstance(answer, Reply) and not isinstance(answer.cut, ErrorReply):
                return self._server._encode(answer, provider, asked, "")  # the same bytes for equal questions
            return routes.encode(answer, provider, asked, request_id)
        except Exception as error:
            self._server._failures.append(error)
            told = ErrorReply(400, str(error) if isinstance(error, ScriptError) else f"the script raised {error!r}")
            return routes.encode(told, provider, asked, request_id)

    def answered(self) -> None:
        """Note that all of the answer was sent."""
        self._update(state="answered" if self._ending == "whole" else "cut")

    def aborted(self) -> None:
        """Note that the client left before that."""
        if self._recorded.state == "open":
            self._server.aborted += 1
            self._update(state="aborted")

    def close(self) -> None:
        """Note that it is over, in whatever way."""
        if self._recorded.state == "open":
            self._update(state="cut")
        self._server.active -= 1
        self._server._notify()

    def _update(self, **changes: Any) -> None:
        self._recorded = attrs.evolve(self._recorded, **changes)
        if self._server._record:
            self._server.requests[self._index] = self._recorded
