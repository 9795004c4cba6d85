"""What went wrong, as HTTP tells it: a status, and a JSON object that names the error and says what to do."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dagflow.core.secrets import Secret, mask, mask_keys
from dagflow.declarative.state import StateError
from dagflow.errors import AnswerError, CheckpointError, LMError, RunCancelled, RunLocked, RunTimeout
from dagflow.web.asgi import Header, Scope, Send, send_answer, to_text

__all__ = ["HTTPProblem", "log_failure", "problem_of", "send_problem"]

SERVER_ERROR: Final = 500
STATUSES: Final[tuple[tuple[type[Exception], int], ...]] = (
    (AnswerError, 422),
    (StateError, 422),
    (RunLocked, 409),
    (CheckpointError, 409),
    (RunCancelled, 409),
    (RunTimeout, 504),
    (LMError, 502),
)
"""The status that tells of each error, the first that fits; of any other it is 500."""

_logger = logging.getLogger("dagflow.web")


class HTTPProblem(Exception):
    """Raised where a request is to be answered with an error; the message and `type` are shown to the client.

    `status` is the HTTP status, `headers` go with it, and `details` are further members of the JSON object.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "",
        headers: Iterable[Header] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type: str = type or "HTTPProblem"
        self.headers: tuple[Header, ...] = tuple(headers)
        self.details: Mapping[str, Any] = dict(details or {})

    @property
    def data(self) -> dict[str, Any]:
        """The JSON object: `type`, `message` and what there is of details."""
        return {"type": self.type, "message": str(self), **self.details}


def problem_of(error: Exception, secrets: Iterable[str | Secret] = ()) -> HTTPProblem:
    """Tell how HTTP tells of an error: its type and message, without a traceback, `secrets` and keys masked.

    A `CheckpointError` is 409, the thread stands so that the request makes no sense, unless it has a cause: then it
    is the store that failed, and 503.
    """
    if isinstance(error, HTTPProblem):
        return error
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), SERVER_ERROR)
    if type(error) is CheckpointError and error.__cause__ is not None:
        status = 503
    details: dict[str, Any] = {}
    if isinstance(error, (AnswerError, StateError)) and error.invalid:
        details["invalid"] = [{"path": item.path, "problem": item.problem} for item in error.invalid]
    return HTTPProblem(status, masked(str(error), secrets), type=type(error).__name__, details=details)


def log_failure(error: Exception, problem: HTTPProblem, secrets: Iterable[str | Secret]) -> None:
    """Log, with its traceback, an error that is the server's own and not the request's: the client has no traceback."""
    if problem.status >= SERVER_ERROR and not isinstance(error, HTTPProblem):
        _logger.error("a run failed:\n%s", masked("".join(traceback.format_exception(error)), secrets))


async def send_problem(problem: HTTPProblem, scope: Scope, send: Send) -> None:
    """Answer a request with a problem, as `{"error": {"type": ..., "message": ...}}`."""
    await send_answer(scope, send, problem.status, to_text({"error": problem.data}), headers=problem.headers)


def masked(text: str, secrets: Iterable[str | Secret]) -> str:
    return mask(mask_keys(text), secrets)
