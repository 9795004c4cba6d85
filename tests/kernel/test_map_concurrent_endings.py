"""How a `map_concurrent` ends: misuse, cancellation from every side, and exceptions that mean something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from dagflow import map_concurrent
from dagflow.testing import assert_no_leaks

OnError = Literal["raise", "collect"]


async def echo(item: int) -> int:
    await anyio.lowlevel.checkpoint()
    return item


async def forever(item: int) -> int:
    await anyio.sleep_forever()
    return item


async def test_results_cannot_be_asked_for_after_the_block() -> None:
    """A map whose block has been left answers with an error, and never waits for what cannot come."""
    async with map_concurrent(echo, range(9)) as results:
        assert 0 == await results.__anext__()
    with anyio.fail_after(1), pytest.raises(RuntimeError, match="has been left"):
        await results.__anext__()


async def test_results_cannot_be_asked_for_before_the_block() -> None:
    """A map that has not begun says how it is begun."""
    with pytest.raises(RuntimeError, match="runs inside a block"):
        await map_concurrent(echo, range(9)).__anext__()


async def test_two_tasks_cannot_ask_at_once() -> None:
    """A second consumer is refused while the first one waits."""
    async with map_concurrent(forever, range(2)) as results, anyio.create_task_group() as group:
        group.start_soon(results.__anext__)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="two tasks"):
            await results.__anext__()
        group.cancel_scope.cancel()


async def test_the_block_is_left_in_the_task_that_entered_it() -> None:
    """Leaving in another task is an error that says so, and what ran is cancelled all the same."""
    ended = False

    async def work(item: int) -> None:
        nonlocal ended
        try:
            await anyio.sleep_forever()
        finally:
            ended = True

    async def leave() -> None:
        with pytest.raises(RuntimeError, match="left in the task that entered it"):
            await results.__aexit__(None, None, None)

    async with map_concurrent(work, [1]) as results:
        await anyio.wait_all_tasks_blocked()
        async with anyio.create_task_group() as group:
            group.start_soon(leave)
        await anyio.sleep_forever()
    assert ended


@pytest.mark.parametrize("ordered", [True, False])
async def test_the_end_of_another_iterator_is_a_failure(ordered: bool) -> None:
    """A `StopAsyncIteration` out of an item does not pass for the end of the results."""

    async def nothing() -> AsyncIterator[int]:
        return
        yield

    async def work(item: int) -> int:
        return item if item < 3 else await anext(nothing())

    with pytest.raises(StopAsyncIteration):
        await map_concurrent(work, range(9), ordered=ordered)


@pytest.mark.one_backend("only asyncio lets a cancellation escape to another task")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_stray_cancellation_is_a_failure() -> None:
    """What an item awaited was cancelled, not the item: that is told, in a group too, and it can be collected."""

    async def work(item: int) -> int:
        if item == 1:
            task = asyncio.get_running_loop().create_future()
            task.cancel()
            await task
        return item

    with anyio.fail_after(1), pytest.raises(RuntimeError, match="work awaited was cancelled") as caught:
        await map_concurrent(work, range(3))
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    results = await map_concurrent(work, range(3), on_error="collect")
    assert [True, False, True] == [result.error is None for result in results]


@pytest.mark.one_backend("only asyncio lets anyone cancel any task")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_item_that_cancels_its_task_does_not_cut_the_results_short() -> None:
    """A worker that a stranger cancels ends the map with an error, and no consumer waits for its item."""

    async def work(item: int) -> int:
        if item == 1:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
        await anyio.lowlevel.checkpoint()
        return item

    with anyio.fail_after(1), pytest.raises(RuntimeError, match="cancelled from outside"):
        await map_concurrent(work, range(3), limit=2)


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_a_consumer_under_a_shield_does_not_wait_for_cancelled_items(on_error: OnError) -> None:
    """When the map is cancelled from outside, a shielded consumer gets no more results and leaves."""
    left = False
    with anyio.fail_after(1), anyio.CancelScope() as outer:
        async with map_concurrent(forever, range(2), on_error=on_error) as results:
            with anyio.CancelScope(shield=True):
                outer.cancel()
                async for _ in results:
                    pytest.fail("there is none")
                left = True
    assert left
    assert outer.cancelled_caught


async def fails_when_cancelled(item: int) -> int:
    try:
        await anyio.sleep_forever()
    finally:
        raise LookupError(f"clean-up of {item}")


async def test_failing_clean_up_is_told_after_a_break() -> None:
    """Clean-up that fails when the block is left by `break` is raised."""
    with pytest.raises(LookupError, match="clean-up of 0"):
        async with map_concurrent(fails_when_cancelled, range(1)):
            await anyio.wait_all_tasks_blocked()


async def test_failing_clean_up_is_told_after_a_cancellation() -> None:
    """Clean-up that fails when the map is cancelled from outside is raised, not swallowed with the cancellation."""
    with pytest.raises(LookupError, match="clean-up of 0"), anyio.CancelScope() as outer:
        async with map_concurrent(fails_when_cancelled, range(1)) as results:
            await anyio.wait_all_tasks_blocked()
            outer.cancel()
            await results.__anext__()


async def test_failing_clean_up_goes_behind_the_exception_of_the_block() -> None:
    """The block's own exception and those of clean-up are raised together, its own first."""
    with pytest.raises(ExceptionGroup) as caught:
        async with map_concurrent(fails_when_cancelled, range(1)):
            await anyio.wait_all_tasks_blocked()
            raise KeyError("block")
    assert [KeyError, LookupError] == [type(error) for error in caught.value.exceptions]


async def test_an_interrupt_of_the_block_is_never_wrapped() -> None:
    """`KeyboardInterrupt` in the block is raised as it is, with what failed beside it in its notes."""
    with pytest.raises(KeyboardInterrupt) as caught:
        async with map_concurrent(fails_when_cancelled, range(1)):
            await anyio.wait_all_tasks_blocked()
            raise KeyboardInterrupt
    assert ["beside it, in map_concurrent(fails_when_cancelled): LookupError: clean-up of 0"] == caught.value.__notes__


async def test_task_groups_in_items_keep_failures_and_cancellations_apart() -> None:
    """An item whose own task group was cancelled and failed in clean-up tells the failure alone."""

    async def work(item: int) -> int:
        if item == 0:
            await anyio.wait_all_tasks_blocked()
            raise KeyError("first")
        async with anyio.create_task_group() as group:
            group.start_soon(fails_when_cancelled, item)
            group.start_soon(forever, item)
        return item

    with pytest.raises(ExceptionGroup) as caught:
        await map_concurrent(work, range(2))
    first, second = caught.value.exceptions
    assert KeyError is type(first)
    assert isinstance(second, ExceptionGroup)
    assert [LookupError] == [type(error) for error in second.exceptions]


async def test_an_interrupt_inside_a_group_is_never_wrapped() -> None:
    """A `KeyboardInterrupt` that an item's own task group has wrapped is raised bare."""

    async def interrupted(item: int) -> int:
        raise BaseExceptionGroup("inner", [KeyboardInterrupt("bare")])

    with pytest.raises(KeyboardInterrupt, match="bare"):
        await map_concurrent(interrupted, range(2))


async def test_a_failure_names_its_item() -> None:
    """A failure carries a note of the item and function that it comes from."""

    async def picky(item: int) -> int:
        if item == 3:
            raise ValueError("three")
        return item

    with pytest.raises(ValueError, match="three") as caught:
        await map_concurrent(picky, range(9))
    assert ["item 3 of map_concurrent(picky)"] == [note.replace("test_", "") for note in caught.value.__notes__]


async def test_a_failure_of_the_source_that_nobody_asked_for_is_told() -> None:
    """A source that has failed when the block is left by `break` is not passed over in silence."""

    def breaks() -> Iterator[int]:
        yield 1
        raise OSError("source")

    with pytest.raises(OSError, match="source"):
        async with map_concurrent(echo, breaks()) as results:
            await results.__anext__()
            await anyio.wait_all_tasks_blocked()


@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_a_sync_function_is_never_collected(on_error: OnError) -> None:
    """A function that turns out not to be async is refused at its first call, whatever is done with failures."""
    calls: list[int] = []

    def sync(item: int) -> Any:
        calls.append(item)
        return item

    with pytest.raises(TypeError, match="sync returned 0, which cannot be awaited; make it an async function"):
        await map_concurrent(sync, range(9), on_error=on_error)
    assert [0] == calls


class Callable:
    async def __call__(self, item: int) -> int:
        return item

    async def method(self, item: int) -> int:
        return item

    def plain(self, item: int) -> Any:
        return self(item)


async def test_any_callable_that_gives_an_awaitable_will_do() -> None:
    """Callable objects, methods and functions that pass a coroutine on are async functions too."""
    assert [1] == await map_concurrent(Callable(), [1])
    assert [1] == await map_concurrent(Callable().method, [1])
    assert [1] == await map_concurrent(Callable().plain, [1])
    assert [1] == await map_concurrent(lambda item: echo(item), [1])


def generator(item: int) -> Iterator[int]:
    yield item


async def async_generator(item: int) -> AsyncIterator[int]:
    yield item


@pytest.mark.parametrize(
    ("fn", "fault"), [(generator, "a generator function"), (async_generator, "an async generator"), (str, "a class")]
)
def test_what_cannot_be_awaited_is_refused_at_once(fn: Any, fault: str) -> None:
    """A callable that is seen not to be async is refused before anything is called."""
    with pytest.raises(TypeError, match=fault):
        map_concurrent(fn, [1])


@pytest.mark.parametrize("limit", [True, 2.0, "8", None])
def test_a_limit_is_an_integer(limit: Any) -> None:
    """A limit that is no number of items is refused at once, with what it was."""
    with pytest.raises(TypeError, match="limit must be an integer"):
        map_concurrent(echo, [1], limit=limit)


@pytest.mark.parametrize("ordered", [True, False])
async def test_a_failure_cancels_a_consumer_that_is_busy(ordered: bool) -> None:
    """The first failure ends the block wherever it waits, and results that were ready are not given after it."""
    failed = anyio.Event()

    async def work(item: int) -> int:
        if item == 2:
            await failed.wait()
            raise ValueError("two")
        return item

    async with assert_no_leaks():
        with pytest.raises(ValueError, match="two"):
            async with map_concurrent(work, range(9), ordered=ordered) as results:
                assert 0 == await results.__anext__()
                failed.set()
                await anyio.sleep_forever()
