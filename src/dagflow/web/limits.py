"""What a server asks of a request before an app sees it, as ASGI middlewares: a token, and a size."""

from __future__ import annotations

import math
import secrets
from collections.abc import Collection
from typing import Final

from dagflow.core.secrets import Secret
from dagflow.web.asgi import ASGIApp, Message, Receive, Scope, Send, headers_of
from dagflow.web.problems import HTTPProblem, send_problem

__all__ = ["BearerToken", "BodyLimit"]

MEBIBYTE: Final = 1024 * 1024
MOST_DIGITS: Final = 20


class BodyLimit:
    """Refuses requests whose body has more than `limit` bytes, with status 413, before an app has read them.

    A body is judged by its `Content-Length`, and counted as it comes, whatever that says. An app that has begun its
    answer when the limit is passed is told that the client has left.
    """

    def __init__(self, app: ASGIApp, *, limit: int = MEBIBYTE) -> None:
        if limit < 0:
            raise ValueError(f"limit is a number of bytes, 0 or more, not {limit}")
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or let the app do it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if any(_length(value) > self._limit for value in headers_of(scope, b"content-length")):
            await send_problem(self._problem(scope), scope, send)
            return
        counted = CountedRequest(scope, receive, send, self._limit, self._problem(scope))
        try:
            await self._app(scope, counted.receive, counted.send)
        except Exception:
            if not counted.refused:  # else the app only says that the rest of the body did not come
                raise

    def _problem(self, scope: Scope) -> HTTPProblem:
        message = f"the body of a request may have {self._limit} bytes and no more"
        # The rest of the body is not read, so that no other request can follow it. HTTP/2 knows no such header.
        headers = [(b"connection", b"close")] if scope["http_version"].startswith("1") else []
        return HTTPProblem(413, message, type="BodyTooLarge", headers=headers)


def _length(value: bytes) -> float:
    """A `Content-Length`; the server has refused what is no number, and Python what has thousands of digits."""
    if not value.isdigit():
        return 0
    return int(value) if len(value) < MOST_DIGITS else math.inf


class CountedRequest:
    """One request whose body is counted while the app reads it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limit: int, problem: HTTPProblem) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._left = limit
        self._problem = problem
        self._answering = False
        self.refused: bool = False

    async def receive(self) -> Message:
        """Give what has come; once it was too much, only that the client has left."""
        if self.refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] != "http.request":
            return message
        self._left -= len(message.get("body", b""))
        if self._left >= 0:
            return message
        self.refused = True
        if not self._answering:
            await send_problem(self._problem, self._scope, self._send)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Send a part of the app's answer, unless the request was refused before that began."""
        if self.refused and not self._answering:
            return
        self._answering = True
        await self._send(message)


class BearerToken:
    """Refuses requests that do not have `Authorization: Bearer <token>` (RFC 6750), with status 401.

    Paths in `open_paths`, such as `/health`, need no token. The token is compared in constant time and stands in no
    log, repr or error.

    Raises `ValueError` for a token that no header could have: it is printable ASCII without blanks.
    """

    def __init__(self, app: ASGIApp, token: str | Secret, *, open_paths: Collection[str] = ()) -> None:
        self._app = app
        self._token = Secret(token)
        self._open_paths = frozenset([open_paths] if isinstance(open_paths, str) else open_paths)
        value = self._token.reveal()
        if not value or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError("a bearer token is printable ASCII text without blanks, and not empty")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, or let the app do it."""
        if scope["type"] == "lifespan" or scope["path"] in self._open_paths:
            await self._app(scope, receive, send)
            return
        problem = self._problem(headers_of(scope, b"authorization"))
        if problem is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": str(problem)})
        else:
            await send_problem(problem, scope, send)

    def _problem(self, given: list[bytes]) -> HTTPProblem | None:
        if not given:
            return _unauthorized("this server asks for a token: `Authorization: Bearer ...`", b"Bearer")
        scheme, _, token = given[0].partition(b" ")
        if len(given) == 1 and scheme.lower() == b"bearer" and self._is_token(token.strip(b" ")):
            return None
        return _unauthorized("this is not the server's token", b'Bearer error="invalid_token"')

    def _is_token(self, given: bytes) -> bool:
        return secrets.compare_digest(given, self._token.reveal().encode())


def _unauthorized(message: str, challenge: bytes) -> HTTPProblem:
    return HTTPProblem(401, message, type="Unauthorized", headers=[(b"www-authenticate", challenge)])
