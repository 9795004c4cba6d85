"""Measure `resolve_dep` and `Graph.run` on chains, wide and layered dependencies, beside the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from time import perf_counter
from types import ModuleType
from typing import Any

import anyio
import attrs

from benchmarks import by_hand, ours, rivals_hamilton, rivals_langgraph, rivals_pydantic_graph
from benchmarks.measure import Call, seconds_each
from benchmarks.section import FLAT, Point, Section, Table, Verdict, at_most
from benchmarks.shapes import SHAPES, WORKS, Functions, Shape, statement, with_dependencies

RIVALS: tuple[ModuleType, ...] = (rivals_hamilton, rivals_langgraph, rivals_pydantic_graph)
HAND = {"asyncio": "asyncio.TaskGroup by hand", "trio": "trio nursery by hand"}
ANYIO, AWAITS = "anyio task group by hand", "plain awaits by hand"
LEVELS, EAGER, GRAPH = "resolve_dep", "resolve_dep, eager", "graph.run, with events"
VARIANTS = {
    "asyncio": (HAND["asyncio"], LEVELS, EAGER, GRAPH, ANYIO, AWAITS, *(rival.NAME for rival in RIVALS)),
    "trio": (HAND["trio"], LEVELS, EAGER, GRAPH, ANYIO, AWAITS),
}
TEXT = """\
Microseconds a dependency, and in brackets the ratio to the hand-written code: a task group (a nursery on trio)
for each level. Functions and work are the same for every variant of a backend: nothing (no-op), one
`asyncio.sleep(0)` or `trio.lowlevel.checkpoint()` (checkpoint), or 10 ms of `asyncio.sleep` or `trio.sleep`.
Layered is ten levels (five at a size of ten), each node reading two of the level before; hand-written code for
a chain opens a group for each link, and "plain awaits" is the least that any chain can cost. The target is that
of `resolve_dep` with the default schedule. What is planned and compiled once is outside the measurement, ours
and theirs: `resolve_dep` caches the plan of a callable. Rivals run on asyncio, the only loop they know.
"""


@attrs.frozen
class Cell:
    """The medians of one shape, work and backend, in seconds a call."""

    shape: Shape
    work: str
    backend: str
    seconds: Mapping[str, float]

    def microseconds(self, variant: str) -> float:
        return self.seconds[variant] / self.shape.size * 1e6

    def ratio(self, variant: str) -> float:
        return self.seconds[variant] / self.seconds[HAND[self.backend]]

    @property
    def has_target(self) -> bool:
        return self.work != WORKS[2] and (self.shape.name == "chain" or self.shape.size >= 100)


class Measurement:
    """Builds and measures cells, and knows which rivals have become too slow to go on with."""

    def __init__(self, repeats: int, *, patience: float, inner: int) -> None:
        self.repeats = repeats
        self.inner = inner  # nodes that one repetition runs at least
        self.patience = patience  # seconds that one call of a rival may take
        self.given_up: dict[tuple[str, str, str], str] = {}

    async def cell(self, shape: Shape, work: str, backend: str) -> Cell:
        functions = with_dependencies(shape, statement(work, backend))
        variants: dict[str, Call] = {
            HAND[backend]: (by_hand.by_asyncio if backend == "asyncio" else by_hand.by_trio)(functions),
            LEVELS: ours.by_resolving(functions, "levels"),
            EAGER: ours.by_resolving(functions, "eager"),
            GRAPH: ours.by_running_a_graph(functions),
            ANYIO: by_hand.by_anyio(functions),
        }
        if shape.name == "chain":
            variants[AWAITS] = by_hand.by_awaiting(functions)
        for call in variants.values():
            await check(call, functions)
        if backend == "asyncio":
            for rival in RIVALS:
                await self._add_rival(rival, variants, functions, work)
        inner = 1 if work == WORKS[2] else max(1, self.inner // shape.size)
        return Cell(shape, work, backend, await seconds_each(variants, repeats=self.repeats, inner=inner))

    async def _add_rival(self, rival: Any, variants: dict[str, Call], functions: Functions, work: str) -> None:
        shape = functions.shape
        if (rival.NAME, shape.name, work) in self.given_up:
            return
        try:
            call = await rival.build(shape, work)
            await check(call, functions)
            began = perf_counter()
            await call()
            taken = perf_counter() - began
        except (NotImplementedError, RecursionError) as error:
            reason = f"{rival.NAME}, {shape.name} of {shape.size:,}: {type(error).__name__} ({str(error)[:80]})"
        else:
            variants[rival.NAME] = call
            if taken * 10 < self.patience or work == WORKS[2]:
                return
            reason = f"{rival.NAME}, {shape.name}, {work}: at {shape.size:,} it takes {taken:.2f} s"
        self.given_up[rival.NAME, shape.name, work] = reason


async def check(call: Call, functions: Functions) -> None:
    """Call once, to warm up and to see that it gives the right value; some rivals can only count the nodes."""
    value = await call()
    if value not in (functions.expected, functions.shape.size):
        raise AssertionError(f"{functions.shape.name} of {functions.shape.size} gave {value}")


def cases(*, short: bool) -> Iterator[tuple[str, Shape, str]]:
    for name, make in SHAPES.items():
        for size in (10, 100, 1_000) if short else (10, 100, 1_000, 10_000):
            for work in WORKS[:2] if short else WORKS:
                # A chain of sleeps measures nothing but sleep.
                if work == WORKS[2] and (size > 1_000 or (name == "chain" and size > 10)):
                    continue
                yield name, make(size), work


def measure(*, short: bool) -> Section:
    measurement = Measurement(3, patience=0.2, inner=200) if short else Measurement(7, patience=2.0, inner=400)
    cells = [
        anyio.run(measurement.cell, shape, work, backend, backend=backend)
        for _, shape, work in cases(short=short)
        for backend in HAND
    ]
    tables = [table(cells, backend, work) for backend in HAND for work in (WORKS[:2] if short else WORKS)]
    omitted = "".join(f"- {reason}\n" for reason in dict.fromkeys(measurement.given_up.values()))
    patience = f"ten times the size would take it over {measurement.patience:g} s"
    text = f"{TEXT}\nA rival is given up where {patience}, or it fails:\n\n{omitted}"
    return Section("Dependencies", text, tables, [*speed(cells), *flatness(cells)], list(points(cells)))


def table(cells: list[Cell], backend: str, work: str) -> Table:
    variants = VARIANTS[backend]
    rows = []
    for cell in cells:
        if (cell.backend, cell.work) == (backend, work):
            figures = [
                f"{cell.microseconds(v):.2f} ({cell.ratio(v):.2f})" if v in cell.seconds else "-" for v in variants
            ]
            meets = "meets" if cell.ratio(LEVELS) <= 1 else "misses"
            rows.append(
                [cell.shape.name, f"{cell.shape.size:,}", *figures, f"<= 1.00: {meets}" if cell.has_target else "-"]
            )
    return Table(["shape", "nodes", *variants, "target"], rows, f"{backend}, {work}: us a node (ratio)")


def speed(cells: list[Cell]) -> Iterator[Verdict]:
    """One verdict for each shape, work and backend: on the worst size."""
    for backend, hand in HAND.items():
        for shape in SHAPES:
            for work in WORKS[:2]:
                found = [
                    c for c in cells if (c.backend, c.shape.name, c.work) == (backend, shape, work) and c.has_target
                ]
                worst = max(found, key=lambda cell: cell.ratio(LEVELS))
                claim = f"resolve_dep / {hand}: {shape}, {work} (worst at {worst.shape.size:,})"
                yield at_most(claim, worst.ratio(LEVELS), 1.0)


def flatness(cells: list[Cell]) -> Iterator[Verdict]:
    for backend, hand in HAND.items():
        for shape in SHAPES:
            found = [c for c in cells if (c.backend, c.shape.name, c.work) == (backend, shape, "no-op")]
            first, last = found[0], found[-1]
            growth = last.microseconds(LEVELS) / first.microseconds(LEVELS)
            theirs = last.microseconds(hand) / first.microseconds(hand)
            claim = f"cost a node at {last.shape.size:,} / at 10: {shape}, {backend} (by hand {theirs:.2f})"
            yield at_most(claim, growth, FLAT)


def points(cells: list[Cell]) -> Iterator[Point]:
    for cell in cells:
        if (cell.backend, cell.work, cell.shape.size) == ("asyncio", "no-op", 1_000):
            for variant in cell.seconds:
                yield Point(f"{cell.shape.name} of 1,000, no-op", variant, cell.microseconds(variant))
