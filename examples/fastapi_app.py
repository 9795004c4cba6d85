"""A web service over the triage graph: the seed of a service of your own.

    pip install 'dagflow[web]'
    uvicorn examples.fastapi_app:app                     # on asyncio
    hypercorn -k trio examples.fastapi_app:app           # on trio
    curl -N localhost:8000/message/stream -H 'content-type: application/json' \
        -d '{"session_id": "me", "message": "It crashes on save. The log is empty."}'

The endpoints are those of `dagflow serve`: `/message`, `/message/{thread}/resume`, their `/stream` forms,
`/runs/{thread}`, `/runs/{thread}/events`, `/health` and `/docs`. Two of its own show how a route of yours runs a graph
under the same rule, that a client which hangs up ends its run.

Set `TRIAGE_LM` to a language model (`openai:gpt-5`) to ask a real one; without it the answers come from rules, offline.
`TRIAGE_STORE` is where conversations are kept, `TRIAGE_TOKEN` the bearer token that requests need, if any.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import Response

from dagflow import BaseLM, YamlGraph, load_and_compile, load_lm
from dagflow.web.answering import JSONRunResponse
from dagflow.web.app import create_app
from dagflow.web.responses import ASGIResponse
from dagflow.web.slots import RunSlots
from dagflow.web.streaming import EventStreamResponse

FOLDER = Path(__file__).parent / "triage"


def load(environment: Mapping[str, str]) -> YamlGraph:
    return load_and_compile(
        FOLDER / "triage.yaml", root=FOLDER, environment={"TRIAGE_STORE": "triage.db", **environment}
    )


def language_model(environment: Mapping[str, str]) -> BaseLM:
    if spec := environment.get("TRIAGE_LM"):
        return load_lm(spec)
    sys.path.insert(0, str(FOLDER))
    from offline import model  # type: ignore[import-not-found]  # beside the graph

    scripted: BaseLM = model()
    return scripted


def make_app(environment: Mapping[str, str]) -> FastAPI:
    """Make the app; what the environment says is read here, once."""
    graph, lm = load(environment), language_model(environment)
    slots = RunSlots(int(environment.get("TRIAGE_RUNS", "50")))
    app = create_app(graph, lm=lm, slots=slots, token=environment.get("TRIAGE_TOKEN"))

    @app.post("/triage")
    async def triage(ticket: str) -> Response:
        """Run the graph once, without a conversation: the state at the end, or the question."""

        async def run() -> dict[str, Any]:
            return (await graph.run({"ticket": ticket}, lm=lm)).to_dict()

        return ASGIResponse(JSONRunResponse(run, slots=slots))

    @app.post("/triage/stream")
    async def triage_stream(ticket: str) -> Response:
        """The same, as a stream of its events."""
        return ASGIResponse(EventStreamResponse(lambda: graph.stream({"ticket": ticket}, lm=lm), slots=slots))

    return app


app = make_app(os.environ)
