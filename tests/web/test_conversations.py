"""A thousand conversations at once through the API, on Redis, with the server of Redis killed and started again."""

from __future__ import annotations

import json
import os
import resource
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from dagflow import RedisStore
from dagflow.declarative.graph import YamlGraph
from dagflow.testing.redis_server import RedisServer
from dagflow.web.app import create_app
from declarative.yaml_files import compiled
from web.served import KINDS, Kind, serving

CONVERSATION = """
    state: {message: str, number: int, trail: {type: "list[str]", reducer: add}, response: str}
    nodes:
      hear: {type: passthrough, output: {trail: ["heard {message}"]}}
      ask: {type: interrupt, message: "Which number, {message}?", resume_key: number}
      count: {type: python, function: count, arguments: {message: "{message}", number: "{number}"}, state_key: response}
    edges: [{from: START, to: hear}, {from: hear, to: ask}, {from: ask, to: count}, {from: count, to: END}]
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(RedisServer.missing() is not None, reason=str(RedisServer.missing())),
]

MANY = 50 * int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
"""Conversations: a thousand in a campaign."""


@pytest.fixture(params=KINDS[::2], ids=str)
def kind(request: pytest.FixtureRequest) -> Kind:
    found: Kind = request.param
    return found


@pytest.fixture
def anyio_backend(kind: Kind) -> str:
    return kind.backend


@pytest.fixture
def graph(tmp_path: Path) -> YamlGraph:
    async def count(message: str, number: int) -> str:
        await anyio.sleep(0.001)
        return f"{message} has {number}"

    return compiled(tmp_path, CONVERSATION, count=count)


@asynccontextmanager
async def api(graph: YamlGraph, kind: Kind, url: str, *, runs: int) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(graph, store=RedisStore(url, retry=20.0), max_runs=runs)
    limits = httpx.Limits(max_connections=200)
    async with (
        serving(app, kind, grace=120.0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120.0, limits=limits) as client,
    ):
        yield client


async def say(client: httpx.AsyncClient, number: int, message: Any) -> dict[str, Any]:
    """Send a message, again while the server has no slot, or the thread is still held by the attempt before."""
    while True:
        answer = await client.post("/message", json={"session_id": f"c{number}", "message": message})
        if answer.status_code not in (503, 409):
            assert 200 == answer.status_code, answer.text
            found: dict[str, Any] = answer.json()
            return found
        await anyio.sleep(0.05)


async def converse(client: httpx.AsyncClient, number: int, told: dict[int, list[str]]) -> None:
    asked = await say(client, number, f"m{number}")
    told[number] = [asked["response"]]
    answered = await say(client, number, number)
    told[number].append(answered["response"])


def expected(number: int) -> list[str]:
    return [f"Which number, m{number}?", f"m{number} has {number}"]


@pytest.mark.chaos
async def test_many_conversations_at_once_are_never_mixed_up(graph: YamlGraph, kind: Kind) -> None:
    """Each is interrupted once and resumed, all at the same time, and every one is complete with its own answer."""
    told: dict[int, list[str]] = {}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        with anyio.fail_after(600):
            async with api(graph, kind, server.url, runs=64) as client, anyio.create_task_group() as group:
                for number in range(MANY):
                    group.start_soon(converse, client, number, told)
    assert {number: expected(number) for number in range(MANY)} == dict(sorted(told.items()))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{MANY} conversations on {kind}: {grown / 1024:.0f} MiB more at the peak")


async def test_a_redis_that_is_killed_and_restarted_loses_no_acknowledged_step(graph: YamlGraph, kind: Kind) -> None:
    """What the API acknowledged before the kill is there after it, and every conversation gets to its end."""
    told: dict[int, list[str]] = {}
    # Over TCP: on asyncio, anyio's UNIX streams set the result of a future that was cancelled in the same turn of the
    # loop (what is left of https://github.com/agronholm/anyio/issues/1267), which the kill of a server brings about.
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder), aof="always", tcp=True) as server:
        with anyio.fail_after(120):
            async with api(graph, kind, server.url, runs=32) as client:
                async with anyio.create_task_group() as group:
                    for number in range(30):
                        group.start_soon(converse, client, number, told)
                    while len(told) < 5:  # noqa: ASYNC110 (the answers come over HTTP)
                        await anyio.sleep(0.005)
                    acknowledged = {number: list(lines) for number, lines in told.items()}
                    await anyio.to_thread.run_sync(restart, server)
                for number in acknowledged:
                    thread = (await client.get(f"/runs/c{number}")).json()
                    assert [f"heard m{number}"] == thread["state"]["trail"], json.dumps(thread)
    assert {number: expected(number) for number in range(30)} == dict(sorted(told.items()))


def restart(server: RedisServer) -> None:
    server.kill()
    server.start()
