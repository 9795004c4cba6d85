"""Microseconds an item that `map_concurrent` costs, beside a hand-written worker pool, and the most it holds.

The pool is what one would write with two memory object streams: a task that feeds the items, `limit` workers, and
results as they finish, without order, isolation of context variables or a bound on finished results other than the
stream's buffer; its errors come in groups. `at once` is an item that never suspends, `once` one that suspends a
single time, and `slow reader` has the consumer suspend after each result. Memory is the peak of what Python holds
(`tracemalloc`) over the run of a map, at three numbers of items; its time is not measured in the same run.
"""

from __future__ import annotations

import argparse
import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any

import anyio
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
FULL = "map_concurrent"
"""The variant that is measured with all the items, and for memory; the others take 100,000 at most."""


async def microseconds(variant: str, fn: Work, count: int, repeats: int) -> float:
    """Give the median microseconds an item."""
    times = []
    for _ in range(repeats):
        with without_old_garbage():
            began = perf_counter()
            await VARIANTS[variant](fn, count)
            times.append((perf_counter() - began) / count * 1e6)
    return median(times)


async def peak_kilobytes(variant: str, fn: Work, count: int) -> float:
    """Give the peak of what Python held during a run, above what it held before."""
    gc.collect()
    tracemalloc.start()
    try:
        await VARIANTS[variant](fn, count)
        return tracemalloc.get_traced_memory()[1] / 1024
    finally:
        tracemalloc.stop()


async def rows_of(backend: str, items: int, repeats: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for fn in (at_once, once):
        for variant in VARIANTS:
            count = items if variant == FULL else min(items, 100_000)
            row: dict[str, Any] = {
                "backend": backend,
                "item": fn.__name__.replace("_", " "),
                "variant": variant,
                "items": count,
                "microseconds": await microseconds(variant, fn, count, 1 if count >= 1_000_000 else repeats),
            }
            if variant == FULL:
                for size in (items // 100, items // 10, items):
                    row[f"peak kB at {size:,}"] = await peak_kilobytes(variant, fn, size)
            rows.append(row)
    return rows


def measure(items: int = 1_000_000, *, repeats: int = 3, short: bool = False) -> list[dict[str, Any]]:
    """Give a row for each backend, kind of item and variant; `short` takes 20,000 items, once."""
    if short:
        items, repeats = 20_000, 1
    return [row for backend in BACKENDS for row in anyio.run(rows_of, backend, items, repeats, backend=backend)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fanout_cost", description=__doc__)
    parser.add_argument("--short", action="store_true", help="20,000 items instead of 1,000,000, once")
    print(f"{'backend':8} {'item':8} {'variant':30} {'items':>10} {'us an item':>10}  peak kB")
    for row in measure(short=parser.parse_args().short):
        peaks = "  ".join(f"{value:,.0f} ({name.split()[-1]})" for name, value in row.items() if "peak" in name)
        print(
            f"{row['backend']:8} {row['item']:8} {row['variant']:30} {row['items']:10,} "
            f"{row['microseconds']:10.2f}  {peaks}"
        )


if __name__ == "__main__":
    main()
