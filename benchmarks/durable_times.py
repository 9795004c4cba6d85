"""Microseconds a node of durable runs: 1,000 nodes one after another, and 100 at once."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import anyio
import attrs

from benchmarks import durable_langgraph as langgraph
from benchmarks import durable_work as ours
from benchmarks import rivals_pydantic_graph, shapes
from benchmarks.measure import Call, without_old_garbage
from benchmarks.section import Table, Verdict, at_most

OURS = "dagflow"
LIMIT = 0.2
ON_DISK, ON_TMPFS, IN_MEMORY, ON_REDIS, NONE = "SQLite", "SQLite on tmpfs", "memory", "Redis", "none"
JUDGED = (ON_DISK, IN_MEMORY)


@attrs.frozen
class Variant:
    engine: str
    store: str
    durability: str
    backend: str


Prepared = Callable[[], AbstractAsyncContextManager[Call]]
Seconds = Mapping[Variant, float]


@attrs.frozen
class Places:
    """Where things are kept: a folder on a disk, one in memory if there is one, and a Redis server's URL if any."""

    disk: Path
    tmpfs: Path | None
    redis: str | None

    def of_ours(self) -> list[ours.Place]:
        found = [
            ours.Place(NONE, "sync", ours.no_store),
            ours.Place(IN_MEMORY, "sync", ours.memory),
            ours.Place(ON_DISK, "sync", partial(ours.sqlite, self.disk)),
            ours.Place(ON_DISK, "async", partial(ours.sqlite, self.disk)),
        ]
        if self.tmpfs is not None:
            found.append(ours.Place(ON_TMPFS, "sync", partial(ours.sqlite, self.tmpfs)))
        if self.redis is not None:
            found.append(ours.Place(ON_REDIS, "sync", partial(ours.redis, self.redis)))
        return found

    def opens_saver(self, store: str) -> langgraph.Opened | None:
        if store == ON_REDIS:
            return None  # its saver for Redis needs a server with modules
        folder = {ON_DISK: self.disk, ON_TMPFS: self.tmpfs}.get(store)
        if folder is not None:
            return partial(langgraph.new_sqlite, folder)
        return langgraph.memory if store == IN_MEMORY else langgraph.no_saver


def measure(places: Places, *, turns: int, width: int, repeats: int) -> tuple[list[Table], list[Verdict]]:
    fan_of_third: Call = anyio.run(rivals_pydantic_graph.build, shapes.wide(width), "no-op")
    loop = (ours.loop(turns), langgraph.loop(turns, ours.TEXT), rivals_pydantic_graph.loop(turns))
    fan = (ours.wide(width), langgraph.wide(width, ours.TEXT), fan_of_third)
    tables, verdicts = [], []
    for title, size, works in ((f"{turns:,} one after another", turns, loop), (f"{width} at once", width, fan)):
        seconds = medians(prepared(places, *works), size, repeats)
        tables.append(table(title, seconds, size))
        verdicts += judge(title, seconds)
    return tables, verdicts


def prepared(places: Places, work: ours.Work, rival: langgraph.Work, third: Call) -> dict[Variant, Prepared]:
    found: dict[Variant, Prepared] = {}
    for place in places.of_ours():
        durability = "-" if place.store == NONE else place.durability
        for backend in ("asyncio", "trio"):
            found[Variant(OURS, place.store, durability, backend)] = partial(place.prepare, work)
        opened = places.opens_saver(place.store)
        if opened is not None:
            theirs = partial(langgraph.prepare, rival, opened, place.durability)
            found[Variant(langgraph.NAME, place.store, durability, "asyncio")] = theirs
    found[Variant(rivals_pydantic_graph.NAME, NONE, "-", "asyncio")] = partial(as_it_is, third)
    return found


@asynccontextmanager
async def as_it_is(call: Call) -> AsyncIterator[Call]:
    yield call


def medians(variants: Mapping[Variant, Prepared], size: int, repeats: int) -> Seconds:
    """Each round runs every variant once, on its backend and with a new store."""
    taken: dict[Variant, list[float]] = {variant: [] for variant in variants}
    with without_old_garbage():
        for _ in range(repeats):
            for backend in ("asyncio", "trio"):
                here = {variant: prepare for variant, prepare in variants.items() if variant.backend == backend}
                for variant, seconds in anyio.run(one_round, here, size, backend=backend).items():
                    taken[variant].append(seconds)
    return {variant: median(times) for variant, times in taken.items()}


async def one_round(variants: Mapping[Variant, Prepared], size: int) -> Seconds:
    taken = {}
    for variant, prepare in variants.items():
        async with prepare() as call:
            gc.collect()
            began = perf_counter()
            count = await call()
            taken[variant] = perf_counter() - began
        if count != size:
            raise AssertionError(f"{variant} ran {count} nodes instead of {size}")
    return taken


def of_langgraph(variant: Variant) -> Variant:
    return attrs.evolve(variant, engine=langgraph.NAME, backend="asyncio")


def table(title: str, seconds: Seconds, size: int) -> Table:
    rows = []
    for variant, value in sorted(seconds.items(), key=lambda item: attrs.astuple(item[0])[1:3]):
        rival = seconds.get(of_langgraph(variant)) if variant.engine == OURS else None
        ratio = "-" if rival is None else f"{value / rival:.3f}"
        rows.append([*attrs.astuple(variant), f"{value / size * 1e6:,.0f}", ratio])
    header = ["engine", "store", "durability", "backend", "us a node", f"ratio to {langgraph.NAME}"]
    return Table(header, rows, title)


def judge(title: str, seconds: Seconds) -> list[Verdict]:
    verdicts = []
    for variant, value in seconds.items():
        rival = seconds.get(of_langgraph(variant))
        if variant.engine == OURS and variant.store in JUDGED and rival is not None:
            claim = f"a durable node / {langgraph.NAME}, {title}: {variant.store}, {variant.durability}"
            verdicts.append(at_most(f"{claim}, {variant.backend}", value / rival, LIMIT))
    return verdicts
