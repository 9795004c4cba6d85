"""Sweeps: runs of many shapes, cancelled at every step, and failing at every step; nothing may be left."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

from dagflow import Dep, Graph, Node, NodeConfig, Retry, RunError, dep, map_concurrent, resolve_dep
from dagflow.events import RunEnded
from dagflow.kernel.journal import Journal
from dagflow.testing import assert_no_leaks, sweep_cancellations

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

STEPS = 1 if "DAGFLOW_CAMPAIGN" not in os.environ else 3
"""How often each piece of work suspends."""


class Injected(Exception):
    """The failure that a sweep injects."""


class Ledger:
    """What of the work below has begun and not finished its clean-up, and where to fail."""

    def __init__(self) -> None:
        self.open: list[str] = []
        self.steps = 0
        self.fail_at = 0

    async def step(self) -> None:
        self.steps += 1
        if self.steps == self.fail_at:
            raise Injected(f"at step {self.steps}")
        await anyio.lowlevel.checkpoint()

    @asynccontextmanager
    async def work(self, name: str) -> AsyncIterator[None]:
        self.open.append(name)
        try:
            for _ in range(STEPS):
                await self.step()
            yield
            await self.step()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            self.open.remove(name)


ledger = Ledger()


async def one() -> int:
    async with ledger.work("one"):
        return 1


async def two() -> int:
    async with ledger.work("two"):
        return 2


async def top() -> int:
    async with ledger.work("top"):
        return 0


async def left(top: Annotated[int, Dep(top)]) -> int:
    async with ledger.work("left"):
        return top


async def right(top: Annotated[int, Dep(top)]) -> int:
    async with ledger.work("right"):
        return top


async def bottom(a: Annotated[int, Dep(left)], b: Annotated[int, Dep(right)]) -> int:
    async with ledger.work("bottom"):
        return a + b


@asynccontextmanager
async def resource() -> AsyncIterator[int]:
    async with ledger.work("resource"):
        yield 1


@asynccontextmanager
async def resource_too(value: Annotated[int, Dep(resource)]) -> AsyncIterator[int]:
    async with ledger.work("resource too"):
        yield value


def in_thread() -> int:
    return 1


class Body(Node):
    async def __call__(self) -> None:
        async with ledger.work("body"):
            await ledger.step()


class Chain(Node):
    number: int = 0

    async def __call__(self) -> "Chain | None":
        async with ledger.work("link"):
            return Chain(number=self.number + 1) if self.number < 3 else None


class Wide(Node):
    a: int = dep(one)
    b: int = dep(two)
    c: int = dep(top)

    async def __call__(self) -> "Body":
        return Body()


class Diamond(Node):
    value: int = dep(bottom)

    async def __call__(self) -> None:
        async with ledger.work("diamond"):
            pass


diamond, body = Graph(start=Diamond), Graph(start=Body)


async def nested() -> int:
    async with ledger.work("nested"):
        await diamond.run(Diamond())
        return 1


class Nests(Node):
    a: int = dep(nested)
    b: int = dep(two)

    async def __call__(self) -> None:
        await body.run(Body())


class Opens(Node):
    value: int = dep(resource_too)
    other: int = dep(one)

    async def __call__(self) -> None:
        async with ledger.work("opens"):
            pass


class Bounded(Node):
    node_config = NodeConfig(timeout=60)
    a: int = dep(one)
    b: int = dep(bottom)

    async def __call__(self) -> None:
        assert 0 == await resolve_dep(bottom)


class Retried(Node):
    node_config = NodeConfig(retry=Retry(attempts=2, delay=0))
    value: int = dep(bottom)

    async def __call__(self) -> None:
        async with ledger.work("retried"):
            pass


class Threaded(Node):
    a: int = dep(in_thread)
    b: int = dep(one)

    async def __call__(self) -> None: ...


async def item(number: int) -> int:
    async with ledger.work(f"item {number}"):
        return number


class Maps(Node):
    async def __call__(self) -> None:
        assert [0, 1, 2] == await map_concurrent(item, range(3), limit=2)


async def stream() -> None:
    async with Graph(start=Nests).stream(Nests(), buffer=2) as events:
        async for _ in events:
            pass


def run(graph: Graph, start: Callable[[], Any]) -> Callable[[], Awaitable[Any]]:
    return lambda: graph.run(start())


SHAPES: dict[str, Callable[[], Awaitable[Any]]] = {
    "one body": run(body, Body),
    "a chain": run(Graph(start=Chain), Chain),
    "wide, levels": run(Graph(start=Wide), Wide),
    "wide, eager": run(Graph(start=Wide, schedule="eager"), Wide),
    "a diamond": run(diamond, Diamond),
    "a diamond, eager": run(Graph(start=Diamond, schedule="eager"), Diamond),
    "nested runs": run(Graph(start=Nests), Nests),
    "nested runs under a limit": run(Graph(start=Nests, max_concurrency=1), Nests),
    "context managers": run(Graph(start=Opens), Opens),
    "a node with a timeout": run(Graph(start=Bounded), Bounded),
    "a node that is retried": run(Graph(start=Retried), Retried),
    "a worker thread": run(Graph(start=Threaded), Threaded),
    "a map in a body": run(Graph(start=Maps), Maps),
    "a stream": stream,
    "the resolver alone": lambda: resolve_dep(bottom),
}


def outcomes_of(journals: list[Journal]) -> list[str]:
    return [event.outcome for journal in journals for event in journal.events if isinstance(event, RunEnded)]


@pytest.fixture
def journals(monkeypatch: pytest.MonkeyPatch) -> list[Journal]:
    """Every journal that is made meanwhile: `Journal` itself works as ever."""
    made: list[Journal] = []
    original = Journal.__init__

    def remember(self: Journal) -> None:
        original(self)
        made.append(self)

    monkeypatch.setattr(Journal, "__init__", remember)
    return made


@pytest.mark.parametrize("shape", SHAPES)
async def test_cancelled_at_every_step(shape: str, journals: list[Journal]) -> None:
    """A run that is cancelled at its k-th step, for every k, leaves nothing, and its journal says how it ended."""
    ledger.__init__()  # type: ignore[misc]  # a fresh one for each test

    async def run_once() -> None:
        journals.clear()
        await SHAPES[shape]()

    async with assert_no_leaks():
        outcomes = await sweep_cancellations(run_once)
    assert len(outcomes) > 1
    assert outcomes[-1].completed
    assert [None] * len(outcomes) == [outcome.exception for outcome in outcomes]
    assert [] == ledger.open
    assert ["complete"] == outcomes_of(journals[:1])[-1:] or not journals


@pytest.mark.parametrize("shape", SHAPES)
async def test_failing_at_every_step(shape: str, journals: list[Journal]) -> None:
    """A failure at the k-th step of the user's own work, for every k, is told once, and nothing is left."""
    ledger.__init__()  # type: ignore[misc]  # a fresh one for each test
    async with assert_no_leaks():
        for step in range(1, 1000):
            ledger.fail_at, ledger.steps = step, 0
            journals.clear()
            try:
                await SHAPES[shape]()
            except RunError as error:
                assert error.failures
                assert _innermost(error.failures[0].exception)
                assert ["failed"] == outcomes_of(journals[:1])[-1:] or not journals
            assert [] == ledger.open
            if ledger.steps < step:
                return
    raise AssertionError("it does not end")


def _innermost(error: BaseException) -> bool:
    """Whether the injected failure is at the bottom of an error, through those of nested runs."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Injected):
            return True
        failures = getattr(seen, "failures", ())
        seen = failures[0].exception if failures else seen.__cause__
    return False
