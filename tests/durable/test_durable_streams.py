"""Streams of recorded runs: what is shown is stored, no event is missed or repeated, and a run ends with its reader."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from dagflow import CheckpointError, Graph, GraphResult, MemoryStore, Node, NodeError, SQLiteStore, gate, progress
from dagflow.core.storage import Store
from dagflow.events import Event, NodeStarted, NodeSucceeded, Progress, RunEnded
from dagflow.testing import assert_no_leaks

broken: list[str] = []
ended: list[str] = []


@pytest.fixture(autouse=True)
def start_anew() -> None:
    broken.clear()
    ended.clear()


class Item(Node):
    number: int
    last: int = 5

    async def __call__(self) -> "Item | None":
        await progress(f"item {self.number}")
        if self.number == 3 and "fail" in broken:
            raise ValueError("not today")
        if self.number == 3 and "hang" in broken:
            try:
                await anyio.sleep_forever()
            finally:
                ended.append("Item")
        return Item(number=self.number + 1, last=self.last) if self.number < self.last else None


items = Graph(start=Item, max_steps=None)


class Around(Node):
    async def __call__(self) -> None:
        try:
            await items.run(Item(number=1))
        finally:
            ended.append("Around")


around = Graph(start=Around)


class Question(Node):
    word: str = gate("Which word?")

    async def __call__(self) -> None: ...


async def stored(store: Store, thread_id: str = "t") -> int:
    async with store.open() as session:
        found = await session.find(thread_id)
        return found.records if found is not None else 0


def numbers(events: list[Event]) -> list[int]:
    return [event.seq for event in events if not event.live]


@pytest.mark.parametrize("durability", ["sync", "async"])
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_an_event_is_seen_once_it_is_in_the_store(kind: str, durability: Any, tmp_path: Path) -> None:
    """At each event the store has it already; live ones come in between, and the numbers have no gap."""
    store: Store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "runs.db")
    seen: list[Event] = []
    async with items.stream(Item(number=1), store=store, thread_id="t", durability=durability) as events:
        async for event in events:
            seen.append(event)
            assert await stored(store) >= event.seq
    assert list(range(1, len(numbers(seen)) + 1)) == numbers(seen)
    assert [f"item {number}" for number in range(1, 6)] == [e.message for e in seen if isinstance(e, Progress)]
    assert ("complete", 5) == (events.result.status, len(events.result.trace))
    begun, *rest = [event for event in seen if not event.live]
    recorded, *others = await items.thread("t", store=store).events()
    assert (type(begun), rest) == (type(recorded), others)


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("buffer", [1, 2, 256])
async def test_a_tiny_buffer_holds_a_run_up_and_never_hangs_it(buffer: int, durability: Any) -> None:
    """Whenever things are written, the stream goes through to the end."""
    store = MemoryStore()
    with anyio.fail_after(20):
        async with items.stream(
            Item(number=1, last=30), buffer=buffer, store=store, thread_id="t", durability=durability
        ) as events:
            seen = [event async for event in events]
    assert list(range(1, len(numbers(seen)) + 1)) == numbers(seen)
    assert len(numbers(seen)) == await stored(store)
    assert 30 == len(events.result.trace)


async def test_a_resumed_stream_begins_behind_any_event_that_was_seen() -> None:
    """For every number: first the recorded events that follow it, then new ones, without a gap or a repeat."""
    store = MemoryStore()
    broken.append("fail")
    with pytest.raises(NodeError):
        await items.run(Item(number=1), store=store, thread_id="t")
    broken.clear()
    count = await stored(store)
    for after in range(count + 1):
        name = f"after {after}"
        await items.thread("t", store=store).fork(name)
        async with items.stream_resumed(name, store=store, after=after, buffer=3) as events:
            seen = [event async for event in events]
        total = await stored(store, name)
        assert list(range(after + 1, total + 1)) == numbers(seen)
        assert all(isinstance(event.value, Item) for event in seen if isinstance(event, NodeSucceeded))
        assert 5 == len(events.result.trace)
    await items.thread("t", store=store).fork("from now")
    async with items.stream_resumed("from now", store=store) as events:
        assert list(range(count + 1, await stored(store, "after 0") + 1)) == numbers([event async for event in events])


async def test_a_resumed_stream_of_what_is_complete_or_asks_ends_at_once() -> None:
    """Recorded events and the result are there; nothing is written."""
    store = MemoryStore()
    await items.run(Item(number=1), store=store, thread_id="t")
    count = await stored(store)
    async with items.stream_resumed("t", store=store, after=count - 2) as events:
        assert [count - 1, count] == [event.seq async for event in events]
    assert ("complete", 5) == (events.result.status, events.result.node.number)
    graph = Graph(start=Question)
    await graph.run(Question(), store=store, thread_id="q")
    async with graph.stream_resumed("q", store=store) as events:
        assert [] == [event async for event in events]
    assert ["Question#1.word"] == [asked.id for asked in events.result.interrupts]
    async with graph.stream_resumed("q", {"Question#1.word": "x"}, store=store) as events:
        assert ["RunStarted", "InterruptAnswered", "NodeStarted", "NodeSucceeded", "RunEnded"] == [
            type(event).__name__ async for event in events
        ]
    with pytest.raises(CheckpointError, match="there is no thread nowhere"):
        async with items.stream_resumed("nowhere", store=store) as events:
            assert [] == [event async for event in events]


@pytest.mark.parametrize("way", ["leave", "raise", "cancel"])
@pytest.mark.parametrize("graph", [items, around], ids=["plain", "nested"])
async def test_a_reader_that_goes_ends_the_run_and_it_can_be_resumed(way: str, graph: Graph) -> None:
    """Whichever way it goes nothing runs on, what completed is stored, the lease is free, and the rest is run later."""
    store = MemoryStore()
    broken.append("hang")
    start = Item(number=1) if graph is items else Around()

    async def read() -> None:
        async with graph.stream(start, store=store, thread_id="t") as events:
            async for event in events:
                if isinstance(event, NodeStarted) and event.activation == "Item#3":
                    if way == "leave":
                        return
                    if way == "raise":
                        raise KeyError("reader")
                    scope.cancel()

    async with assert_no_leaks():
        with anyio.CancelScope() as scope:
            if way == "raise":
                with pytest.raises(KeyError, match="reader"):
                    await read()
            else:
                await read()
    assert (["Item"] if graph is items else ["Item", "Around"]) == ended
    summary = await graph.thread("t", store=store).summary()
    assert ("cancelled", False) == (summary.status, summary.leased)
    broken.clear()
    before = [e.activation for e in await graph.thread("t", store=store).events() if isinstance(e, NodeSucceeded)]
    assert ["Item#1", "Item#2"] == before
    result = await graph.resume("t", store=store)
    events = await graph.thread("t", store=store).events()
    done = [(event.run, event.activation) for event in events if isinstance(event, NodeSucceeded)]
    assert len(done) == len(set(done)) == 5 + (graph is around)
    assert "complete" == result.status


async def test_a_failed_run_is_told_after_its_last_event() -> None:
    """The stream raises what ended the run, and its end is in the store by then."""
    store = MemoryStore()
    broken.append("fail")
    seen: list[Event] = []
    with pytest.raises(NodeError, match="not today"):
        async with items.stream(Item(number=1), store=store, thread_id="t") as events:
            async for event in events:
                seen.append(event)
    assert isinstance(seen[-1], RunEnded)
    assert "failed" == seen[-1].outcome
    assert numbers(seen)[-1] == await stored(store)


async def test_a_second_task_follows_from_every_place_while_the_run_works() -> None:
    """Each follower sees every event behind its place once, in order, and ends when the run has."""
    store = MemoryStore()
    followed: dict[int, list[int]] = {}
    results: list[GraphResult] = []

    async def work() -> None:
        results.append(await items.run(Item(number=1, last=40), store=store, thread_id="t"))

    async def follow(after: int) -> None:
        async with items.thread("t", store=store).follow(after=after, poll=0.001) as events:
            followed[after] = [event.seq async for event in events]

    async with anyio.create_task_group() as group:
        group.start_soon(work)
        while not await stored(store):
            await anyio.lowlevel.checkpoint()
        for after in range(0, 60, 7):
            group.start_soon(follow, after)
            await anyio.lowlevel.checkpoint()
    total = await stored(store)
    assert 9 == len(followed)
    for after, seen in followed.items():
        assert list(range(after + 1, total + 1)) == seen
    async with items.thread("t", store=store).follow(after=total) as events:
        assert [] == [event async for event in events]


async def test_a_follower_is_for_one_reader_and_goes_when_it_likes() -> None:
    """It is used inside its block and entered once; leaving early holds nothing up."""
    store = MemoryStore()
    await items.run(Item(number=1), store=store, thread_id="t")
    follower = items.thread("t", store=store).follow()
    with pytest.raises(RuntimeError, match="inside a block"):
        aiter(follower)
    async with follower as events:
        async for event in events:
            assert 1 == event.seq
            break
    with pytest.raises(RuntimeError, match="followed already"):
        async with follower:
            raise AssertionError("it must not begin")


FOLLOWER = """
import json, sys, anyio
from dagflow import SQLiteStore
from durable.test_durable_streams import items

async def main():
    print("ready", flush=True)
    thread = items.thread("t", store=SQLiteStore(sys.argv[1]))
    async with thread.follow(after=int(sys.argv[2]), poll=0.005) as events:
        print(json.dumps([event.seq async for event in events]))

anyio.run(main, backend=sys.argv[3])
"""


release: list[anyio.Event] = []


class Waits(Node):
    async def __call__(self) -> "Item":
        with anyio.fail_after(30):
            await release[0].wait()
        return Item(number=1, last=30)


waits = Graph(start=Waits, max_steps=None)


@pytest.mark.slow
async def test_another_process_follows_a_run_to_its_end(tmp_path: Path, anyio_backend: str) -> None:
    """It sees what was recorded before it came, and then each event, whichever process records it."""
    store = SQLiteStore(tmp_path / "runs.db")
    release[:] = [anyio.Event()]
    results: dict[int, list[int]] = {}
    ready: list[int] = []

    async def follow(after: int) -> None:
        command = [sys.executable, "-c", FOLLOWER, str(tmp_path / "runs.db"), str(after), anyio_backend]
        environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
        async with await anyio.open_process(command, env=environment, stderr=None) as process:
            assert process.stdout is not None
            text = b""
            async for chunk in process.stdout:
                text += chunk
                if text == b"ready\n":
                    ready.append(after)
                    if len(ready) == 2:
                        release[0].set()
        results[after] = json.loads(text.decode().splitlines()[1])

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: waits.run(Waits(), store=store, thread_id="t"))
        while not await stored(store):  # noqa: ASYNC110 (a store tells nobody)
            await anyio.sleep(0.01)
        group.start_soon(follow, 0)
        group.start_soon(follow, 3)
    total = await stored(store)
    assert {0: list(range(1, total + 1)), 3: list(range(4, total + 1))} == results
