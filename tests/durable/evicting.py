"""`pytest --evict`: every run of a typed graph is recorded, dropped after each commit, and gone on with by a new one.

The process that made a commit is dead the moment the commit is safe: nothing of it is written any more, no object of
it is used again. What the existing tests say about results, errors and traces must hold all the same. The few tests
that cannot (`LEFT_OUT`) say why.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import anyio
import pytest

from dagflow import Graph, GraphResult, MemoryStore, Node
from dagflow.core.storage import Head, Lease, Record, Session
from dagflow.kernel.context import current_activation
from dagflow.kernel.fault_points import armed

FILES = (
    "tests/graph/test_graph_run.py",
    "tests/kernel/test_single_flight.py",
    "tests/kernel/test_run_resources.py",
)
"""The files whose tests run typed graphs, and are no sweeps."""

LEFT_OUT = {
    "test_a_dependency_is_called_once_in_a_run_and_again_in_the_next": "looks at identity, which no journal keeps",
    "test_recall_finds_the_newest_value_by_type": "recalls a value that no store can hold",
    "test_an_undeclared_return_is_refused": "gives a node values that no store can hold",
    "test_nested_runs_inherit_model_journal_and_limit": "counts the beginnings of runs",
    "test_a_resource_is_opened_once_a_run_and_closed_at_its_end": "counts openings, which each process has its own of",
    "test_a_failure_during_cancellation_is_not_lost": "its deadline of 10 ms may pass while the store is opened",
}
"""Tests that cannot hold, by the name of their function, with the reason."""


class Evicted(BaseException):
    """The process is gone."""


class Mortal:
    """The store of one process, which writes nothing once that is dead."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.dead = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Session]:
        async with self._store.open() as session:
            yield MortalSession(session, self)


class MortalSession:
    """One session of it."""

    def __init__(self, session: Session, store: Mortal) -> None:
        self._session = session
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        if not self._store.dead:
            await self._session.append(lease, records, values=values, head=head)


def holds(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an exception is of a kind, or a group that has one."""
    if isinstance(error, BaseExceptionGroup):
        return any(holds(inner, kind) for inner in error.exceptions)
    return isinstance(error, kind)


class Evicting:
    """Runs graphs so."""

    dropped: ClassVar[int] = 0
    """How often a run was dropped so far."""

    def __init__(self) -> None:
        self.run = Graph.run

    async def execute(self, graph: Graph, start: Node, options: dict[str, Any]) -> GraphResult:
        """Run a graph to its end, one commit for each process."""
        store = MemoryStore()
        begun = False
        while True:
            process = Mortal(store)

            def evict(point: str, what: str, process: Mortal = process) -> None:
                if point == "committed" and not process.dead:
                    process.dead = True
                    raise Evicted(what)

            try:
                with armed(evict):
                    if begun:
                        return await graph.resume("t", store=process, **options)
                    begun = True
                    return await self.run(graph, start, store=process, thread_id="t", **options)
            except BaseException as error:
                if not process.dead or not holds(error, Evicted):
                    raise
            Evicting.dropped += 1
            await anyio.lowlevel.checkpoint()


def leave_out(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests that cannot hold."""
    unwanted = [item for item in items if getattr(item, "originalname", item.name) in LEFT_OUT]
    config.hook.pytest_deselected(items=unwanted)
    items[:] = [item for item in items if item not in unwanted]


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every run that is neither nested nor recorded anyway run so."""
    evicting = Evicting()

    async def run(graph: Graph, start: Node, **options: Any) -> GraphResult:
        if current_activation() is not None or options.get("store") is not None or "thread_id" in options:
            return await evicting.run(graph, start, **options)
        return await evicting.execute(graph, start, options)

    monkeypatch.setattr(Graph, "run", run)
