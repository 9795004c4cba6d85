"""HTTP as language-model adapters need it: one POST, its answer whole or piece by piece, and clear errors.

This is the only module that knows httpx. A client that the user made may come from httpx or from its fork
httpx2: they have the same interface, and exceptions of their own.
"""

from __future__ import annotations

import email.utils
import functools
import importlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from types import TracebackType
from typing import Any, TypeAlias

import anyio
import anyio.lowlevel
import httpcore  # noqa: F401  # httpx imports it with its first request, and blocks the event loop for that
import httpx
from anyio import to_thread

from dagflow.core.secrets import Secret, mask
from dagflow.errors import LMError, describe
from dagflow.kernel.context import run_resource
from dagflow.lm.billing import Bill

__all__ = ["Endpoint", "Reply", "checked_url"]

Client: TypeAlias = "httpx.AsyncClient"

CONNECT_TIMEOUT = 10.0  # seconds
SECRET_HEADERS = {"api-key", "authorization", "cookie", "proxy-authorization", "x-api-key"}
LIMITS = httpx.Limits(max_connections=1000, max_keepalive_connections=100)


class Reply:
    """The answer to one request, while its connection is open."""

    def __init__(self, endpoint: Endpoint, response: Any) -> None:
        self.status: int = response.status_code
        self.content_type: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._endpoint = endpoint
        self._response = response

    def header(self, name: str) -> str | None:
        """The value of a header, or `None`."""
        value: str | None = self._response.headers.get(name)
        return value

    @property
    def retry_after(self) -> float | None:
        """The seconds that the provider asks to wait, from `retry-after-ms` or `Retry-After` (RFC 9110, 10.2.3)."""
        return read_retry_after(self.header("retry-after-ms"), self.header("retry-after"), time.time())

    async def read(self) -> bytes:
        """Read the whole body; raises `LMError` for one that is too long, or breaks off."""
        async with self.chunks() as chunks:
            return b"".join([chunk async for chunk in chunks])

    @asynccontextmanager
    async def chunks(self) -> AsyncIterator[AsyncIterator[bytes]]:
        """Read the body piece by piece inside the block, which may be left before its end."""
        # What is not compressed need not pass through the decoders, which take their time for every piece.
        encoded = "content-encoding" in self._response.headers
        stream = self._response.aiter_bytes() if encoded else aiter(self._response.stream)
        chunks = Chunks(self._endpoint, stream)
        with self._endpoint.translated():
            try:
                yield chunks
            finally:
                await chunks.end()


class Chunks:
    """The pieces of a body, up to the limit of its length."""

    def __init__(self, endpoint: Endpoint, stream: AsyncIterator[bytes]) -> None:
        self._endpoint = endpoint
        self._stream = stream
        self._length = 0
        self._ended = False

    def __aiter__(self) -> Chunks:
        return self

    async def __anext__(self) -> bytes:
        limit = self._endpoint.max_answer_bytes
        try:
            chunk = await anext(self._stream)
        except BaseException:
            self._ended = True
            raise
        self._length += len(chunk)
        if self._length > limit:
            raise LMError(f"{self._endpoint.url} answered with more than {limit} bytes; the request was ended")
        return chunk

    async def end(self) -> None:
        """Leave the rest unread.

        The stream is a pile of async generators, and closing the outermost leaves the others to the garbage
        collector, which trio warns of. A cancellation that begins at the socket ends them all.
        """
        if self._ended:
            return
        with anyio.CancelScope(shield=True) as scope, suppress(Exception):
            scope.cancel()
            async for _ in self._stream:
                pass  # what had been received already


class Endpoint:
    """Where a provider's requests go: its base URL, its headers, and the connections to it.

    Connections are kept open as long as the `async with` block of the endpoint lasts, else as long as the run
    does that they serve, else for one request. `client` is used as it is, and never closed. `secrets` are the
    `key` and the headers that carry it: no error quotes them.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str | Secret],
        *,
        key: Secret | None = None,
        client: Any = None,
        timeout: float | None,
        max_answer_bytes: int,
    ) -> None:
        self.url: str = checked_url(base_url)
        hidden = {
            value for name, value in headers.items() if name.lower() in SECRET_HEADERS or isinstance(value, Secret)
        }
        self.secrets: tuple[Secret, ...] = tuple({Secret(value) for value in hidden} | ({key} if key else set()))
        self.timeout = timeout
        self.max_answer_bytes = max_answer_bytes
        self._headers = {name.lower(): value for name, value in headers.items()}
        self._templates: dict[str, tuple[httpx.URL, dict[str, str], dict[str, Any]]] = {}
        self._client = client
        self._family = family_of(client)
        self._opened: dict[Any, tuple[Client, int]] = {}

    async def __aenter__(self) -> Endpoint:
        loop = anyio.lowlevel.current_token()
        if loop not in self._opened:
            made = await new_client(self.url)
            if self._opened.setdefault(loop, (made, 0))[0] is not made:  # somebody else was quicker
                await made.aclose()
        client, users = self._opened[loop]
        self._opened[loop] = client, users + 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = anyio.lowlevel.current_token()
        client, users = self._opened.pop(loop)
        if users > 1:
            self._opened[loop] = client, users - 1
            return
        with anyio.CancelScope(shield=True):
            await client.aclose()

    @asynccontextmanager
    async def post(self, path: str, body: bytes, bill: Bill) -> AsyncIterator[Reply]:
        """Send a request and give its answer, whose connection is closed or given back when the block is left.

        A request that never reached the provider makes its `bill` void.

        Raises `LMError` where there is no answer, or not within the timeout. Cancelled, it closes the
        connection, which is how the provider learns of it.
        """
        async with self._connections() as client:
            request = self._request(client, path, body)
            try:
                with self.translated(bill):
                    response = await client.send(request, stream=True)
                    try:
                        yield Reply(self, response)
                    finally:
                        with anyio.CancelScope(shield=True):
                            await response.aclose()
            finally:
                for name in self._headers:  # an exception keeps the request, and would keep the key
                    request.headers.pop(name, None)

    def _revealed(self) -> dict[str, str]:
        return {name: revealed(value) for name, value in self._headers.items()}

    def _request(self, client: Any, path: str, body: bytes) -> Any:
        sent = self._revealed()
        stream = body_class(self._family)(body)
        if self._client is not None:  # its settings are the user's, and may change
            request = client.build_request("POST", self.url + path, content=body, headers=sent)
            request.stream = stream
            return request
        # Building one anew takes a tenth of a call: the same URL is read and the same headers are merged.
        template = self._templates.get(path)
        if template is None:
            built = client.build_request("POST", self.url + path)
            template = self._templates[path] = built.url, dict(built.headers), built.extensions
        url, headers, extensions = template
        headers = {**headers, **sent, "content-length": str(len(body))}
        return httpx.Request("POST", url, headers=headers, stream=stream, extensions=extensions)

    @asynccontextmanager
    async def _connections(self) -> AsyncIterator[Any]:
        client = self._client or await self._kept_open()
        if client is not None:
            yield client
            return
        async with closing_client(self.url) as client:
            yield client

    async def _kept_open(self) -> Client | None:
        opened = self._opened.get(anyio.lowlevel.current_token()) if self._opened else None
        if opened is not None:
            return opened[0]
        return await run_resource(self, functools.partial(closing_client, self.url))

    @contextmanager
    def translated(self, bill: Bill | None = None) -> Iterator[None]:
        """Turn exceptions of the HTTP library into `LMError`; the one place where that is done."""
        family = self._family
        try:
            yield
        except family.HTTPError as error:
            if bill is not None and isinstance(error, (family.ConnectError, family.ConnectTimeout, family.ProxyError)):
                bill.void()
            raise self._refused(error) from error
        except (family.InvalidURL, family.StreamError) as error:
            raise LMError(f"the request to {self.url} could not be made: {self._said(error)}") from error
        except RuntimeError as error:
            if self._client is not None and self._client.is_closed:
                raise LMError(
                    f"the client given for {self.url} has been closed; keep it open as long as the model"
                ) from error
            raise

    def _refused(self, error: Exception) -> LMError:
        """Say why there is no answer. A connection that fails may come the next time; a certificate stays wrong."""
        family, said = self._family, self._said(error)
        causes = list(causes_of(error))
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return LMError(f"no secure connection to {self.url}: {said}; check the URL and the certificates")
        if any(isinstance(cause, socket.gaierror) for cause in causes):
            return LMError(
                f"the host of {self.url} is not known: {said}; check the URL and the network", retriable=True
            )
        if isinstance(error, family.ProxyError):
            return LMError(f"the proxy on the way to {self.url} failed: {said}; check the proxy settings")
        if isinstance(error, (family.ConnectError, family.ConnectTimeout)):
            return LMError(f"cannot connect to {self.url}: {said}; is the server running?", retriable=True)
        if isinstance(error, family.DecodingError):
            return LMError(f"{self.url} answered with a body that cannot be decoded: {said}")
        return LMError(f"the connection to {self.url} broke off: {said}", retriable=True)

    def _said(self, error: Exception) -> str:
        return mask(describe(error), self.secrets)


@functools.cache
def body_class(family: Any) -> Any:
    """Make the class of request bodies; that of the library reads as an async generator.

    One that is left when a connection breaks in the midst of a request waits for the garbage collector, which
    trio warns of.
    """

    class Body(family.AsyncByteStream):  # type: ignore[misc]  # either library's
        def __init__(self, data: bytes) -> None:
            self._data: bytes | None = data

        def __aiter__(self) -> Body:
            return self

        async def __anext__(self) -> bytes:
            data, self._data = self._data, None
            if data is None:
                raise StopAsyncIteration
            return data

    return Body


def revealed(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


async def new_client(url: str) -> Client:
    # Reading the certificates takes 20 ms; a plain connection needs none, and redirects are not followed.
    verify = await to_thread.run_sync(tls_context) if url.startswith("https:") else False
    return httpx.AsyncClient(timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT), limits=LIMITS, verify=verify)


@asynccontextmanager
async def closing_client(url: str) -> AsyncIterator[Client]:
    client = await new_client(url)
    try:
        yield client
    finally:
        with anyio.CancelScope(shield=True):  # closing sockets does not wait for the other side
            await client.aclose()


@functools.cache
def tls_context() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def family_of(client: Any) -> Any:
    """The library that a client comes from: httpx, or a fork of the same interface.

    Raises `TypeError` for what is no async client.
    """
    if client is None or isinstance(client, httpx.AsyncClient):
        return httpx
    for base in type(client).__mro__:
        if base.__name__ == "AsyncClient":
            return importlib.import_module(base.__module__.partition(".")[0])
    raise TypeError(f"client= is an AsyncClient of httpx or httpx2, not a {type(client).__name__}")


def checked_url(base_url: str) -> str:
    """The base URL without a slash at its end; raises `ValueError` for one that cannot be used."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ValueError(f"base_url is no URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ValueError(f"base_url begins with http:// or https:// and a host, not {base_url!r}")
    if url.userinfo or url.query or url.fragment:
        # They would stand in logs and errors. The text is not quoted: it may hold the secret.
        raise ValueError("base_url holds a user name, a query or a fragment; give keys as api_key= or headers=")
    return base_url.rstrip("/")


def read_retry_after(milliseconds: str | None, seconds: str | None, now: float) -> float | None:
    """Read a wait in seconds from the two headers that tell it; `now` is the wall time, for a date."""
    for text, scale in ((milliseconds, 1000), (seconds, 1)):
        if text is not None:
            try:
                value = float(text) / scale
            except ValueError:
                continue
            return value if 0 <= value < float("inf") else None
    if seconds is None:
        return None
    try:
        return max(0.0, email.utils.parsedate_to_datetime(seconds).timestamp() - now)
    except ValueError:
        return None


def causes_of(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
