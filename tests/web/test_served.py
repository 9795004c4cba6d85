"""The whole front under real servers: what clients get, and that hanging up, in whatever way, ends a run."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.routing import Route

from dagflow import MemoryStore
from dagflow.testing import assert_no_leaks
from dagflow.web.answering import JSONRunResponse
from dagflow.web.asgi import ASGIApp, Receive, Scope, Send, send_answer
from dagflow.web.encoding import typed_result
from dagflow.web.limits import BearerToken, BodyLimit
from dagflow.web.problems import HTTPProblem
from dagflow.web.responses import ASGIResponse, problem_handler
from dagflow.web.slots import RunSlots
from dagflow.web.streaming import EventStreamResponse, last_event_id
from web.graphs import Counting, Flooding, Waiting, counting, flooding, waiting, work
from web.served import KINDS, Client, Kind, ask, serving


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return kind.backend


@pytest.fixture(autouse=True)
def fresh_work() -> None:
    work.begun = work.open = 0


def result_of(stream: Any) -> Any:
    return typed_result(stream.result)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something holds, which nothing tells."""
    with anyio.fail_after(5):
        while not condition():  # noqa: ASYNC110
            await anyio.sleep(0.001)


async def stalled() -> None:
    """Wait until the flood goes no further."""
    told = -1
    while told != work.begun:
        told = work.begun
        await anyio.sleep(0.1)


class App:
    """One path for each kind of answer, all of them with the same slots."""

    def __init__(self, slots: int = 5) -> None:
        self.slots = RunSlots(slots)
        self.store = MemoryStore()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "this app knows no lifespan"
        answers: dict[str, ASGIApp] = {
            "/counting": EventStreamResponse(lambda: counting.stream(Counting()), result=result_of),
            "/waiting": EventStreamResponse(lambda: waiting.stream(Waiting()), slots=self.slots),
            "/silent": EventStreamResponse(lambda: waiting.stream(Waiting()), slots=self.slots, heartbeat=0.02),
            "/recorded": EventStreamResponse(
                lambda: waiting.stream(Waiting(), store=self.store, thread_id="t"), slots=self.slots
            ),
            "/flooding": EventStreamResponse(lambda: flooding.stream(Flooding()), slots=self.slots),
            "/json": JSONRunResponse(lambda: waiting.run(Waiting()), slots=self.slots),
        }
        if scope["path"] == "/read":
            length, more = 0, True
            while more and (message := await receive())["type"] == "http.request":
                length += len(message["body"])
                more = message["more_body"]
            await send_answer(scope, send, 200, str(length))
            return
        await answers[scope["path"]](scope, receive, send)


async def test_a_stream_arrives(kind: Kind) -> None:
    """The client gets the run's events, its result and its end, and may ask again on the same connection."""
    async with assert_no_leaks(), serving(App(), kind) as port, Client(port) as client:
        for _ in range(2):
            await client.ask("/counting")
            answer = await client.answer()
            assert (200, "text/event-stream; charset=utf-8") == (answer.status, answer.headers["content-type"])
            *events, result, end = answer.events
            assert [str(number) for number in range(1, len(events) + 1)] == [event.id for event in events]
            assert 3 == json.loads(result.data)["value"]["number"]
            assert {"outcome": "complete"} == json.loads(end.data)
            client.again()


@pytest.mark.parametrize("how", ["close", "reset", "half_close"])
@pytest.mark.parametrize("path", ["/waiting", "/json"])
async def test_hanging_up_ends_the_run(kind: Kind, path: str, how: str) -> None:
    """Closed, reset, or just closed for writing: the run and its nested run are over, and their slot is free."""
    app = App()
    async with assert_no_leaks(), serving(app, kind) as port:
        async with Client(port) as client:
            await client.ask(path, method="POST", body=b"x" * 300_000)
            await until(lambda: work.open == 2)
            getattr(client, how)()
            await until(lambda: not app.slots.running)
        assert (2, 0) == (work.begun, work.open)


async def test_the_server_has_its_connection_back(kind: Kind) -> None:
    """After a stream the connection is idle, and ends with the server at once."""
    app = App()
    async with assert_no_leaks(), Outer() as outer:
        async with serving(app, kind) as port:
            client = outer.client(port)
            await client.ask("/counting")
            await client.answer()
            before = anyio.current_time()
        assert anyio.current_time() - before < 2, "else it was waited for, and then cut"


@pytest.mark.slow
async def test_a_client_with_more_to_ask_is_missed_by_the_next_heartbeat(kind: Kind) -> None:
    """Servers do not read behind a request that they have not answered, and see a connection end by writing to it."""
    app = App()
    async with assert_no_leaks(), serving(app, kind) as port:
        async with Client(port) as client:
            request = b"GET /silent HTTP/1.1\r\nHost: test\r\n\r\n"
            await client.send(2 * request)
            await until(lambda: work.open == 2)
        await until(lambda: not app.slots.running)
        assert (2, 0) == (work.begun, work.open)


async def test_a_client_that_does_not_read_holds_the_run_up(kind: Kind) -> None:
    """The run stalls with what the sockets hold, and ends when the client hangs up."""
    app = App()
    async with assert_no_leaks(), serving(app, kind) as port:
        async with Client(port, receive_buffer=4096) as client:
            await client.ask("/flooding")
            await stalled()
            assert 1 == work.open
            assert work.begun < 2000, "20 MB, and the kernel holds a few"
        await until(lambda: not app.slots.running)
        assert 0 == work.open


async def test_slots_are_free_again_after_hanging_up(kind: Kind) -> None:
    """Where all runs are taken the answer is 503, and with the client that hangs up there is room again."""
    app = App(slots=2)
    async with serving(app, kind) as port, Client(port) as first, Client(port) as second:
        for client in (first, second):
            await client.ask("/waiting")
            await client.event()
        refused = await ask(port, "/json")
        assert (503, "1") == (refused.status, refused.headers["retry-after"])
        first.reset()
        await until(lambda: app.slots.running == 1)
        async with Client(port) as third:
            await third.ask("/waiting")
            assert "RunStarted" == (await third.event()).event


@pytest.mark.slow
@pytest.mark.parametrize("reads", [True, False])
async def test_a_server_that_stops_ends_the_runs(kind: Kind, reads: bool) -> None:
    """Runs are recorded as cancelled, clients are told, and those that do not read hold nothing up for long."""
    app = App()
    async with assert_no_leaks(), Outer() as outer:
        async with serving(app, kind, on_stop=app.slots.close) as port:
            client = outer.client(port)
            await client.ask("/recorded")
            while (await client.event()).event != "DependencyStarted":
                pass
            if not reads:
                deaf = outer.client(port, receive_buffer=4096)
                await deaf.ask("/flooding")
                await stalled()
        assert 0 == work.open
        events = []
        while (event := await client.event()).event != "end":
            events.append(event.event)
        assert ("error", {"outcome": "cancelled"}) == (events[-1], json.loads(event.data))
    summary = await waiting.thread("t", store=app.store).summary()
    assert ("cancelled", False) == (summary.status, summary.leased)


class Outer:
    """Clients that outlive their server."""

    def __init__(self) -> None:
        self._clients: list[Client] = []

    async def __aenter__(self) -> Outer:
        return self

    async def __aexit__(self, *exc: object) -> None:
        for client in self._clients:
            client.close()

    def client(self, port: int, **options: Any) -> Client:
        self._clients.append(Client(port, **options))
        return self._clients[-1]


async def test_bodies_that_are_too_big(kind: Kind) -> None:
    """With their length told or chunked without one, the answer is 413; what is just small enough passes."""
    limit = 1_000_000
    async with serving(BodyLimit(App(), limit=limit), kind) as port:
        for headers in ({}, {"Transfer-Encoding": "chunked"}):
            answer = await ask(port, "/read", method="POST", body=b"x" * limit, headers=headers)
            assert (200, limit) == (answer.status, answer.json)
            async with Client(port) as client:
                with suppress(OSError):  # the server does not read on
                    await client.ask("/read", method="POST", body=b"x" * 20 * limit, headers=headers)
                refused = await client.answer()
            assert (413, "BodyTooLarge") == (refused.status, refused.json["error"]["type"])


async def test_tokens(kind: Kind) -> None:
    """Without the token nothing runs, and with it everything does."""
    async with serving(BearerToken(App(), "token"), kind) as port:
        for headers in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic token"}):
            refused = await ask(port, "/waiting", headers=headers)
            assert (401, True) == (refused.status, refused.headers["www-authenticate"].startswith("Bearer"))
        answer = await ask(port, "/counting", headers={"Authorization": "Bearer token"})
        assert (200, "end") == (answer.status, answer.events[-1].event)
    assert 0 == work.begun


def starlette_app() -> Starlette:
    async def events(request: Any) -> Any:
        after = last_event_id(request.scope)
        return EventStreamResponse(lambda: counting.stream(Counting(number=(after or 0) + 1)))

    return Starlette(
        routes=[Route("/events", events)],
        exception_handlers={HTTPProblem: problem_handler},
    )


def fastapi_app() -> FastAPI:
    ended: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        yield
        ended.append("ended")

    app = FastAPI(lifespan=lifespan, exception_handlers={HTTPProblem: problem_handler})
    app.state.ended = ended

    @app.get("/events")
    async def events(request: Request) -> ASGIResponse:
        after = last_event_id(request.scope)
        return ASGIResponse(EventStreamResponse(lambda: counting.stream(Counting(number=(after or 0) + 1))))

    @app.post("/wait")
    async def wait(message: dict[str, Any]) -> ASGIResponse:
        return ASGIResponse(JSONRunResponse(lambda: waiting.run(Waiting())))

    return app


@pytest.mark.parametrize("make", [starlette_app, fastapi_app])
async def test_in_a_framework(kind: Kind, make: Callable[[], ASGIApp]) -> None:
    """Starlette and FastAPI return the responses; a bad `Last-Event-ID` is 400, HEAD runs nothing."""
    async with serving(make(), kind) as port:
        answer = await ask(port, "/events", headers={"Last-Event-ID": "2"})
        assert ("RunStarted", "end") == (answer.events[0].event, answer.events[-1].event)
        bad = await ask(port, "/events", headers={"Last-Event-ID": "two"})
        assert (400, "BadRequest") == (bad.status, bad.json["error"]["type"])
        assert 404 == (await ask(port, "/nowhere")).status
        assert 405 == (await ask(port, "/events", method="DELETE")).status
        if make is starlette_app:  # which adds HEAD to every GET
            head = await ask(port, "/events", method="HEAD")
            assert (200, b"") == (head.status, head.body)


async def test_hanging_up_ends_a_run_in_fastapi(kind: Kind) -> None:
    """Where FastAPI has read the body, the run ends with its client all the same; the lifespan ends with the server."""
    app = fastapi_app()
    async with serving(app, kind) as port:
        async with Client(port) as client:
            await client.ask("/wait", method="POST", body=b'{"a": 1}', headers={"Content-Type": "application/json"})
            await until(lambda: work.open == 2)
        await until(lambda: not work.open)
    assert ["ended"] == app.state.ended
