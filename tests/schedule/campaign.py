"""Random graphs and behaviours, run by the schedule and by the reference in the same random order."""

from __future__ import annotations

import operator
import os
import random
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Protocol

import attrs

import dagflow.core.plan
import dagflow.core.schedule
from dagflow.errors import StateConflict
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


def make_case(shape: Callable[[random.Random], dict[str, list[str]]], seed: int) -> Case:
    """A random graph of a shape: of what the shape gives, the part that can be reached."""
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


class Order(Protocol):
    """Decides which of the live activations reports next."""

    def choice(self, options: list[str], /) -> str: ...


class EveryOrder:
    """Goes through every order: each run that asks it for choices makes others, until `exhausted`."""

    def __init__(self) -> None:
        self.choices: list[list[int]] = []
        self.asked = 0

    def choice(self, options: list[str], /) -> str:
        if self.asked == len(self.choices):
            self.choices.append([0, len(options)])
        taken, _ = self.choices[self.asked]
        self.asked += 1
        return options[taken]

    def exhausted(self) -> bool:
        """Move on to the next order; true if there is none."""
        self.asked = 0
        while self.choices and self.choices[-1][0] + 1 == self.choices[-1][1]:
            self.choices.pop()
        if self.choices:
            self.choices[-1][0] += 1
        return not self.choices


@attrs.define
class Outcome:
    """All that may not depend on timing: each activation with its parents and view, and the final state."""

    starts: dict[str, tuple[tuple[str, ...], Any]] = attrs.field(factory=dict)
    final: Any = None


class Run:
    """A run of a case by the schedule, step by step beside the reference if there is one."""

    def __init__(self, case: Case, modules: tuple[ModuleType, ModuleType], reference: Reference | None) -> None:
        plan_module, schedule_module = modules
        nodes = [
            plan_module.PlanNode(name=n, successors=tuple(targets), join="each" if n in case.each else "all")
            for n, targets in case.edges.items()
        ]
        plan = plan_module.Plan.build(nodes, case.starts, reducers={"log"})
        self.case = case
        self.schedule = schedule_module.Schedule(plan, reducers={"log": operator.add})
        self.reference = reference
        self.outcome = Outcome()
        self.live: dict[str, Any] = {}
        self.acts: dict[str, Act] = {}

    def go(self, order: Order) -> Outcome:
        writes = {"own start": 0, "log": ["START"]}
        self.began(self.schedule.start(writes), self.reference.start(writes) if self.reference else None)
        answered: set[str] = set()
        while self.live:
            identity = order.choice(sorted(self.live))
            activation = self.live[identity]
            if self.case.interrupts(activation.node, activation.k) and identity not in answered:
                answered.add(identity)
                assert [] == self.schedule.interrupted(activation)
                continue
            if self.outcome.starts[identity][1] is None:
                # The join that sees a conflict fails, and with it the run.
                assert [] == self.schedule.failed(activation)
                self.outcome.final = "conflict"
                return self.outcome
            self.finish(self.live.pop(identity))
            assert len(self.outcome.starts) < 5000, "it comes to an end"
        assert self.schedule.done
        assert not self.schedule.waiting, "nothing gets stuck"
        try:
            self.outcome.final = self.schedule.final_state()
        except StateConflict:
            self.outcome.final = None
        if self.reference:
            assert self.reference.final() == self.outcome.final, "the final state"
        return self.outcome

    def finish(self, activation: Any) -> None:
        targets = self.case.targets(activation.node, activation.k)
        writes = self.case.writes(activation.node, activation.k)
        real = self.schedule.succeeded(activation, targets, writes)
        act = self.acts.get(activation.id)
        self.began(real, self.reference.finish(act, targets, writes) if self.reference and act else None)

    def began(self, real: Sequence[Any], expected: Sequence[Act] | None) -> None:
        ranks = [(list(self.case.edges).index(a.node), a.k) for a in real]
        assert sorted(ranks) == ranks, "in declared order"
        if expected is not None:
            assert sorted(act.id for act in expected) == sorted(a.id for a in real), "what starts"
            self.acts |= {act.id: act for act in expected}
        for activation in real:
            assert activation.id not in self.outcome.starts, "one name, one activation"
            parents = tuple(parent.id for parent in activation.parents)
            try:
                view = dict(self.schedule.view(activation))
            except StateConflict:
                view = None
            if self.reference:
                act = self.acts[activation.id]
                assert tuple(p.id for p in act.parents if p.node) == parents, f"parents of {act.id}"
                assert self.reference.view(act) == view, f"what {act.id} sees"
            self.outcome.starts[activation.id] = (parents, view)
            self.live[activation.id] = activation


REAL = (dagflow.core.plan, dagflow.core.schedule)


def run(case: Case, order: Order, modules: tuple[ModuleType, ModuleType] = REAL, *, compare: bool = True) -> Outcome:
    """Run a case; `compare` checks each step against the reference."""
    reference = Reference(case.edges, case.starts, set(case.each), {"log"}) if compare else None
    return Run(case, modules, reference).go(order)


def check(shape: Any, seeds: Sequence[int], modules: tuple[ModuleType, ModuleType] = REAL, orders: int = 2) -> int:
    """Compare cases with the reference in one random order, and with themselves in others; count those that end."""
    checked = 0
    for seed in seeds:
        case = make_case(shape, seed)
        try:
            first, *others = [run(case, random.Random(f"{seed} {n}"), modules, compare=not n) for n in range(orders)]
        except AssertionError as error:
            raise AssertionError(f"{shape.__name__} seed {seed}: {error}") from error
        # Where branches conflict, it depends on timing what else has started by then; that they do must not.
        conflicts = {outcome.final == "conflict" for outcome in (first, *others)}
        assert len(conflicts) == 1, f"{shape.__name__} seed {seed}: whether there is a conflict depends on the order"
        if not conflicts.pop():
            assert all(outcome == first for outcome in others), f"{shape.__name__} seed {seed} depends on the order"
            checked += 1
    return checked
