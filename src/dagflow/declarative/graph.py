"""`YamlGraph`: a graph file, compiled and ready to run any number of times."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

from dagflow.core.plan import Plan
from dagflow.core.storage import Store
from dagflow.declarative.front import YamlRun
from dagflow.declarative.language_models import ModelNeed, Models
from dagflow.declarative.model import GraphFile
from dagflow.declarative.node import YamlNode
from dagflow.declarative.results import YamlResult
from dagflow.declarative.shape import shape_of
from dagflow.declarative.state import StateSchema
from dagflow.errors import GraphError, LMError
from dagflow.kernel.engine import Program
from dagflow.kernel.entry import run_to_completion
from dagflow.kernel.prepared import PreparedRun
from dagflow.kernel.run import Run, RunSettings
from dagflow.kernel.stream import RunStream
from dagflow.lm.base import BaseLM
from dagflow.types import Durability, GraphShape, Interrupt, Outcome

if TYPE_CHECKING:
    from dagflow.declarative.compiling.loading import LoadedFile
    from dagflow.kernel.durable import Durable
    from dagflow.kernel.thread import Thread

__all__ = ["YamlGraph", "YamlOptions", "YamlRunOptions", "YamlStream"]

LEASE_WAIT = 12.0
"""Seconds that a resume waits for the lease: that of a process that died ends within 10 of them."""


class YamlOptions(TypedDict, total=False):
    """What a run and a resume take alike.

    `lm` is asked by nodes that name no language model, and `lms` has models that stand for those that are named
    (`{"openai:gpt-5": mine}`). `timeout` is in seconds and `max_steps` bounds the nodes that the run may start; both
    stand for what the file says. `durability` and `lease_wait` (seconds) are those of `Graph.run`.
    """

    lm: BaseLM | None
    lms: Mapping[str, BaseLM] | None
    timeout: float | None
    max_steps: int | None
    durability: Durability
    lease_wait: float


class YamlRunOptions(YamlOptions, total=False):
    """What a run takes beside its state: `YamlOptions`, and where it is recorded.

    Without a `store` the file's checkpointer counts. Without that either, a graph that asks people is recorded in this
    process, and any other is not recorded. `thread_id` names the journal; without one it gets a random name.
    """

    store: Store | None
    thread_id: str | None


class YamlStream(RunStream[YamlResult]):
    """An async context manager over the events of a run; see `YamlGraph.stream`."""


class YamlGraph:
    """A graph that was read from a file, checked and planned; made by `load_and_compile`.

    It keeps no state of runs, but for the store of a graph that asks people and has no checkpointer: `MemoryStore`,
    in this process.
    """

    def __init__(
        self,
        loaded: LoadedFile,
        schema: StateSchema,
        nodes: Mapping[str, YamlNode],
        program: Program,
        *,
        needs: tuple[ModelNeed, ...],
        asking_nodes: tuple[str, ...],
        store: Store | None,
    ) -> None:
        self.name: str = loaded.name
        self.path: Path = loaded.path
        self.spec: GraphFile = loaded.spec
        self.schema = schema
        self.nodes = nodes
        self.program = program
        self.needs = needs
        """The language models that its nodes ask, those of inner graphs too."""
        self.asking_nodes = asking_nodes
        """The nodes that ask persons, or hold what does."""
        self.store = store
        """Where runs are recorded that are given no store."""
        self._made: dict[ModelNeed, BaseLM] = {}
        self._memory: Store | None = None
        self.max_steps: int | None = self.spec.step_limit

    def __repr__(self) -> str:
        return f"YamlGraph({self.name}, {len(self.nodes)} nodes)"

    @property
    def asks_person(self) -> bool:
        """Whether a run may stop with a question."""
        return bool(self.asking_nodes)

    @property
    def plan(self) -> Plan:
        """The frozen plan: loops, joins, and the fingerprint."""
        return self.program.plan

    def shape(self) -> GraphShape:
        """The nodes and edges to draw."""
        return shape_of(self.name, self.spec)

    def to_mermaid(self) -> str:
        """Draw the graph as a Mermaid flowchart."""
        from dagflow.core.drawing.mermaid import to_mermaid

        return to_mermaid(self.shape())

    def to_dot(self) -> str:
        """Draw the graph in Graphviz's DOT language."""
        from dagflow.core.drawing.dot import to_dot

        return to_dot(self.shape())

    def to_svg(self) -> str:
        """Draw the graph as an SVG document, without any other program."""
        from dagflow.core.drawing.svg import to_svg

        return to_svg(self.shape())

    async def run(self, state: Mapping[str, Any] | None = None, **options: Unpack[YamlRunOptions]) -> YamlResult:
        """Run the graph from `state` until nothing follows any more, or everything left waits for answers.

        On a thread that has runs already, the new one begins where the last one ended, with `state` folded in.

        Raises `StateError` (a `ValueError`) for a state that does not fit, `LMError` for a language model that cannot
        be made, and what a run raises: `NodeError`, `LMError`, `FillError`, `StateConflict`, `StepLimitError`,
        `RunTimeout`, `RunLocked`, `CheckpointError`. Cancelled, it waits for the clean-up of what it had started.
        """
        return await self.prepare(state, **options).execute()

    def run_sync(
        self,
        state: Mapping[str, Any] | None = None,
        *,
        backend: Literal["asyncio", "trio"] = "asyncio",
        **options: Unpack[YamlRunOptions],
    ) -> YamlResult:
        """Run the graph in an event loop of its own, for scripts; see `run`."""
        return run_to_completion(lambda: self.run(state, **options), backend=backend, instead="await graph.run(...)")

    async def resume(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store | None = None,
        accept_changes: bool = False,
        **options: Unpack[YamlOptions],
    ) -> YamlResult:
        """Go on with the newest run of a thread: what was interrupted, killed, cancelled or failed.

        Keys of `answers` are ids of interrupts or their resume keys; any other declared state key is written with the
        first answer. What is recorded as complete is not run again. Raises what `run` does, `AnswerError` for an answer
        that does not fit, and `GraphChanged` where nodes, edges or types are no longer those that were recorded, unless
        `accept_changes` is set.
        """
        prepared = self.prepare_resume(thread_id, answers, store=store, accept_changes=accept_changes, **options)
        return await prepared.execute()

    def stream(
        self, state: Mapping[str, Any] | None = None, *, buffer: int = 256, **options: Unpack[YamlRunOptions]
    ) -> YamlStream:
        """Run the graph and follow its events: `async with graph.stream(...) as events: async for event in events`.

        The run belongs to the block, as `Graph.stream` says.
        """
        return YamlStream(lambda: self.prepare(state, **options), buffer)

    def stream_resumed(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store | None = None,
        accept_changes: bool = False,
        after: int | None = None,
        buffer: int = 256,
        **options: Unpack[YamlOptions],
    ) -> YamlStream:
        """Resume a run and follow its events; `after` is the `seq` of the last one that the reader has seen."""
        return YamlStream(
            lambda: self.prepare_resume(thread_id, answers, store=store, accept_changes=accept_changes, **options),
            buffer,
            after=after,
        )

    def thread(self, thread_id: str, *, store: Store | None = None) -> Thread:
        """Look at a thread from outside: its events, steps and states, forks, following it live."""
        from dagflow.kernel.thread import Thread  # a run without a store never needs it

        return Thread(thread_id, self._store(store))

    async def state(self, thread_id: str, *, store: Store | None = None, at: int | None = None) -> dict[str, Any]:
        """Read the state of a thread: as it stands, or as it stood at the event with the number `at`.

        Raises `CheckpointError` where there is no such thread, `ValueError` for a number that no event has.
        """
        from dagflow.core.replay import fold

        thread = self.thread(thread_id, store=store)
        events = await thread.events(until=at)
        if at is not None and (not events or events[-1].seq != at):
            raise ValueError(f"thread {thread_id} has no event {at}")
        recording = fold(events)
        front = self._front({}, Models(None, {}, self._made))
        return front.recorder.state_of(recording.runs[recording.newest])

    def prepare(
        self,
        state: Mapping[str, Any] | None = None,
        *,
        lm: BaseLM | None = None,
        lms: Mapping[str, BaseLM] | None = None,
        timeout: float | None = None,
        max_steps: int | None = None,
        store: Store | None = None,
        thread_id: str | None = None,
        durability: Durability = "sync",
        lease_wait: float = 0.0,
    ) -> PreparedRun[YamlResult]:
        """Check the arguments of `run` and prepare it; meant for those who follow a run from outside."""
        given = dict(state or {})
        front = self._front(self.schema.beginning(given), self._models(lm, lms))
        front.given = self.schema.read(given)
        run = self._run(front, timeout, max_steps)
        if run.is_nested:
            return self._prepared(run, front, None)
        if store is None and self.store is None and not self.asks_person and thread_id is None:
            return self._prepared(run, front, None)
        from dagflow.kernel.durable import Durable  # a run without a store never needs it

        durable = Durable(
            store=self._store(store),
            thread_id=run.id if thread_id is None else thread_id,
            durability=durability,
            lease_wait=lease_wait,
        )
        return self._prepared(run, front, durable)

    def prepare_resume(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store | None = None,
        lm: BaseLM | None = None,
        lms: Mapping[str, BaseLM] | None = None,
        timeout: float | None = None,
        max_steps: int | None = None,
        durability: Durability = "sync",
        lease_wait: float = LEASE_WAIT,
        accept_changes: bool = False,
    ) -> PreparedRun[YamlResult]:
        """Check the arguments of `resume` and prepare it; meant for those who follow a run from outside."""
        from dagflow.declarative.answering import answers_by_id
        from dagflow.kernel.durable import Durable

        front = self._front({}, self._models(lm, lms))
        run = self._run(front, timeout, max_steps)
        given = dict(answers or {})
        durable = Durable(
            store=self._store(store),
            thread_id=thread_id,
            durability=durability,
            lease_wait=lease_wait,
            resume=True,
            answers=lambda interrupts: answers_by_id(given, interrupts, self.schema, thread_id),
            accept_changes=accept_changes,
        )
        return self._prepared(run, front, durable)

    async def run_nested(self, given: Mapping[str, Any], models: Models) -> dict[str, Any]:
        """Run as a part of another run; gives the state at the end. Raises as `run` does."""
        front = self._front(self.schema.beginning(given), models)
        run = self._run(front, None, None)
        await run.execute()
        assert run.schedule is not None
        return run.schedule.final_state()

    def _front(self, state: dict[str, Any], models: Models) -> YamlRun:
        return YamlRun(self.nodes, self.schema, state, models, plan=self.program.plan)

    def check_models(self, lm: BaseLM | None = None, lms: Mapping[str, BaseLM] | None = None) -> None:
        """Make sure that every node has a language model to ask; raises `LMError` and `GraphError` as `run` does."""
        self._models(lm, lms)

    def _models(self, lm: BaseLM | None, lms: Mapping[str, BaseLM] | None) -> Models:
        """Find the language models of all nodes before anything runs; raises `LMError` and `GraphError`."""
        for given in (lm, *(lms or {}).values()):
            if given is not None and not isinstance(given, BaseLM):
                raise TypeError(
                    f"the language model of a YAML graph is a BaseLM, whose prompts are the graph's own, not {given!r}"
                )
        models = Models(lm, lms or {}, self._made)
        faults = []
        for need in self.needs:
            if need.spec is None and lm is None:
                faults.append("a node asks a language model and names none; write `lm: provider:model`, or pass lm=")
            elif need.spec is not None:
                try:
                    models.find(need)
                except LMError as error:
                    if not faults:
                        raise
                    faults.append(str(error))
        if faults:
            raise GraphError(faults, subject=f"graph {self.name}")
        return models

    def _run(self, front: YamlRun, timeout: float | None, max_steps: int | None) -> Run:
        settings = RunSettings(
            lm=front.models.default,
            max_concurrency=self.spec.max_concurrency,
            max_steps=self.max_steps if max_steps is None else max_steps,
            timeout=self.spec.timeout if timeout is None else timeout,
        )
        return Run(self.program, front, settings)

    def _store(self, store: Store | None) -> Store:
        if store is not None:
            return store
        if self.store is not None:
            return self.store
        if self._memory is None:
            from dagflow.store.memory import MemoryStore

            self._memory = MemoryStore()
        return self._memory

    def _prepared(self, run: Run, front: YamlRun, durable: Durable | None) -> PreparedRun[YamlResult]:
        def result(outcome: Outcome, thread_id: str) -> YamlResult:
            assert run.schedule is not None
            interrupts: tuple[Interrupt, ...] = run.interrupts
            return YamlResult(
                status=outcome,
                state=run.schedule.final_state(),
                run=run.id,
                events=run.journal.of(run.id),
                thread_id=thread_id,
                interrupts=interrupts,
            )

        return PreparedRun(run, trace=lambda: tuple(front.trace), result=result, durable=durable)
