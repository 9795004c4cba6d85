"""What is run durably: a typed loop, typed nodes that each follow the one before, and a fan of plain functions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import attrs

from benchmarks.measure import Call
from dagflow import Graph, Node
from dagflow.core.plan import Plan, PlanNode
from dagflow.core.replay import RecordedRun
from dagflow.core.schedule import Activation
from dagflow.core.storage import Store
from dagflow.events import NodeSucceeded
from dagflow.kernel.context import ActivationContext
from dagflow.kernel.durable import Durable, execute_durably
from dagflow.kernel.engine import NodeBody, Program, Step
from dagflow.kernel.recorded import NO_VALUE
from dagflow.kernel.run import Run, RunSettings
from dagflow.store.memory import MemoryStore
from dagflow.store.sqlite import SQLiteStore
from dagflow.types import Durability, Interrupt

TEXT = "A state carries this text along. " * 6 + ".."
assert len(TEXT) == 200

Work = Callable[[Store | None, Durability], Awaitable[int]]
"""A run on a fresh store, or on none; gives how many nodes there were."""
Opened = Callable[[], AbstractAsyncContextManager[Store | None]]


class Done(Node):
    count: int
    text: str

    async def __call__(self) -> None:
        pass


class Turn(Node):
    count: int
    turns: int
    text: str

    async def __call__(self) -> Turn | Done:
        count = self.count + 1
        if count < self.turns:
            return Turn(count=count, turns=self.turns, text=self.text)
        return Done(count=count, text=self.text)


LOOP = Graph(Turn, max_steps=None)
THREAD = "thread"


def loop(turns: int, text: str = TEXT) -> Work:
    """A node that follows itself."""

    async def work(store: Store | None, durability: Durability) -> int:
        result = await LOOP.run(Turn(count=0, turns=turns, text=text), **recorded(store, durability))
        assert isinstance(result.node, Done)
        return result.node.count

    return work


def chain(size: int, text: str = TEXT) -> Work:
    """Node classes that each are followed by the next one, made from source text."""
    lines = []
    for number in range(size):
        follower = f"N{number + 1}" if number + 1 < size else ""
        lines.append(f"class N{number}(Node):\n    count: int\n    text: str\n")
        lines.append(f"    async def __call__(self) -> {follower or None}:")
        body = f"return {follower}(count=self.count + 1, text=self.text)" if follower else "pass"
        lines.append(f"        {body}\n")
    namespace: dict[str, Any] = {"Node": Node, "__name__": __name__}
    exec(compile("from __future__ import annotations\n" + "\n".join(lines), "<chain>", "exec"), namespace)
    graph = Graph(namespace["N0"], max_steps=None, namespace=namespace)

    async def work(store: Store | None, durability: Durability) -> int:
        result = await graph.run(namespace["N0"](count=1, text=text), **recorded(store, durability))
        count: int = result.node.count
        return count

    return work


def recorded(store: Store | None, durability: Durability) -> dict[str, Any]:
    return {} if store is None else {"store": store, "thread_id": THREAD, "durability": durability}


class Fan:
    """The front end of one run of the fan: nodes are functions, and each writes a key of the state."""

    def __init__(self) -> None:
        self.initial_writes: Mapping[str, Any] = {"text": TEXT}
        self.recorder = self

    async def resolve_inputs(self, activation: ActivationContext, target: type[Any]) -> dict[str, Any]:
        raise NotImplementedError

    async def make_node(self, target: type[Any], resolved: dict[str, Any]) -> Any:
        raise NotImplementedError

    def write_input(self) -> Any:
        return self.initial_writes

    def write_step(self, node: str, value: Any, result: Any, writes: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"value": value, "writes": dict(writes)}

    def dependency_key(self, call: Any) -> str:
        return ""

    def write_dependency(self, call: Any, value: Any) -> Any:
        return NO_VALUE

    def read_dependency(self, call: Any, data: Any) -> Any:
        raise NotImplementedError

    def read_answer(self, interrupt: Interrupt, answer: Any) -> tuple[Any, Any]:
        raise NotImplementedError

    def remember(self, history: Iterable[NodeSucceeded], previous: RecordedRun | None) -> None:
        pass

    def restore(self, recorded: RecordedRun, answers: Mapping[str, Any]) -> None:
        pass

    def typed(self, event: NodeSucceeded) -> NodeSucceeded:
        return event


def wide(width: int) -> Work:
    """A node that `width` others follow at once, and one that joins them."""
    names = tuple([f"d{number}" for number in range(width)])
    nodes = [PlanNode(name="begin", successors=names), *(PlanNode(name=name, successors=("target",)) for name in names)]
    plan = Plan.build([*nodes, PlanNode(name="target")], ("begin",), name="fan")

    async def step(activation: Activation, context: ActivationContext) -> Step:
        if activation.node == "target":
            assert context.run.schedule.view(activation)[names[-1]] == 1
        return Step(targets=plan.nodes[plan.index[activation.node]].successors, writes={activation.node: 1})

    program = Program("fan", plan, {node.name: NodeBody(step) for node in plan.nodes})

    async def work(store: Store | None, durability: Durability) -> int:
        run = Run(program, Fan(), RunSettings(max_steps=None))
        if store is None:
            await run.execute()
        else:
            await execute_durably(run, Durable(store=store, thread_id=THREAD, durability=durability))
        return sum(isinstance(event, NodeSucceeded) for event in run.journal.events) - 2

    return work


@asynccontextmanager
async def no_store() -> AsyncIterator[None]:
    yield None


@asynccontextmanager
async def memory() -> AsyncIterator[Store]:
    yield MemoryStore()


@asynccontextmanager
async def sqlite(folder: Path) -> AsyncIterator[Store]:
    """A new file; a session of its own is open meanwhile, as a server would have one."""
    with TemporaryDirectory(dir=folder) as name:
        store = SQLiteStore(Path(name) / "journals.db")
        async with store.open():
            yield store


@asynccontextmanager
async def redis(url: str) -> AsyncIterator[Store]:
    """A prefix of its own on a server that runs."""
    from dagflow.store.redis import RedisStore

    store = RedisStore(url, prefix=f"{uuid4().hex}:")
    async with store.open():
        yield store


@attrs.frozen
class Place:
    """Where something is recorded, how, and how it is opened anew for each run."""

    store: str
    durability: Durability
    opened: Opened

    @asynccontextmanager
    async def prepare(self, work: Work) -> AsyncIterator[Call]:
        async with self.opened() as store:
            yield partial(work, store, self.durability)
