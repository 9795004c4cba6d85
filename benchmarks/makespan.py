"""Compare the makespan of eager scheduling under virtual time with the critical path: no clock is read."""

from __future__ import annotations

from random import Random
from typing import Literal

import anyio

from benchmarks.section import Section, Table, Verdict
from benchmarks.shapes import Functions, Shape, scattered, with_dependencies
from dagflow import resolve_dep
from dagflow.testing.clock import run_virtual

BACKENDS = ("asyncio", "trio")
TEXT = """\
Random graphs of 5 to 40 dependencies, each of which reads up to three others and sleeps for a random number of
1/64 s (sums of which are exact), on the virtual clocks of both backends. The critical path is worked out by hand.
"""


def measure(*, short: bool) -> Section:
    graphs = 10 if short else 100
    equal, ratios = 0, []
    total = graphs * len(BACKENDS)
    for seed in range(graphs):
        random = Random(seed)
        shape = scattered(random.randint(5, 40), random)
        weights = [random.randint(0, 64) / 64 for _ in range(shape.size)]
        statements = [f"await anyio.sleep({weight!r})" for weight in weights]
        functions = with_dependencies(shape, statements.__getitem__)
        shortest = critical_path(shape, weights)
        for backend in BACKENDS:
            equal += makespan(functions, "eager", backend) == shortest
            ratios.append(makespan(functions, "levels", backend) / shortest)
    rows = [
        ["eager", f"{equal} of {total} equal to the critical path"],
        ["levels", f"{sum(ratios) / total:.2f} times the critical path on average, at most {max(ratios):.2f}"],
    ]
    verdict = Verdict(
        "makespan of eager scheduling",
        f"{equal} of {total} runs equal",
        "all equal to the critical path",
        equal == total,
    )
    return Section("Makespan", TEXT, [Table(["schedule", "makespan"], rows)], [verdict])


def critical_path(shape: Shape, weights: list[float]) -> float:
    ends: list[float] = []
    for number, reads in enumerate(shape.sources):
        ends.append(weights[number] + max((ends[source] for source in reads), default=0.0))
    return max(ends)


def makespan(functions: Functions, schedule: Literal["levels", "eager"], backend: str) -> float:
    async def run() -> float:
        began = anyio.current_time()
        if await resolve_dep(functions.target, schedule=schedule) != functions.expected:
            raise AssertionError(f"{schedule} on {backend} gave a wrong value")
        return anyio.current_time() - began

    return run_virtual(run, backend=backend)
