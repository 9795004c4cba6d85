"""Measure what goes over HTTP: events a second to one client and to many, and the first token of an answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio
import httpx

from benchmarks import yaml_files
from benchmarks.lm_server import serving as lm_serving
from benchmarks.section import Table, Verdict
from dagflow.core.sse import SSEParser

PATIENCE = 10
EVENTS_GRAPH_NODES = 200
ASKING = """\
state: {message: str, response: str}
nodes:
  say: {type: llm, prompt: {user: "{message}"}, variables: {message: "{message}"}, state_key: response,
        lm: "openai:gpt-4o", base_url: URL}
edges: [{from: START, to: say}, {from: say, to: END}]
"""


def measure(folder: Path, *, short: bool, repeats: int) -> tuple[list[Table], list[Verdict]]:
    clients = 10 if short else 100
    nodes = 100 if short else EVENTS_GRAPH_NODES
    text = yaml_files.graph("sequence", nodes, yaml_files.PASSTHROUGH)
    text = text.replace("state: {total", "web: {message_key: total, response_key: total}\nstate: {total", 1)
    (folder / "events.yaml").write_text(text + f"max_steps: {nodes + 10}\n", encoding="utf-8")
    rows, tokens = [], []
    for backend in ("asyncio", "trio"):
        with _served(folder / "events.yaml", backend) as url:
            for count in (1, clients):
                rate = anyio.run(partial(_events, url, count, rounds=3 if short else 5))
                rows.append([backend, str(count), f"{rate:,.0f}"])
        with lm_serving("hello", pieces=20) as lm_url:
            path = folder / "asking.yaml"
            path.write_text(ASKING.replace("URL", f"{lm_url}/v1"), encoding="utf-8")
            with _served(path, backend) as url:
                alone, through = anyio.run(partial(_first_tokens, lm_url, url, rounds=repeats * 5))
            tokens.append([backend, f"{alone * 1000:.2f}", f"{through * 1000:.2f}", f"{(through - alone) * 1000:.2f}"])
    return [
        Table(["backend", "clients", "events a second, in all"], rows, "Events over server-sent events"),
        Table(["backend", "ms, the model's server alone", "ms, through the service", "added"], tokens, "First token"),
    ], []


@contextmanager
def _served(path: Path, backend: str) -> Iterator[str]:
    """Serve a graph in a process of its own; gives the URL."""
    command = [sys.executable, "-m", "dagflow", "serve", str(path), "--port", "0", "--backend", backend]
    with subprocess.Popen(
        [*command, "--max-runs", "1000"],
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "OPENAI_API_KEY": "sk-benchmark"},
    ) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            if " at http" not in line:
                raise RuntimeError(f"the server did not start: {line}{server.stderr.read()}")
            yield line.split(" at ")[1].split()[0]
        finally:
            server.terminate()
            try:
                server.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                server.kill()


async def _events(url: str, clients: int, *, rounds: int) -> float:
    """Events a second, of all clients together; the median of the rounds."""
    rates: list[float] = []

    async def read(client: httpx.AsyncClient, number: int, counts: list[int]) -> None:
        body = {"session_id": f"c{number}-{len(rates)}", "message": 0}
        parser, count = SSEParser(), 0
        async with client.stream("POST", f"{url}/message/stream", json=body) as answer:
            assert answer.status_code == 200, answer.status_code
            async for data in answer.aiter_raw():
                count += len(parser.feed(data))
        counts.append(count)

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=300, limits=limits) as client:
        for _ in range(rounds):
            counts: list[int] = []
            began = perf_counter()
            async with anyio.create_task_group() as group:
                for number in range(clients):
                    group.start_soon(read, client, number, counts)
            rates.append(sum(counts) / (perf_counter() - began))
    return median(rates)


async def _first_tokens(lm_url: str, url: str, *, rounds: int) -> tuple[float, float]:
    """Seconds to the first piece of text: of the model's server, and through the service; taking turns."""
    alone, through = [], []
    async with httpx.AsyncClient(timeout=60) as client:
        for number in range(rounds):
            messages = [{"role": "user", "content": "hello"}]
            body = {"model": "gpt-4o", "stream": True, "messages": messages}
            headers = {"Authorization": "Bearer sk-benchmark"}
            alone.append(await _first(client, f"{lm_url}/v1/chat/completions", body, headers, _is_piece))
            message = {"session_id": f"t{number}", "message": "hello"}
            through.append(await _first(client, f"{url}/message/stream", message, {}, _is_token))
    return median(alone[1:]), median(through[1:])


async def _first(client: httpx.AsyncClient, url: str, body: object, headers: dict[str, str], found: object) -> float:
    assert callable(found)
    began, parser, taken = perf_counter(), SSEParser(), None
    async with client.stream("POST", url, json=body, headers=headers) as answer:
        async for data in answer.aiter_raw():
            for event in parser.feed(data):
                if taken is None and found(event.event, event.data):
                    taken = perf_counter() - began
    assert taken is not None
    return taken


def _is_piece(name: str, data: str) -> bool:
    if data.strip() == "[DONE]":
        return False
    choices = json.loads(data).get("choices") or [{}]
    return bool(choices[0].get("delta", {}).get("content"))


def _is_token(name: str, data: str) -> bool:
    return name == "Token"
