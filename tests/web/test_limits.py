"""Middlewares: bodies that are too big, and tokens that are wrong, never reach the app."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from dagflow.core.secrets import Secret
from dagflow.web.asgi import Message, Receive, Scope, Send, send_answer
from dagflow.web.limits import BearerToken, BodyLimit
from dagflow.web.streaming import EventStreamResponse
from web.direct import Direct
from web.graphs import Waiting, waiting, work


class Echo:
    """Answers with the length of the body; keeps whether the body came whole."""

    def __init__(self, *, fails: bool = False) -> None:
        self.called = 0
        self.whole = False
        self._fails = fails

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.called += 1
        length = 0
        while (message := await receive())["type"] == "http.request":
            length += len(message["body"])
            if not message["more_body"]:
                self.whole = True
                break
        if self._fails and not self.whole:
            raise RuntimeError("the client left")
        await send_answer(scope, send, 200, str(length))


def length(value: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", value)]


@pytest.mark.parametrize("sizes", [[0], [10], [4, 6], [1] * 10])
async def test_a_body_within_the_limit_passes(sizes: list[int]) -> None:
    """Up to the last byte of the limit, in one piece or in many, with its length told or not."""
    for headers in ([], length(str(sum(sizes)).encode())):
        echo = Echo()
        request = Direct(method="POST", body=[b"x" * size for size in sizes], headers=headers)
        await request.answer(BodyLimit(echo, limit=10))
        assert (200, sum(sizes), True) == (request.status, request.json, echo.whole)


@pytest.mark.parametrize("value", [b"11", b"999999999999", b"9" * 5000])
async def test_a_length_beyond_the_limit_is_refused_unread(value: bytes) -> None:
    """The app is not called, nothing is read, and the connection is closed."""
    echo = Echo()
    request = await Direct(method="POST", headers=length(value)).answer(BodyLimit(echo, limit=10))
    assert (413, b"close", 0, 0) == (request.status, request.headers[b"connection"], echo.called, request.asked)
    assert {"type": "BodyTooLarge", "message": "the body of a request may have 10 bytes and no more"} == (
        request.json["error"]
    )


@pytest.mark.parametrize("fails", [False, True])
@pytest.mark.parametrize("headers", [[], length(b"5")])
async def test_a_body_that_goes_on_is_refused(headers: list[tuple[bytes, bytes]], fails: bool) -> None:
    """Whatever its length was said to be: the app is told that the client left, and what it says is not sent."""
    echo = Echo(fails=fails)
    request = Direct(method="POST", body=[b"x" * 6] * 100, headers=headers)
    await request.answer(BodyLimit(echo, limit=10))
    assert (413, False, 2, 2) == (request.status, echo.whole, request.asked, len(request.sent))


async def test_an_app_that_fails_within_the_limit_fails() -> None:
    """The middleware keeps no error to itself that it has not caused."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Direct().answer(BodyLimit(app, limit=10))


async def test_a_body_that_goes_on_during_the_answer_hangs_up() -> None:
    """A run whose client sends on and on is ended, and memory does not grow."""
    work.begun = work.open = 0
    release = anyio.Event()
    request = Direct(method="POST", body=[b"x", b"y" * 100, b"z"])
    receive = request.receive

    async def slowly() -> Message:
        if request.asked:
            await release.wait()
        return await receive()

    request.receive = slowly  # type: ignore[method-assign]
    async with anyio.create_task_group() as group:
        group.start_soon(request.answer, BodyLimit(EventStreamResponse(lambda: waiting.stream(Waiting())), limit=10))
        await request.until_sent(b"waits_below")
        release.set()
    assert (200, 2, 0) == (request.status, request.asked, work.open)


@pytest.mark.parametrize(
    "given",
    [
        [],
        [b""],
        [b"Bearer"],
        [b"Bearer "],
        [b"Bearer wrong"],
        [b"Bearer token2"],
        [b"Bearer tok"],
        [b"Basic token"],
        [b"token"],
        [b"Bearer t\xf6ken"],
        [b"Bearer token", b"Bearer token"],
        [b"Bearer token, token"],
    ],
)
async def test_a_request_without_the_token_is_refused(given: list[bytes]) -> None:
    """Status 401 with a challenge, and the app is not called; no answer shows the token."""
    echo = Echo()
    request = Direct(headers=[(b"authorization", value) for value in given])
    await request.answer(BearerToken(echo, "token"))
    challenge = b'Bearer error="invalid_token"' if given else b"Bearer"
    assert (401, challenge, 0) == (request.status, request.headers[b"www-authenticate"], echo.called)
    assert b"token2" not in request.body
    assert "Unauthorized" == request.json["error"]["type"]


@pytest.mark.parametrize("token", ["token", Secret("token")])
async def test_a_request_with_the_token_passes(token: str | Secret) -> None:
    """The scheme is read in any case; open paths need no token."""
    app = BearerToken(Echo(), token, open_paths=["/health"])
    for scheme in (b"Bearer", b"bearer", b"BEARER"):
        assert 200 == (await Direct(headers=[(b"Authorization", scheme + b" token")]).answer(app)).status
    assert 200 == (await Direct(path="/health").answer(app)).status
    assert 401 == (await Direct(path="/health/").answer(app)).status


async def test_other_scopes() -> None:
    """A lifespan needs no token and has no body; a websocket without the token is closed before it opens."""
    seen: list[str] = []
    sent: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    async def receive() -> Message:
        raise AssertionError("not to be asked")

    async def send(message: Message) -> None:
        sent.append(message)

    guarded = BodyLimit(BearerToken(app, "token"), limit=0)
    await guarded({"type": "lifespan"}, receive, send)
    await guarded({"type": "websocket", "path": "/", "headers": []}, receive, send)
    await guarded({"type": "websocket", "path": "/", "headers": [(b"authorization", b"Bearer token")]}, receive, send)
    assert ["lifespan", "websocket"] == seen
    assert [("websocket.close", 1008)] == [(message["type"], message["code"]) for message in sent]


@pytest.mark.parametrize("token", ["", "two words", "line\n", "t\u00f6ken", " tucan"])
def test_a_token_that_no_header_has_is_refused(token: str) -> None:
    """When the middleware is made, and the message does not show it."""
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        BearerToken(Echo(), token)
    assert not token or token.strip() not in str(caught.value)


def test_a_token_is_in_no_repr() -> None:
    """Nor is a negative limit taken."""
    guarded = BearerToken(Echo(), "very-secret")
    assert "very-secret" not in repr(guarded) + repr(vars(guarded))
    with pytest.raises(ValueError, match="0 or more"):
        BodyLimit(Echo(), limit=-1)
