"""Random graphs and behaviours, run by the schedule and by the reference in the same random order."""

from __future__ import annotations

import operator
import os
import random
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import attrs

import dagflow.core.plan
import dagflow.core.schedule
from dagflow.errors import GraphError, StateConflict
from schedule.reference import Act, Reference

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
"""How many times as many graphs as an ordinary test run."""


@attrs.frozen
class Case:
    """A graph and how its nodes behave, all of which follows from the seed and the shape."""

    seed: int
    edges: dict[str, list[str]]
    starts: list[str]
    each: frozenset[str]

    def choice(self, identity: str, what: str) -> random.Random:
        return random.Random(f"{self.seed} {identity} {what}")

    def targets(self, node: str, k: int) -> list[str]:
        generator = self.choice(f"{node}#{k}", "targets")
        options = self.edges[node]
        if k > 3:  # every loop comes to an end
            options = [m for m in options if not self._returns(m, node)]
        if generator.random() < 0.5:
            return list(options)
        return [m for m in options if generator.random() < 0.6]

    def _returns(self, start: str, node: str) -> bool:
        found, pending = {start}, [start]
        while pending:
            for m in self.edges[pending.pop()]:
                if m not in found:
                    found.add(m)
                    pending.append(m)
        return node in found

    def writes(self, node: str, k: int) -> dict[str, Any]:
        generator = self.choice(f"{node}#{k}", "writes")
        found: dict[str, Any] = {}
        if generator.random() < 0.6:
            found["log"] = [f"{node}#{k}"]
        if generator.random() < 0.3:
            found["own " + node] = k
        if generator.random() < 0.08:
            found["shared"] = f"{node}#{k}"
        return found

    def interrupts(self, node: str, k: int) -> bool:
        return self.choice(f"{node}#{k}", "interrupts").random() < 0.1


def acyclic(generator: random.Random) -> dict[str, list[str]]:
    size = generator.randint(1, 8)
    names = [f"n{i}" for i in range(size)]
    return {n: [m for m in names[i + 1 :] if generator.random() < 0.4] for i, n in enumerate(names)}


def cyclic(generator: random.Random) -> dict[str, list[str]]:
    size = generator.randint(1, 6)
    names = [f"n{i}" for i in range(size)]
    return {n: [m for m in names if generator.random() < 0.3] for n in names}


def many_tokens(generator: random.Random) -> dict[str, list[str]]:
    """One loop through a hub that several branches of it fork and come back to."""
    size = generator.randint(2, 5)
    names = [f"n{i}" for i in range(size)]
    edges = {"hub": list(names)}
    for i, name in enumerate(names):
        edges[name] = [m for m in [*names[i + 1 :], "hub", "out"] if generator.random() < 0.5]
    return {**edges, "out": []}


def blocks(generator: random.Random) -> dict[str, list[str]]:
    """Nested sequences, forks and loops, as people draw them."""
    edges: dict[str, list[str]] = {}

    def node() -> str:
        name = f"n{len(edges)}"
        edges[name] = []
        return name

    def block(depth: int) -> tuple[str, str]:
        kind = generator.choice(["node", "sequence", "fork", "loop"]) if depth else "node"
        if kind == "node":
            name = node()
            return name, name
        if kind == "sequence":
            (first, middle), (then, last) = block(depth - 1), block(depth - 1)
            edges[middle].append(then)
            return first, last
        enter, leave = node(), node()
        for _ in range(generator.randint(1, 3)):
            first, last = block(depth - 1)
            edges[enter].append(first)
            edges[last].append(leave)
        if kind == "loop":
            edges[leave].append(enter)
        return enter, leave

    block(3)
    return edges


SHAPES: tuple[Callable[[random.Random], dict[str, list[str]]], ...] = (acyclic, cyclic, many_tokens, blocks)


def make_case(shape: Callable[[random.Random], dict[str, list[str]]], seed: int) -> Case | None:
    """A random graph of a shape, or none where the seed gives one that cannot be built."""
    generator = random.Random(f"{shape.__name__} {seed}")
    edges = shape(generator)
    names = list(edges)
    starts = [names[0]] + [n for n in names[1:] if generator.random() < 0.15]
    found, pending = set(starts), list(starts)
    while pending:
        for m in edges[pending.pop()]:
            if m not in found:
                found.add(m)
                pending.append(m)
    edges = {n: [m for m in targets if m in found] for n, targets in edges.items() if n in found}
    reference = Reference(edges, starts, set(), set())
    heads = {h for _, hs in reference.loops for h in hs}
    each = frozenset(n for n in edges if n not in heads and generator.random() < 0.15)
    return Case(seed, edges, starts, each)


@attrs.define
class Outcome:
    """All that may not depend on timing: each activation with its parents and view, and the final state."""

    starts: dict[str, tuple[tuple[str, ...], Any]] = attrs.field(factory=dict)
    final: Any = None


def run(case: Case, order: random.Random, modules: tuple[ModuleType, ModuleType], compare: bool = True) -> Outcome:
    """Run a case in a random order; `compare` checks each step against the reference."""
    plan_module, schedule_module = modules
    nodes = [
        plan_module.PlanNode(name=n, successors=tuple(targets), join="each" if n in case.each else "all")
        for n, targets in case.edges.items()
    ]
    plan = plan_module.Plan.build(nodes, case.starts, reducers={"log"})
    schedule = schedule_module.Schedule(plan, reducers={"log": operator.add})
    reference = Reference(case.edges, case.starts, set(case.each), {"log"})
    outcome = Outcome()
    live: dict[str, tuple[Any, Act]] = {}
    answered: set[str] = set()

    def began(real: Sequence[Any], expected: Sequence[Act]) -> None:
        assert sorted(a.id for a in real) == sorted(a.id for a in expected), "what starts"
        ranks = [(list(case.edges).index(a.node), a.k) for a in real]
        assert sorted(ranks) == ranks, "in declared order"
        by_id = {a.id: a for a in expected}
        for activation in real:
            act = by_id[activation.id]
            parents = tuple(p.id for p in activation.parents)
            assert tuple(p.id for p in act.parents if p.node) == parents, "parents"
            try:
                view = dict(schedule.view(activation))
            except StateConflict:
                view = None
            assert reference.view(act) == view, f"what {act.id} sees"
            assert activation.id not in outcome.starts, "one name, one activation"
            outcome.starts[activation.id] = (parents, view)
            live[activation.id] = (activation, act)

    began(schedule.start({"own start": 0}), reference.start({"own start": 0}))
    while live:
        identity = order.choice(sorted(live))
        activation, act = live[identity]
        if case.interrupts(act.node, act.k) and identity not in answered and order.random() < 0.7:
            answered.add(identity)
            assert [] == schedule.interrupted(activation)
            continue
        del live[identity]
        if act.conflict:  # the join that sees a conflict fails, and with it the run
            assert [] == schedule.failed(activation)
            outcome.final = "conflict"
            return outcome
        targets, writes = case.targets(act.node, act.k), case.writes(act.node, act.k)
        real = schedule.succeeded(activation, targets, writes)
        began(real, reference.finish(act, targets, writes))
        assert len(outcome.starts) < 5000, "it comes to an end"
    assert schedule.done
    assert not reference.waiting, "nothing gets stuck"
    assert not schedule.waiting, "nothing gets stuck"
    try:
        outcome.final = schedule.final_state()
    except StateConflict:
        outcome.final = None
    assert reference.final() == outcome.final, "the final state"
    return outcome


REAL = (dagflow.core.plan, dagflow.core.schedule)


def check(shape: Any, seeds: Sequence[int], modules: tuple[ModuleType, ModuleType] = REAL, orders: int = 2) -> int:
    """Compare many cases with the reference, each in several orders, and the orders with each other."""
    checked = 0
    for seed in seeds:
        case = make_case(shape, seed)
        assert case is not None
        try:
            outcomes = [run(case, random.Random(f"{seed} {n}"), modules) for n in range(orders)]
        except GraphError:
            continue
        except AssertionError as error:
            raise AssertionError(f"{shape.__name__} seed {seed}: {error}") from error
        if not any(outcome.final == "conflict" for outcome in outcomes):
            assert all(outcome == outcomes[0] for outcome in outcomes), f"{shape.__name__} seed {seed} depends on order"
        checked += 1
    return checked
