"""A YAML graph behind HTTP: messages, resumes, threads, streams, limits, under real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from dagflow import MemoryStore, SQLiteStore
from dagflow.declarative.graph import YamlGraph
from dagflow.testing import ScriptedLM
from dagflow.web.app import create_app
from dagflow.web.slots import RunSlots
from declarative.yaml_files import compiled
from web.served import KINDS, Answer, Client, Kind, ask, serving

CHAT = """
    state: {message: str, name: str, response: str, count: {type: int, default: 0}}
    nodes:
      ask: {type: interrupt, message: "Who are you?", resume_key: name, skip_if_exists: true}
      say: {type: passthrough, output: {response: "hello {name}: {message}", count: "{count + 1}"}}
    edges: [{from: START, to: ask}, {from: ask, to: say}, {from: say, to: END}]
"""

SLOW = """
    state: {message: str, response: str}
    nodes:
      work: {type: python, function: work, state_key: response}
      more: {type: python, function: work, state_key: response}
    edges: [{from: START, to: work}, {from: work, to: more}, {from: more, to: END}]
"""


@pytest.fixture(params=KINDS, ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return kind.backend


@pytest.fixture
def chat(tmp_path: Path) -> YamlGraph:
    return compiled(tmp_path, CHAT, name="chat.yaml")


class Slow:
    """Work that waits until it is let go; knows what goes on."""

    def __init__(self) -> None:
        self.running = 0
        self.started = anyio.Event()

    async def __call__(self) -> str:
        self.running += 1
        self.started.set()
        try:
            await anyio.sleep_forever()
        finally:
            self.running -= 1
        return "done"


async def post(port: int, path: str, data: Any, **headers: str) -> Answer:
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return await ask(port, path, method="POST", body=body, headers={"Content-Type": "application/json", **headers})


async def test_a_conversation_asks_and_answers(chat: YamlGraph, kind: Kind) -> None:
    """A message starts a run, the next one answers its question, and a later one goes on from the thread's state."""
    async with serving(create_app(chat), kind) as port:
        asked = (await post(port, "/message", {"session_id": "s", "message": "one"})).json
        assert ("Who are you?", False, "interrupted") == (asked["response"], asked["complete"], asked["status"])
        assert ["ask#1.name"] == [one["id"] for one in asked["interrupts"]]
        answered = (await post(port, "/message", {"session_id": "s", "message": "Ada"})).json
        assert {
            "response": "hello Ada: one",
            "complete": True,
            "status": "complete",
            "thread_id": "s",
            "interrupts": [],
        } == answered
        again = (await post(port, "/message", {"session_id": "s", "message": "two"})).json
        assert "hello Ada: two" == again["response"]
        found = (await ask(port, "/runs/s")).json
        assert ("complete", False, []) == (found["status"], found["running"], found["interrupts"])
        assert {"message": "two", "name": "Ada", "response": "hello Ada: two", "count": 2} == found["state"]


async def test_a_thread_is_resumed_by_key_and_by_id(chat: YamlGraph, kind: Kind) -> None:
    """`/message/{thread}/resume` takes answers; a wrong one is 422 with its path, an unknown thread 404."""
    async with serving(create_app(chat, store=MemoryStore()), kind) as port:
        await post(port, "/message", {"session_id": "s", "message": "one"})
        wrong = await post(port, "/message/s/resume", {"answers": {"name": 7}})
        assert (422, "AnswerError") == (wrong.status, wrong.json["error"]["type"])
        assert ["ask#1.name"] == [item["path"] for item in wrong.json["error"]["invalid"]]
        done = await post(port, "/message/s/resume", {"answers": {"ask#1.name": "Ada"}})
        assert (200, True) == (done.status, done.json["complete"])
        missing = await post(port, "/message/nobody/resume", {"answers": {}})
        assert (404, "NoSuchThread") == (missing.status, missing.json["error"]["type"])
        assert 404 == (await ask(port, "/runs/nobody")).status


async def test_a_stream_has_the_events_and_the_answer(chat: YamlGraph, kind: Kind) -> None:
    """Events come as they happen, then the result; a later reader gets what it has not seen by `Last-Event-ID`."""
    async with serving(create_app(chat, store=MemoryStore()), kind) as port:
        first = (await post(port, "/message/stream", {"session_id": "s", "message": "one"})).events
        assert ["RunStarted", "NodeStarted", "NodeInterrupted", "RunEnded", "result", "end"] == [e.event for e in first]
        assert "Who are you?" == json.loads(first[-2].data)["response"]
        assert {"outcome": "interrupted"} == json.loads(first[-1].data)
        second = (await post(port, "/message/s/resume/stream", {"answers": {"name": "Ada"}})).events
        assert "hello Ada: one" == json.loads(second[-2].data)["response"]
        seen = [event.id for event in first if event.event not in ("result", "end")][-1]
        later = (await ask(port, "/runs/s/events", headers={"Last-Event-ID": seen})).events
        assert [e.id for e in second if e.event not in ("result", "end")] == [e.id for e in later if e.event != "end"]
        whole = (await ask(port, "/runs/s/events")).events
        assert len(first) - 2 + len(later) == len(whole)
        assert 400 == (await ask(port, "/runs/s/events", headers={"Last-Event-ID": "x"})).status


@pytest.mark.parametrize("path", ["/message", "/message/stream"])
async def test_hanging_up_ends_the_run(tmp_path: Path, kind: Kind, path: str) -> None:
    """A client that closes its socket cancels its run, which is recorded as that and can be resumed."""
    slow = Slow()
    graph = compiled(tmp_path, SLOW, work=slow)
    store = SQLiteStore(tmp_path / "runs.db")
    body = json.dumps({"session_id": "s", "message": "x"}).encode()
    async with serving(create_app(graph, store=store), kind) as port:
        async with Client(port) as client:
            await client.ask(path, method="POST", body=body, headers={"Content-Type": "application/json"})
            await slow.started.wait()
        with anyio.fail_after(5):
            while (await ask(port, "/runs/s")).json["running"]:  # noqa: ASYNC110 (another process would have to ask, too)
                await anyio.sleep(0.005)
        assert 0 == slow.running
        assert "cancelled" == (await ask(port, "/runs/s")).json["status"]


async def test_more_runs_than_allowed_are_sent_away(tmp_path: Path, kind: Kind) -> None:
    """The run after the last slot is answered with 503 and `Retry-After`; `/health` tells how many go on."""
    slow = Slow()
    app = create_app(compiled(tmp_path, SLOW, work=slow), max_runs=1)
    body = json.dumps({"session_id": "s", "message": "x"}).encode()
    async with serving(app, kind) as port, Client(port) as client:
        await client.ask("/message", method="POST", body=body, headers={"Content-Type": "application/json"})
        await slow.started.wait()
        refused = await post(port, "/message", {"session_id": "t", "message": "x"})
        assert (503, "1") == (refused.status, refused.headers["retry-after"])
        assert 1 == (await ask(port, "/health")).json["running"]


async def test_stopping_the_server_records_what_ran(tmp_path: Path, kind: Kind) -> None:
    """A server that stops cancels its runs; what completed of them is recorded, and goes on elsewhere."""
    slow = Slow()
    graph = compiled(tmp_path, SLOW, work=slow)
    store = SQLiteStore(tmp_path / "runs.db")
    slots = RunSlots(10)
    body = json.dumps({"session_id": "s", "message": "x"}).encode()
    async with anyio.create_task_group() as group:

        async def serve_until_told(stop: anyio.Event, ports: list[int], ready: anyio.Event) -> None:
            async with serving(create_app(graph, store=store, slots=slots), kind, on_stop=slots.close) as port:
                ports.append(port)
                ready.set()
                await stop.wait()

        ports: list[int] = []
        stop, ready = anyio.Event(), anyio.Event()
        group.start_soon(serve_until_told, stop, ports, ready)
        await ready.wait()
        async with Client(ports[0]) as client:
            await client.ask("/message", method="POST", body=body, headers={"Content-Type": "application/json"})
            await slow.started.wait()
            stop.set()
            answer = await client.answer()
        assert 503 == answer.status
    assert 0 == slow.running
    assert "cancelled" == (await graph.thread("s", store=store).state()).outcome


async def test_a_token_is_asked_for(chat: YamlGraph, kind: Kind) -> None:
    """With a token, everything but `/health` needs it."""
    async with serving(create_app(chat, token="s3cret"), kind) as port:
        assert 200 == (await ask(port, "/health")).status
        for path in ("/runs/s", "/docs", "/openapi.json"):
            assert 401 == (await ask(port, path)).status
        refused = await post(port, "/message", {"session_id": "s", "message": "x"})
        assert (401, "Bearer") == (refused.status, refused.headers["www-authenticate"].split()[0])
        message = {"session_id": "s", "message": "x"}
        assert 200 == (await post(port, "/message", message, Authorization="Bearer s3cret")).status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"session_id": "s"}', 422),
        (b'{"session_id": "", "message": "x"}', 422),
        (b'{"session_id": "a\\u0000b", "message": "x"}', 422),
        (b'{"session_id": "s", "message": 7}', 422),
        (b'{"session_id": "s", "message": "x", "state": {"cuont": 1}}', 422),
        (b'{"session_id": "s", "message": "' + b"x" * 2000 + b'"}', 413),
    ],
)
async def test_bad_requests_are_told_apart(chat: YamlGraph, kind: Kind, body: bytes, status: int) -> None:
    """What is no request of this service is answered with what is wrong, and starts nothing."""
    async with serving(create_app(chat, max_body=1000), kind) as port:
        answer = await post(port, "/message", body)
        assert status == answer.status, answer.body
        assert 404 == (await ask(port, "/runs/s")).status


async def test_a_failed_run_is_told_without_its_insides(tmp_path: Path, kind: Kind) -> None:
    """A run that fails is 500 with its error; in a stream it is an event, and the outcome is `failed`."""

    async def fail() -> None:
        raise ValueError("no luck")

    async with serving(create_app(compiled(tmp_path, SLOW, work=fail)), kind) as port:
        answer = await post(port, "/message", {"session_id": "s", "message": "x"})
        assert (500, "NodeError") == (answer.status, answer.json["error"]["type"])
        assert "no luck" in answer.json["error"]["message"]
        assert "Traceback" not in answer.body.decode()
        events = (await post(port, "/message/stream", {"session_id": "t", "message": "x"})).events
        assert ["error", "end"] == [event.event for event in events[-2:]]
        assert {"outcome": "failed"} == json.loads(events[-1].data)


async def test_the_api_describes_itself(chat: YamlGraph, kind: Kind) -> None:
    """OpenAPI has every endpoint, with the shape of its request."""
    async with serving(create_app(chat), kind) as port:
        described = (await ask(port, "/openapi.json")).json
        assert {
            "/message",
            "/message/stream",
            "/message/{thread}/resume",
            "/message/{thread}/resume/stream",
            "/runs/{thread}",
            "/runs/{thread}/events",
            "/health",
        } == set(described["paths"])
        assert {"session_id", "message", "state"} == set(
            next(
                schema for name, schema in described["components"]["schemas"].items() if name.endswith("message_post")
            )["properties"]
        )
        assert 200 == (await ask(port, "/docs")).status


@pytest.mark.parametrize(
    ("options", "problem"), [({"message_key": "mesage"}, "did you mean 'message'"), ({"lm": 7}, "BaseLM")]
)
def test_an_app_that_cannot_work_is_refused_when_it_is_made(chat: YamlGraph, options: Any, problem: str) -> None:
    """Keys that the state lacks, and what is no language model, are errors of `create_app`."""
    with pytest.raises((ValueError, TypeError), match=problem):
        create_app(chat, **options)


async def test_tokens_stream_to_the_client(tmp_path: Path, kind: Kind) -> None:
    """What a model writes is streamed as it comes, and a graph that needs a model is refused without one."""
    graph = compiled(
        tmp_path,
        """
        state: {message: str, response: str}
        nodes: {say: {type: llm, prompt: {user: "{message}"}, variables: {message: "{message}"}, state_key: response}}
        edges: [{from: START, to: say}, {from: say, to: END}]
        """,
    )
    with pytest.raises(Exception, match="pass lm="):
        create_app(graph)
    async with serving(create_app(graph, lm=ScriptedLM({"say": "hello there"})), kind) as port:
        events = (await post(port, "/message/stream", {"session_id": "s", "message": "x"})).events
        assert "hello there" == json.loads(events[-2].data)["response"]
