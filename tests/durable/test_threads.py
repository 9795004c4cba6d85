"""Threads from outside: summaries, events, states at every place, forks, cancelling, listing and pruning."""

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from dagflow import (
    CheckpointError,
    Graph,
    MemoryStore,
    Node,
    NodeError,
    RunCancelled,
    RunLocked,
    Thread,
    gate,
    list_threads,
    prune,
)
from dagflow.events import Event, InterruptAnswered, NodeInterrupted, NodeSucceeded, RunEnded, RunStarted

broken: list[str] = []


@pytest.fixture(autouse=True)
def start_anew() -> None:
    broken.clear()


class Begin(Node):
    text: str

    async def __call__(self) -> "Ask":
        return Ask(text=f"{self.text}!")


class Ask(Node):
    text: str
    size: int = gate("Which size?")

    async def __call__(self) -> "Multiply":
        return Multiply(text=self.text * self.size)


class Multiply(Node):
    text: str

    async def __call__(self) -> "End":
        if "fail" in broken:
            raise ValueError("not today")
        if "hang" in broken:
            await anyio.sleep_forever()
        nested = await inner.run(Small(number=len(self.text)))
        return End(text=self.text, half=nested.node.number)


class Small(Node):
    number: int

    async def __call__(self) -> "Smaller":
        return Smaller(number=self.number // 2)


class Smaller(Node):
    number: int

    async def __call__(self) -> None: ...


class End(Node):
    text: str
    half: int

    async def __call__(self) -> None: ...


graph, inner = Graph(start=Begin), Graph(start=Small)
ANSWER = {"Ask#1.size": 3}


async def eventful(store: MemoryStore) -> Thread:
    """A thread with a failed, a cancelled and two complete runs, an answer and a nested run."""
    await graph.run(Begin(text="a"), store=store, thread_id="t")
    await graph.resume("t", ANSWER, store=store)
    await graph.run(Begin(text="b"), store=store, thread_id="t")
    broken.append("fail")
    with pytest.raises(NodeError):
        await graph.resume("t", ANSWER, store=store)
    broken.clear()
    await graph.resume("t", store=store)
    return graph.thread("t", store=store)


def state_by_hand(events: Sequence[Event]) -> tuple[Any, ...]:
    """What an independent reading of the events says: run, outcome, trace and open questions of the newest run."""
    run, outcome = "", None
    trace: list[Any] = []
    waiting: list[str] = []
    for event in events:
        if isinstance(event, RunStarted) and not event.parent:
            if event.run != run:
                run, trace, waiting = event.run, [], []
            outcome = None
        elif isinstance(event, RunEnded) and event.run == run:
            outcome = event.outcome
        elif isinstance(event, NodeSucceeded) and event.run == run:
            trace.append(event.value)
        elif isinstance(event, NodeInterrupted) and event.run == run:
            waiting += [asked.id for asked in event.interrupts]
        elif isinstance(event, InterruptAnswered):
            waiting.remove(event.interrupt)
    return run, outcome, tuple(trace), tuple(waiting)


async def test_the_state_at_every_event_is_what_the_events_say() -> None:
    """For each number: outcome, trace and open questions; with the graph nodes are typed, without they are data."""
    store = MemoryStore()
    thread = await eventful(store)
    events = await thread.events()
    assert list(range(1, len(events) + 1)) == [event.seq for event in events]
    for seq in range(1, len(events) + 1):
        state = await thread.state(seq)
        run, outcome, trace, waiting = state_by_hand(events[:seq])
        assert (seq, run, outcome, trace) == (state.seq, state.run, state.outcome, state.trace)
        assert waiting == tuple(asked.id for asked in state.interrupts)
        assert "Begin" == state.graph
    assert await thread.state() == await thread.state(len(events))
    assert [Begin, Ask, Multiply, End] == [type(node) for node in (await thread.state()).trace]
    plain = await Thread("t", store).state()
    assert ({"text": "b"}, {"text": "b!", "size": 3}) == plain.trace[:2]


async def test_steps_are_where_a_state_can_be_read() -> None:
    """Beginnings, ends, completed and asking activations of the outermost runs, in order."""
    store = MemoryStore()
    thread = await eventful(store)
    steps = await thread.steps()
    whole = ["RunStarted -", "NodeSucceeded Begin#1", "NodeInterrupted Ask#1", "RunEnded -", "RunStarted -"]
    rest = ["NodeSucceeded Ask#1", "NodeSucceeded Multiply#1", "NodeSucceeded End#1", "RunEnded -"]
    failed = [*whole, "NodeSucceeded Ask#1", "RunEnded -", "RunStarted -", *rest[1:]]
    assert [*whole, *rest, *failed] == [f"{step.kind} {step.activation or '-'}" for step in steps]
    assert 2 == len({step.run for step in steps})
    assert sorted(step.wall for step in steps) == [step.wall for step in steps]


async def test_a_thread_tells_how_it_stands() -> None:
    """The summary has graph, status and number of records; events can be read in parts."""
    store = MemoryStore()
    thread = await eventful(store)
    summary = await thread.summary()
    events = await thread.events()
    assert ("t", "Begin", "complete", len(events), False) == (
        summary.thread_id,
        summary.graph,
        summary.status,
        summary.records,
        summary.leased,
    )
    assert summary.created <= summary.updated
    assert events[4:9] == await thread.events(after=4, until=9)
    assert [] == await thread.events(after=len(events))
    nested = [event for event in events if isinstance(event, NodeSucceeded) and "/" in event.run]
    assert ["Small", "Smaller"] * 2 == [event.node for event in nested]


@pytest.mark.slow
async def test_a_fork_at_every_event_goes_on_to_the_same_end() -> None:
    """The thread that is forked stays as it is; forks of forks too; a question that is open then is asked again."""
    store = MemoryStore()
    thread = await eventful(store)
    before = await thread.summary()
    events = await thread.events()
    last_run = next(event.seq for event in events if isinstance(event, RunStarted) and event.run == events[-1].run)
    for seq in range(1, len(events) + 1):
        fork = await thread.fork(f"fork {seq}", at=seq)
        assert events[:seq] == await fork.events()
        again = await fork.fork(f"fork of fork {seq}")
        for name in (fork.thread_id, again.thread_id):
            result = await graph.resume(name, store=store)
            if result.interrupts:
                result = await graph.resume(name, ANSWER, store=store)
            assert "complete" == result.status
            text = "b!b!b!" if seq >= last_run else "a!a!a!"
            assert End(text=text, half=3) == result.node
    assert before == await thread.summary()


async def test_a_fork_answers_differently() -> None:
    """What if: from the question on, another way."""
    store = MemoryStore()
    thread = await eventful(store)
    asked = next(step.seq for step in await thread.steps() if step.kind == "NodeInterrupted")
    fork = await thread.fork("what if", at=asked)
    assert ("running", False) == ((await fork.summary()).status, (await fork.summary()).leased)
    result = await graph.resume("what if", {"Ask#1.size": 1}, store=store)
    assert End(text="a!", half=1) == result.node
    assert End(text="b!b!b!", half=3) == (await thread.state()).trace[-1]


@pytest.mark.parametrize("at", [0, -1, 10_000])
async def test_a_place_that_no_event_has_is_refused(at: int) -> None:
    """State and fork say which there are, and a refused fork leaves no thread."""
    store = MemoryStore()
    thread = await eventful(store)
    count = (await thread.summary()).records
    with pytest.raises(ValueError, match=f"thread t has the events 1 to {count}, and none at {at}"):
        await thread.state(at)
    with pytest.raises(ValueError, match=f"none at {at}"):
        await thread.fork("u", at=at)
    assert ["t"] == [found.thread_id for found in (await list_threads(store)).threads]


async def test_a_fork_takes_a_name_that_is_free() -> None:
    """An existing thread is not touched, nor is one that a run works on, nor the thread itself."""
    store = MemoryStore()
    thread = await eventful(store)
    await graph.run(Begin(text="c"), store=store, thread_id="u")
    before = await graph.thread("u", store=store).summary()
    for name in ("u", "t"):
        with pytest.raises(CheckpointError, match=f"there is a thread {name} already; fork to another name"):
            await thread.fork(name)
    async with store.open() as session:
        await session.acquire("v")
        with pytest.raises(RunLocked):
            await thread.fork("v")
    assert before == await graph.thread("u", store=store).summary()
    with pytest.raises(ValueError, match="thread_id"):
        await thread.fork("")


async def test_what_is_not_there_is_an_error_that_names_it() -> None:
    """Each method that reads, and `cancel`, says that there is no such thread; deleting it is no error."""
    thread = graph.thread("nowhere", store=MemoryStore())
    for use in (thread.summary, thread.events, thread.steps, thread.state, thread.cancel, lambda: thread.fork("x")):
        with pytest.raises(CheckpointError, match="there is no thread nowhere in the store"):
            await use()
    with pytest.raises(CheckpointError, match="there is no thread nowhere"):
        async with thread.follow():
            raise AssertionError("it must not begin")
    assert not await thread.delete()
    with pytest.raises(ValueError, match="0 or more, not -1"):
        thread.follow(after=-1)
    with pytest.raises(ValueError, match="above 0, not 0"):
        thread.follow(poll=0)


async def test_a_thread_is_deleted_but_not_under_a_run() -> None:
    """Deleting removes all of it; a run that works on it keeps it."""
    store = MemoryStore()
    thread = await eventful(store)
    assert await thread.delete()
    assert not await thread.delete()
    assert () == (await list_threads(store)).threads
    async with store.open() as session:
        assert not await session.read("t")
        await session.acquire("t")
        with pytest.raises(RunLocked):
            await thread.delete()


@pytest.mark.slow
async def test_a_run_is_cancelled_through_its_store_and_resumed() -> None:
    """Whoever has the store can end the run; it raises `RunCancelled`, and goes on later."""
    store = MemoryStore()
    thread = graph.thread("t", store=store)
    await graph.run(Begin(text="a"), store=store, thread_id="t")
    assert not await thread.cancel()
    broken.append("hang")
    async with anyio.create_task_group() as group:

        async def resume() -> None:
            with pytest.raises(RunCancelled, match=r"cancelled through its store \(thread t\) while Multiply#1 ran"):
                await graph.resume("t", ANSWER, store=store)

        group.start_soon(resume)
        while "Multiply#1" not in [getattr(e, "activation", "") for e in await thread.events()]:  # noqa: ASYNC110
            await anyio.sleep(0.01)
        assert await thread.cancel()
    assert ("cancelled", False) == ((await thread.summary()).status, (await thread.summary()).leased)
    broken.clear()
    assert End(text="a!a!a!", half=3) == (await graph.resume("t", store=store)).node


async def test_listing_goes_page_by_page_newest_first() -> None:
    """Every thread is there once; `status` picks; a cursor of somebody else's is refused."""
    store = MemoryStore()
    for number in range(7):
        await graph.run(Begin(text="a"), store=store, thread_id=f"t{number}")
        if number % 2:
            await graph.resume(f"t{number}", ANSWER, store=store)
    names: list[str] = []
    cursor: str | None = None
    while True:
        page = await list_threads(store, limit=3, cursor=cursor)
        assert len(page.threads) <= 3
        names += [found.thread_id for found in page.threads]
        cursor = page.cursor
        if cursor is None:
            break
    assert [f"t{number}" for number in range(6, -1, -1)] == names
    complete = await list_threads(store, status="complete")
    assert ["t5", "t3", "t1"] == [found.thread_id for found in complete.threads]
    for wrong in ({"cursor": "nonsense"}, {"limit": 0}):
        with pytest.raises(ValueError):
            await list_threads(store, **wrong)


async def test_pruning_takes_what_is_old_enough_stands_so_and_rests() -> None:
    """Interrupted threads and those that a run works on are kept unless they are named and rest."""
    store = MemoryStore()
    for name in ("asks", "done", "busy"):
        await graph.run(Begin(text="a"), store=store, thread_id=name)
    for name in ("done", "busy"):
        await graph.resume(name, ANSWER, store=store)
    assert [] == await prune(store, older_than=3600)
    async with store.open() as session:
        await session.acquire("busy")
        assert ["done"] == await prune(store, older_than=0)
    assert ["busy"] == await prune(store, older_than=0)
    assert ["asks"] == await prune(store, older_than=0, status=["interrupted"])
    assert () == (await list_threads(store)).threads


@pytest.mark.parametrize(
    ("thread_id", "error", "why"),
    [
        ("", ValueError, "1 to 500 characters, not 0"),
        ("x" * 501, ValueError, "1 to 500 characters, not 501"),
        ("a\nb", ValueError, "printable text in one line"),
        ("a\x00", ValueError, "printable text in one line"),
        ("\ud800", ValueError, "printable text in one line"),
        (7, TypeError, "thread_id must be a string, not 7"),
        (b"t", TypeError, "thread_id must be a string"),
    ],
)
async def test_a_bad_name_is_refused_before_anything_runs(thread_id: Any, error: type[Exception], why: str) -> None:
    """Runs, resumes, threads and forks say the same."""
    store = MemoryStore()
    with pytest.raises(error, match=why):
        await graph.run(Begin(text="a"), store=store, thread_id=thread_id)
    with pytest.raises(error, match=why):
        await graph.resume(thread_id, store=store)
    with pytest.raises(error, match=why):
        graph.thread(thread_id, store=store)
    assert () == (await list_threads(store)).threads


async def test_options_that_make_no_sense_are_refused() -> None:
    """A thread needs a store; durability and lease_wait are checked before anything runs."""
    store = MemoryStore()
    with pytest.raises(ValueError, match="thread_id names a journal in a store; pass store= too"):
        await Graph(start=Small).run(Small(number=1), thread_id="t")
    with pytest.raises(ValueError, match="durability must be 'sync', 'async' or 'exit', not 'never'"):
        await graph.run(Begin(text="a"), store=store, durability="never")  # type: ignore[arg-type]  # the mistake
    for wait in (-1, float("nan")):
        with pytest.raises(ValueError, match="lease_wait must be a number of seconds"):
            await graph.resume("t", store=store, lease_wait=wait)
    for name in ("ünï çödé", "a/b:c*?", "x" * 500, " "):
        await graph.run(Begin(text="a"), store=store, thread_id=name)
        assert name == (await graph.thread(name, store=store).summary()).thread_id
