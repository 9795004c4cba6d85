"""Plain JSON answers: what is sent for a result and for each kind of failure, and that a run ends with its client."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest

from dagflow import (
    AnswerError,
    CheckpointError,
    DepError,
    GraphChanged,
    LMError,
    RunCancelled,
    RunLocked,
    RunTimeout,
)
from dagflow.core.secrets import MASK, Secret
from dagflow.testing import assert_no_leaks
from dagflow.web.answering import JSONRunResponse
from dagflow.web.problems import HTTPProblem
from dagflow.web.slots import RunSlots
from web.direct import Direct
from web.graphs import Waiting, waiting, work


@pytest.fixture(autouse=True)
def fresh_work() -> None:
    work.begun = work.open = 0


@attrs.frozen
class Odd:
    """Values of which JSON has no form, or none that is to be shown."""

    number: float
    secret: Secret
    hidden: str = attrs.field(repr=False)


async def test_a_result_is_sent_as_json() -> None:
    """Whatever the run gives: what has no form in JSON is told by its type, and secrets do not appear."""

    async def run() -> Any:
        return {"ok": True, "text": "ä\ud800\n", "odd": Odd(math.nan, Secret("very secret"), "hidden")}

    request = await Direct(method="POST").answer(JSONRunResponse(run))
    assert (200, b"application/json") == (request.status, request.headers[b"content-type"])
    assert (True, True) == (request.ended, request.tidied)
    assert int(request.headers[b"content-length"]) == len(request.body)
    assert {
        "ok": True,
        "text": "ä\ud800\n",
        "odd": {"number": "nan", "secret": "<dagflow.core.secrets.Secret>", "hidden": "<str>"},
    } == request.json


def store_failure() -> CheckpointError:
    error = CheckpointError("the store cannot be reached")
    error.__cause__ = OSError()
    return error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (HTTPProblem(404, "there is no such thread", type="NotFound"), 404),
        (AnswerError("does not fit"), 422),
        (RunLocked("another run"), 409),
        (GraphChanged("other nodes"), 409),
        (CheckpointError("waits for answers"), 409),
        (store_failure(), 503),
        (RunTimeout(1.0, running=[]), 504),
        (LMError("no answer"), 502),
        (RunCancelled("by someone"), 409),
        (DepError([]), 500),
        (KeyError("x"), 500),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_a_failure_is_a_status_with_its_type_and_message(
    error: Exception, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets no traceback; what is the server's own failure is logged with one."""

    async def run() -> Any:
        raise error

    request = await Direct(method="POST").answer(JSONRunResponse(run))
    assert status == request.status
    kind = "NotFound" if status == 404 else type(error).__name__
    assert {"type": kind, "message": str(error)} == request.json["error"]
    assert (status >= 500) == bool(caplog.records)


async def test_secrets_are_masked_in_answers_errors_and_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Those that the response was given, and what has the shape of a key."""
    key = "sk-" + "a1b2" * 8

    async def answers() -> Any:
        return f"it is hush-hush, {key}"

    async def fails() -> Any:
        raise ValueError(f"it is hush-hush, {key}")

    answered = await Direct().answer(JSONRunResponse(answers, secrets=[Secret("hush-hush")]))
    assert f"it is {MASK}, {key}" == answered.json, "what a run gives may look like a key"
    failed = await Direct().answer(JSONRunResponse(fails, secrets=[Secret("hush-hush")]))
    assert f"it is {MASK}, {MASK}" == failed.json["error"]["message"]
    assert "ValueError" in caplog.text
    assert "hush-hush" not in caplog.text
    assert key not in caplog.text


@pytest.mark.parametrize("how", ["hang up", "cancel"])
async def test_the_run_ends_with_its_client(how: str) -> None:
    """A client that leaves before the answer, or a cancelled response, ends the run; nothing is sent."""
    request = Direct(method="POST", body=[b"x" * 100] * 30)
    async with assert_no_leaks(), anyio.create_task_group() as group:
        group.start_soon(request.answer, JSONRunResponse(lambda: waiting.run(Waiting())))
        with anyio.fail_after(5):
            while work.open < 2:  # noqa: ASYNC110  # nothing tells
                await anyio.sleep(0.001)
        if how == "hang up":
            request.hang_up()
        else:
            group.cancel_scope.cancel()
    assert ([], 2, 0) == (request.sent, work.begun, work.open)


async def test_a_run_takes_a_slot() -> None:
    """A run beyond the limit is refused, and one that `close` ends is told so; both may be asked for again."""
    slots = RunSlots(1)
    response = JSONRunResponse(lambda: waiting.run(Waiting()), slots=slots)
    first, second = Direct(), Direct()
    async with anyio.create_task_group() as group:
        group.start_soon(first.answer, response)
        await anyio.wait_all_tasks_blocked()
        await second.answer(response)
        await slots.close()
        assert 0 == work.open
    assert [(503, b"1"), (503, b"1")] == [(item.status, item.headers[b"retry-after"]) for item in (first, second)]
    assert "a recorded run can be resumed" in first.json["error"]["message"]


async def test_head_runs_nothing() -> None:
    """A HEAD request is answered, and no run begins."""
    request = await Direct(method="HEAD").answer(JSONRunResponse(lambda: waiting.run(Waiting())))
    assert (200, b"", 0) == (request.status, request.body, work.begun)


@pytest.mark.parametrize("at", [0, 1])
async def test_a_client_that_leaves_during_the_answer_is_no_error(at: int) -> None:
    """A send that fails because nobody is there is the end of it; for results and for problems."""

    async def run() -> Any:
        return 1

    async def fails() -> Any:
        raise HTTPProblem(400, "no")

    runs: list[Callable[[], Any]] = [run, fails]
    for work_to_do in runs:
        request = await Direct(broken_at=at).answer(JSONRunResponse(work_to_do))
        assert at == len(request.sent)


async def test_what_is_never_wrapped_is_raised_as_it_is() -> None:
    """What is no `Exception` reaches who called the response, in no group."""

    class Leaves(BaseException):
        pass

    async def run() -> Any:
        raise Leaves

    with pytest.raises(Leaves):
        await Direct().answer(JSONRunResponse(run))
