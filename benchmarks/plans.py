"""Measure the building and validating of plans and graphs of a thousand nodes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.measure import milliseconds
from benchmarks.section import Section, Table, at_most
from benchmarks.shapes import SHAPES, Shape, layered, with_dependencies
from dagflow import Graph, Node
from dagflow.core.dependencies import Request, plan_dependencies
from dagflow.core.markers import Dep
from dagflow.core.plan import Plan, PlanNode

SIZE, LIMIT = 1_000, 50.0
TEXT = f"""\
Milliseconds for {SIZE:,} nodes, everything made afresh for each repetition: `Plan.build` from its nodes (that of
the loop has an edge back to the start from every tenth node), the plan of a set of dependencies from functions
that nobody has looked at yet, and `Graph(start)` from classes that nobody has looked at yet.
"""


def measure(*, short: bool) -> Section:
    shapes = {name: make(SIZE) for name, make in SHAPES.items()}
    makers: dict[str, Callable[[], Callable[[], object]]] = {
        **{f"Plan.build, {name}": partial(_planning, shape) for name, shape in shapes.items()},
        "Plan.build, loop": partial(_planning, shapes["chain"], back=10),
        "plan of dependencies, layered": _planning_dependencies,
        "Graph(start), two successors each": _building_a_graph,
    }
    rows, verdicts = [], []
    for name, make in makers.items():
        took = milliseconds(make, repeats=3 if short else 7)
        rows.append([name, f"{took:.1f}"])
        verdicts.append(at_most(f"{name}, {SIZE:,} nodes", took, LIMIT, " ms"))
    return Section("Plans", TEXT, [Table(["what", "ms"], rows)], verdicts)


def _planning(shape: Shape, back: int = 0) -> Callable[[], object]:
    followers: list[list[str]] = [[] for _ in shape.sources]
    for number, reads in enumerate(shape.sources):
        for source in reads:
            followers[source].append(f"n{number}")
        if back and number and number % back == 0:
            followers[number].append("n0")
    nodes = [PlanNode(f"n{number}", tuple(names)) for number, names in enumerate(followers)]
    starts = [f"n{number}" for number in shape.levels[0]]
    return lambda: Plan.build(nodes, starts)


def _planning_dependencies() -> Callable[[], object]:
    target = with_dependencies(layered(SIZE), lambda number: "").target
    return lambda: plan_dependencies([Request("", Dep(target), Any)], owner="target")


def _building_a_graph() -> Callable[[], object]:
    """Make classes, the last first, so that each can name the two that may follow it."""
    namespace: dict[str, Any] = {"Node": Node}
    lines = []
    for number in reversed(range(SIZE)):
        follow = [f"N{other}" for other in (number + 1, number + 2) if other < SIZE] or ["None"]
        lines.append(f"class N{number}(Node):\n    count: int")
        lines.append(f"    async def __call__(self) -> {' | '.join(follow)}: raise NotImplementedError")
    exec(compile("\n".join(lines), "<classes>", "exec", dont_inherit=True), namespace)
    return lambda: Graph(namespace["N0"])
