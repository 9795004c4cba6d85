"""`Graph`: typed nodes, discovered from a start node, checked as a whole, and run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from dagflow.core.hints import show
from dagflow.core.language_model import check_language_model
from dagflow.core.node import Node
from dagflow.core.plan import Plan, PlanNode
from dagflow.errors import DagflowError, GraphError, name_of
from dagflow.graph.discover import NodeType, discover
from dagflow.graph.result import GraphResult
from dagflow.graph.shape import shape_of
from dagflow.graph.stream import GraphStream
from dagflow.graph.typed_run import TypedRun, work
from dagflow.graph.validate import graph_faults, lm_needs
from dagflow.kernel.engine import NodeBody, Program
from dagflow.kernel.entry import run_to_completion
from dagflow.kernel.resolve import Schedule
from dagflow.kernel.run import Run, RunSettings
from dagflow.types import GraphShape

__all__ = ["Graph"]


class _FromGraph:
    """The type of the default of `max_steps`: what the graph was built with."""

    def __repr__(self) -> str:
        return "the graph's own"


FROM_GRAPH: Final = _FromGraph()
Overrides = Mapping[Callable[..., Any], Any]


class Graph:
    """The nodes that can be reached from `start`, validated and ready to run any number of times.

    `schedule` says how the dependencies of a node are resolved: `"levels"`, each topological level in one task
    group, or `"eager"`, each the moment its own inputs are there. `max_concurrency` bounds the dependencies,
    model calls and node bodies that work at once in a run; nested runs share it. `max_steps` bounds the nodes
    that a run may start (`None`: no limit). `namespace` resolves names in hints that modules do not have:
    pass `locals()` for nodes that are defined in a function.

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
    ) -> None:
        _check_options(start, schedule, max_concurrency, max_steps)
        self.start = start
        self.schedule: Schedule = schedule
        self.max_concurrency = max_concurrency
        self.max_steps = max_steps
        self.name: str = start.__name__
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

    def validate(self, *, lm: bool = True) -> None:
        """Check that the graph can run; the rest was checked when it was built.

        Raises `GraphError` where `lm` is false and a node needs a language model.
        """
        needs = [] if lm else list(dict.fromkeys(lm_needs(self._types)))
        if needs:
            raise GraphError([f"{need}; pass lm=" for need in needs], subject=f"graph {self.name}")

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

    async def run(
        self,
        start: Node,
        *,
        lm: Any = None,
        deps: Overrides | None = None,
        timeout: float | None = None,
        max_steps: int | _FromGraph | None = FROM_GRAPH,
    ) -> GraphResult:
        """Run the graph from `start`, an instance of its start node, until a node is followed by none.

        `lm` fills and routes nodes that leave that open; a run inside another takes that one's unless it is
        given its own. `deps` are values that stand for their callables. `timeout` is in seconds.

        The first failure cancels what is under way, waits for its clean-up, and is raised with everything that
        had failed (`.failures`) and the nodes that had completed (`.trace`): `DepError`, `NodeError`, `FillError`,
        `LMError`, `RecallError`, `StepLimitError`, or `RunTimeout`. Cancelled, the run does the same and then
        passes the cancellation on; nothing of it is left.
        """
        return await self.prepare(start, lm=lm, deps=deps, timeout=timeout, max_steps=max_steps).execute()

    def run_sync(
        self,
        start: Node,
        *,
        backend: Literal["asyncio", "trio"] = "asyncio",
        lm: Any = None,
        deps: Overrides | None = None,
        timeout: float | None = None,
        max_steps: int | _FromGraph | None = FROM_GRAPH,
    ) -> GraphResult:
        """Run the graph in an event loop of its own, for scripts; the other arguments are those of `run`.

        Raises `RuntimeError` inside a running event loop, where `await graph.run(...)` is the way.
        """

        async def run() -> GraphResult:
            return await self.run(start, lm=lm, deps=deps, timeout=timeout, max_steps=max_steps)

        return run_to_completion(run, backend=backend, instead="await graph.run(...)")

    def stream(
        self,
        start: Node,
        *,
        lm: Any = None,
        deps: Overrides | None = None,
        timeout: float | None = None,
        max_steps: int | _FromGraph | None = FROM_GRAPH,
        buffer: int = 256,
    ) -> GraphStream:
        """Run the graph and follow its events: `async with graph.stream(...) as events: async for event in events`.

        The run belongs to the block: leaving it, however that happens, ends the run and waits until nothing of
        it is left. The run waits while more than `buffer` events are unread. A run that fails raises from the
        iteration, after its last event. `events.result` is the `GraphResult` once the iteration has ended.
        """
        return GraphStream(lambda: self.prepare(start, lm=lm, deps=deps, timeout=timeout, max_steps=max_steps), buffer)

    def prepare(
        self,
        start: Node,
        *,
        lm: Any = None,
        deps: Overrides | None = None,
        timeout: float | None = None,
        max_steps: int | _FromGraph | None = FROM_GRAPH,
    ) -> PreparedRun:
        """Check the arguments of `run` and prepare it; meant for those who follow a run from outside."""
        if not isinstance(start, self.start):
            given = f"the class {start.__name__}" if isinstance(start, type) else f"a {type(start).__name__}"
            raise TypeError(f"graph {self.name} starts with an instance of {self.name}, not {given}")
        overrides = dict(deps or {})
        self._check_overrides(overrides)
        check_language_model(lm)
        settings = RunSettings(
            lm=lm,
            overrides=overrides,
            schedule=self.schedule,
            max_concurrency=self.max_concurrency,
            max_steps=self.max_steps if isinstance(max_steps, _FromGraph) else max_steps,
            timeout=timeout,
        )
        front = TypedRun(self._types, start)
        run = Run(self._program, front, settings)
        self.validate(lm=run.lm is not None)
        return PreparedRun(run, front)

    def _check_overrides(self, overrides: Overrides) -> None:
        """Refuse an override of what no node depends on: the real callable would be called unnoticed."""
        known: set[Callable[..., Any]] = {fn for node in self._types.values() for fn in node.dependencies.calls}
        names = [name_of(fn) for fn in known]
        faults = []
        for fn in overrides:
            if fn not in known:
                from difflib import get_close_matches  # only a mistake needs it

                near = get_close_matches(name_of(fn), names, 1)
                suggestion = f"; did you mean {near[0]}?" if near else ""
                faults.append(f"deps overrides {name_of(fn)}, which no node depends on{suggestion}")
        if faults:
            raise GraphError(faults, subject=f"graph {self.name}")


class PreparedRun:
    """A run of a typed graph that has not begun; `run` has its id and journal."""

    def __init__(self, run: Run, front: TypedRun) -> None:
        self.run = run
        self._front = front

    async def execute(self) -> GraphResult:
        """Run to the end; see `Graph.run`."""
        try:
            await self.run.execute()
        except DagflowError as error:
            if error.run == self.run.id:
                error.trace = tuple(self._front.trace)
            raise
        trace = tuple(self._front.trace)
        return GraphResult(trace[-1], trace, "complete", self.run.id, self.run.journal.of(self.run.id))


def _successors(node: NodeType) -> tuple[str, ...]:
    names = [target.__name__ for target in node.routes if target is not None]
    return tuple(dict.fromkeys(names))


def _compile(name: str, start: type[Node], types: Mapping[str, NodeType]) -> Program:
    plan_nodes = [
        PlanNode(
            name=node.name,
            successors=_successors(node),
            signature=", ".join(f"{item.name}: {show(item.type)} = {item.kind}" for item in node.inputs),
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
