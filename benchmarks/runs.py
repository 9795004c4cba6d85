"""Measure a thousand runs at once of a graph of five nodes that wait, beside anyio code that does the same."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from functools import partial
from typing import Any

import anyio

from benchmarks.measure import seconds_each
from benchmarks.section import Section, Table, at_most
from dagflow import Graph, Node

RUNS, WAIT = 1_000, 0.01
LIMIT = 1.5
Waiting = Callable[[], Awaitable[None]]
Run = Callable[[], Coroutine[Any, Any, None]]
waiting: ContextVar[Waiting] = ContextVar("waiting")
TEXT = f"""\
{RUNS:,} runs at once of five nodes, one after another, each of which waits for {WAIT * 1000:g} ms with
`anyio.sleep`; by hand, five calls that do the same, in as many tasks of one anyio task group. Memory is what
Python has allocated (`tracemalloc`), by run, while every run waits in its first node.
"""


async def sleep() -> None:
    await anyio.sleep(WAIT)


class Fifth(Node):
    count: int

    async def __call__(self) -> None:
        await waiting.get()()


class Fourth(Node):
    count: int

    async def __call__(self) -> Fifth:
        await waiting.get()()
        return Fifth(count=self.count + 1)


class Third(Node):
    count: int

    async def __call__(self) -> Fourth:
        await waiting.get()()
        return Fourth(count=self.count + 1)


class Second(Node):
    count: int

    async def __call__(self) -> Third:
        await waiting.get()()
        return Third(count=self.count + 1)


class First(Node):
    count: int

    async def __call__(self) -> Second:
        await waiting.get()()
        return Second(count=self.count + 1)


GRAPH = Graph(First)


async def with_dagflow() -> None:
    result = await GRAPH.run(First(count=1))
    assert isinstance(result.node, Fifth)
    assert result.node.count == 5


async def step(count: int) -> int:
    await waiting.get()()
    return count + 1


async def by_hand() -> None:
    count = 0
    for _ in range(5):
        count = await step(count)
    assert count == 5


VARIANTS = {"anyio by hand": by_hand, "dagflow": with_dagflow}


def measure(*, short: bool) -> Section:
    rows, verdicts = [], []
    for backend in ("asyncio", "trio"):
        seconds = anyio.run(_medians, 3 if short else 7, backend=backend)
        memory = {name: anyio.run(_memory, run, backend=backend) for name, run in VARIANTS.items()}
        ratio = seconds["dagflow"] / seconds["anyio by hand"]
        verdicts.append(at_most(f"{RUNS:,} runs at once / anyio by hand: {backend}", ratio, LIMIT))
        for name, value in seconds.items():
            of_hand = f"{value / seconds['anyio by hand']:.2f}"
            rows.append([backend, name, f"{value * 1000:.0f}", of_hand, f"{memory[name] / 1024:.1f}"])
    header = ["backend", "code", "ms in all", "ratio", "kB a waiting run"]
    return Section("Runs at once", TEXT, [Table(header, rows)], verdicts)


async def _medians(repeats: int) -> dict[str, float]:
    waiting.set(sleep)
    variants = {name: partial(_at_once, run) for name, run in VARIANTS.items()}
    for call in variants.values():
        await call()
    return await seconds_each(variants, repeats=repeats)


async def _at_once(run: Run) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(RUNS):
            group.start_soon(run)


async def _memory(run: Run) -> float:
    """Give the bytes that a run holds while it waits in its first node."""
    arrived, all_wait = 0, anyio.Event()

    async def wait() -> None:
        nonlocal arrived
        arrived += 1
        if arrived == RUNS:
            all_wait.set()
        await anyio.sleep_forever()

    waiting.set(wait)
    gc.collect()
    tracemalloc.start()
    try:
        async with anyio.create_task_group() as group:
            for _ in range(RUNS):
                group.start_soon(run)
            await all_wait.wait()
            gc.collect()
            held = tracemalloc.get_traced_memory()[0]
            group.cancel_scope.cancel()
    finally:
        tracemalloc.stop()
    return held / RUNS
