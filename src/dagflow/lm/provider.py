"""The backend that OpenAI's and Anthropic's share: everything about a request but how it is written."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Protocol, Self

import anyio
import attrs

from dagflow.core.secrets import Secret, mask
from dagflow.core.sse import ServerSentEvent, SSEParser
from dagflow.errors import LMError
from dagflow.kernel.context import TokenStream, token_stream
from dagflow.kernel.retry import with_retries
from dagflow.lm.base import BaseLM, is_retriable
from dagflow.lm.billing import Bill, billed
from dagflow.lm.http import Endpoint, Reply
from dagflow.lm.prices import Price, PriceList
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.types import Retry, Usage

__all__ = ["Codec", "HTTPBackend", "StreamDecoder", "at", "key_of", "list_at", "shape_of", "text_of"]

MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
_QUOTED = 500


class StreamDecoder(Protocol):
    """Puts an answer together from the events of its stream."""

    def feed(self, event: ServerSentEvent, bill: Bill) -> str:
        """Take an event and give the piece of text in it, which is often none; raises `LMError` for an error."""
        ...

    @property
    def ended(self) -> bool:
        """Whether the answer is whole."""
        ...

    def finish(self) -> LMResponse:
        """Give the whole answer."""
        ...


class Codec(Protocol):
    """How a provider writes requests and answers; pure functions."""

    path: str

    def encode(self, request: LMRequest, *, stream: bool) -> dict[str, Any]:
        """Write the body of a request."""
        ...

    def decode(self, data: Any) -> LMResponse:
        """Read a whole answer; raises `LMError` for what is none."""
        ...

    def stream(self) -> StreamDecoder:
        """Begin to read a streamed answer."""
        ...


class HTTPBackend(BaseLM):
    """A language model behind an HTTP interface; `OpenAIBackend` and `AnthropicBackend` say which."""

    def __init__(
        self,
        codec: Codec,
        endpoint: Endpoint,
        *,
        identity: Mapping[str, Any],
        prices: Price | PriceList,
        retry: Retry | None,
        stream: bool | None,
        repairs: int,
    ) -> None:
        self.repairs = repairs
        self._codec = codec
        self._endpoint = endpoint
        self._identity = identity
        self._prices = prices
        self._retry = retry
        self._stream = stream

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self._identity['model']!r}, base_url={self._endpoint.url!r})"

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model and its settings."""
        return self._identity

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The API key."""
        return self._endpoint.secrets

    async def __aenter__(self) -> Self:
        """Keep connections open between runs, until the block ends."""
        await self._endpoint.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._endpoint.__aexit__(kind, error, trace)

    async def complete(self, request: LMRequest) -> LMResponse:
        """Send one request, again where that is right, and return the answer.

        Raises `LMError`. Cancelled, it closes its connection.
        """
        if isinstance(self._prices, PriceList):
            await self._prices.load()
        return await with_retries(self._retry, lambda: self._attempt(request), worth=is_retriable)

    async def _attempt(self, request: LMRequest) -> LMResponse:
        tokens = None if self._stream is False else token_stream()
        stream = tokens is not None if self._stream is None else self._stream
        body = json.dumps(self._codec.encode(request, stream=stream), ensure_ascii=False).encode()
        timeout = self._endpoint.timeout
        with billed(request) as bill:
            with anyio.move_on_after(timeout):
                async with self._endpoint.post(self._codec.path, body, bill) as reply:
                    if reply.status != 200:
                        await self._raise_status(reply, bill)
                    if stream and reply.content_type == "text/event-stream":
                        response = await self._read_stream(reply, bill, tokens)
                    else:
                        response = await self._read_whole(reply, bill, tokens)
                    return attrs.evolve(response, request_id=response.request_id or request_id(reply))
            raise LMError(f"{self._endpoint.url} gave no whole answer within the timeout of {timeout:g} s")

    async def _read_whole(self, reply: Reply, bill: Bill, tokens: TokenStream | None) -> LMResponse:
        raw = await reply.read()
        try:
            response = self._codec.decode(json.loads(raw))
        except (ValueError, RecursionError) as error:
            raise self._error(
                reply, f"answered with {reply.content_type or 'an untyped body'} that is no JSON", quoted(raw)
            ) from error
        bill.settle(response.usage)
        if tokens is not None and response.text:
            await tokens.send(response.text)
        return response

    async def _read_stream(self, reply: Reply, bill: Bill, tokens: TokenStream | None) -> LMResponse:
        parser, decoder = SSEParser(), self._codec.stream()
        async with reply.chunks() as chunks:
            async for chunk in chunks:
                for event in self._events(parser, chunk, reply):
                    piece = decoder.feed(event, bill)
                    if piece and tokens is not None:
                        await tokens.send(piece)
        if not decoder.ended:
            raise self._error(reply, "ended its stream before the answer was whole", retriable=True)
        response = decoder.finish()
        bill.settle(response.usage)
        return response

    def _events(self, parser: SSEParser, chunk: bytes, reply: Reply) -> list[ServerSentEvent]:
        try:
            return parser.feed(chunk)
        except ValueError as error:
            raise self._error(reply, f"streamed what cannot be read: {error}") from error

    async def _raise_status(self, reply: Reply, bill: Bill) -> None:
        bill.settle(Usage(requests=1))  # a request that is turned down costs nothing
        raw = await reply.read()
        said = quoted(raw)
        try:
            data = json.loads(raw)
        except (ValueError, RecursionError):
            data = None
        code = at(data, "error", "code") or at(data, "error", "type")
        said = (
            text_of(at(data, "error", "message")) or text_of(at(data, "error")) or text_of(at(data, "message")) or said
        )
        raise self._error(
            reply,
            f"answered {reply.status}{_meaning(reply.status)}",
            said,
            retriable=worth_another(reply, code),
            retry_after=reply.retry_after,
        )

    def _error(
        self,
        reply: Reply,
        what: str,
        said: str = "",
        *,
        retriable: bool = False,
        retry_after: float | None = None,
    ) -> LMError:
        identity = request_id(reply)
        said = mask(said, self.secrets)
        message = f"{self._endpoint.url} {what}" + (f": {said}" if said else "")
        return LMError(
            message + (f" (request {identity})" if identity else ""),
            status=reply.status,
            provider_message=said or None,
            retriable=retriable,
            retry_after=retry_after,
            request_id=identity,
        )


def request_id(reply: Reply) -> str | None:
    """The id that the provider knows the request by."""
    return reply.header("x-request-id") or reply.header("request-id")


def worth_another(reply: Reply, code: Any) -> bool:
    """Tell whether an error status may be gone the next time; a provider that says so itself is believed."""
    advice = reply.header("x-should-retry")
    if advice in ("true", "false"):
        return advice == "true"
    if code == "insufficient_quota":  # it comes as a 429, and waiting does not fill the account
        return False
    return reply.status in (408, 429) or reply.status >= 500


def _meaning(status: int) -> str:
    if status in (401, 403):
        return " (the API key is missing, wrong, or may not do this)"
    if status == 404:
        return " (is the model's name right, and the base URL?)"
    if 300 <= status < 400:
        return " (a redirect, which is not followed: give the base URL that it leads to)"
    return ""


def quoted(raw: bytes) -> str:
    """The beginning of a body, for an error."""
    text = raw[: 4 * _QUOTED].decode(errors="replace").strip()
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


def text_of(value: Any) -> str:
    """The value, where it is text; else nothing."""
    return value if isinstance(value, str) else ""


def key_of(given: str | Secret | None, variable: str, *, needed_by: str | None) -> Secret | None:
    """The key that is given, or that of the environment; `None` where there is none, and nobody needs one.

    Raises `LMError`, which names the variable, where `needed_by` says who does.
    """
    key = os.getenv(variable) if given is None else given
    if key:
        return Secret(key)
    if needed_by is not None:
        raise LMError(f"{needed_by} needs an API key: set {variable}, or pass api_key=")
    return None


def list_at(data: Any, *path: str | int) -> list[Any]:
    """The list that stands at a path of JSON data; empty where there is none."""
    found = at(data, *path)
    return found if isinstance(found, list) else []


def shape_of(data: Any) -> str:
    """Say what JSON data is, by its keys."""
    if isinstance(data, dict):
        return ", ".join(sorted(map(str, data))[:10]) or "an empty object"
    return f"a {type(data).__name__}"


def at(data: Any, *path: str | int) -> Any:
    """What stands at a path of JSON data that may be anything; `None` where there is no such place."""
    for key in path:
        if isinstance(key, int):
            data = data[key] if isinstance(data, list) and len(data) > key else None
        else:
            data = data.get(key) if isinstance(data, dict) else None
    return data
