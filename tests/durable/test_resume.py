"""Resuming: whatever stopped a run, what is recorded is not run again, and what is not recorded is."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import anyio
import pytest

from dagflow import (
    CheckpointError,
    Graph,
    MemoryStore,
    Node,
    NodeConfig,
    NodeError,
    Recall,
    Retry,
    RunLocked,
    RunTimeout,
    SQLiteStore,
    StepLimitError,
    dep,
    gate,
)
from dagflow.core.storage import Store
from dagflow.kernel.fault_points import armed

Backend = Literal["asyncio", "trio"]
calls: list[str] = []
broken: list[str] = []
"""The nodes whose bodies fail, hang or cancel now."""


@pytest.fixture(autouse=True)
def start_anew() -> None:
    calls.clear()
    broken.clear()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "runs.db")


async def ten() -> int:
    calls.append("ten")
    return 10


class First(Node):
    base: int = dep(ten)

    async def __call__(self) -> "Second":
        calls.append("First")
        return Second(number=self.base + 1)


class Second(Node):
    number: int
    base: int = dep(ten)

    async def __call__(self) -> "Third":
        calls.append("Second")
        if "fail" in broken:
            raise ValueError("not today")
        if "hang" in broken:
            await anyio.sleep_forever()
        return Third(total=self.number + self.base)


class Third(Node):
    total: int

    async def __call__(self) -> None:
        calls.append("Third")


graph = Graph(start=First)


async def check_resumed(store: Store) -> None:
    """The run goes on behind First, and the dependency is not called again."""
    broken.clear()
    calls.clear()
    result = await graph.resume("t", store=store)
    assert ["Second", "Third"] == calls
    assert ("complete", 21) == (result.status, result.node.total)
    assert ["First", "Second", "Third"] == [type(node).__name__ for node in result.trace]
    assert [10, 10] == [node.base for node in result.trace[:2]]  # type: ignore[attr-defined]  # First and Second


async def test_after_a_failure_the_body_is_mended_and_the_run_goes_on(store: Store) -> None:
    """The node that failed is run again, the one before is not; a second failure in between changes nothing."""
    broken.append("fail")
    with pytest.raises(NodeError, match="not today"):
        await graph.run(First(), store=store, thread_id="t")
    assert ["ten", "First", "Second"] == calls
    with pytest.raises(NodeError, match="not today") as caught:
        await graph.resume("t", store=store)
    assert ["First"] == [type(node).__name__ for node in caught.value.trace]
    assert "failed" == (await graph.thread("t", store=store).summary()).status
    await check_resumed(store)


async def test_after_a_cancellation(store: Store) -> None:
    """A run whose caller was cancelled has written what completed, and gave its lease back."""
    broken.append("hang")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: graph.run(First(), store=store, thread_id="t"))
        while "Second" not in calls:  # noqa: ASYNC110 (the body sets no event)
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    summary = await graph.thread("t", store=store).summary()
    assert ("cancelled", False) == (summary.status, summary.leased)
    await check_resumed(store)


async def test_after_a_timeout(store: Store) -> None:
    """A run that passed its own deadline goes on without it."""
    broken.append("hang")
    # On the way there is a store, so that the deadline is not too short for the first node.
    with pytest.raises(RunTimeout, match="Second#1"):
        await graph.run(First(), store=store, thread_id="t", timeout=0.15)
    assert "failed" == (await graph.thread("t", store=store).summary()).status
    await check_resumed(store)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("point", ["before", "body", "intxn", "committed"])
async def test_after_a_crash_at_each_place(point: str, store: Store) -> None:
    """Where the record was safe the node is not run again, and where it was not it is."""

    def kill(reached: str, what: str) -> None:
        if reached == point and (what == "Second#1" or (what == "t" and "Second" in calls)):
            raise Killed

    with pytest.raises(Killed), armed(kill):
        await graph.run(First(), store=store, thread_id="t")
    calls.clear()
    result = await graph.resume("t", store=store)
    assert (["Third"] if point == "committed" else ["Second", "Third"]) == calls
    assert ("complete", 21) == (result.status, result.node.total)


class Step(Node):
    number: int

    async def __call__(self) -> "Step | None":
        calls.append(str(self.number))
        return Step(number=self.number + 1) if self.number < 6 else None


steps = Graph(start=Step)


async def test_after_a_step_limit_with_a_higher_one(store: Store) -> None:
    """The limit counts what had run before the resume; a higher one goes on, a lower one is the same error."""
    with pytest.raises(StepLimitError, match="max_steps=3"):
        await steps.run(Step(number=1), store=store, thread_id="t", max_steps=3)
    for limit in (3, 2, 1):
        with pytest.raises(StepLimitError, match=f"max_steps={limit} and node Step#4 was to start next"):
            await steps.resume("t", store=store, max_steps=limit)
    with pytest.raises(StepLimitError, match="max_steps=5 and node Step#6"):
        await steps.resume("t", store=store, max_steps=5)
    result = await steps.resume("t", store=store, max_steps=6)
    assert [1, 2, 3, 4, 5, 6] == [node.number for node in result.trace]  # type: ignore[attr-defined]  # all Step
    assert list("123456") == calls


async def test_a_complete_thread_gives_its_result_again_without_a_record(store: Store) -> None:
    """The same node, trace and run; no body is called and nothing is written."""
    first = await graph.run(First(), store=store, thread_id="t")
    before = await graph.thread("t", store=store).summary()
    calls.clear()
    again = await graph.resume("t", store=store)
    assert (first.node, first.trace, first.run, "complete") == (again.node, again.trace, again.run, again.status)
    assert before == await graph.thread("t", store=store).summary()
    assert [] == calls
    assert len(first.events) == len(again.events) == before.records


async def test_an_unknown_thread_is_an_error_that_names_it(store: Store) -> None:
    """Resume needs something to go on from, and writes nothing where there is none."""
    with pytest.raises(CheckpointError, match="there is no thread nowhere in the store; start it with run") as caught:
        await graph.resume("nowhere", store=store)
    assert "nowhere" == caught.value.thread_id
    async with store.open() as session:
        assert await session.find("nowhere") is None


async def test_a_thread_that_is_worked_on_is_locked(store: Store) -> None:
    """A second run or resume gets `RunLocked`, at once or after `lease_wait`; one that waits long enough goes on."""
    broken.append("hang")
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: graph.run(First(), store=store, thread_id="t"))
        while "Second" not in calls:  # noqa: ASYNC110 (the body sets no event)
            await anyio.sleep(0.001)
        with pytest.raises(RunLocked, match="t"):
            await graph.run(First(), store=store, thread_id="t")
        for wait in (0, 0.05):
            began = anyio.current_time()
            with pytest.raises(RunLocked):
                await graph.resume("t", store=store, lease_wait=wait)
            assert anyio.current_time() - began >= wait
        waiting = anyio.Event()

        async def resume() -> None:
            waiting.set()
            assert 21 == (await graph.resume("t", store=store)).node.total

        async with anyio.create_task_group() as resuming:
            resuming.start_soon(resume)
            await waiting.wait()
            await anyio.wait_all_tasks_blocked()
            broken.clear()
            group.cancel_scope.cancel()
            # What waits for the lease is in no scope that is cancelled here.
            resuming.cancel_scope.shield = True


class Makes(Node):
    async def __call__(self) -> "Retried":
        return Retried(text="made", number=3)


class Retried(Node):
    node_config = NodeConfig(retry=Retry(attempts=2, delay=0))
    text: str
    number: int = 0

    async def __call__(self) -> None:
        calls.append(f"{self.text} {self.number}")
        if "fail" in broken or len(calls) == 1:
            raise ValueError("not today")


async def test_each_attempt_begins_with_the_node_that_the_body_before_made(store: Store) -> None:
    """In the run that made it, after a resume, and without a store."""
    retried = Graph(start=Makes)
    broken.append("fail")
    with pytest.raises(NodeError):
        await retried.run(Makes(), store=store, thread_id="t")
    with pytest.raises(NodeError):
        await retried.resume("t", store=store)
    assert ["made 3"] * 4 == calls
    broken.clear()
    for again in (None, store):
        calls.clear()
        assert "made" == (await retried.run(Makes(), store=again)).node.text
        assert ["made 3"] * 2 == calls


class Says(Node):
    text: str

    async def __call__(self) -> "Hears":
        return Hears()


class Hears(Node):
    said: Annotated[list[str], Recall()] = []
    newest: Annotated[str, Recall()] = "nothing"

    async def __call__(self) -> "Keeps":
        return Keeps(heard=[*self.said, self.newest])


class Keeps(Node):
    heard: list[str]

    async def __call__(self) -> None:
        if "fail" in broken:
            raise ValueError("not today")


talk = Graph(start=Says)


async def test_a_new_run_on_a_thread_recalls_what_earlier_runs_carried(store: Store) -> None:
    """Also after a resume; the trace of a run has its own nodes only."""
    runs = []
    for number in range(1, 4):
        result = await talk.run(Says(text=f"{number}"), store=store, thread_id="t")
        runs.append(result.run)
        assert [str(said) for said in range(1, number + 1)] == result.node.heard
        assert 3 == len(result.trace)
    assert 3 == len(set(runs))
    broken.append("fail")
    with pytest.raises(NodeError):
        await talk.run(Says(text="4"), store=store, thread_id="t")
    broken.clear()
    result = await talk.resume("t", store=store)
    assert list("1234") == result.node.heard
    assert ["Says", "Hears", "Keeps"] == [type(node).__name__ for node in result.trace]


async def test_a_run_that_nobody_resumed_is_left_behind_by_the_next(store: Store) -> None:
    """A new run on a thread whose newest one failed begins anew; resume goes on with the newest."""
    broken.append("fail")
    with pytest.raises(NodeError):
        await graph.run(First(), store=store, thread_id="t")
    broken.clear()
    calls.clear()
    result = await graph.run(First(), store=store, thread_id="t")
    assert ["ten", "First", "Second", "Third"] == calls
    assert result.run == (await graph.resume("t", store=store)).run


async def test_a_run_without_a_name_gets_one(store: Store) -> None:
    """`result.thread_id` is what it can be resumed by; each run has another."""
    names = [(await graph.run(First(), store=store)).thread_id for _ in range(2)]
    assert 2 == len(set(names))
    assert 21 == (await graph.resume(names[0], store=store)).node.total
    assert "" == (await graph.run(First())).thread_id


@pytest.mark.parametrize("backends", [("asyncio", "trio"), ("trio", "asyncio")])
def test_a_run_goes_on_on_the_other_backend(backends: tuple[Backend, Backend], tmp_path: Path) -> None:
    """One store object serves both event loops, one after the other."""
    for shared in (MemoryStore(), SQLiteStore(tmp_path / "runs.db")):
        first, second = backends
        broken.append("fail")
        with pytest.raises(NodeError):
            graph.run_sync(First(), store=shared, thread_id="t", backend=first)
        broken.clear()
        calls.clear()
        result = graph.resume_sync("t", store=shared, backend=second)
        assert (["Second", "Third"], 21) == (calls, result.node.total)
        assert 21 == graph.resume_sync("t", store=shared, backend=first).node.total


class Question(Node):
    word: str = gate("Which word?")

    async def __call__(self) -> "Answer":
        return Answer(text=self.word.upper())


class Answer(Node):
    text: str

    async def __call__(self) -> None: ...


questions = Graph(start=Question)

RESUMER = """
import sys
from dagflow import SQLiteStore
from durable.test_resume import questions
path, word, backend = sys.argv[1:]
result = questions.resume_sync("t", {"Question#1.word": word}, store=SQLiteStore(path), backend=backend)
print(result.status, result.node.text)
"""


@pytest.mark.slow
async def test_another_process_answers(tmp_path: Path, anyio_backend: str) -> None:
    """A question that was asked here is answered in a new process, and the result is read here."""
    path = tmp_path / "runs.db"
    await questions.run(Question(), store=SQLiteStore(path), thread_id="t")
    other = "trio" if anyio_backend == "asyncio" else "asyncio"
    command = [sys.executable, "-c", RESUMER, str(path), "hello", other]
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = await anyio.run_process(command, env=environment, stderr=subprocess.STDOUT, check=False)
    assert ("complete HELLO\n", 0) == (done.stdout.decode(), done.returncode)
    assert Answer(text="HELLO") == (await questions.resume("t", store=SQLiteStore(path))).node
