"""`budgeted`: what may begin, what counts, and when a permit is released."""

from __future__ import annotations

import math

import anyio
import attrs
import pytest

from dagflow import LMError, Usage
from dagflow.lm.billing import losses
from dagflow.lm.wrappers import Budgeted, budgeted
from dagflow.testing import sweep_cancellations, virtual_backend
from lm.planned_lm import PlannedLM, Step, ask, passing

virtual = pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")])

REFUSED = "the budget of"


async def ask_times(wrapped: Budgeted, times: int, text: str = "well?") -> int:
    """Ask at once, and count the refusals."""
    refusals = 0

    async def one() -> None:
        nonlocal refusals
        try:
            await wrapped.complete(ask(text))
        except LMError as error:
            assert REFUSED in str(error)
            assert not error.retriable
            refusals += 1

    async with anyio.create_task_group() as group:
        for _ in range(times):
            group.start_soon(one)
    return refusals


@virtual
async def test_tokens_are_a_limit(anyio_backend: object) -> None:
    """A request that would pass the limit is refused, with what is spent, and costs nothing."""
    lm = PlannedLM(Step(tokens=30))
    wrapped = budgeted(lm, tokens=100)
    await wrapped.complete(ask("x" * 40))
    await wrapped.complete(ask("x" * 40))
    with pytest.raises(LMError, match="budget of 100 tokens does not allow this request: 80 are spent, 0 res.* 25;"):
        await wrapped.complete(ask("x" * 100))
    await wrapped.complete(ask("x" * 80))
    with pytest.raises(LMError, match="130 are spent"):
        await wrapped.complete(ask(""))
    assert lm.bill == wrapped.spent
    assert 3 == len(lm.began)


@virtual
async def test_a_hundred_at_once_pass_no_limit_but_by_those_under_way(anyio_backend: object) -> None:
    """With exact estimates the limit holds under 100 concurrent calls; else what is beyond is what was under way."""
    lm = PlannedLM(Step(seconds=1, tokens=0))
    wrapped = budgeted(lm, tokens=100)
    assert 90 == await ask_times(wrapped, 100, "x" * 40)
    assert 100 == wrapped.spent.input_tokens
    lm = PlannedLM(Step(seconds=1, tokens=50))
    wrapped = budgeted(lm, tokens=100)
    assert 90 == await ask_times(wrapped, 100, "x" * 40)
    assert 90 == await ask_times(wrapped, 90)
    assert 10 * 60 == wrapped.spent.input_tokens + wrapped.spent.output_tokens
    assert 0 == wrapped.in_flight


@virtual
async def test_seconds_are_those_of_all_requests_together(anyio_backend: object) -> None:
    """Requests at once each count, and so does the time that those under way have taken by now."""
    lm = PlannedLM(Step(seconds=4))
    wrapped = budgeted(lm, seconds=10)
    assert 0 == await ask_times(wrapped, 2)
    assert 8 == wrapped.spent_seconds
    async with anyio.create_task_group() as group:
        group.start_soon(wrapped.complete, ask())
        await anyio.sleep(1.5)
        group.start_soon(wrapped.complete, ask())
        await anyio.sleep(0.25)
        with pytest.raises(LMError, match=r"budget of 10 seconds .* 8 are spent, 2 reserved for 2 requests under way"):
            await wrapped.complete(ask())
    assert 16 == wrapped.spent_seconds


@virtual
async def test_dollars_are_a_limit(anyio_backend: object) -> None:
    """Requests under way and losses have the mean price so far; the limit is said in dollars."""
    lm = PlannedLM(Step(tokens=90, cost=0.10), Step(seconds=math.inf), Step(seconds=1, tokens=90, cost=0.10))
    wrapped = budgeted(lm, cost=0.25)
    await wrapped.complete(ask("x" * 40))
    with anyio.move_on_after(1):
        await wrapped.complete(ask("x" * 40))
    assert 0.11 == pytest.approx(wrapped.spent.cost)
    assert wrapped.spent.estimated
    assert 6 == await ask_times(wrapped, 20, "x" * 40)  # each reserves a cent of the 14 that are left
    with pytest.raises(LMError, match=r"budget of 0.25 US dollars .* 1.51 are spent"):
        await wrapped.complete(ask())


@virtual
async def test_an_unknown_cost_is_an_error(anyio_backend: object) -> None:
    """The first answer without a cost is one, paid for and counted; nothing is sent after it."""
    lm = PlannedLM(Step(cost=None))
    wrapped = budgeted(lm, cost=1)
    for used in (Usage(requests=1, input_tokens=2, output_tokens=10, estimated=True), Usage()):
        with losses() as lost, pytest.raises(LMError, match=r"PlannedLM\(planned\) does not say what its answers cost"):
            await wrapped.complete(ask())
        assert used == attrs.evolve(lost.usage, estimated=used.estimated)
    assert 1 == len(lm.began)
    assert lm.bill == wrapped.spent
    assert "yes" == (await budgeted(lm, tokens=100).complete(ask())).text


@virtual
async def test_failures_count(anyio_backend: object) -> None:
    """What a failed request used is spent, and told to whoever counts around it."""
    lm = PlannedLM(Step(error=passing()))
    wrapped = budgeted(lm, tokens=100)
    with losses() as lost, pytest.raises(LMError, match="overloaded"):
        await wrapped.complete(ask("x" * 40))
    assert Usage(requests=1, input_tokens=10, estimated=True) == wrapped.spent == lost.usage


@virtual
async def test_a_permit_is_held_until_the_clean_up_is_done(anyio_backend: object) -> None:
    """A cancelled request counts as under way until it has really ended, and its time with it."""
    lm = PlannedLM(Step(seconds=math.inf, clean_up=5), Step())
    wrapped = budgeted(lm, tokens=20)

    async def cancelled() -> None:
        with anyio.move_on_after(1):
            await wrapped.complete(ask("x" * 40))

    async with anyio.create_task_group() as group:
        group.start_soon(cancelled)
        await anyio.sleep(5.5)
        assert 1 == wrapped.in_flight
        with pytest.raises(LMError, match="0 are spent, 10 reserved for 1 requests under way"):
            await wrapped.complete(ask("x" * 44))
        await anyio.sleep(1)
        assert 0 == wrapped.in_flight
    assert 6 == wrapped.spent_seconds
    assert lm.bill == wrapped.spent


async def test_cancelled_anywhere_no_permit_is_lost() -> None:
    """Cancelled at each step, nothing stays reserved, and what was used is spent."""

    async def some() -> None:
        lm = PlannedLM()
        wrapped = budgeted(lm, tokens=1000)
        try:
            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(wrapped.complete, ask())
        finally:
            assert 0 == wrapped.in_flight
            assert lm.bill == attrs.evolve(wrapped.spent, cost=lm.bill.cost)

    outcomes = await sweep_cancellations(some)
    assert len(outcomes) > 3
    assert [] == [outcome.exception for outcome in outcomes if outcome.exception is not None]


@pytest.mark.parametrize("limits", [{}, {"tokens": 0}, {"cost": -1}, {"seconds": math.inf}])
def test_limits_are_checked(limits: dict[str, float]) -> None:
    """Without a limit there is nothing to do, and none below zero can be kept."""
    with pytest.raises(ValueError, match=next(iter(limits), "seconds= or tokens= or cost=")):
        budgeted(PlannedLM(), **limits)
