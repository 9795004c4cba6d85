"""A run's events as a stream of server-sent events, and the run ends with its reader.

**Theory of operation.** Three tasks, all inside the response's own `__call__`: one reads the run's events and writes
them as frames into a short queue, one sends what is in the queue, one listens for the client to leave
(`dagflow.web.connected`). A full queue holds up the reader, and the reader the run: a slow client slows the run down,
and memory does not grow. Frames that wait are sent together. The run belongs to the reader and not to the sender,
whose `send` may wait in a shield for as long as a client does not read.

The status and headers are sent with the first frame, or with the first heartbeat. A run that fails before, because its
thread is locked, say, is answered with a status of its own.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

import anyio
import attrs
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from dagflow.core.secrets import Secret
from dagflow.core.sse_encoding import encode_comment
from dagflow.errors import RunCancelled
from dagflow.events import Event, RunEnded, RunStarted
from dagflow.types import Outcome
from dagflow.web.asgi import Header, Receive, Scope, Send, headers_of
from dagflow.web.connected import CLIENT_GONE, while_connected
from dagflow.web.encoding import encode_ending, encode_run_event
from dagflow.web.problems import HTTPProblem, log_failure, problem_of, send_problem
from dagflow.web.slots import RunSlots, Slot

__all__ = ["EventStreamResponse", "last_event_id"]

HEARTBEAT: Final = 15.0
"""Seconds; proxies close connections on which nothing came for half a minute or more."""

FRAMES: Final = 32
"""How many events may wait between the run and the connection."""

LONGEST_ID: Final = 15
"""Digits."""

HEADERS: Final[tuple[Header, ...]] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would collect events until its buffer is full
)

EventStream = AbstractAsyncContextManager[AsyncIterable[Event]]


def last_event_id(scope: Scope) -> int | None:
    """Read the `Last-Event-ID` of a request: the number of the last recorded event that the client has seen.

    `None` where the client has seen none. Raises `HTTPProblem` with status 400 for what is no such number.
    """
    values = headers_of(scope, b"last-event-id")
    if not values or values == [b""]:  # a reader whose last id is empty need not send it
        return None
    [text, *others] = values
    if others or not text.isdigit() or len(text) > LONGEST_ID:
        given = b", ".join(values)[:40].decode("latin-1")
        raise HTTPProblem(
            400, f"Last-Event-ID is the id of an event of this stream, a whole number, not {given!r}", type="BadRequest"
        )
    return int(text)


@attrs.define(eq=False)
class Ending:
    """How a run ended, once it has: with an error or without one; `result` is the frame that tells its result."""

    outcome: Outcome | None = None
    result: bytes = b""
    error: Exception | None = None
    slot: Slot | None = None

    def watch(self, event: Event) -> None:
        """Take note of what an event says about the outcome; those of nested runs say nothing."""
        if "/" in event.run:
            return
        if isinstance(event, RunStarted):
            self.outcome = None
        elif isinstance(event, RunEnded):
            self.outcome = event.outcome

    def fail(self, error: Exception) -> None:
        """Take note of what ended the run."""
        self.error = error
        self.outcome = "cancelled" if self.outcome == "cancelled" or isinstance(error, RunCancelled) else "failed"

    def problem(self, secrets: Iterable[str | Secret]) -> HTTPProblem | None:
        """What the client is told of a run that did not get to its end."""
        if self.error is not None:
            return problem_of(self.error, secrets)
        if self.slot is not None and self.slot.stopped:
            return self.slot.refusal()
        return None


class EventStreamResponse:
    """An ASGI app that answers one request with the events of a run, as server-sent events, while it runs.

    `stream` makes the async context manager over events that is the run, such as `lambda: graph.stream(start)`, or
    follows one (`graph.thread(...).follow`). It is entered once the response is called, and left, whatever happens,
    before that is over: when the run ends, when the client leaves, or when the server cancels the response. The body
    of the request must have been read before.

    Each event is named by its type and has its number as id (`encode_run_event`). Afterwards comes `result`, with what
    the function `result` makes of the stream (without one it is left out), or `error` with `type` and `message`; and
    last of all `end` with the `outcome`: `complete`, `interrupted`, `failed`, `cancelled`, or null where the events do
    not tell. A run that fails before its first event is answered with an HTTP status (`problem_of`).

    `slots` bounds the runs that go on at once. `heartbeat` is the number of seconds after which a comment is sent where
    nothing else was. `secrets` are masked in whatever is sent. A HEAD request runs nothing.
    """

    def __init__(
        self,
        stream: Callable[[], EventStream],
        *,
        result: Callable[[Any], Any] | None = None,
        slots: RunSlots | None = None,
        heartbeat: float = HEARTBEAT,
        secrets: Iterable[str | Secret] = (),
    ) -> None:
        if not 0 < heartbeat < math.inf:
            raise ValueError(f"heartbeat is a number of seconds above 0, not {heartbeat}")
        self._stream = stream
        self._result = result
        self._slots = slots
        self._heartbeat = heartbeat
        self._secrets = tuple(secrets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["method"] == "HEAD":
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await send({"type": "http.response.body", "body": b""})
            return
        ending, body = Ending(), Body(send)
        writer, reader = anyio.create_memory_object_stream[bytes](FRAMES)

        async def run() -> None:
            with writer:
                await self._run(writer, ending)

        async def pass_on() -> None:
            while (frame := await self._next(reader)) is not None:
                await body.send(frame)

        try:
            with writer, reader:  # also where the run does not even begin
                done = await while_connected(receive, pass_on, run)
            if done:
                await self._end(ending, body, scope, send)
        except CLIENT_GONE:
            return

    async def _run(self, frames: MemoryObjectSendStream[bytes], ending: Ending) -> None:
        """Run to the end; a failure is kept in `ending`."""
        try:
            with nullcontext() if self._slots is None else self._slots.take() as ending.slot:
                async with self._stream() as events:
                    async for event in events:
                        ending.watch(event)
                        await frames.send(encode_run_event(event, self._secrets))
                    if self._result is not None:
                        self._keep_result(self._result(events), ending)
        except Exception as error:
            ending.fail(error)
        if ending.slot is not None and ending.slot.stopped:
            ending.outcome = "cancelled"

    def _keep_result(self, result: Any, ending: Ending) -> None:
        if ending.outcome is None and isinstance(result, Mapping):  # nothing was left to run, so no event told
            ending.outcome = result.get("status")
        ending.result = encode_ending("result", result, self._secrets)

    async def _end(self, ending: Ending, body: Body, scope: Scope, send: Send) -> None:
        """Send what comes last, when nobody listens any more: servers tell that the client is gone then, too."""
        problem = ending.problem(self._secrets)
        if problem is not None and ending.error is not None:
            log_failure(ending.error, problem, self._secrets)
        if problem is not None and not body.started:
            await send_problem(problem, scope, send)
            return
        told = ending.result if problem is None else encode_ending("error", problem.data, self._secrets)
        await body.send(told + encode_ending("end", {"outcome": ending.outcome}), more=False)

    async def _next(self, frames: MemoryObjectReceiveStream[bytes]) -> bytes | None:
        """The frames that wait, or a heartbeat where none comes in time; `None` when the run is over."""
        with anyio.move_on_after(self._heartbeat):
            try:
                found = [await frames.receive()]
            except anyio.EndOfStream:
                return None
            found += _waiting(frames)
            return b"".join(found)
        return encode_comment()


def _waiting(frames: MemoryObjectReceiveStream[bytes]) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(frames.receive_nowait())
    except (anyio.WouldBlock, anyio.EndOfStream):
        return found


class Body:
    """The body of a response; what is sent first has the status and the headers before it."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started: bool = False

    async def send(self, data: bytes, *, more: bool = True) -> None:
        """Send a piece of the body, the last one unless there is `more`."""
        if not self.started:
            self.started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
        await self._send({"type": "http.response.body", "body": data, "more_body": more})
