"""Microseconds an activation costs the schedule alone: no event loop, no bodies.

Every activation is started, asked for its state, and reported as succeeded. `own key` has each node write a state
key of its own, `list` has each append to one list of which a reducer makes a fold; without either, nothing is
written. Layers are 100 wide and every node in them reads two of the layer above, so that a join finds some hundred
writes that only one of its parents has seen: that is the work that `own key` shows there. `list` is measured there
up to 1,000 only: parents that never shared a history have folds in different orders, and joining those takes time
in proportion to their length.
"""

from __future__ import annotations

import argparse
import gc
from collections import deque
from collections.abc import Callable, Mapping
from statistics import median
from time import perf_counter
from typing import Any

from dagflow.core.plan import Plan, PlanNode
from dagflow.core.schedule import Activation, Schedule

SIZES = (10, 100, 1_000, 10_000, 100_000)
Route = Callable[[Activation], tuple[str, ...]]
Writes = Callable[[Activation], Mapping[str, Any] | None]


def chain(size: int) -> Plan:
    return _plan([[number + 1] for number in range(size - 1)] + [[]])


def wide(size: int) -> Plan:
    """One node, all others but one side by side, one join."""
    return _plan([[*range(1, size - 1)], *([size - 1] for _ in range(size - 2)), []])


def layered(size: int) -> Plan:
    width = min(100, size // 5)
    edges: list[list[int]] = []
    for number in range(size):
        below = number - number % width + width
        ends = {below + number % width, below + (number + 1) % width}
        edges.append(sorted(end for end in ends if end < size))
    return _plan(edges, starts=width)


def diamonds(size: int) -> Plan:
    """A chain of fork, two branches, join; each join is the next fork."""
    edges: list[list[int]] = []
    for number in range(size):
        ends = ([number + 1, number + 2], [number + 2], [number + 1])[number % 3]
        edges.append([end for end in ends if end < size])
    return _plan(edges)


def loop(size: int) -> Plan:
    """Five nodes: a head forks to two branches, which meet at a node that leads back to the head."""
    return _plan([[1], [2, 3], [4], [4], [1]])


def _plan(edges: list[list[int]], starts: int = 1) -> Plan:
    nodes = [PlanNode(f"n{number}", [f"n{end}" for end in ends]) for number, ends in enumerate(edges)]
    return Plan.build(nodes, [f"n{number}" for number in range(starts)], reducers=("list",))


SHAPES = {"chain": chain, "wide": wide, "layered": layered, "diamonds": diamonds, "loop": loop}
WRITES: dict[str, Writes | None] = {
    "nothing": None,
    "own key": lambda activation: {activation.node: activation.k},
    "list": lambda activation: {"list": 1},
}


def microseconds(plan: Plan, size: int, writes: Writes | None) -> float:
    """Run a plan once, for `size` activations at most, and return the microseconds that each took."""
    successors = {node.name: node.successors for node in plan.nodes}
    gc.collect()
    gc.freeze()
    try:
        began = perf_counter()
        # Appending copies the list; counting shows what the schedule itself costs.
        schedule = Schedule(plan, reducers={"list": int.__add__})
        ready = deque(schedule.start())
        started = len(ready)
        while ready:
            activation = ready.popleft()
            schedule.view(activation)
            targets = successors[activation.node] if started < size else ()
            begun = schedule.succeeded(activation, targets, writes(activation) if writes else None)
            started += len(begun)
            ready.extend(begun)
        schedule.final_state()
        return (perf_counter() - began) / started * 1e6
    finally:
        gc.unfreeze()


def measure(*, short: bool = False) -> list[dict[str, Any]]:
    """Give a row for each shape, size and kind of writes, with the median microseconds an activation."""
    rows: list[dict[str, Any]] = []
    for shape, make in SHAPES.items():
        for size in SIZES[:3] if short else SIZES:
            plan = make(size)
            for kind, writes in WRITES.items():
                if (shape, kind) == ("layered", "list") and size > 1_000:
                    continue
                times = [microseconds(plan, size, writes) for _ in range(3 if short else 7)]
                rows.append({"shape": shape, "writes": kind, "size": size, "microseconds": median(times)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedule_cost", description=__doc__)
    parser.add_argument("--short", action="store_true", help="medians of 3, up to 1,000 activations")
    print(f"{'shape':10} {'writes':10} {'size':>8} {'us':>8}")
    for row in measure(short=parser.parse_args().short):
        print(f"{row['shape']:10} {row['writes']:10} {row['size']:8,} {row['microseconds']:8.2f}")


if __name__ == "__main__":
    main()
