"""Losses: what requests have used that gave no answer is counted all the same."""

import anyio
import pytest

from dagflow import BaseLM, Graph, LMError, LMRequest, LMResponse, Message, Node, NodeError, Usage
from dagflow.events import LMCalled
from dagflow.lm.billing import billed, estimate, losses

REQUEST = LMRequest(system="s" * 40, messages=(Message("user", "m" * 41),))


def test_an_estimate_is_marked_as_one() -> None:
    """A request's tokens are guessed at four characters each, and marked as a guess."""
    assert Usage(requests=1, input_tokens=21, estimated=True) == estimate(REQUEST)


def test_an_answered_request_loses_nothing() -> None:
    """The usage of an answer comes with it; nothing is counted twice."""
    with losses() as lost, billed(REQUEST) as bill:
        bill.settle(Usage(1, 7, 9))
    assert Usage() == lost.usage


def test_a_failed_request_loses_what_is_known_of_it() -> None:
    """What was settled counts; else the estimate, with the text that had come."""
    with losses() as lost:
        with pytest.raises(LMError), billed(REQUEST) as bill:
            bill.text("eight ch")
            bill.input_tokens(30)
            raise LMError("cut off")
        assert Usage(1, 30, 2, estimated=True) == lost.usage
        with pytest.raises(LMError), billed(REQUEST) as bill:
            bill.settle(Usage(1, 5, 5))
            raise LMError("unreadable")
        with pytest.raises(LMError), billed(REQUEST) as bill:
            bill.void()
            raise LMError("no connection")
    assert Usage(2, 35, 7, estimated=True) == lost.usage


async def test_losses_reach_all_who_collect_around() -> None:
    """A cancelled child task's request is counted by the collectors around the group that cancelled it."""

    async def request() -> None:
        with billed(REQUEST):
            await anyio.sleep_forever()

    with losses() as outer:
        with losses() as inner:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(request)
                tasks.start_soon(request)
                await anyio.wait_all_tasks_blocked()
                tasks.cancel_scope.cancel()
        assert Usage(2, 42, estimated=True) == inner.usage
    assert inner.usage == outer.usage


class Wasteful(BaseLM):
    """Fails once in each request after it has been charged, and then answers or not."""

    def __init__(self, *, answers: bool) -> None:
        self.answers = answers

    async def complete(self, request: LMRequest) -> LMResponse:
        try:
            with billed(request) as bill:
                bill.settle(Usage(1, 100, 0, 0.5))
                raise LMError("overloaded", retriable=True)
        except LMError:
            if not self.answers:
                raise
        return LMResponse(text='{"reply": "x"}', usage=Usage(1, 10, 5, 0.25), model="m")


class Ask(Node):
    async def __call__(self) -> "Reply": ...


class Reply(Node):
    reply: str

    async def __call__(self) -> None: ...


async def test_a_run_counts_what_was_used_for_nothing() -> None:
    """The usage of a run has the attempts that failed, with those that answered."""
    result = await Graph(start=Ask).run(Ask(), lm=Wasteful(answers=True))
    assert Usage(2, 110, 5, 0.75) == result.usage


async def test_a_request_without_an_answer_is_recorded() -> None:
    """What a failed request has used is in the journal, as of a request that was not answered."""
    graph = Graph(start=Ask)
    events = []
    with pytest.raises((NodeError, LMError)):
        async with graph.stream(Ask(), lm=Wasteful(answers=False)) as stream:
            async for event in stream:
                events.append(event)  # what came before the error is wanted
    assert [(False, Usage(1, 100, 0, 0.5))] == [(e.answered, e.usage) for e in events if isinstance(e, LMCalled)]
