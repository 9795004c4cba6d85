"""`retrying`: what is asked again, and when."""

from __future__ import annotations

import anyio
import pytest

from dagflow import LMError, Retry
from dagflow.lm.billing import losses
from dagflow.lm.wrappers import retrying
from dagflow.testing import assert_no_leaks, virtual_backend
from lm.planned_lm import PlannedLM, Step, ask, lasting, passing

virtual = pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")])

EXACT = Retry(attempts=4, delay=1, factor=2, jitter=0)


@virtual
async def test_waits_double_from_attempt_to_attempt(anyio_backend: object) -> None:
    """Attempts begin after the waits of the policy, and the answer is that of the first which succeeds."""
    lm = PlannedLM(*[Step(error=passing())] * 3, Step(text="at last"))
    wrapped = retrying(lm, EXACT)
    began = anyio.current_time()
    assert "at last" == (await wrapped.complete(ask())).text
    assert [0, 1, 3, 7] == [time - began for time in lm.began]
    assert 3 == wrapped.retries


@virtual
async def test_the_provider_s_wait_is_the_least(anyio_backend: object) -> None:
    """`retry_after` makes a wait longer, never shorter."""
    lm = PlannedLM(Step(error=passing(retry_after=5)), Step(error=passing(retry_after=0.1)), Step())
    await retrying(lm, EXACT).complete(ask())
    assert [5, 2] == [after - before for before, after in zip(lm.began, lm.began[1:], strict=False)]


@virtual
async def test_a_wait_above_the_longest_is_not_waited_for(anyio_backend: object) -> None:
    """A provider that asks for more than `max_delay` gets no second request."""
    lm = PlannedLM(Step(error=passing(retry_after=31)))
    with pytest.raises(LMError) as caught:
        await retrying(lm).complete(ask())
    assert 1 == len(lm.began)
    assert "max_delay" in caught.value.__notes__[0]


@virtual
async def test_no_retry_begins_after_the_deadline(anyio_backend: object) -> None:
    """With a deadline before the next attempt the error comes at once, as it is, with a note."""
    error = passing()
    lm = PlannedLM(Step(error=error))
    began = anyio.current_time()
    with anyio.fail_after(2.5), pytest.raises(LMError) as caught:
        await retrying(lm, EXACT).complete(ask())
    assert error is caught.value
    assert 1 == anyio.current_time() - began
    assert 2 == len(lm.began)
    assert "the deadline is in 1.5 s" in error.__notes__[0]


@virtual
async def test_cancellation_ends_a_wait(anyio_backend: object) -> None:
    """Cancelled while it waits, nothing more is sent and nothing is left."""
    lm = PlannedLM(Step(error=passing()))
    began = anyio.current_time()
    async with assert_no_leaks():
        with anyio.move_on_after(10) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(retrying(lm, EXACT).complete, ask())
                await anyio.sleep(1.5)
                group.cancel_scope.cancel()
    assert not scope.cancelled_caught
    assert 1.5 == anyio.current_time() - began
    assert 2 == len(lm.began)


@pytest.mark.parametrize("error", [lasting(), ValueError("a fault"), TimeoutError()])
async def test_what_does_not_pass_is_not_asked_again(error: Exception) -> None:
    """An error that is no retriable `LMError` is raised at once, as it is."""
    lm = PlannedLM(Step(error=error))
    with pytest.raises(type(error)) as caught:
        await retrying(lm).complete(ask())
    assert error is caught.value
    assert 1 == len(lm.began)


@virtual
async def test_a_number_is_the_attempts(anyio_backend: object) -> None:
    """A number in place of a policy counts all attempts; the last error is raised as it is."""
    errors = [passing("first"), passing("second")]
    lm = PlannedLM(*[Step(error=error) for error in errors])
    with pytest.raises(LMError, match="second"):
        await retrying(lm, 2).complete(ask())
    assert 2 == len(lm.began)
    with pytest.raises(ValueError, match="attempts"):
        retrying(lm, 0)


@virtual
async def test_failed_attempts_are_counted(anyio_backend: object) -> None:
    """What the attempts used that failed is among the losses."""
    lm = PlannedLM(Step(error=passing()), Step(error=passing()), Step())
    with losses() as lost:
        response = await retrying(lm).complete(ask())
    assert 2 == lost.usage.requests
    assert lm.bill == lost.usage + response.usage
