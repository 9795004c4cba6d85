"""A run's result as one JSON answer, and the run ends when its client hangs up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from typing import Any

import attrs

from dagflow.core.secrets import Secret
from dagflow.web.asgi import Receive, Scope, Send, send_answer
from dagflow.web.connected import CLIENT_GONE, while_connected
from dagflow.web.encoding import write_json
from dagflow.web.problems import HTTPProblem, log_failure, problem_of, send_problem
from dagflow.web.slots import RunSlots, Slot

__all__ = ["JSONRunResponse"]


@attrs.define(eq=False)
class Answer:
    """What a run came to: the text of its answer, or a problem; neither where the client left before."""

    text: str | None = None
    problem: HTTPProblem | None = None


class JSONRunResponse:
    """An ASGI app that answers one request with what `run()` gives, as JSON.

    `run` is awaited once the response is called. A client that leaves meanwhile cancels it, and its clean-up is over
    before the response is. The body of the request must have been read before.

    A run that fails is answered with an HTTP status and `{"error": {"type": ..., "message": ...}}` (`problem_of`).
    `slots` bounds the runs that go on at once. `secrets` are masked in whatever is sent. A HEAD request runs nothing.
    """

    def __init__(
        self,
        run: Callable[[], Awaitable[Any]],
        *,
        slots: RunSlots | None = None,
        secrets: Iterable[str | Secret] = (),
    ) -> None:
        self._run = run
        self._slots = slots
        self._secrets = tuple(secrets)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["method"] == "HEAD":
            await send_answer(scope, send, 200, "")
            return
        answer = Answer()

        async def work() -> None:
            await self._work(answer)

        await while_connected(receive, work)
        try:
            if answer.problem is not None:
                await send_problem(answer.problem, scope, send)
            elif answer.text is not None:
                await send_answer(scope, send, 200, answer.text)
        except CLIENT_GONE:
            return

    async def _work(self, answer: Answer) -> None:
        slot: Slot | None = None
        try:
            with nullcontext() if self._slots is None else self._slots.take() as slot:
                answer.text = write_json(await self._run(), self._secrets)
        except Exception as error:
            answer.problem = problem_of(error, self._secrets)
            log_failure(error, answer.problem, self._secrets)
        if slot is not None and slot.stopped:
            answer.problem = slot.refusal()
