"""Wrappers around real connections: who loses is hung up on, and what was used is counted."""

from typing import Any

import anyio
import pytest

from dagflow import (
    BaseLM,
    LMError,
    LMRequest,
    Message,
    OpenAIBackend,
    budgeted,
    cached,
    fallback,
    hedged,
    rate_limited,
    retrying,
)
from dagflow.lm.billing import losses
from dagflow.testing import LMServer, Reply, assert_no_leaks
from lm.adapters import FILL, KEY, VALUES, Answer, Question

REQUEST = LMRequest(system="Be brief.", messages=(Message("user", "Hello?"),))


def backend(server: LMServer, **options: Any) -> OpenAIBackend:
    return OpenAIBackend("model", base_url=f"{server.url}/v1", api_key=KEY, retry=None, **options)


async def test_the_loser_of_a_race_is_hung_up_on_and_counted() -> None:
    """The first request stalls in the midst of its stream, the second wins: the server sees the first one closed."""
    stalled = Reply(pieces=["a" * 40] * 5, cut_after=3, cut="stall")
    async with assert_no_leaks(), LMServer([stalled, VALUES["Answer"]]) as server:
        lm = hedged(backend(server, stream=True), delay=0.05)
        result = await FILL.run(Question(text="Where?"), lm=lm)
        await server.closed_early(1)
        await server.until(lambda: not server.open_connections)
        assert ["aborted", "answered"] == [request.state for request in server.requests]
    assert Answer(city="Faro", sunny=True) == result.node
    assert 1 == lm.won_by_second
    assert 2 == result.usage.requests
    assert result.usage.estimated
    assert 5 + 30 == result.usage.output_tokens  # the winner's, and what had come of the loser's


async def test_the_second_of_a_race_is_hung_up_on_when_the_first_wins() -> None:
    """A hedge that is not needed after all is closed as well."""

    async def answer(request: Any) -> Any:
        if 1 == request.number:
            await server.arrived(2)
            return Reply("first")
        return Reply.hang()

    async with assert_no_leaks(), LMServer(answer) as server, backend(server) as inner:
        lm = hedged(inner, delay=0.01)
        with losses() as lost:
            assert "first" == (await lm.complete(REQUEST)).text
        await server.closed_early(1)
    assert (1, True) == (lost.usage.requests, lost.usage.estimated)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 150, 300])
async def test_a_budget_is_passed_by_no_more_than_what_was_under_way(limit: int) -> None:
    """100 calls at once: the sum stays within the limit and what was under way; refused calls are not sent."""
    tokens_each = 15
    outcomes: list[str] = []
    most_under_way = 0

    def answer(request: Any) -> Any:
        nonlocal most_under_way
        most_under_way = max(most_under_way, lm.in_flight)
        return Reply("fine", latency=0.002)

    async with LMServer(answer) as server, backend(server) as inner:
        lm = budgeted(inner, tokens=limit)

        async def call() -> None:
            try:
                outcomes.append((await lm.complete(REQUEST)).text)
            except LMError:
                outcomes.append("refused")

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(call)
        assert server.received == outcomes.count("fine")
    spent = lm.spent.input_tokens + lm.spent.output_tokens
    assert tokens_each * outcomes.count("fine") == spent
    assert spent <= limit + tokens_each * most_under_way
    assert 100 == len(outcomes)
    assert 0 == lm.in_flight
    assert "refused" in outcomes


async def test_a_cancelled_request_is_under_way_until_it_is_over() -> None:
    """A budget gives a cancelled request's place back when its connection is closed, and counts what it used."""
    async with LMServer(Reply.hang()) as server, backend(server) as inner:
        lm = budgeted(inner, tokens=1_000)
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(lm.complete, REQUEST)
            await server.arrived(10)
            assert 10 == lm.in_flight
            tasks.cancel_scope.cancel()
        assert 0 == lm.in_flight
        await server.closed_early(10)
    assert 10 == lm.spent.requests
    assert lm.spent.estimated


async def test_wrappers_nest_around_a_real_model(tmp_path: Any) -> None:
    """Failures, retries, a fallback, a hedge, a budget and a cache, over real connections, in one run."""
    script = [Reply.error(529), Reply.error(500), VALUES["Answer"]]
    async with assert_no_leaks(), LMServer(script) as server, LMServer(Reply.error(401)) as closed:

        def stack(at: LMServer) -> BaseLM:
            return hedged(retrying(rate_limited(backend(at), requests_per_minute=100)), delay=30)

        lm = cached(budgeted(fallback(stack(closed), stack(server)), tokens=1_000), tmp_path)
        for _ in range(2):
            result = await FILL.run(Question(text="Where?"), lm=lm)
            assert Answer(city="Faro", sunny=True) == result.node
        assert (1, 3) == (closed.received, server.received)
        assert 1 == lm.hits
