"""`fallback`: who is asked next, and what is told when nobody answers."""

from __future__ import annotations

import math

import anyio
import pytest

from dagflow import LMError
from dagflow.lm.billing import losses
from dagflow.lm.wrappers import fallback, retrying
from lm.planned_lm import PlannedLM, Step, ask, lasting, passing


async def test_the_next_one_answers_for_the_one_that_failed() -> None:
    """Each failure leads to the next language model; those after the answer are not asked; losses are counted."""
    first, second, third = PlannedLM(Step(error=lasting())), PlannedLM(Step(error=passing())), PlannedLM()
    fourth = PlannedLM()
    wrapped = fallback(first, second, third, fourth)
    with losses() as lost:
        response = await wrapped.complete(ask())
    assert "yes" == response.text
    assert [0, 0, 1, 0] == wrapped.answered
    assert [] == fourth.began
    assert first.bill + second.bill == lost.usage


async def test_a_refusal_is_a_failure() -> None:
    """Another model may answer what one refuses; the refused answer is counted as lost."""
    first = PlannedLM(Step(text="I will not", finish_reason="refusal", tokens=7))
    wrapped = fallback(first, PlannedLM())
    with losses() as lost:
        assert "yes" == (await wrapped.complete(ask())).text
    assert first.bill == lost.usage
    with pytest.raises(LMError, match="1. PlannedLM.planned.: LMError: the model refused to answer: I will not"):
        await fallback(first).complete(ask())


async def test_all_failures_are_told() -> None:
    """One error names each language model with its own error, and its cause is a group of them all."""
    errors = [lasting("no key"), passing("busy", retry_after=7), passing("full", retry_after=3)]
    a, b, c = (PlannedLM(Step(error=error), name=name) for error, name in zip(errors, "abc", strict=True))
    with pytest.raises(LMError) as caught:
        await fallback(a, retrying(b, 1), c).complete(ask())
    message = str(caught.value)
    assert "1. PlannedLM(a): LMError: no key\n" in message
    assert "2. retrying(PlannedLM(b)): LMError: busy\n" in message
    assert "3. PlannedLM(c): LMError: full" in message
    cause = caught.value.__cause__
    assert isinstance(cause, ExceptionGroup)
    assert errors == list(cause.exceptions)
    assert (True, 3) == (caught.value.retriable, caught.value.retry_after)


async def test_it_is_lasting_when_all_are() -> None:
    """Nothing is gained by asking again where all have failed for good."""
    with pytest.raises(LMError) as caught:
        await fallback(PlannedLM(Step(error=lasting())), PlannedLM(Step(error=lasting()))).complete(ask())
    assert not caught.value.retriable


async def test_other_errors_and_cancellation_pass() -> None:
    """What is no `LMError` is not for the next language model."""
    second = PlannedLM()
    with pytest.raises(KeyError):
        await fallback(PlannedLM(Step(error=KeyError("a fault"))), second).complete(ask())
    first = PlannedLM(Step(seconds=math.inf))
    with anyio.move_on_after(0) as scope:
        await fallback(first, second).complete(ask())
    assert scope.cancelled_caught
    assert [] == second.began
