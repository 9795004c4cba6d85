"""What a `map_concurrent` pulls, when, in which context and by how many tasks, and what it keeps in memory."""

from __future__ import annotations

import gc
import io
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagflow import map_concurrent
from dagflow.testing import virtual_backend

in_virtual_time = pytest.mark.parametrize(
    "anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")], ids=["asyncio", "trio"]
)
"""On asyncio, `wait_all_tasks_blocked` takes a tenth of a second of real time."""

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="entry")


async def echo(item: int) -> int:
    return item


async def echo_later(item: int) -> int:
    await anyio.lowlevel.checkpoint()
    return item


async def lazily(count: int) -> AsyncIterator[int]:
    for item in range(count):
        yield item


class Counted:
    """An iterator that counts what is pulled from it."""

    def __init__(self) -> None:
        self.pulled = 0

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.pulled += 1
        return self.pulled - 1


class CountedLazily(Counted):
    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        return next(self)


@in_virtual_time
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(limit=st.integers(1, 6), suspends=st.lists(st.booleans(), min_size=1, max_size=8), random=st.random_module())
@pytest.mark.parametrize("source", [Counted, CountedLazily])
async def test_the_intake_is_exactly_the_window(
    source: Callable[[], Any], limit: int, suspends: list[bool], random: object
) -> None:
    """After each result, exactly `limit` more items are pulled than were consumed: no more, and no fewer."""
    items = source()

    async def work(item: int) -> int:
        if suspends[item % len(suspends)]:
            await anyio.lowlevel.checkpoint()
        return item

    async with map_concurrent(work, items, limit=limit) as results:
        await anyio.wait_all_tasks_blocked()
        assert limit == items.pulled
        for consumed in range(1, 10):
            assert consumed - 1 == await results.__anext__()
            await anyio.wait_all_tasks_blocked()
            assert limit + consumed == items.pulled


@pytest.mark.parametrize("source", [Counted, CountedLazily])
async def test_a_slow_first_item_stops_an_ordered_intake(source: Callable[[], Any]) -> None:
    """While the first item runs, an ordered map pulls no more than `limit` items, however fast the others are."""
    items, release = source(), anyio.Event()

    async def work(item: int) -> int:
        if item == 0:
            await release.wait()
        return item

    async with map_concurrent(work, items, limit=5) as results:
        await anyio.wait_all_tasks_blocked()
        assert 5 == items.pulled
        release.set()
        assert [0, 1, 2] == [await results.__anext__() for _ in range(3)]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("fn", [echo, echo_later])
@pytest.mark.parametrize("source", [range, lazily])
async def test_tasks_are_bounded(source: Callable[[int], Any], fn: Any, ordered: bool) -> None:
    """A map has at most `limit` workers and one feeder; one worker is enough for items that never suspend."""
    before, seen = len(anyio.get_running_tasks()), 0
    async with map_concurrent(fn, source(100), limit=4, ordered=ordered) as results:
        async for _ in results:
            await anyio.lowlevel.checkpoint()
            seen = max(seen, len(anyio.get_running_tasks()) - before)
    feeder = source is lazily
    assert seen <= feeder + (4 if fn is echo_later else 1)


@pytest.mark.one_backend("only trio tells how often tasks are scheduled")
@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.parametrize("fn", [echo, echo_later])
async def test_a_slow_consumer_wakes_one_worker_for_a_result(fn: Any) -> None:
    """A place that becomes free wakes no more tasks in a large window than in a small one."""
    import trio

    class Steps(trio.abc.Instrument):
        taken = 0

        def before_task_step(self, task: trio.lowlevel.Task) -> None:
            self.taken += 1

    async def steps_for(limit: int) -> int:
        async with map_concurrent(fn, Counted(), limit=limit) as results:
            for _ in range(2 * limit):  # until every worker has been spawned that ever will be
                await results.__anext__()
            await anyio.wait_all_tasks_blocked()
            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            try:
                for _ in range(20):
                    await results.__anext__()
                    await anyio.wait_all_tasks_blocked()
            finally:
                trio.lowlevel.remove_instrument(steps)
        return steps.taken

    few, many = await steps_for(2), await steps_for(60)
    assert many <= few + 20


async def test_items_see_the_variables_of_the_entry() -> None:
    """What the consumer sets later in the block is not seen by the items, nor by the source."""
    seen_by_source = []

    def source() -> Iterator[int]:
        for item in range(6):
            seen_by_source.append(VARIABLE.get())
            yield item

    async def read(item: int) -> str:
        return VARIABLE.get()

    seen = []
    async with map_concurrent(read, source(), limit=2) as results:
        async for value in results:
            seen.append(value)
            VARIABLE.set("consumer")
    assert ["entry"] * 6 == seen == seen_by_source


@pytest.mark.parametrize("lazy", [True, False])
async def test_a_generator_keeps_its_variables(lazy: bool) -> None:
    """What a source sets it sees again at the next item and in its clean-up, and no item sees it."""
    seen_by_source, seen_by_items = [], set()

    def source() -> Iterator[int]:
        try:
            for item in range(1, 6):
                VARIABLE.set(f"source {item}")
                yield item
                seen_by_source.append(VARIABLE.get())
        finally:
            seen_by_source.append(VARIABLE.get())

    async def later() -> AsyncIterator[int]:
        for item in source():
            yield item

    async def work(item: int) -> None:
        seen_by_items.add(VARIABLE.get())
        await anyio.lowlevel.checkpoint()
        VARIABLE.set("item")

    await map_concurrent(work, later() if lazy else source(), limit=3)
    assert [*(f"source {item}" for item in range(1, 6)), "source 5"] == seen_by_source
    assert {"entry"} == seen_by_items


async def test_what_is_no_generator_is_not_closed() -> None:
    """A file or stream that the caller owns stays open, as after a `for` loop."""
    file = io.StringIO("1\n2\n3\n")
    sender, receiver = anyio.create_memory_object_stream[int](1)

    async def strip(line: str) -> str:
        return line.strip()

    with sender, receiver:
        async with map_concurrent(strip, file, limit=1) as lines:
            assert "1" == await lines.__anext__()
        assert not file.closed
        sender.send_nowait(1)
        async with map_concurrent(echo, receiver) as results:
            assert 1 == await results.__anext__()
        assert 1 == sender.statistics().open_receive_streams


class Generates:
    """An iterable whose iterators are generators."""

    closed = False

    def __iter__(self) -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            self.closed = True


async def test_a_generator_behind_an_iterable_is_closed() -> None:
    """The generator that an iterable makes for the map is closed with it."""
    items = Generates()
    async with map_concurrent(echo, items, limit=2) as results:
        assert 0 == await results.__anext__()
    assert items.closed


async def test_a_generator_may_await_in_its_clean_up() -> None:
    """An async generator is closed under a shield, with everything that its clean-up awaits."""
    steps = []

    async def source() -> AsyncIterator[int]:
        try:
            while True:
                yield 0
        finally:
            steps.append("begun")
            await anyio.lowlevel.checkpoint()
            steps.append("done")

    with anyio.CancelScope() as scope:
        async with map_concurrent(echo, source(), limit=2) as results:
            await results.__anext__()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
    assert ["begun", "done"] == steps


@in_virtual_time
async def test_the_clean_up_of_a_generator_is_bounded(anyio_backend: object) -> None:
    """A generator that never finishes its clean-up is cancelled in it after 5 seconds."""

    async def source() -> AsyncIterator[int]:
        try:
            while True:
                yield 0
        finally:
            await anyio.sleep_forever()

    async with map_concurrent(echo, source(), limit=1):
        await anyio.wait_all_tasks_blocked()
        began = anyio.current_time()
    assert 5 == pytest.approx(anyio.current_time() - began)


@pytest.mark.parametrize("close", ["sync", "async"])
async def test_a_generator_that_fails_to_close_is_told(close: Literal["sync", "async"]) -> None:
    """An exception in the clean-up of a source is raised when the block is left."""

    def source() -> Iterator[int]:
        try:
            yield 0
            yield 1
        finally:
            raise LookupError("closing")

    async def later() -> AsyncIterator[int]:
        try:
            yield 0
            yield 1
        finally:
            raise LookupError("closing")

    with pytest.raises(LookupError, match="closing"):
        async with map_concurrent(echo, source() if close == "sync" else later(), limit=1) as results:
            await results.__anext__()


async def test_a_map_may_be_the_source_of_another() -> None:
    """Maps in a chain pass items on as they come, and each holds no more than its window."""
    items = Counted()
    async with (
        map_concurrent(echo_later, items, limit=3) as first,
        map_concurrent(echo_later, first, limit=2) as second,
    ):
        assert [0, 1, 2] == [await second.__anext__() for _ in range(3)]
        await anyio.wait_all_tasks_blocked()
        assert 3 + 2 + 3 == items.pulled


async def peak(fn: Any, source: Callable[[int], Any], count: int, ordered: bool) -> int:
    """The most bytes that Python held during a map."""
    gc.collect()
    tracemalloc.start()
    try:
        async with map_concurrent(fn, source(count), limit=20, ordered=ordered, on_error="collect") as results:
            async for _ in results:
                pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("fn", [echo, echo_later])
@pytest.mark.parametrize("source", [range, lazily])
async def test_memory_does_not_grow_with_the_items(source: Callable[[int], Any], fn: Any, ordered: bool) -> None:
    """A hundred times as many items need no more memory."""
    await peak(fn, source, 500, ordered)
    few = await peak(fn, source, 500, ordered)
    many = await peak(fn, source, 50_000 if fn is echo else 10_000, ordered)
    assert many < few + 50_000
