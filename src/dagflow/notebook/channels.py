"""The sockets to a kernel, natively on both event loops: ZeroMQ tells by a descriptor when to look again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import attrs
from anyio.lowlevel import checkpoint

from dagflow.notebook.library import Jupyter

__all__ = ["Channels", "Message", "open_channels"]


@attrs.frozen
class Message:
    """A message of a kernel: what it is of, in answer to which request, what it says, and how many bytes that took."""

    raw: dict[str, Any] = attrs.field(repr=False)
    size: int

    @property
    def type(self) -> str:
        """What kind of message it is."""
        return str(self.raw["msg_type"])

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        content: dict[str, Any] = self.raw["content"]
        return content

    @property
    def answers(self) -> str | None:
        """The id of the request that it belongs to."""
        answers: str | None = self.raw["parent_header"].get("msg_id")
        return answers


class Channel:
    """One socket; receive in one task at a time."""

    def __init__(self, jupyter: Jupyter, session: Any, socket: Any) -> None:
        self._zmq = jupyter.zmq
        self._session = session
        self._socket = socket

    def send(self, kind: str, content: Mapping[str, Any]) -> str:
        """Send a request, and give its id; it never waits."""
        message = self._session.msg(kind, dict(content))
        self._session.send(self._socket, message)
        return str(message["header"]["msg_id"])

    async def receive(self) -> Message:
        """Wait for the next message; none is lost on cancellation."""
        await checkpoint()
        while True:
            try:
                frames = self._socket.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.Again:
                # Looking has cleared the descriptor, so it tells of whatever comes from now on.
                await anyio.wait_readable(self._socket.fd)
                continue
            _, parts = self._session.feed_identities(frames)
            return Message(self._session.deserialize(parts), sum(map(len, parts)))

    async def answer(self, request: str, kind: str) -> Message:
        """Wait for the answer to a request; other messages are passed over."""
        while True:
            message = await self.receive()
            if message.answers == request and message.type == kind:
                return message


@attrs.frozen
class Channels:
    """The channels to a kernel."""

    shell: Channel
    iopub: Channel
    control: Channel


@contextmanager
def open_channels(jupyter: Jupyter, connection: Mapping[str, Any]) -> Iterator[Channels]:
    """Connect to a kernel, which need not be there yet."""
    zmq = jupyter.zmq
    context = zmq.Context()
    try:
        session = jupyter.session.Session(
            key=connection["key"].encode(), signature_scheme=connection["signature_scheme"]
        )

        def connect(name: str, kind: int) -> Channel:
            socket = context.socket(kind)
            socket.linger = 0
            socket.reconnect_ivl = 20  # milliseconds; the kernel's end is not there at first
            socket.rcvhwm = 0  # a message that is dropped may be the one that says that a cell is done
            if kind == zmq.SUB:
                socket.subscribe(b"")
            socket.connect(f"ipc://{connection['ip']}-{connection[f'{name}_port']}")
            return Channel(jupyter, session, socket)

        yield Channels(connect("shell", zmq.DEALER), connect("iopub", zmq.SUB), connect("control", zmq.DEALER))
    finally:
        context.destroy(linger=0)
