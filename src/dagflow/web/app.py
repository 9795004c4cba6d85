"""A web service over a YAML graph, as a FastAPI app: messages, resumes, threads, event streams, health.

Everything that runs does so inside of the response that asked for it, so that a client which hangs up ends its run
(`dagflow.web.connected`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

try:
    from fastapi import Body, FastAPI, Path, Request
    from fastapi.responses import JSONResponse, Response
except ModuleNotFoundError as _error:
    if _error.name != "fastapi":
        raise
    raise ImportError("a web service needs FastAPI: pip install 'dagflow[web]'", name="fastapi") from _error

from dagflow.core.secrets import Secret
from dagflow.core.storage import Store
from dagflow.declarative.graph import YamlGraph
from dagflow.lm.base import BaseLM
from dagflow.web.answering import JSONRunResponse
from dagflow.web.conversations import Conversations
from dagflow.web.limits import BearerToken, BodyLimit
from dagflow.web.problems import HTTPProblem
from dagflow.web.responses import ASGIResponse, problem_handler
from dagflow.web.slots import RunSlots
from dagflow.web.streaming import EventStreamResponse, last_event_id

__all__ = ["create_app"]

MEBIBYTE = 1024 * 1024
THREAD = Path(description="The thread: the session_id that its first message had.", min_length=1, max_length=200)
SESSION = Body(description="Names the conversation; its thread in the store.", min_length=1, max_length=200)
MESSAGE = Body(description="What is written to the graph's message key, or answers its question.")
STATE = Body(description="Other state keys.", default_factory=dict)
ANSWERS = Body(
    embed=True, description="Answers by resume key or id of the interrupt; other state keys too.", default_factory=dict
)
OPEN_PATHS = ("/health",)


def create_app(
    graph: YamlGraph,
    *,
    store: Store | None = None,
    lm: BaseLM | None = None,
    lms: Mapping[str, BaseLM] | None = None,
    message_key: str | None = None,
    response_key: str | None = None,
    token: str | Secret | None = None,
    max_runs: int = 100,
    max_body: int = MEBIBYTE,
    heartbeat: float = 15.0,
    slots: RunSlots | None = None,
) -> FastAPI:
    """Make a FastAPI app that serves a graph; `/docs` describes it.

    - `POST /message` with `{"session_id", "message", "state"?}` runs the graph and answers `{"response", "complete",
      "status", "thread_id", "interrupts"}`; on a thread that waits for an answer, the message is it.
    - `POST /message/{thread}/resume` with `{"answers"?}` goes on with a thread.
    - `POST /message/stream` and `POST /message/{thread}/resume/stream` do the same, with the run's events as
      server-sent events.
    - `GET /runs/{thread}` tells how a thread stands, `GET /runs/{thread}/events` follows its events from
      `Last-Event-ID` on.
    - `GET /health` needs no token.

    A run belongs to its request: a client that hangs up ends it, and what was recorded can be resumed. Runs are
    recorded in `store`, else the graph's checkpointer, else in the memory of this process, which grows with each
    session: give a store with a `ttl` to a service that shall stay up. More than `max_runs` at once are answered with
    503 and `Retry-After`, bodies of more than `max_body` bytes with 413, and requests without the bearer `token`, where
    there is one, with 401. When the app shuts down, runs that go on are cancelled, and recorded as that; `slots` (whose
    limit counts then) is for a server that closes them before it waits for connections, as `dagflow serve` does.

    Raises `ValueError` where the graph's state lacks the message or response key, `LMError` and `GraphError` where a
    language model is missing.
    """
    talk = Conversations.of(graph, store=store, message_key=message_key, response_key=response_key, lm=lm, lms=lms)
    graph.check_models(lm, lms)
    runs = slots if slots is not None else RunSlots(max_runs)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await runs.close()

    app = FastAPI(
        title=graph.name,
        description=graph.spec.description or "",
        version=graph.spec.version,
        lifespan=lifespan,
        exception_handlers={HTTPProblem: problem_handler},
    )
    app.state.slots = runs
    _add_messages(app, talk, runs, heartbeat)
    _add_threads(app, talk, runs, heartbeat)
    if token is not None:
        app.add_middleware(BearerToken, token=token, open_paths=OPEN_PATHS)
    app.add_middleware(BodyLimit, limit=max_body)
    return app


def _add_messages(app: FastAPI, talk: Conversations, runs: RunSlots, heartbeat: float) -> None:
    @app.post("/message", response_class=JSONResponse)
    async def message(
        session_id: Annotated[str, SESSION], message: Annotated[Any, MESSAGE], state: Annotated[dict[str, Any], STATE]
    ) -> Response:
        """Run the graph on a message, or answer its question with it."""
        return _answer(JSONRunResponse(lambda: talk.say(session_id, message, state), slots=runs))

    @app.post("/message/stream", response_class=Response)
    async def message_stream(
        session_id: Annotated[str, SESSION], message: Annotated[Any, MESSAGE], state: Annotated[dict[str, Any], STATE]
    ) -> Response:
        """Do the same, with the run's events as server-sent events."""
        return _stream(lambda: talk.stream(session_id, message, state), talk, runs, heartbeat)

    @app.post("/message/{thread}/resume", response_class=JSONResponse)
    async def resume(thread: Annotated[str, THREAD], answers: Annotated[dict[str, Any], ANSWERS]) -> Response:
        """Go on with a thread."""
        return _answer(JSONRunResponse(lambda: talk.resume(thread, answers), slots=runs))

    @app.post("/message/{thread}/resume/stream", response_class=Response)
    async def resume_stream(thread: Annotated[str, THREAD], answers: Annotated[dict[str, Any], ANSWERS]) -> Response:
        """Do the same, with the run's events as server-sent events."""
        return _stream(lambda: talk.stream_resumed(thread, answers), talk, runs, heartbeat)


def _add_threads(app: FastAPI, talk: Conversations, runs: RunSlots, heartbeat: float) -> None:
    @app.get("/runs/{thread}", response_class=JSONResponse)
    async def look(thread: Annotated[str, THREAD]) -> Response:
        """Tell how a thread stands: status, state, open questions."""
        return _answer(JSONRunResponse(lambda: talk.look(thread)))

    @app.get("/runs/{thread}/events", response_class=Response)
    async def events(thread: Annotated[str, THREAD], request: Request) -> Response:
        """Follow a thread's events, whoever runs it; `Last-Event-ID` is the last one that was seen."""
        after = last_event_id(request.scope) or 0
        return ASGIResponse(
            EventStreamResponse(lambda: _opened(lambda: talk.follow(thread, after)), heartbeat=heartbeat)
        )

    @app.get("/health", response_class=JSONResponse)
    async def health() -> JSONResponse:
        """Tell whether runs are taken; 503 while the server stops."""
        status = "stopping" if runs.is_closed else "ok"
        content = {"status": status, "graph": talk.graph.name, "running": runs.running, "max_runs": runs.limit}
        return JSONResponse(content, status_code=503 if runs.is_closed else 200)


def _answer(app: JSONRunResponse) -> Response:
    return ASGIResponse(app)


def _stream(open_stream: Any, talk: Conversations, runs: RunSlots, heartbeat: float) -> Response:
    def told(events: Any) -> dict[str, Any]:
        return talk.told(events.result)

    return ASGIResponse(EventStreamResponse(lambda: _opened(open_stream), result=told, slots=runs, heartbeat=heartbeat))


@asynccontextmanager
async def _opened(open_stream: Any) -> AsyncIterator[Any]:
    """A stream that is found by awaiting first; entered and left in one task, which the response's is."""
    stream: AbstractAsyncContextManager[Any] = await open_stream()
    async with stream as events:
        yield events
