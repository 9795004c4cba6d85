"""Measure a typed graph that loops, with its events recorded, beside the engines that can loop."""

from __future__ import annotations

import anyio

from benchmarks import ours, rivals_langgraph, rivals_pydantic_graph
from benchmarks.measure import Call, seconds_each
from benchmarks.section import Point, Section, Table, at_most

TURNS = 1_000
TEXT = f"""\
A node that follows itself {TURNS:,} times and adds one to a count: microseconds a turn. Ours records the events of
every turn; LangGraph has no checkpointer and pydantic-graph keeps nothing. The rivals run on asyncio, and our time
on trio is compared with theirs on asyncio.
"""
OURS = "dagflow"


def measure(*, short: bool) -> Section:
    repeats = 3 if short else 7
    seconds = {backend: anyio.run(_medians, backend, repeats, backend=backend) for backend in ("asyncio", "trio")}
    rivals = {name: value for name, value in seconds["asyncio"].items() if name != OURS}
    limits = {rivals_pydantic_graph.NAME: 0.2, rivals_langgraph.NAME: 0.1}
    rows = [[name, "asyncio", f"{value / TURNS * 1e6:.1f}", "-", "-"] for name, value in rivals.items()]
    verdicts = []
    for backend, found in seconds.items():
        ratios = [f"{found[OURS] / rivals[name]:.3f}" for name in limits]
        rows.append([OURS, backend, f"{found[OURS] / TURNS * 1e6:.1f}", *ratios])
        for name, limit in limits.items():
            verdicts.append(at_most(f"a turn of a loop / {name}: {backend}", found[OURS] / rivals[name], limit))
    points = [Point("loop of 1,000", name, value / TURNS * 1e6) for name, value in seconds["asyncio"].items()]
    header = ["engine", "backend", "us a turn", *(f"ratio to {name}" for name in limits)]
    return Section("Loops", TEXT, [Table(header, rows)], verdicts, points)


async def _medians(backend: str, repeats: int) -> dict[str, float]:
    variants: dict[str, Call] = {OURS: ours.loop(TURNS)}
    if backend == "asyncio":
        variants[rivals_pydantic_graph.NAME] = rivals_pydantic_graph.loop(TURNS)
        variants[rivals_langgraph.NAME] = rivals_langgraph.loop(TURNS)
    for name, call in variants.items():
        if await call() != TURNS:
            raise AssertionError(f"{name} did not loop {TURNS} times")
    return await seconds_each(variants, repeats=repeats)
