"""The engine with branches and joins, which typed graphs do not have: a program of plain functions."""

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from dagflow import NodeError, RunTimeout, StateConflict
from dagflow.core.plan import Plan, PlanNode
from dagflow.core.schedule import Activation
from dagflow.events import NodeCancelled, NodeStarted, RunEnded
from dagflow.kernel.context import ActivationContext
from dagflow.kernel.engine import NodeBody, Program, Step
from dagflow.kernel.run import Run, RunSettings
from durable.plain_graph import PlainFront


def program(edges: dict[str, list[str]], work: Any, **options: Any) -> Run:
    nodes = [PlanNode(name=name, successors=tuple(targets)) for name, targets in edges.items()]
    bodies = {name: NodeBody(work) for name in edges}
    plan = Plan.build(nodes, (next(iter(edges)),))
    return Run(Program("test", plan, bodies), PlainFront({}), RunSettings(**options))


FORK = {"fork": ["left", "right"], "left": ["join"], "right": ["join"], "join": []}


async def test_branches_run_at_once_and_meet() -> None:
    """The branches of a fork are under way together, and the join starts once, after both."""
    began: list[str] = []
    met = {"left": anyio.Event(), "right": anyio.Event()}

    async def work(activation: Activation, context: ActivationContext) -> Step:
        began.append(activation.node)
        if activation.node in met:
            met[activation.node].set()
            with anyio.fail_after(5):
                await met["right" if activation.node == "left" else "left"].wait()
        return Step(targets=tuple(FORK[activation.node]))

    run = program(FORK, work)
    await run.execute()
    assert ["fork", "left", "right", "join"] == [began[0], *sorted(began[1:3]), began[3]]
    joins = [event for event in run.journal.events if isinstance(event, NodeStarted) and event.node == "join"]
    assert [("left#1", "right#1")] == [event.parents for event in joins]


async def test_a_failing_branch_cancels_the_other_and_all_failures_are_kept() -> None:
    """The first failing branch cancels the other, whose own failure in its clean-up is told as well."""
    ready = anyio.Event()

    async def work(activation: Activation, context: ActivationContext) -> Step:
        if activation.node == "left":
            await ready.wait()
            raise ValueError("left")
        if activation.node == "right":
            try:
                ready.set()
                await anyio.sleep_forever()
            finally:
                raise KeyError("right")
        return Step(targets=tuple(FORK[activation.node]))

    run = program(FORK, work)
    with pytest.raises(NodeError, match="node left#1 failed: ValueError: left") as caught:
        await run.execute()
    assert ["left", "right"] == [failure.node for failure in caught.value.failures]
    assert "join" not in {event.node for event in run.journal.events if isinstance(event, NodeStarted)}


async def test_a_timeout_names_all_that_ran() -> None:
    """A run that times out names every branch that was under way, and records both as cancelled."""

    async def work(activation: Activation, context: ActivationContext) -> Step:
        if activation.node in ("left", "right"):
            await anyio.sleep_forever()
        return Step(targets=tuple(FORK[activation.node]))

    run = program(FORK, work, timeout=0.01)
    with pytest.raises(RunTimeout, match="while left#1, right#1 ran"):
        await run.execute()
    cancelled = [event.node for event in run.journal.events if isinstance(event, NodeCancelled)]
    assert ["left", "right"] == sorted(cancelled)


async def test_a_state_conflict_fails_the_run() -> None:
    """Branches that write one key without a reducer conflict where they meet, and the run says so."""

    async def work(activation: Activation, context: ActivationContext) -> Step:
        writes = {"key": activation.node} if activation.node in ("left", "right") else {}
        return Step(targets=tuple(FORK[activation.node]), writes=writes)

    run = program(FORK, work)
    with pytest.raises(StateConflict, match="written by left#1 and by right#1, which meet at join#1"):
        await run.execute()
    assert ["failed"] == [event.outcome for event in run.journal.events if isinstance(event, RunEnded)]


async def test_an_unknown_target_is_an_error_of_its_node() -> None:
    """A body that leads to a node which may not follow fails, naming both."""

    async def work(activation: Activation, context: ActivationContext) -> Step:
        return Step(targets=("join",))

    with pytest.raises(NodeError, match="fork#1.*join"):
        await program(FORK, work).execute()


@pytest.mark.parametrize("suspensions", [0, 1, 3])
async def test_a_wide_fork_is_run_whole(suspensions: int) -> None:
    """A wide fork runs every branch once, and ends."""
    edges = {"fork": [f"n{i}" for i in range(200)], **{f"n{i}": [] for i in range(200)}}
    done: list[str] = []

    async def work(activation: Activation, context: ActivationContext) -> Step:
        for _ in range(suspensions):
            await anyio.lowlevel.checkpoint()
        done.append(activation.node)
        return Step(targets=tuple(edges[activation.node]))

    await program(edges, work, max_steps=None).execute()
    assert 201 == len(done) == len(set(done))
    assert "fork" == done[0]


@pytest.mark.parametrize("ended_by", ["timeout", "cancellation"])
async def test_nodes_that_never_suspend_can_be_ended(ended_by: str) -> None:
    """An endless loop of nodes that never wait leaves the event loop its turns, and ends with its deadline."""
    turns = 0

    async def work(activation: Activation, context: ActivationContext) -> Step:
        nonlocal turns
        turns += 1
        assert turns < 1_000_000
        return Step(targets=("again",))

    timeout = 0.02 if ended_by == "timeout" else None
    run = program({"start": ["again"], "again": ["again"]}, work, max_steps=None, timeout=timeout)
    if ended_by == "timeout":
        with pytest.raises(RunTimeout):
            await run.execute()
        return
    with anyio.move_on_after(0.02) as scope:
        await run.execute()
    assert scope.cancelled_caught
    ended = list(run.journal.events)[-1]
    assert isinstance(ended, RunEnded)
    assert "cancelled" == ended.outcome
