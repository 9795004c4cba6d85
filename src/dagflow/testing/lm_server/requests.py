"""What clients ask: requests as they arrived, as the protocols read them, and as the server remembers them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NoReturn

import attrs

from dagflow.testing.lm_server.reply import ErrorReply

__all__ = ["Asked", "HTTPRequest", "Provider", "RecordedRequest", "Refused", "read_json"]

Provider = Literal["openai", "anthropic"]
State = Literal["open", "answered", "cut", "aborted"]


@attrs.frozen
class HTTPRequest:
    """A request as it arrived; `headers` has lower-case names. `body` is `None` where it was too large."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    connection: int

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


@attrs.frozen
class Asked:
    """A valid request: what is asked for, and how it is to be answered."""

    provider: Provider
    kind: Literal["completion", "models"]
    body: Any = attrs.field(default=None, eq=False, repr=False)
    model: str = ""
    stream: bool = False
    include_usage: bool = False


@attrs.frozen(kw_only=True)
class RecordedRequest:
    """A request that the server has had; `server.requests` has its newest state.

    `body` is the JSON of it (`None` where it was none) and `headers` has lower-case names. `number` counts the
    server's requests from 1, `connection` its connections. `state` is `"open"` while it is answered, then
    `"answered"`, `"cut"` where the script (or the server's end) broke the answer off, or `"aborted"` where the
    client hung up before the answer was whole. `status` is that of the answer, `None` before there is one.
    """

    number: int
    connection: int
    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: Any
    provider: Provider
    streamed: bool
    request_id: str
    status: int | None = None
    state: State = "open"

    @property
    def aborted(self) -> bool:
        """Whether the client hung up before the answer was whole."""
        return self.state == "aborted"


class Refused(Exception):
    """Raised inside of the protocols for a request that gets an error for its answer."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.message)
        self.reply = reply


def read_json(body: bytes) -> Any:
    """Read JSON as strictly as the providers do: UTF-8, no NaN, no lone surrogates; raises `ValueError`."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    data = json.loads(body.decode(), parse_constant=refuse)
    if rb"\ud" in body.lower():
        json.dumps(data, ensure_ascii=False).encode()
    return data
