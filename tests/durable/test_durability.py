"""When things are in the store: each durability, a store that fails or is slow, and cancellation at every step."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from dagflow import CheckpointError, Graph, MemoryStore, Node, NodeError, RunLocked, dep, gate
from dagflow.core.storage import Head, Lease, Record, Session, Store
from dagflow.events import NodeSucceeded, RunEnded
from dagflow.testing import assert_no_leaks, sweep_cancellations

ran: list[str] = []
broken: list[str] = []
cleaned: list[str] = []


@pytest.fixture(autouse=True)
def start_anew() -> None:
    ran.clear()
    broken.clear()
    cleaned.clear()


class Watched:
    """A store that keeps a log of what is appended when, and fails as it is told."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.appended: list[list[str]] = []
        """The kinds of the records of each append, with the bodies that had run by then in the first place."""
        self.fail_at = 0
        self.error: Exception = CheckpointError("the disk is full")
        self.lost = False
        self.before: Callable[[], Any] | None = None

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Session]:
        async with self.store.open() as session:
            yield WatchedSession(session, self)


class WatchedSession:
    """One session of it."""

    def __init__(self, session: Session, watched: Watched) -> None:
        self._session = session
        self._watched = watched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        watched = self._watched
        if watched.before is not None:
            await watched.before()
        watched.appended.append([f"after {len(ran)}", *map(kind, records)])
        if len(watched.appended) >= watched.fail_at > 0:
            raise watched.error
        await self._session.append(lease, records, values=values, head=head)

    async def renew(self, lease: Lease) -> bool:
        if self._watched.lost:
            raise RunLocked(f"thread {lease.thread_id} is another's now", thread_id=lease.thread_id)
        return await self._session.renew(lease)


def kind(record: Record) -> str:
    return record.text.partition('"kind":"')[2].partition('"')[0]


class Item(Node):
    number: int = 1

    async def __call__(self) -> "Item | None":
        ran.append(f"Item {self.number}")
        if self.number == 3:
            if "fail" in broken:
                raise ValueError("not today")
            if "hang" in broken:
                try:
                    await anyio.sleep_forever()
                finally:
                    cleaned.append("Item 3")
        return Item(number=self.number + 1) if self.number < 5 else None


items = Graph(start=Item)
STEP = ["NodeStarted", "NodeSucceeded"]


async def recorded(store: Store) -> list[str]:
    async with store.open() as session:
        return [kind(record) for record in await session.read("t")]


async def check_resumed(store: Store) -> None:
    """The run goes on to its end, and no activation is recorded twice."""
    broken.clear()
    result = await items.resume("t", store=store)
    assert [1, 2, 3, 4, 5] == [node.number for node in result.trace]  # type: ignore[attr-defined]  # all Item
    events = await items.thread("t", store=store).events()
    succeeded = [event.activation for event in events if isinstance(event, NodeSucceeded)]
    assert [f"Item#{number}" for number in range(1, 6)] == succeeded
    assert "complete" == [event.outcome for event in events if isinstance(event, RunEnded)][-1]
    assert not (await items.thread("t", store=store).summary()).leased


async def test_sync_writes_each_node_before_anything_follows_from_it() -> None:
    """Each append holds one success, made when no later body had run."""
    watched = Watched(MemoryStore())
    await items.run(Item(), store=watched, thread_id="t")
    whole = [record for batch in watched.appended for record in batch[1:]]
    assert ["RunStarted", *STEP * 5, "RunEnded"] == whole
    for number in range(1, 6):
        (batch,) = [batch for batch in watched.appended if f"after {number}" == batch[0] and "NodeSucceeded" in batch]
        assert 1 == batch.count("NodeSucceeded")


async def test_exit_writes_once_however_the_run_ends() -> None:
    """One append with everything: of a run that is complete, asks, fails or is cancelled."""
    watched = Watched(MemoryStore())
    await items.run(Item(), store=watched, thread_id="done", durability="exit")
    assert [["after 5", "RunStarted", *STEP * 5, "RunEnded"]] == watched.appended

    watched = Watched(MemoryStore())
    broken.append("fail")
    with pytest.raises(NodeError, match="not today"):
        await items.run(Item(), store=watched, thread_id="t", durability="exit")
    assert [["RunStarted", *STEP * 2, "NodeStarted", "NodeFailed", "RunEnded"]] == [b[1:] for b in watched.appended]
    await check_resumed(watched)

    watched = Watched(MemoryStore())
    broken.append("hang")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: items.run(Item(), store=watched, thread_id="t", durability="exit"))
        await anyio.wait_all_tasks_blocked()
        assert [] == watched.appended
        group.cancel_scope.cancel()
    assert [["RunStarted", *STEP * 2, "NodeStarted", "NodeCancelled", "RunEnded"]] == [b[1:] for b in watched.appended]
    await check_resumed(watched)


async def test_async_writes_soon_while_the_run_goes_on() -> None:
    """No body waits for the store; what completed is there soon, and the rest when the run ends."""
    watched = Watched(MemoryStore())
    may_write = anyio.Event()
    watched.before = may_write.wait
    broken.append("hang")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: items.run(Item(), store=watched, thread_id="t", durability="async"))
        while len(ran) < 3:  # although nothing could be written so far
            await anyio.lowlevel.checkpoint()
        assert [] == watched.appended
        may_write.set()
        while await recorded(watched) != ["RunStarted", *STEP * 2, "NodeStarted"]:  # noqa: ASYNC110 (a store tells nobody)
            await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    assert ["RunStarted", *STEP * 2, "NodeStarted", "NodeCancelled", "RunEnded"] == await recorded(watched)
    await check_resumed(watched)


async def test_what_nobody_waits_for_is_written_soon_with_sync_too() -> None:
    """The start of a node that takes long is seen from outside while it works."""
    watched = Watched(MemoryStore())
    broken.append("hang")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: items.run(Item(), store=watched, thread_id="t"))
        with anyio.fail_after(5):
            while (await recorded(watched))[-1:] != ["NodeStarted"]:  # noqa: ASYNC110 (as above)
                await anyio.sleep(0.005)
        group.cancel_scope.cancel()


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_a_store_that_fails_ends_the_run_and_a_healthy_one_goes_on(at: int, durability: Any) -> None:
    """The run raises the store's error; what was written before is gone on from, and nothing is recorded twice."""
    healthy = MemoryStore()
    watched = Watched(healthy)
    watched.fail_at = at
    try:
        await items.run(Item(), store=watched, thread_id="t", durability=durability)
    except CheckpointError as error:
        assert "the disk is full" in str(error)
    else:
        assert len(watched.appended) < at
    count = len(await recorded(healthy))
    if count:
        await check_resumed(healthy)
    else:
        with pytest.raises(CheckpointError, match="there is no thread t"):
            await items.resume("t", store=healthy)
    async with healthy.open() as session:
        await session.release(await session.acquire("t"))


async def never() -> int:
    try:
        await anyio.sleep_forever()
    finally:
        cleaned.append("slow")
    return 1


class Two(Node):
    slow: int = dep(never)

    async def __call__(self) -> None: ...


@pytest.mark.parametrize("graph", [items, Graph(start=Two)], ids=["body", "dependency"])
async def test_a_failing_store_cancels_what_is_under_way(graph: Graph) -> None:
    """A body or dependency that would work on is cancelled, cleans up, and the store's error is raised."""
    watched = Watched(MemoryStore())
    broken.append("hang")
    watched.fail_at = 3 if graph is items else 1
    async with assert_no_leaks():
        with anyio.fail_after(10), pytest.raises(CheckpointError, match="the disk is full"):
            await graph.run(graph.start(), store=watched, thread_id="t")
    assert (["Item 3"] if graph is items else ["slow"]) == cleaned


async def test_a_failure_of_the_run_is_not_hidden_by_one_of_the_store() -> None:
    """A body's own error is raised, with a note that its end is not in the store."""
    watched = Watched(MemoryStore())
    broken.append("fail")
    watched.fail_at = 1
    with pytest.raises(NodeError, match="not today") as caught:
        await items.run(Item(), store=watched, thread_id="t", durability="exit")
    assert ["its end is not in the store: the disk is full"] == caught.value.__notes__


@pytest.mark.slow
async def test_a_run_whose_lease_is_lost_ends() -> None:
    """`RunLocked` within a second or so; the body is cancelled and nothing more is written."""
    watched = Watched(MemoryStore())
    broken.append("hang")
    watched.lost = True
    with pytest.raises(RunLocked, match="thread t is another's now"), anyio.fail_after(10):
        await items.run(Item(), store=watched, thread_id="t")
    assert ["Item 3"] == cleaned
    assert "NodeCancelled" not in await recorded(watched)


async def test_an_error_that_no_store_may_raise_ends_the_run_as_a_checkpoint_error() -> None:
    """What a third-party store raises by mistake is told as the store's failure, with its cause."""
    watched = Watched(MemoryStore())
    watched.fail_at, watched.error = 2, OSError("no route")
    with pytest.raises(CheckpointError, match="no route") as caught:
        await items.run(Item(), store=watched, thread_id="t")
    assert isinstance(caught.value.__cause__, OSError)


class Gated(Node):
    word: str = gate("Which word?")

    async def __call__(self) -> "Item":
        return Item(number=4)


gated = Graph(start=Gated)


@pytest.mark.slow
@pytest.mark.chaos
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_cancelled_at_every_step_and_resumed(durability: Any) -> None:
    """Whenever it is cancelled: nothing is left, the lease is free, nothing is recorded twice, and it goes on."""
    threads = 0
    store = MemoryStore()

    async def run_once() -> None:
        nonlocal threads
        threads += 1
        await items.run(Item(), store=store, thread_id=f"t{threads}", durability=durability)

    async with assert_no_leaks():
        outcomes = await sweep_cancellations(run_once)
    assert outcomes[-1].completed
    assert [None] * len(outcomes) == [outcome.exception for outcome in outcomes]
    resumed = 0
    for number in range(1, threads + 1):
        async with store.open() as session:
            found = await session.find(f"t{number}")
        if found is None:  # it was cancelled before anything was recorded
            continue
        assert not found.leased
        resumed += 1
        result = await items.resume(f"t{number}", store=store)
        assert 5 == len(result.trace)
        events = await items.thread(f"t{number}", store=store).events()
        succeeded = [event.activation for event in events if isinstance(event, NodeSucceeded)]
        assert len(succeeded) == len(set(succeeded)) == 5
    assert resumed > 1


@pytest.mark.slow
@pytest.mark.chaos
async def test_a_resume_that_is_cancelled_at_every_step_can_be_resumed_again() -> None:
    """The answer is taken or still asked for, never half; then the run ends rightly."""
    store = MemoryStore()
    await gated.run(Gated(), store=store, thread_id="t")
    thread, answer = gated.thread("t", store=store), {"Gated#1.word": "x"}
    forks = 0

    async def resume_once() -> None:
        nonlocal forks
        forks += 1
        with anyio.CancelScope(shield=True):
            await thread.fork(f"f{forks}")
        await gated.resume(f"f{forks}", answer, store=store)

    outcomes = await sweep_cancellations(resume_once)
    assert [None] * len(outcomes) == [outcome.exception for outcome in outcomes]
    for number in range(1, forks + 1):
        state = await gated.thread(f"f{number}", store=store).state()
        result = await gated.resume(f"f{number}", answer if state.interrupts else None, store=store)
        assert ("complete", 3) == (result.status, len(result.trace))
