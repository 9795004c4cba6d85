"""`map_concurrent`: order, window, backpressure, failures, and that leaving the block leaves nothing."""

import contextvars
import functools
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagflow import MapResult, map_concurrent
from dagflow.testing import assert_no_leaks


async def double(number: int) -> int:
    return 2 * number


async def double_later(number: int) -> int:
    await anyio.lowlevel.checkpoint()
    return 2 * number


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        await anyio.lowlevel.checkpoint()
        yield number


@pytest.mark.parametrize("fn", [double, double_later, functools.partial(double_later)])
@pytest.mark.parametrize("limit", [1, 2, 8])
@pytest.mark.parametrize("ordered", [True, False])
async def test_every_item_gives_one_result(fn: Any, limit: int, ordered: bool) -> None:
    """Each item of a sync or async iterable is mapped once; ordered results come in the items' order."""
    expected = [2 * number for number in range(20)]
    for items in (range(20), numbers(20)):
        results = await map_concurrent(fn, items, limit=limit, ordered=ordered)
        assert expected == (results if ordered else sorted(results))


async def test_nothing_gives_nothing() -> None:
    """An empty source, sync or async, gives no results."""
    assert [] == await map_concurrent(double, [])
    assert [] == await map_concurrent(double, numbers(0))


async def test_unordered_results_come_as_they_are_ready() -> None:
    """A slow item does not hold back the faster ones behind it."""
    release = anyio.Event()

    async def work(number: int) -> int:
        if number == 0:
            await release.wait()
        return number

    async with map_concurrent(work, range(3), limit=2, ordered=False) as results:
        seen = [await results.__anext__(), await results.__anext__()]
        release.set()
        seen += [result async for result in results]
    assert [1, 2, 0] == seen


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 5),
    waits=st.lists(st.integers(0, 3), max_size=15),
    reads=st.lists(st.integers(0, 3), min_size=1),
    ordered=st.booleans(),
    lazy=st.booleans(),
)
async def test_the_window_never_holds_more_than_its_limit(
    limit: int, waits: list[int], reads: list[int], ordered: bool, lazy: bool
) -> None:
    """Items pulled and not yet consumed, whether under way or finished, are never more than `limit`."""
    pulled = consumed = 0

    def source() -> Iterator[int]:
        nonlocal pulled
        for wait in waits:
            pulled += 1
            assert pulled - consumed <= limit
            yield wait

    async def async_source() -> AsyncIterator[int]:
        for item in source():
            yield item

    async def work(wait: int) -> int:
        for _ in range(wait):
            await anyio.lowlevel.checkpoint()
        return wait

    seen = []
    async with map_concurrent(work, async_source() if lazy else source(), limit=limit, ordered=ordered) as results:
        async for result in results:
            consumed += 1
            seen.append(result)
            for _ in range(reads[consumed % len(reads)]):
                await anyio.lowlevel.checkpoint()
    assert waits == seen if ordered else sorted(waits) == sorted(seen)


async def test_a_slow_consumer_stops_the_intake() -> None:
    """While nobody reads, no more items are pulled than the window holds, from an endless source too."""
    pulled = 0

    def endless() -> Iterator[int]:
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    async with map_concurrent(double, endless(), limit=3) as results:
        await anyio.wait_all_tasks_blocked()
        assert 3 == pulled
        assert 2 == await results.__anext__()
        await anyio.wait_all_tasks_blocked()
        assert 4 == pulled


class Tracked:
    """Work that counts what is running, and finishes its clean-up under a shield."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.running = 0
        self.fails_at = fails_at

    async def __call__(self, number: int) -> int:
        self.running += 1
        try:
            for _ in range(number % 3):
                await anyio.lowlevel.checkpoint()
            if number == self.fails_at:
                raise LookupError(f"item {number}")
            if number % 5 == 4:
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.running -= 1
        return number


@pytest.mark.parametrize("how", ["break", "raise", "cancel"])
@pytest.mark.parametrize("stop_at", [1, 2, 3, 4])
@pytest.mark.parametrize("lazy", [True, False])
async def test_leaving_the_block_leaves_nothing(how: str, stop_at: int, lazy: bool) -> None:
    """However the block is left, at whatever result, what was under way has finished its clean-up."""
    work, closed = Tracked(), False

    async def lazily() -> AsyncIterator[int]:
        nonlocal closed
        try:
            with anyio.CancelScope():  # breaks if it is left in another task, or out of order
                for number in range(100):
                    yield number
        finally:
            closed = True

    def at_once() -> Iterator[int]:
        nonlocal closed
        try:
            yield from range(100)
        finally:
            closed = True

    async def consume() -> None:
        async with map_concurrent(work, lazily() if lazy else at_once(), limit=6) as results:
            count = 0
            async for _ in results:
                count += 1
                if count == stop_at:
                    if how == "raise":
                        raise KeyError("stop")
                    if how == "cancel":
                        scope.cancel()
                        await anyio.lowlevel.checkpoint()
                    break

    async with assert_no_leaks():
        with anyio.CancelScope() as scope:
            if how == "raise":
                with pytest.raises(KeyError, match="stop"):
                    await consume()
            else:
                await consume()
    assert 0 == work.running
    assert closed


async def test_one_failure_is_raised_as_it_is() -> None:
    """The first failure cancels the rest, waits for its clean-up, and is raised unwrapped."""
    work = Tracked(fails_at=2)
    with pytest.raises(LookupError, match="item 2"):
        await map_concurrent(work, range(20), limit=6)
    assert 0 == work.running


async def test_several_failures_are_raised_together() -> None:
    """What else had failed by then, in clean-up too, is in the group."""

    async def fails(number: int) -> int:
        try:
            if number == 1:
                await anyio.lowlevel.checkpoint()
                raise ValueError("one")
            await anyio.sleep_forever()
        finally:
            if number == 0:
                raise KeyError("zero")
        return number

    with pytest.raises(ExceptionGroup) as caught:
        await map_concurrent(fails, range(2))
    assert [ValueError, KeyError] == [type(error) for error in caught.value.exceptions]


async def test_failures_can_be_collected() -> None:
    """With `on_error="collect"` every item has a result, and failures are among them."""

    async def odd(number: int) -> int:
        if number % 2 == 0:
            raise ValueError(str(number))
        return number

    results = await map_concurrent(odd, range(4), on_error="collect")
    assert [0, 1, 2, 3] == [result.index for result in results]
    assert [None, 1, None, 3] == [result.value for result in results]
    assert 1 == results[1].unwrap()
    with pytest.raises(ValueError, match="2"):
        results[2].unwrap()
    assert isinstance(results[0], MapResult)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("on_error", ["raise", "collect"])
async def test_base_exceptions_are_never_wrapped(kind: type[BaseException], on_error: Any) -> None:
    """An interrupt inside an item reaches the caller as it is, after the others' clean-up."""

    async def quits(number: int) -> int:
        await anyio.lowlevel.checkpoint()
        if number == 1:
            raise kind("out")
        await anyio.sleep_forever()
        return number

    with pytest.raises(kind, match="out"):
        await map_concurrent(quits, range(3), on_error=on_error)


async def test_an_error_of_the_source_comes_after_the_results_before_it() -> None:
    """A source that breaks is told, after what it had given."""

    def breaks() -> Iterator[int]:
        yield 1
        raise OSError("source")

    async def breaks_later() -> AsyncIterator[int]:
        yield 1
        raise OSError("source")

    for source in (breaks(), breaks_later()):
        seen: list[int] = []
        with pytest.raises(OSError, match="source"):
            async with map_concurrent(double_later, source) as results:
                async for result in results:
                    seen.append(result)  # what came before the error is the point
        assert [2] == seen


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="caller")


async def test_context_variables_are_isolated() -> None:
    """No item sees what another has set, and neither does the caller."""

    async def sets(number: int) -> str:
        before = VARIABLE.get()
        VARIABLE.set(str(number))
        if number % 2:
            await anyio.lowlevel.checkpoint()
        return before

    assert ["caller"] * 6 == await map_concurrent(sets, range(6), limit=2)
    assert "caller" == VARIABLE.get()


async def test_maps_nest() -> None:
    """A map inside a map works, and its failure is that of the outer item."""

    async def rows(number: int) -> list[int]:
        return await map_concurrent(double_later, range(number), limit=2)

    assert [[], [0], [0, 2]] == await map_concurrent(rows, range(3))


def not_async(number: int) -> int:
    return number


async def test_misuse_is_refused() -> None:
    """What cannot work is refused, and the message says what to do."""
    with pytest.raises(TypeError, match="async function, not 3"):
        map_concurrent(3, [])  # type: ignore[call-overload]  # the mistake
    with pytest.raises(TypeError, match="iterable or async iterable of items, not 3"):
        map_concurrent(double, 3)  # type: ignore[call-overload]  # the mistake
    with pytest.raises(ValueError, match="at least 1, not 0"):
        map_concurrent(double, [], limit=0)
    with pytest.raises(ValueError, match="'raise' or 'collect', not 'skip'"):
        map_concurrent(double, [], on_error="skip")  # type: ignore[call-overload]  # the mistake
    with pytest.raises(TypeError, match="not_async returned 1, which cannot be awaited; make it an async function"):
        await map_concurrent(not_async, [1])  # type: ignore[arg-type]  # the mistake
    results = map_concurrent(double, [1])
    with pytest.raises(RuntimeError, match="async with map_concurrent"):
        async for _ in results:
            pass
    await results
    with pytest.raises(RuntimeError, match="again for another"):
        await results
