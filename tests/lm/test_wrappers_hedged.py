"""`hedged`: who wins, and that who loses has ended and is paid for."""

from __future__ import annotations

import math

import anyio
import pytest

from dagflow import LMError, Usage
from dagflow.lm.billing import losses
from dagflow.lm.wrappers import hedged
from dagflow.testing import assert_no_leaks, sweep_cancellations, virtual_backend
from lm.planned_lm import PlannedLM, Step, ask, lasting, passing

virtual = pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")])


@virtual
async def test_an_answer_in_time_is_asked_for_once(anyio_backend: object) -> None:
    """Within the delay there is no second request."""
    lm = PlannedLM(Step(seconds=1))
    wrapped = hedged(lm, delay=2)
    assert "yes" == (await wrapped.complete(ask())).text
    assert (1, 0, 0) == (len(lm.began), wrapped.hedges, wrapped.won_by_second)


@virtual
async def test_the_loser_has_ended_and_is_counted(anyio_backend: object) -> None:
    """The second answers first: the first is cancelled, its clean-up waited for, its use counted as an estimate."""
    lm = PlannedLM(Step(seconds=math.inf, clean_up=3), Step(seconds=1, text="second"))
    wrapped = hedged(lm, delay=2)
    began = anyio.current_time()
    async with assert_no_leaks():
        with losses() as lost:
            response = await wrapped.complete(ask("x" * 40))
        assert 0 == lm.under_way
    assert "second" == response.text
    assert 2 + 1 + 3 == anyio.current_time() - began
    assert (1, 1, 1) == (lm.cancelled, wrapped.hedges, wrapped.won_by_second)
    assert Usage(requests=1, input_tokens=10, estimated=True) == lost.usage
    assert lm.bill == response.usage + lost.usage


@virtual
async def test_the_first_may_still_win(anyio_backend: object) -> None:
    """The second request is the one that is cancelled then, at the other language model."""
    first, second = PlannedLM(Step(seconds=3, text="first")), PlannedLM(Step(seconds=math.inf))
    wrapped = hedged(first, delay=2, other=second)
    began = anyio.current_time()
    assert "first" == (await wrapped.complete(ask())).text
    assert 3 == anyio.current_time() - began
    assert (1, 1, 0) == (second.cancelled, wrapped.hedges, wrapped.won_by_second)


@virtual
@pytest.mark.parametrize("seconds", [1, 2])
async def test_an_answer_that_loses_is_paid_for_in_full(anyio_backend: object, seconds: float) -> None:
    """A loser that answers all the same, at the same moment or deaf to its cancellation, is no estimate."""
    first = PlannedLM(Step(seconds=1 + seconds, tokens=30, deaf=True))
    second = PlannedLM(Step(seconds=1, tokens=20, deaf=True))
    with losses() as lost:
        response = await hedged(first, delay=1, other=second).complete(ask())
    assert first.bill + second.bill == response.usage + lost.usage
    assert 50 == response.usage.output_tokens + lost.usage.output_tokens


@virtual
async def test_a_failure_that_passes_starts_the_second_at_once(anyio_backend: object) -> None:
    """There is nothing to wait for when the first has failed."""
    lm = PlannedLM(Step(seconds=1, error=passing()), Step(seconds=1))
    began = anyio.current_time()
    wrapped = hedged(lm, delay=10)
    assert "yes" == (await wrapped.complete(ask())).text
    assert 2 == anyio.current_time() - began
    assert 1 == wrapped.won_by_second


@virtual
async def test_a_lasting_failure_is_raised_as_it_is(anyio_backend: object) -> None:
    """Before the second was sent: the error itself, in no group, and no second request."""
    error = lasting()
    lm = PlannedLM(Step(seconds=1, error=error))
    with pytest.raises(LMError) as caught:
        await hedged(lm, delay=10).complete(ask())
    assert error is caught.value
    assert 1 == len(lm.began)


@virtual
@pytest.mark.parametrize("first_fails", [3, 5])
async def test_the_other_is_waited_for_when_one_fails(anyio_backend: object, first_fails: float) -> None:
    """Once two are under way, the failure of one, before or after, decides nothing; two failures are one error."""
    first, second = PlannedLM(Step(first_fails, lasting("no key")), name="a"), PlannedLM(Step(2), name="b")
    assert "yes" == (await hedged(first, delay=2, other=second).complete(ask())).text
    second.steps = (Step(2, passing("busy")),)
    with losses() as lost, pytest.raises(LMError) as caught:
        await hedged(first, delay=2, other=second).complete(ask())
    assert "1. PlannedLM(a): LMError: no key\n  2. PlannedLM(b): LMError: busy" in str(caught.value)
    assert isinstance(caught.value.__cause__, ExceptionGroup)
    assert caught.value.retriable
    assert 2 == lost.usage.requests


@virtual
@pytest.mark.parametrize("fault", [ZeroDivisionError("a fault"), KeyboardInterrupt()])
async def test_a_fault_ends_the_race(anyio_backend: object, fault: BaseException) -> None:
    """What is no `LMError` is raised as it is, in no group, when the other has ended."""
    first, second = PlannedLM(Step(seconds=math.inf, clean_up=1)), PlannedLM(Step(seconds=1, error=fault))
    with pytest.raises(type(fault)) as caught:
        await hedged(first, delay=1, other=second).complete(ask())
    assert fault is caught.value
    assert (0, 1) == (first.under_way, first.cancelled)


@virtual
@pytest.mark.parametrize("seconds", [1, 3])
async def test_cancellation_ends_both(anyio_backend: object, seconds: float) -> None:
    """Cancelled before or after the second was sent: both have cleaned up, both are counted, nothing is swallowed."""
    lm = PlannedLM(Step(seconds=math.inf, clean_up=2))
    with losses() as lost, anyio.move_on_after(seconds) as scope:
        await hedged(lm, delay=2).complete(ask())
    assert scope.cancelled_caught
    assert 0 == lm.under_way
    assert lm.bill == lost.usage
    assert (1 if seconds < 2 else 2) == lost.usage.requests


@virtual
async def test_an_answer_for_who_is_cancelled_is_counted(anyio_backend: object) -> None:
    """Cancelled while the loser cleans up, the winner's answer is lost, and counted in full."""
    lm = PlannedLM(Step(seconds=math.inf, clean_up=10), Step(tokens=20))
    with losses() as lost, anyio.move_on_after(5) as scope:
        await hedged(lm, delay=1).complete(ask())
    assert scope.cancelled_caught
    assert lm.bill == lost.usage
    assert 20 == lost.usage.output_tokens


async def test_cancelled_anywhere_nothing_is_left_or_uncounted() -> None:
    """Cancelled at each step, no request is left under way, and what was used is counted."""

    async def race() -> None:
        lm = PlannedLM(Step(error=passing()), Step())
        with losses() as lost:
            answered = Usage()
            try:
                answered = (await hedged(lm, delay=5).complete(ask())).usage
            finally:
                assert 0 == lm.under_way
        assert lm.bill == lost.usage + answered

    outcomes = await sweep_cancellations(race)
    assert len(outcomes) > 2
    assert [] == [outcome.exception for outcome in outcomes if outcome.exception is not None]


@pytest.mark.parametrize("delay", [-1, math.inf, math.nan])
def test_the_delay_is_checked(delay: float) -> None:
    """A delay is a number of seconds."""
    with pytest.raises(ValueError, match="delay"):
        hedged(PlannedLM(), delay=delay)
