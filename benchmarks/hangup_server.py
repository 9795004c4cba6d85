"""A server of its own process whose clients hang up: one graph by two engines, with every start of a node noted.

`python -m benchmarks.hangup_server ENGINE` prints its URL. `/stream/RUN?size=N` answers with the events of an endless
run whose nodes write so many characters each, and `/starts` gives what started when, in nanoseconds of the machine's
monotonic clock, by run. In each round two branches go on at once, each a graph of its own.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypedDict

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dagflow import load_and_compile
from dagflow.web.responses import ASGIResponse
from dagflow.web.streaming import EventStreamResponse

NAP: Final = 0.02
STEPS: Final = 100
INNER: Final = f"""\
name: inner
state: {{run: int, size: int, text: str, n: {{type: int, default: 0}}}}
nodes: {{step: {{type: python, function: step}}}}
edges: [{{from: START, to: step}}, {{from: step, to: step, condition: "n < {STEPS}"}}, {{from: step, to: END}}]
"""
OUTER: Final = """\
name: outer
state: {run: int, size: int, text: str, n: int, a: int, b: int}
nodes:
  round: {type: python, function: step}
  left: {type: subgraph, graph: inner.yaml, input: {run: "{run}", size: "{size}"}, output: {a: n}}
  right: {type: subgraph, graph: inner.yaml, input: {run: "{run}", size: "{size}"}, output: {b: n}}
  joined: {type: python, function: step}
edges:
  - {from: START, to: round}
  - {from: round, to: [left, right]}
  - {from: left, to: joined}
  - {from: right, to: joined}
  - {from: joined, to: END, condition: "n < 0"}
  - {from: joined, to: round}
max_steps: 100000
"""

starts: list[tuple[int, int]] = []
"""Run and moment."""


async def step(run: int, n: int, size: int) -> dict[str, Any]:
    """What every node does."""
    starts.append((run, time.monotonic_ns()))
    await anyio.sleep(NAP)
    return {"n": n + 1, "text": "x" * size}


Respond = Callable[[int, int], Response]
"""Answers for a run and a size."""


def ours() -> Respond:
    with TemporaryDirectory(prefix="dagflow-bench-") as folder:
        for name, text in (("inner", INNER), ("outer", OUTER)):
            Path(folder, f"{name}.yaml").write_text(text, encoding="utf-8")
        graph = load_and_compile(Path(folder, "outer.yaml"), root=folder, functions={"step": step})
    return lambda run, size: ASGIResponse(EventStreamResponse(lambda: graph.stream({"run": run, "n": 0, "size": size})))


class Inner(TypedDict):
    run: int
    n: int
    size: int
    text: str


class Outer(Inner):
    a: int
    b: int


def langgraph(*, subgraphs: bool) -> Respond:
    """The same graph, streamed as its documentation and FastAPI's have it; events of `subgraphs` too, or not."""
    from langgraph.graph import END, START, StateGraph  # the other engine's server does without

    async def node(state: Inner) -> dict[str, Any]:
        return await step(state["run"], state["n"], state["size"])

    inner = StateGraph(Inner)
    inner.add_node("step", node)
    inner.add_edge(START, "step")
    inner.add_conditional_edges("step", lambda state: "step" if state["n"] < STEPS else END, ["step", END])
    nested = inner.compile()

    def branch(key: str) -> Callable[[Outer], Any]:
        async def run(state: Outer) -> dict[str, int]:
            given: Any = {"run": state["run"], "n": 0, "size": state["size"], "text": ""}
            return {key: (await nested.ainvoke(given, {"recursion_limit": 1000}))["n"]}

        return run

    outer = StateGraph(Outer)
    nodes: dict[str, Any] = {"round": node, "left": branch("a"), "right": branch("b"), "joined": node}
    for name, work in nodes.items():
        outer.add_node(name, work)
    for source, target in ((START, "round"), ("round", "left"), ("round", "right"), ("joined", "round")):
        outer.add_edge(source, target)
    outer.add_edge(["left", "right"], "joined")
    compiled = outer.compile()

    async def events(run: int, size: int) -> AsyncIterator[str]:
        given: Any = {"run": run, "n": 0, "size": size, "text": "", "a": 0, "b": 0}
        options: Any = {"stream_mode": "updates", "subgraphs": subgraphs}
        async for event in compiled.astream(given, {"recursion_limit": 100_000}, **options):
            yield f"data: {json.dumps(event, default=str)}\n\n"

    return lambda run, size: StreamingResponse(events(run, size), media_type="text/event-stream")


def app(respond: Respond) -> Starlette:
    async def stream(request: Request) -> Response:
        return respond(request.path_params["run"], int(request.query_params["size"]))

    async def told(request: Request) -> Response:
        return JSONResponse(starts)

    return Starlette(routes=[Route("/stream/{run:int}", stream), Route("/starts", told)])


def main() -> None:
    engine = sys.argv[1]
    respond = ours() if engine == "dagflow" else langgraph(subgraphs=engine == "langgraph-subgraphs")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app(respond), log_level="critical")).run([listener])


if __name__ == "__main__":
    main()
