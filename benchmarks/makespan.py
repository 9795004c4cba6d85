"""Compare the makespan of eager scheduling under virtual time with the critical path: no clock is read."""

from __future__ import annotations

from random import Random
from typing import Literal

import anyio
import trio.testing

from benchmarks.section import Section, Table, Verdict
from benchmarks.shapes import Functions, Shape, scattered, with_dependencies
from dagflow import resolve_dep

TEXT = """\
Random graphs of 5 to 40 dependencies, each of which reads up to three others and sleeps for a random number of
1/64 s (sums of which are exact), on a virtual clock. The critical path is worked out by hand.
"""


def measure(*, short: bool) -> Section:
    graphs = 10 if short else 100
    equal, ratios = 0, []
    for seed in range(graphs):
        random = Random(seed)
        shape = scattered(random.randint(5, 40), random)
        weights = [random.randint(0, 64) / 64 for _ in range(shape.size)]
        functions = with_dependencies(
            shape, lambda number, weights=weights: f"await anyio.sleep({weights[number]!r})"
        )
        shortest = critical_path(shape, weights)
        equal += makespan(functions, "eager") == shortest
        ratios.append(makespan(functions, "levels") / shortest)
    rows = [
        ["eager", f"{equal} of {graphs} equal to the critical path"],
        ["levels", f"{sum(ratios) / graphs:.2f} times the critical path on average, at most {max(ratios):.2f}"],
    ]
    verdict = Verdict(
        "makespan of eager scheduling",
        f"{equal} of {graphs} graphs equal",
        "all equal to the critical path",
        equal == graphs,
    )
    return Section("Makespan", TEXT, [Table(["schedule", "makespan"], rows)], [verdict])


def critical_path(shape: Shape, weights: list[float]) -> float:
    ends: list[float] = []
    for number, reads in enumerate(shape.sources):
        ends.append(weights[number] + max((ends[source] for source in reads), default=0.0))
    return max(ends)


def makespan(functions: Functions, schedule: Literal["levels", "eager"]) -> float:
    async def run() -> float:
        began = anyio.current_time()
        assert functions.expected == await resolve_dep(functions.target, schedule=schedule)
        return anyio.current_time() - began

    clock = trio.testing.MockClock(autojump_threshold=0)
    return anyio.run(run, backend="trio", backend_options={"clock": clock})
