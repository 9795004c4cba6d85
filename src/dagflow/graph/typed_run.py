"""One run of a typed graph: makes each node, runs its body, and says what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import attrs

from dagflow.core import hints
from dagflow.core.inputs import Input, inputs, instruction_of
from dagflow.core.markers import UNSET
from dagflow.core.node import Node
from dagflow.core.schedule import Activation
from dagflow.errors import Failure, GraphError, NodeError, RecallError
from dagflow.graph.discover import NodeType
from dagflow.graph.state import TypedState
from dagflow.kernel.calling import under_permit
from dagflow.kernel.context import ActivationContext, current_activation
from dagflow.kernel.engine import Step
from dagflow.kernel.interruption import Interruption
from dagflow.kernel.standalone import by_alias, construct

if TYPE_CHECKING:
    from dagflow.graph.recording import GraphRecording, TypedRecorder

__all__ = ["TypedRun", "work"]


async def work(activation: Activation, context: ActivationContext) -> Step:
    """Run an activation of a typed graph: the body of every node of its program."""
    front = context.run.front
    assert isinstance(front, TypedRun)
    return await front.activate(activation, context)


class TypedRun:
    """One run: its nodes are made, run and led on from here.

    A node appears in the trace once its body is done; while the body runs, what the body asks for may recall from
    the node as well. `start` is `None` for a run that goes on from what is recorded.
    """

    def __init__(
        self, nodes: Mapping[str, NodeType], start: Node | None, recording: Callable[[], GraphRecording]
    ) -> None:
        self._nodes = nodes
        self._recording = recording
        self._recorder: TypedRecorder | None = None
        self.state: TypedState = TypedState(start)

    @property
    def initial_writes(self) -> Mapping[str, Any]:
        """What the state begins with: typed nodes pass values on by their fields, and write no state."""
        return {}

    @property
    def recorder(self) -> TypedRecorder:
        """How the run is recorded."""
        if self._recorder is None:
            from dagflow.graph.recording import TypedRecorder  # a run without a store never needs it

            self._recorder = TypedRecorder(self._recording(), self.state)
        return self._recorder

    async def activate(self, activation: Activation, context: ActivationContext) -> Step:
        """Make the node, run its body or route it, and say what follows."""
        node_type = self._nodes[activation.node]
        node = await self._node(node_type, activation, context)
        self.state.current[activation.id] = node
        try:
            made: Node | None = None
            if node_type.body.empty:
                target = await self._route(node_type, node, context)
            else:
                made = await self._run_body(node_type, node, context)
                target = type(made) if made is not None else None
        finally:
            del self.state.current[activation.id]
        if activation.parents:  # not before: another attempt begins with the same node
            self.state.made.pop(activation.parents[-1].id, None)
        self.state.made[activation.id] = made
        self.state.trace.append(node)
        targets = () if target is None else (target.__name__,)
        return Step(value=node, targets=targets, result=made)

    async def _node(self, node_type: NodeType, activation: Activation, context: ActivationContext) -> Node:
        """The node to run: given by the caller, made by the body before, or made here."""
        if not activation.parents:
            assert self.state.start is not None
            return await self._complete(node_type, self.state.start, context)
        made = self.state.made.get(activation.parents[-1].id)
        if made is not None:
            return await self._complete(node_type, made, context)
        resolved = await self._resolve(node_type.cls, context, exclusive=_is_exclusive(node_type))
        resolved |= self._answered(node_type, node_type.of_kind("gate"), context)
        return await self._fill(node_type.cls, resolved, self.state.trace[-1], context)

    async def _complete(self, node_type: NodeType, node: Node, context: ActivationContext) -> Node:
        """Resolve the fields that the node's maker left out; the maker's instance stays as it is."""
        unset = [item.name for item in node_type.inputs if _is_open(item, node)]
        if not unset:
            return node
        values = await self._resolve(node_type.cls, context, unset, exclusive=_is_exclusive(node_type))
        gates = [item for item in node_type.of_kind("gate") if item.name in unset]
        return evolve(node, values | self._answered(node_type, gates, context))

    def _answered(self, node_type: NodeType, gates: Iterable[Input], context: ActivationContext) -> dict[str, Any]:
        """The answers to the questions of gate fields; raises `Interruption` with those that have none."""
        values: dict[str, Any] = {}
        open_questions = []
        for item in gates:
            id = context.interrupt_id(item.name)
            if id in self.state.answers:
                values[item.name] = self.state.answers[id]
            else:
                open_questions.append(
                    self._recording().question(id, context.run.id, context.activation, item, node_type.name)
                )
        if open_questions:
            raise Interruption(open_questions)
        return values

    async def _resolve(
        self,
        target: type[Node],
        context: ActivationContext,
        names: Iterable[str] | None = None,
        *,
        exclusive: bool,
    ) -> dict[str, Any]:
        """Resolve the dependency and recall fields of a node type of this graph, or those of `names`."""
        node_type = self._nodes[target.__name__]
        wanted = {item.name for item in node_type.inputs} if names is None else set(names)
        plan = node_type.dependencies
        if names is not None:
            plan = plan.only(wanted)
        values: dict[str, Any] = {}
        if plan.fields:
            resolver = context.run.resolver
            values = await resolver.resolve(plan, node=node_type.name, asker=context, exclusive=exclusive)
        for item in node_type.of_kind("recall"):
            if item.name in wanted:
                value = self.recall(item, node_type.name, context)
                if value is not UNSET:
                    values[item.name] = value
        return values

    def recall(self, item: Input, node: str, context: ActivationContext) -> Any:
        """Find the newest value of a field's type in the trace; `UNSET` where the field has a default.

        Raises `RecallError` where there is neither.
        """
        running = self.state.current.get(context.activation)
        newest_first = ([] if running is None else [running]) + self.state.trace[::-1] + self.state.history[::-1]
        for earlier in newest_first:
            for other in reversed(inputs(type(earlier))):
                if other.kind == "plain":
                    value = getattr(earlier, other.name)
                    if _matches(value, other.type, item.type):
                        return value
        if item.required:
            searched = [type(earlier).__name__ for earlier in newest_first]
            raise RecallError(node=node, field=item.name, type=item.type, searched=searched)
        return UNSET

    async def _fill(
        self, target: type[Node], resolved: dict[str, Any], source: Node | None, context: ActivationContext
    ) -> Node:
        """Make a node from its resolved fields, with a language model for its plain ones."""
        missing = [item for item in inputs(target) if item.name not in resolved]
        plain = [item for item in missing if item.kind == "plain"]
        lm = target.node_config.lm or context.run.lm
        if not plain or (lm is None and not any(item.required for item in plain)):
            made: Node = construct(target, resolved, missing)
            return made
        if lm is None:
            raise GraphError(
                [
                    f"{target.__name__} ({', '.join(item.name for item in plain)}) is filled by "
                    f"the language model, but the run has none; pass lm="
                ],
                subject=target.__name__,
            )
        filled = await under_permit(context, partial(lm.fill, target, resolved, instruction_of(target), source))
        if not isinstance(filled, target):
            raise _wrong(target.__name__, f"the language model filled {target.__name__} with {filled!r}")
        return filled

    async def _route(self, node_type: NodeType, node: Node, context: ActivationContext) -> type[Node] | None:
        """What follows a node whose body leaves it open; one candidate costs no choice."""
        if len(node_type.routes) == 1:
            return node_type.routes[0]
        lm = node_type.cls.node_config.lm or context.run.lm
        fields = {item.name: getattr(node, item.name) for item in node_type.inputs}
        chosen = await under_permit(context, partial(lm.choose_type, node_type.routes, fields))
        if chosen not in node_type.routes:
            raise _wrong(
                node_type.name, f"the language model chose {_name(chosen)}, but {_declared(node_type)} may follow"
            )
        target: type[Node] | None = chosen
        return target

    async def _run_body(self, node_type: NodeType, node: Node, context: ActivationContext) -> Node | None:
        """Call the node's own body, and hold it to its hint."""
        arguments: dict[str, Any] = {}
        if node_type.body.lm_parameter is not None:
            arguments[node_type.body.lm_parameter] = node_type.cls.node_config.lm or context.run.lm
        made = await under_permit(context, partial(node, **arguments))
        if (None if made is None else type(made)) in node_type.routes:
            followed: Node | None = made
            return followed
        raise _undeclared(node_type, made)

    async def resolve_inputs(self, activation: ActivationContext, target: type[Any]) -> dict[str, Any]:
        """Resolve the dependency and recall fields of `target` for a body that makes one."""
        if self._nodes.get(target.__name__) is None or self._nodes[target.__name__].cls is not target:
            known = ", ".join(self._nodes)
            raise _wrong(
                activation.node,
                f"{activation.node} makes a {target.__name__}, which is no node of the graph ({known}); "
                f"name it in a return hint",
            )
        return await self._resolve(target, activation, exclusive=False)

    async def make_node(self, target: type[Any], resolved: dict[str, Any]) -> Any:
        """Make a dependency that is a node: recall its recalled fields, and fill its plain ones."""
        context = current_activation()
        assert context is not None
        for item in inputs(target):
            if item.kind == "recall":
                value = self.recall(item, target.__name__, context)
                if value is not UNSET:
                    resolved[item.name] = value
        source = self.state.current.get(context.activation) or (self.state.trace[-1] if self.state.trace else None)
        return await self._fill(target, resolved, source, context)


def evolve(node: Node, values: Mapping[str, Any]) -> Node:
    """A copy of the node with some fields set."""
    changed: Node = attrs.evolve(cast("Any", node), **by_alias(type(node), values))
    return changed


def _is_exclusive(node_type: NodeType) -> bool:
    """Whether the node's dependencies can be cancelled by nothing less than the end of the run."""
    config = node_type.cls.node_config
    return config.timeout is None and config.retry is None


def _is_open(item: Input, node: Node) -> bool:
    """Whether the engine is to find the field's value: nobody gave one, or it recalls and has its default."""
    value = getattr(node, item.name)
    return value is UNSET or (item.kind == "recall" and value is item.default)


def _matches(value: object, declared: Any, wanted: Any) -> bool:
    """Whether a plain field's value fits what is recalled.

    The declared type decides, so that an empty `list[int]` is no `list[str]`; a value is looked at only where
    its declared type leaves it open (a union, or a base class of what is wanted).
    """
    if hints.is_assignable(declared, wanted):
        return True
    members = hints.union_members(declared)
    open_to_it = any(hints.is_assignable(member, wanted) or hints.is_assignable(wanted, member) for member in members)
    return open_to_it and hints.is_instance(value, wanted, deep=True)


def _declared(node_type: NodeType) -> str:
    return " | ".join(_name(target) for target in node_type.routes)


def _name(target: object) -> str:
    return "None" if target is None else getattr(target, "__name__", repr(target))


def _undeclared(node_type: NodeType, made: object) -> NodeError:
    declared = _declared(node_type)
    text = f"{node_type.name}.__call__ is declared to return {declared}, but it returned "
    if made is None:
        return _wrong(node_type.name, f"{text}None; declare `-> {declared} | None`, or return a node")
    if isinstance(made, type):
        return _wrong(
            node_type.name,
            f"{text}the class {made.__name__} itself; return an instance of it, or let the language model "
            f"make one: `await lm.make(self, {made.__name__})`",
        )
    if hasattr(made, "__await__"):
        close = getattr(made, "close", None)
        if close is not None:
            close()  # or it would warn, later, that nobody awaited it
        return _wrong(node_type.name, f"{text}{made!r}; an `await` is missing")
    return _wrong(node_type.name, f"{text}an instance of {type(made).__name__}")


def _wrong(node: str, message: str) -> NodeError:
    error = NodeError(message, node=node)
    error.failures = (Failure(error, node),)
    return error
