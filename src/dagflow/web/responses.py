"""Responses of Starlette's own type, for frameworks that take no other ASGI app as an answer: FastAPI does not."""

from __future__ import annotations

try:
    from starlette.requests import Request
    from starlette.responses import Response
except ModuleNotFoundError as _error:
    if _error.name is None or _error.name.partition(".")[0] != "starlette":
        raise
    raise ImportError("dagflow.web.responses needs starlette: pip install 'dagflow[web]'", name="starlette") from _error

from dagflow.web.asgi import ASGIApp, Receive, Scope, Send
from dagflow.web.problems import HTTPProblem, send_problem

__all__ = ["ASGIResponse", "problem_handler"]


class ASGIResponse(Response):
    """Answers with an ASGI app, such as an `EventStreamResponse`, where a `Response` is asked for.

    Status and headers are those of the app; what is set on this object, cookies say, is not sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__()
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request, then do the framework's background tasks."""
        await self._app(scope, receive, send)
        if self.background is not None:
            await self.background()


async def problem_handler(request: Request, problem: Exception) -> Response:
    """Answer a request whose handler raised an `HTTPProblem`: `FastAPI(exception_handlers={HTTPProblem: this})`."""
    assert isinstance(problem, HTTPProblem)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        await send_problem(problem, scope, send)

    return ASGIResponse(answer)
