"""Microseconds an item that `map_concurrent` costs, beside a hand-written worker pool, and what memory it takes.

The pool is what one would write with two memory object streams: a task that feeds the items, `limit` workers, and
results as they finish, without order, isolation of context variables or a bound on finished results other than the
stream's buffer; its errors come in groups. `at once` is an item that never suspends, `once` one that suspends a
single time, and `slow reader` has the reader suspend after each result. Memory is by how much the resident memory
of the process exceeded, at a hundred samples of a run, what it was before: flat means that it does not grow with
the number of items.
"""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import anyio
import psutil
from anyio.abc import ObjectReceiveStream, ObjectSendStream
from anyio.lowlevel import checkpoint

from benchmarks.measure import without_old_garbage
from dagflow import map_concurrent

LIMIT = 100
BACKENDS = ("asyncio", "trio")
Work = Callable[[int], Awaitable[int]]


async def at_once(item: int) -> int:
    return item


async def once(item: int) -> int:
    await checkpoint()
    return item


async def lazily(count: int) -> AsyncIterator[int]:
    for item in range(count):
        yield item


async def pool(fn: Work, count: int, *, limit: int = LIMIT) -> None:
    """Feed, work and read in tasks of one group, as one would by hand."""
    to_do, items = anyio.create_memory_object_stream[int](limit)
    done, results = anyio.create_memory_object_stream[int](limit)

    async def feed() -> None:
        async with to_do:
            for item in range(count):
                await to_do.send(item)

    async def work(mine: ObjectReceiveStream[int], out: ObjectSendStream[int]) -> None:
        async with mine, out:
            async for item in mine:
                await out.send(await fn(item))

    async with anyio.create_task_group() as group:
        group.start_soon(feed)
        for _ in range(limit):
            group.start_soon(work, items.clone(), done.clone())
        items.close()
        done.close()
        async with results:
            async for _ in results:
                pass


async def ours(
    fn: Work, count: int, *, source: Callable[[int], Any] = range, slow: bool = False, **options: Any
) -> None:
    async with map_concurrent(fn, source(count), limit=LIMIT, **options) as results:
        async for _ in results:
            if slow:
                await checkpoint()


VARIANTS: dict[str, Callable[[Work, int], Awaitable[None]]] = {
    "worker pool by hand": pool,
    "map_concurrent": ours,
    "map_concurrent, unordered": partial(ours, ordered=False),
    "map_concurrent, collecting": partial(ours, on_error="collect"),
    "map_concurrent, async source": partial(ours, source=lazily),
    "map_concurrent, slow reader": partial(ours, slow=True),
}
OURS = "map_concurrent"
"""The variant that is measured at three sizes; the others take the middle one."""


async def measured(variant: str, fn: Work, count: int, repeats: int = 1) -> tuple[float, float]:
    """Give the median microseconds an item, and the kilobytes of additional resident memory of one more run."""
    process = psutil.Process()
    sampled = max(1, count // 100)
    with without_old_garbage():
        before = most = process.memory_info().rss

        async def sampling(item: int) -> int:
            nonlocal most
            if item % sampled == 0:
                most = max(most, process.memory_info().rss)
            return await fn(item)

        times = []
        for _ in range(repeats):
            began = perf_counter()
            await VARIANTS[variant](fn, count)
            times.append(perf_counter() - began)
        await VARIANTS[variant](sampling, count)
    return median(times) / count * 1e6, (most - before) / 1024


async def rows_of(backend: str, items: int, repeats: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    small, middle = items // 100, items // 10
    for fn in (at_once, once):
        await measured(OURS, fn, small)  # the first run of a process pays for what all use
        for variant in VARIANTS:
            for count in (small, middle, items) if variant == OURS else (middle,):
                microseconds, kilobytes = await measured(variant, fn, count, repeats)
                rows.append(
                    {
                        "backend": backend,
                        "item": fn.__name__.replace("_", " "),
                        "variant": variant,
                        "items": count,
                        "microseconds": microseconds,
                        "kB more": kilobytes,
                    }
                )
    return rows


def measure(items: int = 1_000_000, *, repeats: int = 1, short: bool = False) -> list[dict[str, Any]]:
    """Give a row for each backend, kind of item, variant and size; `short` takes 20,000 items at most, once."""
    if short:
        items, repeats = 20_000, 1
    return [row for backend in BACKENDS for row in anyio.run(rows_of, backend, items, repeats, backend=backend)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout_cost", description=__doc__)
    parser.add_argument("--short", action="store_true", help="20,000 items instead of 1,000,000")
    print(f"{'backend':8} {'item':8} {'variant':30} {'items':>10} {'us an item':>11} {'kB more':>9}")
    for row in measure(short=parser.parse_args().short):
        print(
            f"{row['backend']:8} {row['item']:8} {row['variant']:30} {row['items']:10,} "
            f"{row['microseconds']:11.2f} {row['kB more']:9,.0f}"
        )


if __name__ == "__main__":
    main()
