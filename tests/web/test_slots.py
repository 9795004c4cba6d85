"""Run slots: never more than the limit, given back whatever happens, and all over when `close` returns."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from dagflow import MemoryStore
from dagflow.web.problems import HTTPProblem
from dagflow.web.slots import RunSlots
from web.graphs import Waiting, waiting, work


async def test_no_more_runs_than_slots() -> None:
    """The run beyond the limit is refused with 503 and `Retry-After`; a slot is given back however its run ends."""
    slots = RunSlots(2, retry_after=3)
    with slots.take(), slots.take():
        assert 2 == slots.running
        with pytest.raises(HTTPProblem, match="all 2 runs") as caught, slots.take():
            raise AssertionError("not to be run")
        assert (503, (b"retry-after", b"3")) == (caught.value.status, caught.value.headers[0])
    assert 0 == slots.running
    with pytest.raises(LookupError), slots.take():
        raise LookupError
    with anyio.CancelScope() as scope, slots.take():
        scope.cancel()
        await anyio.sleep_forever()
    assert 0 == slots.running


async def test_close_waits_for_the_clean_up() -> None:
    """Every run is cancelled, and over, when `close` returns; who asks later is refused. It may be called again."""
    slots = RunSlots(5)
    cleaned: list[int] = []

    async def run(number: int) -> None:
        with slots.take() as slot:
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.02)
                cleaned.append(number)
        assert slot.stopped

    async with anyio.create_task_group() as group:
        for number in range(5):
            group.start_soon(run, number)
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as closing:
            closing.start_soon(slots.close)
            closing.start_soon(slots.close)
            while not slots.is_closed:
                await anyio.lowlevel.checkpoint()
            with pytest.raises(HTTPProblem, match="the server is stopping"), slots.take():
                raise AssertionError("not to be run")
        assert [0, 1, 2, 3, 4] == sorted(cleaned)
    await slots.close()
    assert slots.is_closed


async def test_a_run_that_ends_by_itself_was_not_stopped() -> None:
    """`stopped` tells that the block was cut short, not that `close` was called."""
    slots = RunSlots(1)
    async with anyio.create_task_group() as group:
        with slots.take() as slot:
            group.start_soon(slots.close)
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
    assert slots.is_closed
    assert not slot.stopped


async def test_a_closed_run_is_recorded_and_can_be_resumed() -> None:
    """A run with a store that `close` ends is recorded as cancelled."""
    slots, store = RunSlots(1), MemoryStore()

    async def run() -> None:
        with slots.take():
            await waiting.run(Waiting(), store=store, thread_id="t")

    work.begun = work.open = 0
    async with anyio.create_task_group() as group:
        group.start_soon(run)
        with anyio.fail_after(5):
            while work.open < 2:  # noqa: ASYNC110  # nothing tells
                await anyio.sleep(0.001)
        await slots.close()
        summary = await waiting.thread("t", store=store).summary()
    assert ("cancelled", False, 0) == (summary.status, summary.leased, work.open)


async def test_a_close_that_is_cancelled_ends_the_runs_all_the_same() -> None:
    """Whoever does not want to wait for the clean-up has it all the same."""
    slots = RunSlots(1)

    async def run() -> None:
        with slots.take():
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.03)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        with anyio.move_on_after(0.005) as scope:
            await slots.close()
        assert scope.cancelled_caught
        assert 1 == slots.running
    assert 0 == slots.running


def test_slots_that_make_no_sense() -> None:
    """No slot at all, and a negative time, are refused; the repr tells how things stand."""
    with pytest.raises(ValueError, match="at least 1 run slot"):
        RunSlots(0)
    with pytest.raises(ValueError, match="seconds, 0 or more"):
        RunSlots(1, retry_after=-1)
    assert "RunSlots(0 of 3 taken, open)" == repr(RunSlots(3))
