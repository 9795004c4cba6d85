"""Properties of whole runs: order independence, replay, progress, and a makespan that is the critical path."""

import heapq
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.core.plan import Plan, PlanNode
from dagflow.core.schedule import Activation, Schedule
from dagflow.errors import StateConflict
from schedule.campaign import REAL, SCALE, SHAPES, Case, Run, make_case, run
from schedule.reference import Reference

PARTS = range(SCALE)
cases = st.builds(make_case, st.sampled_from(SHAPES), st.integers(0, 1_000_000))


class Drawn:
    """Lets Hypothesis decide which activation reports next, so that it can shrink an order."""

    def __init__(self, data: st.DataObject) -> None:
        self.data = data

    def choice(self, options: list[str], /) -> str:
        return self.data.draw(st.sampled_from(options))


@pytest.mark.slow
@pytest.mark.fuzz
@settings(max_examples=150 * SCALE, deadline=None)
@given(cases, st.data())
def test_nothing_depends_on_the_order_of_reports(case: Case, data: st.DataObject) -> None:
    """Two orders give the same activations, parents, views and final state, and those of the reference."""
    one, other = run(case, Drawn(data)), run(case, random.Random(0), compare=False)
    assert (one.final == "conflict") == (other.final == "conflict")
    assert one.final == "conflict" or one == other


def state_of(going: Run) -> Any:
    try:
        return going.schedule.final_state()
    except StateConflict as conflict:
        return str(conflict)


@pytest.mark.slow
@pytest.mark.fuzz
@settings(max_examples=150 * SCALE, deadline=None)
@given(cases, st.integers(0, 20), st.integers(0, 1000))
def test_a_prefix_of_a_run_can_be_replayed_in_another_order(case: Case, length: int, seed: int) -> None:
    """After a crash the same is live, waits and is seen as before it, in whatever order the journal is read."""
    order = random.Random(seed)
    first, again = Run(case, REAL, None), Run(case, REAL, None)
    for going in (first, again):
        going.began(going.schedule.start({"own start": 0, "log": ["START"]}), None)
    reports: set[str] = set()
    while first.live and len(reports) < length:
        identity = order.choice(sorted(first.live))
        if first.outcome.starts[identity][1] is None:
            return  # branches conflict: the run has failed
        reports.add(identity)
        first.finish(first.live.pop(identity))
    while reports:
        ready = sorted(reports.intersection(again.live))
        assert ready, "what was recorded can be replayed"
        identity = order.choice(ready)
        reports.remove(identity)
        again.finish(again.live.pop(identity))
    assert first.outcome == again.outcome
    assert first.schedule.running == again.schedule.running
    assert first.schedule.waiting == again.schedule.waiting
    assert state_of(first) == state_of(again)


@pytest.mark.slow
@pytest.mark.fuzz
@settings(max_examples=100 * SCALE, deadline=None)
@given(cases, st.integers(0, 1000), st.integers(0, 5))
def test_after_a_failure_nothing_starts_and_everything_ends(case: Case, seed: int, at: int) -> None:
    """What is live can still report, in any order, and then the schedule is done."""
    order = random.Random(seed)
    going = Run(case, REAL, None)
    going.began(going.schedule.start(), None)
    for _ in range(at):
        if len(going.live) > 1:
            identity = order.choice(sorted(going.live))
            if going.outcome.starts[identity][1] is not None:
                going.finish(going.live.pop(identity))
    if not going.live:
        return
    assert [] == going.schedule.failed(going.live.pop(order.choice(sorted(going.live))))
    started = set(going.outcome.starts)
    while going.live:
        identity = order.choice(sorted(going.live))
        activation = going.live.pop(identity)
        if going.outcome.starts[identity][1] is None or order.random() < 0.3:
            assert [] == going.schedule.failed(activation)
        else:
            going.finish(activation)
    assert started == set(going.outcome.starts)
    assert going.schedule.done


def simulate(schedule: Schedule, behaviour: Case, seconds: dict[str, int]) -> dict[str, tuple[int, int]]:
    """Run in virtual time, each node taking its seconds; give when each activation started and ended."""
    times: dict[str, tuple[int, int]] = {}
    clock: list[tuple[int, str, Activation]] = []

    def began(now: int, activations: Sequence[Activation]) -> None:
        for activation in activations:
            end = now + seconds[activation.node]
            times[activation.id] = (now, end)
            heapq.heappush(clock, (end, activation.id, activation))

    began(0, schedule.start())
    while clock:
        now, _, activation = heapq.heappop(clock)
        began(now, schedule.succeeded(activation, behaviour.targets(activation.node, activation.k)))
    return times


def weighted(case: Case, seed: int) -> tuple[Schedule, dict[str, int]]:
    generator = random.Random(seed)
    plan = Plan.build([PlanNode(n, tuple(targets)) for n, targets in case.edges.items()], case.starts)
    return Schedule(plan), {node: generator.randint(1, 9) for node in case.edges}


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("part", PARTS)
def test_the_makespan_is_the_critical_path(part: int) -> None:
    """Where every route is taken, each node starts when the last of what leads to it ends, and not later."""
    for seed in range(part * 500, (part + 1) * 500):
        case = make_case(SHAPES[0], seed)
        everything: Any = type("Everything", (), {"targets": lambda self, node, k, case=case: case.edges[node]})()
        schedule, seconds = weighted(case, seed)
        times = simulate(schedule, everything, seconds)
        assert len(case.edges) == len(times)
        ends: dict[str, int] = {}
        for node in case.edges:  # in topological order
            ends[node] = seconds[node] + max((ends[n] for n in ends if node in case.edges[n]), default=0)
            assert (ends[node] - seconds[node], ends[node]) == times[f"{node}#1"]


@pytest.mark.slow
@pytest.mark.fuzz
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.__name__))
def test_a_join_starts_the_moment_that_nothing_live_can_reach_it(shape: Any, part: int) -> None:
    """With routes that are not taken, and with loops, activations start and end when the reference's do."""
    for seed in range(part * 200, (part + 1) * 200):
        case = make_case(shape, seed)
        case = Case(case.seed, case.edges, case.starts, frozenset())
        schedule, seconds = weighted(case, seed)
        reference = Reference(case.edges, case.starts, set(), set())
        expected: dict[str, tuple[int, int]] = {}
        clock: list[tuple[int, str, Any]] = []
        begun, now = reference.start({}), 0
        while True:
            for act in begun:
                expected[act.id] = (now, now + seconds[act.node])
                heapq.heappush(clock, (now + seconds[act.node], act.id, act))
            if not clock:
                break
            now, _, act = heapq.heappop(clock)
            begun = reference.finish(act, case.targets(act.node, act.k), {})
        assert expected == simulate(schedule, case, seconds), f"{shape.__name__} seed {seed}"
