"""The server's side of one ASGI request, without a server: for what no server does at will."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import anyio
import anyio.lowlevel

from dagflow.core.sse import ServerSentEvent, SSEParser
from dagflow.web.asgi import ASGIApp, Header, Message, Scope


class Direct:
    """One request, and what an app answers to it.

    `body` comes in the messages that it is given as. From the send number `broken_at` on, `send` raises an `OSError`;
    from number `stuck_at` on, it waits until the client hangs up, under a shield where `shielded`. As servers do, it
    says that the client has left as soon as it has all of the answer, and then tidies up.
    """

    def __init__(
        self,
        *,
        method: str = "GET",
        path: str = "/",
        headers: Iterable[Header] = (),
        body: Iterable[bytes] = (b"",),
        broken_at: int | None = None,
        stuck_at: int | None = None,
        shielded: bool = False,
    ) -> None:
        self.scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "http_version": "1.1",
            "headers": list(headers),
        }
        self.sent: list[Message] = []
        self.asked = 0
        self.tidied = False
        self._incoming = [*body]
        self._broken_at = broken_at
        self._stuck_at = stuck_at
        self._shielded = shielded
        self._gone = anyio.Event()
        self._news = anyio.Event()

    async def receive(self) -> Message:
        await anyio.lowlevel.checkpoint()
        self.asked += 1
        if self._incoming:
            part = self._incoming.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(self._incoming)}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        number = len(self.sent)
        if self._broken_at is not None and number >= self._broken_at:
            raise BrokenPipeError("the client has left")
        self.sent.append(message)
        self._news.set()
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self._gone.set()
            await anyio.wait_all_tasks_blocked()
            self.tidied = True
        if self._stuck_at is not None and number >= self._stuck_at:
            with anyio.CancelScope(shield=self._shielded):
                await self._gone.wait()

    def hang_up(self) -> None:
        self._gone.set()

    async def answer(self, app: ASGIApp) -> Direct:
        """Let an app answer."""
        await app(self.scope, self.receive, self.send)
        return self

    async def until_sent(self, text: bytes) -> None:
        """Wait until something was sent."""
        with anyio.fail_after(5):
            while text not in self.body:
                self._news = anyio.Event()
                await self._news.wait()

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def events(self) -> list[ServerSentEvent]:
        return SSEParser().feed(self.body)

    @property
    def ended(self) -> bool:
        """Whether the answer is whole."""
        return bool(self.sent) and not self.sent[-1].get("more_body", False)
