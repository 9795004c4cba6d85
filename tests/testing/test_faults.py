"""Faults by plan, and cancellation at every step: that they happen where they should, and only there."""

import inspect
from contextlib import suppress
from typing import get_type_hints

import anyio
import pytest
from anyio.lowlevel import checkpoint

from dagflow.testing.clock import virtual_backend
from dagflow.testing.faults import Fault, FaultPlan, cancel_at, raise_at, sweep_cancellations
from dagflow.testing.leaks import assert_no_leaks

virtual = pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")])


async def fetch(number: int) -> str:
    return str(number)


def read(number: int) -> str:
    return str(number)


async def test_planned_call_fails() -> None:
    """The n-th call raises, and no other."""
    wrapped = FaultPlan([Fault("fetch", 2, LookupError("down")), Fault("read", 1, OSError)]).wrap(fetch)
    assert "1" == await wrapped(1)
    with pytest.raises(LookupError, match="down"):
        await wrapped(2)
    assert "3" == await wrapped(3)


def test_planned_sync_call_fails() -> None:
    """A sync function stays sync, and has the faults of the name that it is given."""
    wrapped = FaultPlan([Fault("disk", 1, OSError)]).wrap(read, name="disk")
    with pytest.raises(OSError):
        wrapped(1)
    assert "2" == wrapped(2)


@virtual
async def test_planned_call_dawdles(anyio_backend: object) -> None:
    """A planned delay passes on the event loop's clock before the call."""
    wrapped = FaultPlan([Fault("fetch", 1, delay=60)]).wrap(fetch)
    started = anyio.current_time()
    assert "1" == await wrapped(1)
    assert 60 == anyio.current_time() - started


@pytest.mark.parametrize("function", [fetch, read])
def test_wrapped_functions_look_alike(function: object) -> None:
    """Signature, hints and kind of a wrapped function are those of the function."""
    assert callable(function)
    wrapped = FaultPlan([]).wrap(function)
    assert inspect.signature(function) == inspect.signature(wrapped)
    assert get_type_hints(function) == get_type_hints(wrapped)
    assert inspect.iscoroutinefunction(function) == inspect.iscoroutinefunction(wrapped)


def test_random_plans_repeat() -> None:
    """Equal seeds give equal plans, and others other ones."""
    draw = [FaultPlan.random(seed, ["a", "b"], calls=20, max_delay=1) for seed in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]
    assert 40 == len(draw[0].faults)
    assert 0 < sum(fault.error is not None for fault in draw[0].faults) < 40


async def test_run_is_cancelled_at_its_step() -> None:
    """A run is cancelled at the chosen suspension of its own."""
    seen: list[int] = []

    async def count() -> int:
        for number in range(3):
            seen.append(number)
            await checkpoint()
        return 7

    steps = len(await sweep_cancellations(count))
    seen.clear()
    outcome = await cancel_at(steps, count)
    assert (False, True, 7, [0, 1, 2]) == (outcome.reached, outcome.completed, outcome.value, seen)
    seen.clear()
    outcome = await cancel_at(1, count)
    assert (True, False, [0]) == (outcome.reached, outcome.completed, seen)


async def test_sweep_reaches_every_step_of_every_task() -> None:
    """A sweep cancels at each step, of started tasks too, until a run is left alone."""
    ends: list[tuple[str, ...]] = []

    async def child(done: list[str], name: str) -> None:
        for number in range(3):
            await checkpoint()
            done.append(f"{name}{number}")

    async def main() -> None:
        done: list[str] = []
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(child, done, "a")
                tasks.start_soon(child, done, "b")
        finally:
            ends.append(tuple(sorted(done)))

    outcomes = await sweep_cancellations(main)
    assert len(outcomes) >= 6
    assert [*([True] * (len(outcomes) - 1)), False] == [outcome.reached for outcome in outcomes]
    assert (False, True) == (outcomes[0].completed, outcomes[-1].completed)
    assert list(range(1, len(outcomes) + 1)) == [outcome.step for outcome in outcomes]
    assert ("a0", "a1", "a2", "b0", "b1", "b2") == ends[-1]
    assert len(set(ends)) >= 4


async def test_sweep_finds_a_missing_cleanup() -> None:
    """A lock that is not given back on cancellation is found by the run that is cancelled while it is held."""
    held: list[bool] = []

    async def careless() -> None:
        held.append(True)
        await checkpoint()
        held.pop()

    await sweep_cancellations(careless)
    assert held


async def test_shielded_run_completes() -> None:
    """A run that is cancelled where it is shielded goes on to its end."""

    async def shielded() -> int:
        with anyio.CancelScope(shield=True):
            await checkpoint()
        return 7

    outcome = await cancel_at(1, shielded)
    assert (True, True, 7) == (outcome.reached, outcome.completed, outcome.value)


async def test_failure_is_in_the_outcome() -> None:
    """What a run raises is told, not raised."""

    async def fail() -> None:
        await checkpoint()
        raise LookupError

    assert isinstance((await sweep_cancellations(fail))[-1].exception, LookupError)


async def test_endless_runs_are_given_up() -> None:
    """A sweep over a run that never ends, cancelled or not, ends at its limit."""

    async def restart() -> None:
        while True:
            await checkpoint()

    with pytest.raises(AssertionError, match="after 5 steps"):
        await sweep_cancellations(restart, max_steps=5)


async def test_other_tasks_are_not_counted() -> None:
    """Tasks that go on beside the run are neither counted nor cancelled."""
    stop = anyio.Event()

    async def bystander() -> None:
        while not stop.is_set():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(checkpoint)

    async def quiet() -> int:
        await anyio.sleep(0.02)
        return 7

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bystander)
        outcome = await cancel_at(20, quiet)
        stop.set()
    assert (False, 7) == (outcome.reached, outcome.value)


async def test_error_is_raised_where_the_run_waits() -> None:
    """An error comes at the chosen suspension, and what was waited for is none the worse."""
    event = anyio.Event()
    seen: list[str] = []

    async def main() -> None:
        for name in "ab":
            with suppress(LookupError):
                await event.wait()
                seen.append(name)

    outcome = None

    async def run() -> None:
        nonlocal outcome
        outcome = await raise_at(1, LookupError(), main)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        event.set()
    assert ["b"] == seen
    assert outcome is not None
    assert outcome.completed


async def test_error_leaves_threads_and_locks_alone() -> None:
    """A wait for a thread, or the checkpoint of a lock, is given up cleanly or not at all."""
    lock = anyio.Lock()

    async def main() -> None:
        await anyio.to_thread.run_sync(int)
        async with lock:
            await anyio.sleep(0.001)

    failed = 0
    async with assert_no_leaks():
        for step in range(1, 10):
            outcome = await raise_at(step, LookupError(), main)
            failed += isinstance(outcome.exception, LookupError)
            assert outcome.completed or isinstance(outcome.exception, LookupError)
            assert not lock.locked()
    assert 0 < failed < 9


async def test_error_leaves_no_task_behind() -> None:
    """Wherever an error is raised beside and behind a task group, no task of the group is left."""

    outlived: list[bool] = []

    async def main() -> None:
        over = False

        async def child() -> None:
            try:
                await anyio.sleep(0.01)
            finally:
                outlived.append(over)

        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(child)
                await anyio.sleep(0.0005)
        finally:
            over = True
        await anyio.sleep(0.0005)

    async with assert_no_leaks():
        outcomes = [await raise_at(step, LookupError(), main) for step in range(1, 5)]
    assert not any(outlived)
    assert isinstance(outcomes[0].exception, ExceptionGroup)
    assert outcomes[-1].completed


@pytest.mark.one_backend("trio has no task that is cancelled before it starts")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_task_that_never_starts_leaves_no_warning() -> None:
    """A task that is cancelled before its first step is not told of as a coroutine that nobody awaited."""
    import asyncio

    async def main() -> None:
        task = asyncio.create_task(asyncio.sleep(1))
        task.cancel()
        await checkpoint()
        assert task.cancelled()

    assert (await sweep_cancellations(main))[-1].completed
