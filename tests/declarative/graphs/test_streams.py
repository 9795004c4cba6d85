"""Streams of YAML graphs: with a block and without one, whatever way the consumer stops."""

import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from dagflow import MemoryStore, NodeError
from dagflow.declarative.api import stream_graph_async
from dagflow.declarative.graph import YamlGraph
from dagflow.events import Event, NodeStarted, NodeSucceeded, RunEnded, RunStarted
from declarative.yaml_files import compiled, write_graph

CHILD = """
    nodes:
      one: {type: python, function: step, state_key: a}
      two: {type: python, function: step, state_key: b}
    edges: [{from: START, to: one}, {from: one, to: two}, {from: two, to: END}]
"""

PARENT = """
    nodes:
      first: {type: python, function: step, state_key: c}
      sub: {type: subgraph, graph: child.yaml, state_key: d}
      fan: {type: map, over: "{[1, 2, 3]}", collect: e, node: {type: python, function: step, state_key: x}}
      last: {type: python, function: step, state_key: f}
    edges:
      - {from: START, to: first}
      - {from: first, to: [sub, fan]}
      - {from: sub, to: last}
      - {from: fan, to: last}
      - {from: last, to: END}
"""


class Work:
    """What runs, and whether any of it runs still."""

    def __init__(self) -> None:
        self.running = 0
        self.started = 0

    async def step(self) -> int:
        self.running += 1
        self.started += 1
        try:
            await anyio.sleep(0.0005)
        finally:
            self.running -= 1
        return self.started


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def graph(tmp_path: Path, work: Work) -> YamlGraph:
    write_graph(tmp_path, CHILD, "child.yaml")
    return compiled(tmp_path, PARENT, step=work.step)


async def count_events(graph: YamlGraph) -> int:
    async with stream_graph_async(graph) as events:
        return len([event async for event in events])
    raise AssertionError("unreachable")


async def settled(work: Work) -> None:
    """Let a run that was told to end hear it, wait until it has ended, and make sure that it stays so."""
    for _ in range(20):  # rounds of the event loop, and not time, which says nothing on a busy machine
        await anyio.lowlevel.checkpoint()
    with anyio.fail_after(5):
        while work.running:  # noqa: ASYNC110 (nobody tells when an iterator that was collected has ended its run)
            await anyio.sleep(0.001)
    started = work.started
    await anyio.sleep(0.003)
    assert (started, 0) == (work.started, work.running)


async def test_both_forms_give_all_events_in_order(graph: YamlGraph) -> None:
    """From the first event of the run to its last, with numbers without a gap."""
    async with stream_graph_async(graph) as events:
        inside = [event async for event in events]
    plain = [event async for event in stream_graph_async(graph)]
    for found in (inside, plain):
        assert (RunStarted, RunEnded) == (type(found[0]), type(found[-1]))
        assert list(range(1, len(found) + 1)) == [event.seq for event in found]
    assert "complete" == events.result["status"]


async def test_leaving_the_block_at_any_event_ends_the_run(graph: YamlGraph, work: Work) -> None:
    """Under `async with`, after a break at each event nothing of the run is left when the block is."""
    for stop in range(1, await count_events(graph) + 1):
        async with stream_graph_async(graph) as events:
            async for event in events:
                if event.seq >= stop:
                    break
        started = work.started
        assert 0 == work.running
        await anyio.lowlevel.checkpoint()
        assert started == work.started


async def test_an_exception_at_any_event_ends_the_run(graph: YamlGraph, work: Work) -> None:
    """A consumer that raises gets its own exception back, and nothing runs on, in both forms."""
    for stop in range(1, await count_events(graph) + 1):
        with pytest.raises(ZeroDivisionError):
            async with stream_graph_async(graph) as events:
                async for event in events:
                    _ = 1 / (event.seq < stop)
        assert 0 == work.running
        with pytest.raises(ZeroDivisionError):
            async for event in stream_graph_async(graph):
                _ = 1 / (event.seq < stop)
        gc.collect()
        await settled(work)


async def test_a_plain_iterator_that_is_dropped_ends_its_run(graph: YamlGraph, work: Work) -> None:
    """After a break out of a plain `async for` at each event, the run ends once the iterator is collected."""
    for stop in range(1, await count_events(graph) + 1):
        async for event in stream_graph_async(graph):
            if event.seq >= stop:
                break
        gc.collect()
        await settled(work)


async def test_a_plain_iterator_that_is_closed_ends_its_run(graph: YamlGraph, work: Work) -> None:
    """`aclose` returns when nothing of the run is left."""
    for stop in range(1, await count_events(graph) + 1):
        async with aclosing(stream_graph_async(graph)) as events:
            async for event in events:
                if event.seq >= stop:
                    break
        assert 0 == work.running


@pytest.mark.parametrize("block", [True, False])
async def test_cancelling_the_consumer_at_any_event_ends_the_run(graph: YamlGraph, work: Work, block: bool) -> None:
    """A consumer that is cancelled while it waits for an event leaves nothing behind, in both forms."""

    async def consume(seen: list[Event], stop: int, scope: anyio.CancelScope) -> None:
        with scope:
            if block:
                async with stream_graph_async(graph) as events:
                    await watch(events, seen, stop, scope)
            else:
                await watch(stream_graph_async(graph), seen, stop, scope)

    async def watch(events: AsyncIterator[Event], seen: list[Event], stop: int, scope: anyio.CancelScope) -> None:
        async for event in events:
            seen.append(event)
            if event.seq >= stop:
                scope.cancel()

    for stop in range(1, await count_events(graph)):
        seen: list[Event] = []
        await consume(seen, stop, anyio.CancelScope())
        assert len(seen) >= stop
        gc.collect()
        await settled(work)


async def test_a_failure_is_raised_after_the_last_event(tmp_path: Path) -> None:
    """In both forms the consumer sees what happened, and then what ended the run."""

    async def fail() -> None:
        raise ValueError("no")

    graph = compiled(
        tmp_path,
        """
        nodes: {a: {type: python, function: fail, state_key: x}}
        edges: [{from: START, to: a}, {from: a, to: END}]
        """,
        fail=fail,
    )
    seen: list[str] = []
    with pytest.raises(NodeError, match="no"):
        async for event in stream_graph_async(graph):
            seen.append(type(event).__name__)
    with pytest.raises(NodeError, match="no"):
        async with stream_graph_async(graph) as events:
            async for event in events:
                seen.append(type(event).__name__)
    assert 2 * ["RunStarted", "NodeStarted", "NodeFailed", "RunEnded"] == seen


async def test_a_system_exit_reaches_the_consumer(tmp_path: Path) -> None:
    """What is no Exception is raised in the consumer as it is, and does not end the event loop behind its back."""

    async def leave() -> None:
        raise SystemExit(3)

    graph = compiled(
        tmp_path,
        """
        nodes: {a: {type: python, function: leave, state_key: x}}
        edges: [{from: START, to: a}, {from: a, to: END}]
        """,
        leave=leave,
    )
    with pytest.raises(SystemExit) as caught:
        async for _ in stream_graph_async(graph):
            pass
    assert 3 == caught.value.code


async def test_a_slow_consumer_holds_up_the_run(graph: YamlGraph, work: Work) -> None:
    """A run without a block waits, too, while more events are unread than the buffer holds."""
    events = stream_graph_async(graph, buffer=2)
    await events.__anext__()
    await anyio.sleep(0.02)
    assert work.started <= 2
    await events.aclose()
    assert 0 == work.running


async def test_a_stream_may_resume_a_thread(tmp_path: Path) -> None:
    """With `resume_data` the events are those of the run that goes on; `after` replays what was not seen."""
    graph = compiled(
        tmp_path,
        """
        nodes: {a: {type: interrupt, message: "?", resume_key: x}, b: {type: passthrough, output: {y: "{x}"}}}
        edges: [{from: START, to: a}, {from: a, to: b}, {from: b, to: END}]
        """,
    )
    store = MemoryStore()
    config: dict[str, Any] = {"configurable": {"thread_id": "t"}, "checkpointer": store}
    first = [event async for event in stream_graph_async(graph, {}, config)]
    rest = [event async for event in stream_graph_async(graph, config=config, resume_data={"x": 1}, after=2)]
    assert [event.seq for event in first[2:]] == [event.seq for event in rest[: len(first) - 2]]
    assert ["a", "b"] == [event.node for event in rest if isinstance(event, NodeSucceeded)]


async def test_inside_a_run_a_stream_needs_its_block(tmp_path: Path, graph: YamlGraph) -> None:
    """A plain iterator inside of a node could outlive it, and is refused; the block is not."""
    seen: list[Event] = []

    async def plain() -> None:
        async for event in stream_graph_async(graph):
            seen.append(event)

    async def block() -> int:
        async with stream_graph_async(graph) as events:
            return len([event async for event in events if isinstance(event, NodeStarted)])
        raise AssertionError("unreachable")

    text = """
        nodes: {a: {type: python, function: inner, state_key: x}}
        edges: [{from: START, to: a}, {from: a, to: END}]
    """
    with pytest.raises(NodeError, match="async with stream_graph_async"):
        await compiled(tmp_path, text, name="plain.yaml", inner=plain).run()
    assert 9 == (await compiled(tmp_path, text, name="block.yaml", inner=block).run()).state["x"]
    assert [] == seen


async def test_a_cancelled_consumer_ends_its_run_before_the_iterator_is_dropped(graph: YamlGraph, work: Work) -> None:
    """The cancellation itself waits until nothing of the run is left, though the iterator is still held."""
    for stop in range(1, await count_events(graph)):
        events = stream_graph_async(graph)
        with anyio.CancelScope() as scope:
            async for event in events:
                if event.seq >= stop:
                    scope.cancel()
        assert 0 == work.running
        del events
