"""A front end of plain functions over a state of JSON values: forks, joins and loops, which typed graphs lack."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from dagflow.core.plan import Plan, PlanNode
from dagflow.core.replay import RecordedRun
from dagflow.core.schedule import Activation
from dagflow.core.storage import Store
from dagflow.errors import AnswerError, InvalidField, NodeError
from dagflow.events import NodeSucceeded
from dagflow.kernel.context import ActivationContext
from dagflow.kernel.durable import Durable, execute_durably
from dagflow.kernel.engine import NodeBody, Program, Step
from dagflow.kernel.interruption import Interruption
from dagflow.kernel.recorded import NO_VALUE
from dagflow.kernel.run import Run, RunSettings
from dagflow.types import Interrupt, Outcome

State = Mapping[str, Any]
Body = Callable[["Here"], Awaitable[State]]


@attrs.frozen(eq=False)
class Here:
    """What a body is given: its activation, the state that it sees, and the answers that it asks for."""

    activation: Activation
    context: ActivationContext
    state: State
    answers: Mapping[str, Any]

    def ask(self, *fields: str) -> list[Any]:
        """Give the answers to questions, or interrupt with those that have none."""
        ids = {field: self.context.interrupt_id(field) for field in fields}
        asked = [
            Interrupt(id, f"{field}?", self.context.run.id, self.activation.node, self.activation.id, field)
            for field, id in ids.items()
            if id not in self.answers
        ]
        if asked:
            raise Interruption(asked)
        return [self.answers[id] for id in ids.values()]


class PlainFront:
    """One run; see `dagflow.kernel.recorded.Recorder` for what it does when it is recorded."""

    def __init__(self, state: State) -> None:
        self.state = dict(state)
        self.answers: dict[str, Any] = {}
        self.history: list[NodeSucceeded] = []

    @property
    def initial_writes(self) -> State:
        return self.state

    @property
    def recorder(self) -> PlainFront:
        return self

    async def resolve_inputs(self, activation: ActivationContext, target: type[Any]) -> dict[str, Any]:
        raise AssertionError("not asked for here")

    async def make_node(self, target: type[Any], resolved: dict[str, Any]) -> Any:
        raise AssertionError("not asked for here")

    def write_input(self) -> Any:
        return self.state

    def write_step(self, node: str, value: Any, result: Any, writes: State) -> Mapping[str, Any]:
        try:
            json.dumps(writes)
        except TypeError as error:
            raise NodeError(f"{node} wrote what cannot be recorded: {error}", node=node) from error
        return {"value": value, "writes": dict(writes)}

    def dependency_key(self, call: Any) -> str:
        return ""

    def write_dependency(self, call: Any, value: Any) -> Any:
        return NO_VALUE

    def read_dependency(self, call: Any, data: Any) -> Any:
        raise AssertionError("nothing is written")

    def read_answer(self, interrupt: Interrupt, answer: Any) -> tuple[Any, Any]:
        if not isinstance(answer, str):
            raise AnswerError("no text", invalid=[InvalidField(interrupt.id, f"expected string, got {answer!r}")])
        return answer, answer

    def remember(self, history: Iterable[NodeSucceeded], previous: RecordedRun | None) -> None:
        self.history = list(history)

    def restore(self, recorded: RecordedRun, answers: State) -> None:
        self.state = dict(recorded.started.input)
        self.answers = dict(answers)

    def typed(self, event: NodeSucceeded) -> NodeSucceeded:
        return event


@attrs.frozen(eq=False)
class PlainGraph:
    """Nodes with a body each; what follows is what a body writes as `go` (names), else all successors."""

    edges: Mapping[str, Sequence[str]]
    bodies: Mapping[str, Body]
    default: Body
    name: str = "plain"
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def _program(self) -> Program:
        nodes = [PlanNode(name=name, successors=tuple(targets)) for name, targets in self.edges.items()]
        plan = Plan.build(nodes, (next(iter(self.edges)),), name=self.name)
        return Program(self.name, plan, {name: NodeBody(self._work) for name in self.edges})

    async def _work(self, activation: Activation, context: ActivationContext) -> Step:
        front = context.run.front
        assert isinstance(front, PlainFront)
        body = self.bodies.get(activation.node, self.default)
        view = context.run.schedule.view(activation)
        writes = dict(await body(Here(activation, context, view, front.answers)))
        targets = tuple(writes.pop("go", self.edges[activation.node]))
        return Step(targets=targets, writes=writes)

    def prepare(self, state: State | None = None) -> Run:
        """A run that has not begun."""
        return Run(self._program(), PlainFront(state or {}), RunSettings(**self.options))

    async def run(self, store: Store, thread_id: str, state: State | None = None, **options: Any) -> Ended:
        """Run and record."""
        run = self.prepare(state)
        return Ended(await execute_durably(run, Durable(store=store, thread_id=thread_id, **options)), run)

    async def resume(self, store: Store, thread_id: str, answers: State | None = None, **options: Any) -> Ended:
        """Go on with what is recorded."""
        run = self.prepare()
        durable = Durable(store=store, thread_id=thread_id, resume=True, answers=answers or {}, **options)
        return Ended(await execute_durably(run, durable), run)


@attrs.frozen(eq=False)
class Ended:
    """How a run ended."""

    outcome: Outcome
    run: Run

    @property
    def interrupts(self) -> tuple[Interrupt, ...]:
        return self.run.interrupts

    @property
    def ran(self) -> list[str]:
        """The activations that are recorded as complete, in order."""
        return [event.activation for event in self.run.journal.events if isinstance(event, NodeSucceeded)]

    @property
    def state(self) -> dict[str, Any]:
        """What all nodes wrote, key by key, the newest write last."""
        found: dict[str, Any] = {}
        for event in self.run.journal.events:
            if isinstance(event, NodeSucceeded):
                found |= event.writes
        return found
