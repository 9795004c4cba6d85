"""Event streams: what is sent, how a stream ends, and that nothing of a run outlives its client."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest

from dagflow import Graph, MemoryStore, Node, gate, progress
from dagflow.cli.values import event_json
from dagflow.core.secrets import MASK, Secret
from dagflow.events import Event
from dagflow.testing import assert_no_leaks
from dagflow.web.encoding import typed_result
from dagflow.web.problems import HTTPProblem
from dagflow.web.slots import RunSlots
from dagflow.web.streaming import FRAMES, EventStreamResponse, last_event_id
from web.direct import Direct
from web.graphs import Counting, Failing, Flooding, Waiting, counting, failing, flooding, waiting, work


@pytest.fixture(autouse=True)
def fresh_work() -> None:
    work.begun = work.open = 0


def result_of(stream: Any) -> Any:
    return typed_result(stream.result)


async def test_a_stream_is_the_events_then_the_result_then_the_end() -> None:
    """Each event has its type for its name, its number for its id, and the JSON that the CLI writes for data."""
    seen: list[Event] = []

    @attrs.define(eq=False)
    class Kept:
        """A stream that keeps what it gives."""

        stream: Any = attrs.field(factory=lambda: counting.stream(Counting()))

        async def __aenter__(self) -> Kept:
            await self.stream.__aenter__()
            return self

        async def __aexit__(self, *exc: Any) -> Any:
            return await self.stream.__aexit__(*exc)

        async def __aiter__(self) -> AsyncIterator[Event]:
            async for event in self.stream:
                seen.append(event)
                yield event

    response = EventStreamResponse(Kept, result=lambda kept: result_of(kept.stream))
    request = await Direct().answer(response)
    assert (200, b"text/event-stream; charset=utf-8") == (request.status, request.headers[b"content-type"])
    assert (True, True) == (request.ended, request.tidied)
    *events, result, end = request.events
    assert [(type(event).__name__, str(event.seq), event_json(event)) for event in seen] == [
        (event.event, event.id, json.loads(event.data)) for event in events
    ]
    told = json.loads(result.data)
    assert ("result", "complete", {"number": 3, "last": 3}) == (result.event, told["status"], told["value"])
    assert ("end", {"outcome": "complete"}) == (end.event, json.loads(end.data))


async def test_what_is_live_only_has_no_id() -> None:
    """The last id that a reader knows is that of a recorded event, also where progress came after it."""

    class Tells(Node):
        async def __call__(self) -> None:
            await progress("half", 0.5)

    graph = Graph(start=Tells)
    request = await Direct().answer(EventStreamResponse(lambda: graph.stream(Tells())))
    names = [(event.event, event.id) for event in request.events]
    assert ("Progress", names[names.index(("NodeStarted", "2"))][1]) in names
    assert request.body.count(b"id: ") == len([name for name, _ in names if name not in ("Progress", "end")])


async def test_a_run_that_asks_ends_as_interrupted() -> None:
    """The outcome says so, and the result has the open questions."""

    class Asks(Node):
        word: str = gate("Which word?")

        async def __call__(self) -> None: ...

    graph = Graph(start=Asks)
    stream = EventStreamResponse(lambda: graph.stream(Asks(), store=MemoryStore(), thread_id="t"), result=result_of)
    *_, result, end = (await Direct().answer(stream)).events
    assert {"outcome": "interrupted"} == json.loads(end.data)
    assert ["Which word?"] == [item["question"] for item in json.loads(result.data)["interrupts"]]


async def test_a_failed_run_ends_with_its_error(caplog: pytest.LogCaptureFixture) -> None:
    """`error` has type and message and no traceback; then `end` has the outcome. The log has the traceback."""
    response = EventStreamResponse(lambda: failing.stream(Failing()), result=result_of)
    request = await Direct().answer(response)
    *_, ended, error, end = request.events
    assert ("RunEnded", "error", "end") == (ended.event, error.event, end.event)
    told = json.loads(error.data)
    assert {"type", "message"} == told.keys()
    assert ("NodeError", True) == (told["type"], "ValueError: no" in told["message"])
    assert {"outcome": "failed"} == json.loads(end.data)
    assert b"Traceback" not in request.body
    [record] = caplog.records
    assert ("dagflow.web", logging.ERROR) == (record.name, record.levelno)
    assert "Traceback" in record.getMessage()


@pytest.mark.slow
async def test_a_run_that_others_cancel_ends_as_cancelled() -> None:
    """The outcome of a run that somebody cancelled through its store is told as what it is."""
    store = MemoryStore()
    request = Direct()
    async with anyio.create_task_group() as group:
        group.start_soon(
            request.answer,
            EventStreamResponse(lambda: waiting.stream(Waiting(), store=store, thread_id="t"), result=result_of),
        )
        await request.until_sent(b"DependencyStarted")
        assert await waiting.thread("t", store=store).cancel()
    *_, error, end = request.events
    assert ("error", "RunCancelled") == (error.event, json.loads(error.data)["type"])
    assert {"outcome": "cancelled"} == json.loads(end.data)
    assert 0 == work.open


@pytest.mark.parametrize("what", ["locked", "unknown", "wrong answer", "bad graph", "bug"])
async def test_a_failure_before_the_first_event_has_a_status(what: str, caplog: pytest.LogCaptureFixture) -> None:
    """A run that cannot begin is answered as HTTP answers, with the error as JSON, and no stream begins."""
    store = MemoryStore()
    status, type_, stream = {
        "locked": (409, "RunLocked", lambda: counting.stream(Counting(), store=store, thread_id="held")),
        "unknown": (409, "CheckpointError", lambda: counting.stream_resumed("nobody", store=store)),
        "wrong answer": (422, "AnswerError", lambda: counting.stream_resumed("done", {"x": 1}, store=store)),
        "bad graph": (500, "GraphError", lambda: counting.stream(Counting(), deps={len: 1})),
        "bug": (500, "ZeroDivisionError", lambda: 1 / 0),
    }[what]
    await counting.run(Counting(), store=store, thread_id="done")
    async with store.open() as session:
        lease = await session.acquire("held")
        request = await Direct().answer(EventStreamResponse(stream))  # type: ignore[arg-type]  # one of them is a bug
        await session.release(lease)
    assert (status, b"application/json") == (request.status, request.headers[b"content-type"])
    assert type_ == request.json["error"]["type"]
    assert ("invalid" in request.json["error"]) == (what == "wrong answer")
    assert (status >= 500) == bool(caplog.records)


async def test_a_slow_beginning_is_a_stream_all_the_same() -> None:
    """Where the heartbeat comes before the run can begin, the stream has begun, and the failure is an event of it."""
    store = MemoryStore()
    async with store.open() as session:
        lease = await session.acquire("held")
        request = await Direct().answer(
            EventStreamResponse(
                lambda: counting.stream(Counting(), store=store, thread_id="held", lease_wait=0.06), heartbeat=0.02
            )
        )
        await session.release(lease)
    assert 200 == request.status
    assert request.body.startswith(b": \n\n")
    assert ["error", "end"] == [event.event for event in request.events]


async def test_silence_is_broken_by_heartbeats() -> None:
    """A run that has nothing to tell sends comments, which are no events."""
    request = Direct()
    async with anyio.create_task_group() as group:
        group.start_soon(request.answer, EventStreamResponse(lambda: waiting.stream(Waiting()), heartbeat=0.01))
        await request.until_sent(b": \n\n: \n\n")
        request.hang_up()
    assert {"RunStarted", "NodeStarted", "DependencyStarted"} == {event.event for event in request.events}


@pytest.mark.parametrize("how", ["hang up", "break", "cancel"])
async def test_the_run_ends_with_its_client(how: str) -> None:
    """Whether the server tells it, a send fails, or the response is cancelled: nested runs too are over, cleaned up."""
    async with assert_no_leaks():
        request = Direct(broken_at=5 if how == "break" else None)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(request.answer, EventStreamResponse(lambda: waiting.stream(Waiting()), heartbeat=0.01))
                if how != "break":
                    await request.until_sent(b"waits_below")
                    assert 2 == work.open
                if how == "hang up":
                    request.hang_up()
                if how == "cancel":
                    group.cancel_scope.cancel()
    assert (2, 0) == (work.begun, work.open)


@pytest.mark.parametrize("at", range(12))
async def test_a_send_that_fails_ends_the_run_wherever_it_is(at: int) -> None:
    """From the status line to the last event: the response is over, without an error, and so is the run."""

    class Steps(Node):
        number: int = 0

        async def __call__(self) -> Steps | None:
            async with work.going_on():
                return Steps(number=self.number + 1) if self.number < 2 else None

    graph = Graph(start=Steps)
    async with assert_no_leaks():
        request = await Direct(broken_at=at).answer(EventStreamResponse(lambda: graph.stream(Steps(), buffer=1)))
    assert len(request.sent) <= at
    assert 0 == work.open


async def test_the_rest_of_the_body_does_not_hide_that_the_client_left() -> None:
    """What is left of the request is thrown away: servers do not read on, and see no end, until it is taken."""
    request = Direct(body=[b"x" * 1000] * 50)
    async with anyio.create_task_group() as group:
        group.start_soon(request.answer, EventStreamResponse(lambda: waiting.stream(Waiting())))
        await request.until_sent(b"waits_below")
        request.hang_up()
    assert (51, 0) == (request.asked, work.open)


@pytest.mark.parametrize("shielded", [False, True])
async def test_a_client_that_does_not_read_holds_the_run_up(shielded: bool) -> None:
    """The run gets no further ahead than its buffers, and ends with the client though `send` cannot be cancelled."""
    request = Direct(stuck_at=3, shielded=shielded)
    async with assert_no_leaks(), anyio.create_task_group() as group:
        group.start_soon(request.answer, EventStreamResponse(lambda: flooding.stream(Flooding(size=10), buffer=8)))
        await anyio.sleep(0.05)
        ahead = work.begun
        await anyio.sleep(0.05)
        assert ahead == work.begun
        assert ahead <= 2 * FRAMES + 8 + 8
        request.hang_up()
    assert 0 == work.open


async def test_a_send_that_waits_in_a_shield_does_not_keep_the_run() -> None:
    """When the response is cancelled, the run is over though the server's `send` is not."""
    request = Direct(stuck_at=3, shielded=True)
    async with anyio.create_task_group() as group:
        group.start_soon(request.answer, EventStreamResponse(lambda: flooding.stream(Flooding(), buffer=8)))
        await anyio.sleep(0.03)
        assert 1 == work.open
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True), anyio.fail_after(5):
            while work.open:  # noqa: ASYNC110  # nothing tells
                await anyio.sleep(0.005)
            request.hang_up()


async def test_head_runs_nothing() -> None:
    """A HEAD request is answered with the headers of a stream, and no run begins."""
    request = await Direct(method="HEAD").answer(EventStreamResponse(lambda: waiting.stream(Waiting())))
    assert (200, b"", True, 0) == (request.status, request.body, request.ended, work.begun)


async def test_secrets_are_not_sent() -> None:
    """A secret value is a type's name; what is known as secret, or looks like a key, is masked in events and errors."""
    key = "sk-" + "a1b2" * 8

    class Carries(Node):
        text: str
        secret: Any

        async def __call__(self) -> None:
            raise ValueError(f"{self.text} and {key}")

    graph = Graph(start=Carries, namespace=locals())
    start = Carries(text='hush "now"', secret=Secret("very secret"))
    stream = EventStreamResponse(lambda: graph.stream(start), secrets=['hush "now"'])
    request = await Direct().answer(stream)
    assert MASK.encode() in request.body
    for hidden in (b"very secret", b"hush", key.encode()):
        assert hidden not in request.body.partition(b"event: error")[2]
    assert b"very secret" not in request.body
    assert b"hush" not in request.body


async def test_a_stream_goes_on_behind_the_last_event_id() -> None:
    """With what a client says it has seen, a follower gets what comes after, without a gap or a repeat."""
    store = MemoryStore()
    await counting.run(Counting(), store=store, thread_id="t")
    thread = counting.thread("t", store=store)
    total = len(await thread.events())
    for seen in (None, 1, total - 1):
        headers = [] if seen is None else [(b"last-event-id", str(seen).encode())]
        request = Direct(headers=headers)
        after = last_event_id(request.scope) or 0
        await request.answer(EventStreamResponse(lambda after=after: thread.follow(after=after)))  # type: ignore[misc]
        *events, end = request.events
        assert [str(number) for number in range(after + 1, total + 1)] == [event.id for event in events]
        assert {"outcome": "complete"} == json.loads(end.data)


async def test_a_resume_with_nothing_left_to_run_tells_its_result() -> None:
    """No event says how the run ended, but its result does."""
    store = MemoryStore()
    await counting.run(Counting(), store=store, thread_id="t")
    response = EventStreamResponse(lambda: counting.stream_resumed("t", store=store), result=result_of)
    result, end = (await Direct().answer(response)).events
    assert ("result", {"outcome": "complete"}) == (result.event, json.loads(end.data))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], None),
        ([(b"last-event-id", b"")], None),
        ([(b"Last-Event-ID", b"0")], 0),
        ([(b"last-event-id", b"17")], 17),
    ],
)
def test_the_last_event_id_is_a_number(headers: list[tuple[bytes, bytes]], expected: int | None) -> None:
    """It is that of the last recorded event; a client that has seen none sends none, or an empty one."""
    assert expected == last_event_id({"headers": headers})


@pytest.mark.parametrize(
    "values",
    [[b"x"], [b"-1"], [b"1.5"], [b" 1"], [b"+1"], [b"1e3"], ["٣".encode()], [b"9" * 16], [b"1", b"2"]],
)
def test_a_last_event_id_that_is_none_is_refused(values: list[bytes]) -> None:
    """Status 400, and the message says what it should be."""
    with pytest.raises(HTTPProblem, match="a whole number") as caught:
        last_event_id({"headers": [(b"last-event-id", value) for value in values]})
    assert 400 == caught.value.status


async def test_a_stream_takes_a_slot_for_its_run() -> None:
    """A run beyond the limit is refused with 503; a client that hangs up makes room; `close` ends what goes on."""
    slots = RunSlots(1, retry_after=7)
    response = EventStreamResponse(lambda: waiting.stream(Waiting()), slots=slots)
    first, second, third = Direct(), Direct(), Direct()
    async with anyio.create_task_group() as group:
        group.start_soon(first.answer, response)
        await first.until_sent(b"waits_below")
        await second.answer(response)
        assert (503, b"7") == (second.status, second.headers[b"retry-after"])
        first.hang_up()
        while slots.running:
            await anyio.lowlevel.checkpoint()
        group.start_soon(third.answer, response)
        await third.until_sent(b"waits_below")
        await slots.close()
        assert (0, 0) == (slots.running, work.open)
    *_, error, end = third.events
    assert "the server stopped" in json.loads(error.data)["message"]
    assert {"outcome": "cancelled"} == json.loads(end.data)
    last = await Direct().answer(response)
    assert (503, "the server is stopping; ask again when it is back") == (last.status, last.json["error"]["message"])


async def test_what_is_never_wrapped_is_raised_as_it_is() -> None:
    """What is no `Exception` reaches who called the response, in no group."""

    class Leaves(BaseException):
        pass

    class Stream:
        async def __aenter__(self) -> Any:
            raise Leaves

        async def __aexit__(self, *exc: object) -> None: ...

    with pytest.raises(Leaves):
        await Direct().answer(EventStreamResponse(Stream))


async def test_a_send_that_is_broken_otherwise_is_told() -> None:
    """What a server raises for an answer that it does not understand is no client that left."""

    async def send(message: Any) -> None:
        raise RuntimeError("not like this")

    request = Direct()
    with pytest.raises(RuntimeError, match="not like this"):
        await EventStreamResponse(lambda: waiting.stream(Waiting()))(request.scope, request.receive, send)
    assert 0 == work.open


@pytest.mark.parametrize("heartbeat", [0, -1, float("inf"), float("nan")])
def test_a_heartbeat_is_a_time(heartbeat: float) -> None:
    """A heartbeat that never comes, or always, is refused when the response is made."""
    with pytest.raises(ValueError, match="seconds above 0"):
        EventStreamResponse(lambda: waiting.stream(Waiting()), heartbeat=heartbeat)


async def test_events_that_wait_are_sent_together() -> None:
    """A burst of events needs fewer sends than it has events."""
    request = await Direct().answer(EventStreamResponse(lambda: counting.stream(Counting(last=50))))
    assert len(request.sent) < len(request.events)
    numbers = [int(event.id) for event in request.events if event.event != "end"]
    assert list(range(1, len(numbers) + 1)) == numbers
