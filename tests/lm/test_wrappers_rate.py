"""`rate_limited`: how much begins within a minute, in which order, and what waiters take."""

from __future__ import annotations

import math
import random

import anyio
import pytest

from dagflow import LMError, LMResponse, Usage
from dagflow.lm.wrappers import rate_limited
from dagflow.lm.wrappers.window import MINUTE, Window
from dagflow.testing import ScriptedLM, run_virtual, sweep_cancellations, virtual_backend
from lm.planned_lm import PlannedLM, Step, ask, passing

virtual = pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")])


@virtual
async def test_no_more_requests_than_the_limit_begin_in_any_minute(anyio_backend: object) -> None:
    """Requests over the limit wait until the first of the minute is 60 seconds past; in the order they came."""
    lm = PlannedLM(Step(seconds=5))
    wrapped = rate_limited(lm, requests_per_minute=3)
    order: list[int] = []

    async def one(number: int) -> None:
        await anyio.sleep(number)
        await wrapped.complete(ask())
        order.append(number)

    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)
    assert [0, 1, 2, 60, 61, 62, 120, 121] == [time - began for time in lm.began]
    assert list(range(8)) == order
    assert 0 == wrapped.waiting


@virtual
async def test_tokens_are_corrected_when_a_request_has_ended(anyio_backend: object) -> None:
    """What an answer used beyond the reservation holds up those that follow, from when it is known."""
    lm = PlannedLM(Step(seconds=10, tokens=98), Step(tokens=0))
    wrapped = rate_limited(lm, tokens_per_minute=100)
    began = anyio.current_time()
    await wrapped.complete(ask("x" * 8))  # 2 tokens reserved, 100 used
    await wrapped.complete(ask("x" * 8))
    await wrapped.complete(ask("x" * 4 * 97))
    # The 2 that were reserved leave the window at 60; the 98 that were not known before 10 leave it at 70.
    assert [0, 60, 70] == [time - began for time in lm.began]


@virtual
async def test_a_failed_or_cancelled_request_counts_with_what_it_lost(anyio_backend: object) -> None:
    """A reservation becomes what the request lost, when it has really ended."""
    lm = PlannedLM(Step(error=passing()), Step(seconds=math.inf, clean_up=3), Step())
    wrapped = rate_limited(lm, tokens_per_minute=100)
    began = anyio.current_time()
    with pytest.raises(LMError):
        await wrapped.complete(ask("x" * 160))
    with anyio.move_on_after(1):
        await wrapped.complete(ask("x" * 160))
    assert 4 == anyio.current_time() - began
    await wrapped.complete(ask("x" * 80))  # 40 lost, and 40 again: just enough is left
    assert 4 == lm.began[-1] - began
    await wrapped.complete(ask("x" * 4))
    assert 60 == lm.began[-1] - began


@virtual
async def test_what_was_not_used_is_free_at_once(anyio_backend: object) -> None:
    """One that waits begins as soon as another turns out to have used less than it reserved."""
    cheap = LMResponse(text="", usage=Usage(requests=1, input_tokens=5))
    lm = ScriptedLM([cheap, cheap], latency=7)
    wrapped = rate_limited(lm, tokens_per_minute=100)
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        group.start_soon(wrapped.complete, ask("x" * 240))
        group.start_soon(wrapped.complete, ask("x" * 240))
    assert 14 == anyio.current_time() - began


@virtual
async def test_a_failure_that_nobody_bills_is_a_request(anyio_backend: object) -> None:
    """An adapter that does not count what failed frees its tokens, and not its place among the requests."""
    lm = ScriptedLM([passing(), "yes", "yes"])
    wrapped = rate_limited(lm, requests_per_minute=2, tokens_per_minute=100)
    began = anyio.current_time()
    with pytest.raises(LMError):
        await wrapped.complete(ask("x" * 400))
    await wrapped.complete(ask("x" * 40))
    assert 0 == anyio.current_time() - began
    await wrapped.complete(ask("x" * 40))
    assert 60 == anyio.current_time() - began


@virtual
async def test_a_correction_after_the_minute_counts_what_was_too_little_only(anyio_backend: object) -> None:
    """A reservation that has left the window cannot be given back once more."""
    cheap = LMResponse(text="", usage=Usage(requests=1, input_tokens=5))
    wrapped = rate_limited(ScriptedLM([cheap] * 4, latency=70), tokens_per_minute=100)
    await wrapped.complete(ask("x" * 400))
    began = anyio.current_time()
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(wrapped.complete, ask("x" * 240))
    assert 60 + 70 == anyio.current_time() - began


@virtual
async def test_tokens_that_an_adapter_does_not_count_are_guessed(anyio_backend: object) -> None:
    """An answer without a count of tokens does not pass for one that used none."""
    lm = PlannedLM(Step(tokens=None, text="x" * 200))
    wrapped = rate_limited(lm, tokens_per_minute=100)
    began = anyio.current_time()
    await wrapped.complete(ask("x" * 200))
    await wrapped.complete(ask("x" * 4))
    assert [0, 60] == [time - began for time in lm.began]


@virtual
async def test_a_wait_past_the_deadline_fails_at_once(anyio_backend: object) -> None:
    """Whether first in the queue or behind others: no waiting for a turn that comes too late."""
    lm = PlannedLM()
    wrapped = rate_limited(lm, requests_per_minute=1)
    began = anyio.current_time()
    await wrapped.complete(ask())
    with anyio.fail_after(60), pytest.raises(LMError, match="begin in 60 s, and its deadline is in 60 s") as caught:
        await wrapped.complete(ask())
    assert (True, 60) == (caught.value.retriable, caught.value.retry_after)
    async with anyio.create_task_group() as group:
        group.start_soon(wrapped.complete, ask())
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(119), pytest.raises(LMError, match="begin in 120 s"):
            await wrapped.complete(ask())
        assert 0 == anyio.current_time() - began
        assert 1 == wrapped.waiting
    with anyio.fail_after(60.5):
        await wrapped.complete(ask())
    assert [0, 60, 120] == [time - began for time in lm.began]


@virtual
async def test_a_cancelled_waiter_takes_nothing_and_blocks_nobody(anyio_backend: object) -> None:
    """The first in the queue is cancelled: the next takes its turn at the same moment."""
    lm = PlannedLM()
    wrapped = rate_limited(lm, requests_per_minute=1, tokens_per_minute=1000)
    began = anyio.current_time()
    await wrapped.complete(ask())

    async def impatient() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(wrapped.complete, ask("x" * 3000))
                await anyio.sleep(30)
                scope.cancel()

    async with anyio.create_task_group() as group:
        group.start_soon(impatient)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(wrapped.complete, ask())
    assert [0, 60] == [time - began for time in lm.began]
    assert 0 == wrapped.waiting


@virtual
async def test_a_cancelled_caller_gets_no_error_in_place_of_its_cancellation(anyio_backend: object) -> None:
    """Its deadline is always too near, and that is no news."""
    wrapped = rate_limited(PlannedLM(), requests_per_minute=1)
    await wrapped.complete(ask())
    with anyio.CancelScope() as scope:
        scope.cancel()
        await wrapped.complete(ask())
    assert scope.cancelled_caught


async def test_a_request_larger_than_a_minute_is_refused() -> None:
    """What could never begin is a clear error, and takes nothing."""
    lm = PlannedLM()
    wrapped = rate_limited(lm, tokens_per_minute=1000)
    with pytest.raises(LMError, match=r"about 1,001 tokens can never keep to tokens_per_minute=1,000") as caught:
        await wrapped.complete(ask("x" * 4001))
    assert not caught.value.retriable
    assert [] == lm.began


def test_it_works_in_one_event_loop_after_the_other() -> None:
    """The minute goes on in the next loop, although its clock is another."""
    lm = PlannedLM()
    wrapped = rate_limited(lm, requests_per_minute=2)

    async def three() -> list[float]:
        began = anyio.current_time()
        times = []
        for _ in range(3):
            await wrapped.complete(ask())
            times.append(round(lm.began[-1] - began, -1))  # a little real time passes from loop to loop
        return times

    assert [0, 0, 60] == run_virtual(three)
    assert [0, 60, 60] == run_virtual(three, backend="trio")
    assert [60, 60, 120] == run_virtual(three)


async def test_cancelled_anywhere_it_loses_no_share() -> None:
    """Cancelled at each step, what has been taken is what requests have begun."""

    async def some() -> None:
        lm = PlannedLM()
        wrapped = rate_limited(lm, requests_per_minute=3)
        try:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(wrapped.complete, ask())
        finally:
            assert len(lm.began) == wrapped._window._used_requests
            assert 0 == wrapped.waiting

    outcomes = await sweep_cancellations(some)
    assert len(outcomes) > 3
    assert [] == [outcome.exception for outcome in outcomes if outcome.exception is not None]


@pytest.mark.parametrize("seed", range(20))
def test_the_window_keeps_to_its_limits(seed: int) -> None:
    """In any 60 seconds no more begins than the limit, and nothing waits longer than it must."""
    source = random.Random(seed)
    window = Window(5, 100)
    began: list[tuple[float, int]] = []
    now = 0.0
    for _ in range(60):
        now += source.choice([0, 0, 1, 7, 30])
        tokens = source.randint(0, 100)
        forecast = window.forecast([tokens], now)
        at = window.free_at(tokens, now)
        assert forecast == at >= now
        recent = [(time, amount) for time, amount in began if time + MINUTE > at]
        assert len(recent) < 5
        assert sum(amount for _, amount in recent) + tokens <= 100
        if at > now:
            just_before = [(time, amount) for time, amount in began if time + MINUTE >= at]
            assert len(just_before) >= 5 or sum(amount for _, amount in just_before) + tokens > 100
        window.take(tokens, at)
        began.append((at, tokens))
        now = at


@pytest.mark.parametrize("limits", [{}, {"requests_per_minute": 0}, {"tokens_per_minute": -1}])
def test_limits_are_checked(limits: dict[str, float]) -> None:
    """Without a limit there is nothing to do, and none below zero can be kept."""
    with pytest.raises(ValueError, match="_per_minute"):
        rate_limited(PlannedLM(), **limits)
