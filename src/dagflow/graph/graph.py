"""`Graph`: typed nodes, discovered from a start node, checked as a whole, and run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Unpack

from dagflow.core.hints import show
from dagflow.core.inputs import inputs
from dagflow.core.language_model import check_language_model
from dagflow.core.markers import UNSET
from dagflow.core.node import Node
from dagflow.core.plan import SEPARATOR, Plan, PlanNode
from dagflow.core.storage import Store
from dagflow.errors import GraphError, name_of
from dagflow.events import Event, NodeSucceeded
from dagflow.graph.discover import NodeType, discover
from dagflow.graph.options import FROM_GRAPH, FromGraph, Overrides, ResumeOptions, RunOptions
from dagflow.graph.result import GraphResult
from dagflow.graph.shape import shape_of
from dagflow.graph.stream import GraphStream
from dagflow.graph.typed_run import TypedRun, work
from dagflow.graph.validate import gates_of, graph_faults, lm_needs, unrecordable
from dagflow.kernel.engine import NodeBody, Program
from dagflow.kernel.entry import run_to_completion
from dagflow.kernel.prepared import PreparedRun
from dagflow.kernel.resolve import Schedule
from dagflow.kernel.run import Run, RunSettings
from dagflow.types import Durability, GraphShape, Outcome

if TYPE_CHECKING:
    from dagflow.core.codec import Codec, Serializer
    from dagflow.graph.recording import GraphRecording
    from dagflow.kernel.durable import Durable
    from dagflow.kernel.thread import Thread

__all__ = ["Graph"]

LEASE_WAIT = 12.0
"""Seconds that a resume waits for the lease: that of a process that died ends within 10 of them."""


class Graph:
    """The nodes that can be reached from `start`, validated and ready to run any number of times.

    `schedule` says how the dependencies of a node are resolved: `"levels"`, each topological level in one task
    group, or `"eager"`, each the moment its own inputs are there. `max_concurrency` bounds the dependencies,
    model calls and node bodies that work at once in a run; nested runs share it. `max_steps` bounds the nodes
    that a run may start (`None`: no limit). `namespace` resolves names in hints that modules do not have:
    pass `locals()` for nodes that are defined in a function. `types` are classes that a run with a store may
    meet where the declared type leaves them open, or does not say how they are written (`Serializer`).

    Raises `GraphError` with every fault: of hints, bodies, markers and dependencies, a node without a path to
    a terminal one, a recall on the start node, two nodes of one name.
    """

    def __init__(
        self,
        start: type[Node],
        *,
        schedule: Schedule = "levels",
        max_concurrency: int | None = None,
        max_steps: int | None = 100,
        namespace: Mapping[str, Any] | None = None,
        types: Iterable[type | Serializer] = (),
    ) -> None:
        _check_options(start, schedule, max_concurrency, max_steps)
        self.start = start
        self.schedule: Schedule = schedule
        self.max_concurrency = max_concurrency
        self.max_steps = max_steps
        self.name: str = start.__name__
        self._registered = tuple(types)
        faults: list[str] = []
        self._types = discover(start, namespace or {}, faults)
        faults.extend(graph_faults(self._types, start.__name__))
        if faults:
            raise GraphError(list(dict.fromkeys(faults)), subject=f"graph {self.name}")
        self._program = _compile(self.name, start, self._types)

    def __repr__(self) -> str:
        return f"Graph(start={self.name}, {len(self._types)} nodes)"

    @property
    def nodes(self) -> tuple[type[Node], ...]:
        """The node types, the start first, in breadth-first order."""
        return tuple(node.cls for node in self._types.values())

    @property
    def edges(self) -> tuple[tuple[type[Node], type[Node]], ...]:
        """Which node may follow which, in the order of the return hints."""
        return tuple(
            (node.cls, target) for node in self._types.values() for target in node.routes if target is not None
        )

    @property
    def terminal_nodes(self) -> tuple[type[Node], ...]:
        """The nodes after which a run may end."""
        return tuple(node.cls for node in self._types.values() if None in node.routes)

    @property
    def plan(self) -> Plan:
        """The frozen plan: loops, joins, and the fingerprint."""
        return self._program.plan

    def validate(self, *, lm: bool = True, store: bool = False) -> None:
        """Check that the graph can run; the rest was checked when it was built.

        Raises `GraphError` where `lm` is false and a node needs a language model, and where `store` is true and a
        field has a type that cannot be recorded. A run with a store finds such a field when it gets its value.
        """
        needs = [] if lm else [f"{need}; pass lm=" for need in dict.fromkeys(lm_needs(self._types))]
        if store:
            needs += unrecordable(self._types, self._codec)
        if needs:
            raise GraphError(needs, subject=f"graph {self.name}")

    @cached_property
    def _codec(self) -> Codec:
        from dagflow.core.codec import Codec  # a run without a store never needs it

        return Codec(self._registered)

    @cached_property
    def _recording(self) -> GraphRecording:
        from dagflow.graph.recording import GraphRecording

        return GraphRecording(self._types, self._codec)

    def shape(self, *, dependencies: bool = True) -> GraphShape:
        """The nodes and edges to draw, with the callables that the nodes depend on or without."""
        return shape_of(self.name, self._types, dependencies=dependencies)

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

    async def run(self, start: Node, **options: Unpack[RunOptions]) -> GraphResult:
        """Run the graph from `start`, an instance of its start node, until a node is followed by none.

        The options are those of `RunOptions`: `lm`, `deps`, `timeout`, `max_steps`, and for a run that is recorded
        `store`, `thread_id`, `durability` and `lease_wait`. On a thread that has runs already, the new one can recall
        what their nodes carried. A run whose nodes ask a person (`Gate`) gives a result with `status="interrupted"`
        and the open questions in `interrupts`, once everything else that can run has; `resume` goes on from there.

        The first failure cancels what is under way, waits for its clean-up, and is raised with everything that
        had failed (`.failures`) and the nodes that had completed (`.trace`): `DepError`, `NodeError`, `FillError`,
        `LMError`, `RecallError`, `StepLimitError`, or `RunTimeout`. Cancelled, the run does the same and then
        passes the cancellation on; nothing of it is left. `RunCancelled` tells that somebody else cancelled it
        through its store, `RunLocked` that another run works on the thread, `CheckpointError` that the store failed
        or that the thread waits for answers.
        """
        return await self.prepare(start, **options).execute()

    async def resume(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store,
        accept_changes: bool = False,
        **options: Unpack[ResumeOptions],
    ) -> GraphResult:
        """Go on with the newest run of a thread: what was interrupted, killed, cancelled or failed.

        What is recorded as complete is not run again, and neither are dependencies whose values are recorded.
        `answers` gives, by the id of the interrupt, values of the asked type or the JSON that stands for them;
        questions without an answer stay open. A thread whose run is complete gives its result again. `options`
        are those of `ResumeOptions`; `lease_wait` is 12 seconds unless it is given, because the lease of a process
        that died may take 10 to end.

        Raises what `run` does, and `AnswerError` for an answer that does not fit, with nothing recorded;
        `CheckpointError` where there is no such thread, or its journal is damaged; `GraphChanged` where nodes,
        edges or field types are no longer those that were recorded, unless `accept_changes` is set. A change of
        bodies is no such change: mend what failed, and resume.
        """
        prepared = self.prepare_resume(thread_id, answers, store=store, accept_changes=accept_changes, **options)
        return await prepared.execute()

    def run_sync(
        self, start: Node, *, backend: Literal["asyncio", "trio"] = "asyncio", **options: Unpack[RunOptions]
    ) -> GraphResult:
        """Run the graph in an event loop of its own, for scripts; the options are those of `run`.

        Raises `RuntimeError` inside a running event loop, where `await graph.run(...)` is the way.
        """
        return run_to_completion(lambda: self.run(start, **options), backend=backend, instead="await graph.run(...)")

    def resume_sync(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store,
        accept_changes: bool = False,
        backend: Literal["asyncio", "trio"] = "asyncio",
        **options: Unpack[ResumeOptions],
    ) -> GraphResult:
        """Resume a run in an event loop of its own, for scripts; see `resume` and `run_sync`."""
        return run_to_completion(
            lambda: self.resume(thread_id, answers, store=store, accept_changes=accept_changes, **options),
            backend=backend,
            instead="await graph.resume(...)",
        )

    def stream(self, start: Node, *, buffer: int = 256, **options: Unpack[RunOptions]) -> GraphStream:
        """Run the graph and follow its events: `async with graph.stream(...) as events: async for event in events`.

        The run belongs to the block: leaving it, however that happens, ends the run and waits until nothing of
        it is left. The run waits while more than `buffer` events are unread. A run that fails raises from the
        iteration, after its last event. `events.result` is the `GraphResult` once the iteration has ended. With a
        store, an event is seen once it is recorded.
        """
        return GraphStream(lambda: self.prepare(start, **options), buffer)

    def stream_resumed(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store,
        accept_changes: bool = False,
        after: int | None = None,
        buffer: int = 256,
        **options: Unpack[ResumeOptions],
    ) -> GraphStream:
        """Resume a run and follow its events, as `stream` does.

        `after` is the number (`seq`) of the last event that the reader has seen: recorded ones that follow it come
        first. Without it, the events from now on.
        """
        return GraphStream(
            lambda: self.prepare_resume(thread_id, answers, store=store, accept_changes=accept_changes, **options),
            buffer,
            after=after,
        )

    def prepare(
        self,
        start: Node,
        *,
        lm: Any = None,
        deps: Overrides | None = None,
        timeout: float | None = None,
        max_steps: int | FromGraph | None = FROM_GRAPH,
        store: Store | None = None,
        thread_id: str | None = None,
        durability: Durability = "sync",
        lease_wait: float = 0.0,
    ) -> PreparedRun[GraphResult]:
        """Check the arguments of `run` and prepare it; meant for those who follow a run from outside."""
        if not isinstance(start, self.start):
            given = f"the class {start.__name__}" if isinstance(start, type) else f"a {type(start).__name__}"
            raise TypeError(f"graph {self.name} starts with an instance of {self.name}, not {given}")
        run, front = self._prepare(start, lm, deps, timeout, max_steps)
        self._check_gates(start, run, store)
        if store is None:
            if thread_id is not None:
                raise ValueError("thread_id names a journal in a store; pass store= too")
            return _prepared(run, front)
        if thread_id is None:
            thread_id = run.id
        from dagflow.kernel.durable import Durable  # as in `execute`

        durable = Durable(store=store, thread_id=thread_id, durability=durability, lease_wait=lease_wait)
        return _prepared(run, front, durable)

    def prepare_resume(
        self,
        thread_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store,
        lm: Any = None,
        deps: Overrides | None = None,
        timeout: float | None = None,
        max_steps: int | FromGraph | None = FROM_GRAPH,
        durability: Durability = "sync",
        lease_wait: float = LEASE_WAIT,
        accept_changes: bool = False,
    ) -> PreparedRun[GraphResult]:
        """Check the arguments of `resume` and prepare it; meant for those who follow a run from outside."""
        from dagflow.kernel.durable import Durable  # as in `execute`

        run, front = self._prepare(None, lm, deps, timeout, max_steps)
        durable = Durable(
            store=store,
            thread_id=thread_id,
            durability=durability,
            lease_wait=lease_wait,
            resume=True,
            answers=answers or {},
            accept_changes=accept_changes,
        )
        return _prepared(run, front, durable)

    def _prepare(
        self,
        start: Node | None,
        lm: Any,
        deps: Overrides | None,
        timeout: float | None,
        max_steps: int | FromGraph | None,
    ) -> tuple[Run, TypedRun]:
        overrides = dict(deps or {})
        self._check_overrides(overrides)
        check_language_model(lm)
        settings = RunSettings(
            lm=lm,
            overrides=overrides,
            schedule=self.schedule,
            max_concurrency=self.max_concurrency,
            max_steps=self.max_steps if isinstance(max_steps, FromGraph) else max_steps,
            timeout=timeout,
        )
        front = TypedRun(self._types, start, lambda: self._recording)
        run = Run(self._program, front, settings)
        self.validate(lm=run.lm is not None)
        return run, front

    def _check_gates(self, start: Node, run: Run, store: Store | None) -> None:
        """Refuse a run whose questions nobody could ever answer, because nothing would be left to resume."""
        if store is not None or run.durable is not None:
            return
        given: set[str] = set()
        if not self.plan.predecessors[self.name]:  # a start that is reached again asks again
            set_by_caller = [item.name for item in inputs(type(start)) if getattr(start, item.name) is not UNSET]
            given = {f"{self.name}.{name}" for name in set_by_caller}
        gates = [place for place in gates_of(self._types) if place not in given]
        if gates:
            faults = [f"{place} asks a person, and only a run with a store can wait for the answer" for place in gates]
            faults[-1] += "; pass store= (MemoryStore() keeps it within this process)"
            raise GraphError(faults, subject=f"graph {self.name}")

    def thread(self, thread_id: str, *, store: Store) -> Thread:
        """Look at a thread from outside: its events, steps and states with typed nodes, forks, following it live."""
        from dagflow.kernel.thread import Thread  # as in `execute`

        return Thread(thread_id, store, decode=self._decode)

    def _decode(self, event: Event) -> Event:
        if isinstance(event, NodeSucceeded) and "/" not in event.run and event.node in self._types:
            return self._recording.typed(event)
        return event

    def _check_overrides(self, overrides: Overrides) -> None:
        """Refuse an override of what no node depends on: the real callable would be called unnoticed."""
        known: set[Callable[..., Any]] = {fn for node in self._types.values() for fn in node.dependencies.calls}
        names = [name_of(fn) for fn in known]
        faults = []
        for fn in overrides:
            if fn not in known:
                from dagflow.core.structure import nearest  # only a mistake needs it

                faults.append(f"deps overrides {name_of(fn)}, which no node depends on{nearest(name_of(fn), names)}")
        if faults:
            raise GraphError(faults, subject=f"graph {self.name}")


def _prepared(run: Run, front: TypedRun, durable: Durable | None = None) -> PreparedRun[GraphResult]:
    state = front.state

    def result(outcome: Outcome, thread_id: str) -> GraphResult:
        trace = tuple(state.trace)
        return GraphResult(
            node=trace[-1] if trace else None,
            trace=trace,
            status=outcome,
            run=run.id,
            events=run.journal.of(run.id),
            thread_id=thread_id,
            interrupts=run.interrupts,
        )

    return PreparedRun(run, trace=lambda: tuple(state.trace), result=result, durable=durable)


def _successors(node: NodeType) -> tuple[str, ...]:
    names = [target.__name__ for target in node.routes if target is not None]
    return tuple(dict.fromkeys(names))


def _compile(name: str, start: type[Node], types: Mapping[str, NodeType]) -> Program:
    plan_nodes = [
        PlanNode(
            name=node.name,
            successors=_successors(node),
            signature=SEPARATOR.join(f"{item.name}: {show(item.type)} = {item.kind}" for item in node.inputs),
        )
        for node in types.values()
    ]
    bodies = {}
    for node in types.values():
        config = node.cls.node_config
        bodies[node.name] = NodeBody(work, config.timeout, config.retry, config.max_concurrency)
    return Program(name, Plan.build(plan_nodes, (start.__name__,), name=name), bodies)


def _check_options(start: object, schedule: str, max_concurrency: int | None, max_steps: int | None) -> None:
    if not isinstance(start, type) or not issubclass(start, Node) or start is Node:
        raise TypeError(f"Graph(start=...) takes a subclass of Node, not {start!r}")
    if schedule not in ("levels", "eager"):
        raise ValueError(f"schedule must be 'levels' or 'eager', not {schedule!r}")
    for name, value in (("max_concurrency", max_concurrency), ("max_steps", max_steps)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, or None for no limit; not {value}")
