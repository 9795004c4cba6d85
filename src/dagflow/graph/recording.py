"""How the runs of a typed graph are recorded: nodes by their fields, dependencies by a name of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import attrs

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.callables import MISSING
from dagflow.core.codec import Codec, Unreadable, Unwritable
from dagflow.core.dependencies import Call
from dagflow.core.fitting import fit
from dagflow.core.importable import unreachable
from dagflow.core.inputs import Input, fields_of
from dagflow.core.markers import UNSET
from dagflow.core.node import Node
from dagflow.core.replay import RecordedRun
from dagflow.core.schema import json_schema
from dagflow.core.structure import message_of
from dagflow.errors import AnswerError, Failure, GraphChanged, InvalidField, NodeError, name_of
from dagflow.events import NodeSucceeded
from dagflow.graph.discover import NodeType
from dagflow.graph.state import TypedState
from dagflow.kernel.recorded import NO_VALUE
from dagflow.types import Interrupt

__all__ = ["GraphRecording", "TypedRecorder"]

Fn = Callable[..., Any]


class GraphRecording:
    """What the runs of one graph share when they are recorded; no run's own state is in it."""

    def __init__(self, nodes: Mapping[str, NodeType], codec: Codec) -> None:
        self._nodes = nodes
        self._codec = codec

    @cached_property
    def _keys(self) -> dict[Fn, str]:
        """A name for every dependency of the graph, the same in every process that has the graph."""
        keys: dict[Fn, str] = {}
        taken: set[str] = set()
        for node in self._nodes.values():
            for fn, call in node.dependencies.calls.items():
                if fn not in keys:
                    name = key = full_name(fn)
                    if key in taken:
                        key = f"{name} ({node.name}.{call.place})"
                    taken.add(key)
                    keys[fn] = key
        return keys

    def write_node(self, node: Node) -> dict[str, Any]:
        """Write a node by its fields; raises `NodeError` that names the one that cannot be written."""
        try:
            return self._codec.write_node(node)
        except Unwritable as error:
            name = type(node).__name__
            failure = NodeError(f"{name} cannot be recorded: {error}", node=name)
            failure.failures = (Failure(error, name, error.path.removeprefix("$.").partition(".")[0]),)
            raise failure from error

    def read_node(self, name: str, data: Any, *, thread_id: str = "") -> Node:
        """Read a node; raises `GraphChanged` where what is recorded does not fit its class any more."""
        node_type = self._nodes.get(name)
        if node_type is None:
            raise GraphChanged(f"node {name} is recorded, but not in the graph any more", thread_id=thread_id)
        # Fields that the class has no longer are those of a change that was accepted, or of an earlier run.
        known = {item.name for item in node_type.inputs}
        if type(data) is dict and not data.keys() <= known:
            data = {name: value for name, value in data.items() if name in known}
        try:
            return self._codec.read_node(node_type.cls, data)
        except Unreadable as error:
            change = f"{name} is recorded with what does not fit its class any more: {error}"
            raise GraphChanged(change, thread_id=thread_id, changes=[change]) from error

    def check_start(self, name: str) -> None:
        """Raise `GraphChanged` where a run began with another node than the graph does now."""
        start = next(iter(self._nodes))
        if name != start:
            change = f"the run began with {name}, and the graph begins with {start} now"
            raise GraphChanged(change, changes=[change])

    def check_given(self, node: Node) -> None:
        """Raise `GraphChanged` where a node that is to run lacks a plain field, which is younger than its record."""
        for item in self._nodes[type(node).__name__].of_kind("plain"):
            if getattr(node, item.name) is UNSET:
                change = f"{type(node).__name__}.{item.name} has no value in what is recorded, and no default"
                raise GraphChanged(change, changes=[change])

    def typed(self, event: NodeSucceeded) -> NodeSucceeded:
        """The event of an activation, as it is read from the journal, with nodes in the place of their data."""
        value = self.read_node(event.node, event.value)
        result = None if event.result is None else self.read_node(event.targets[0], event.result)
        return attrs.evolve(event, value=value, result=result)

    def dependency_key(self, call: Call) -> str:
        """Name a dependency so that another process knows it; empty for one that is not recorded."""
        if not call.options.record or call.mode == "context" or call.returns is MISSING:
            return ""
        key = self._keys.get(call.fn)
        if key is None:  # asked for by a body
            return self._key_by_name(call.fn)
        return key

    def _key_by_name(self, fn: Fn) -> str:
        """A name for a dependency that the graph does not know; empty where nothing or another one has it."""
        if not hasattr(fn, "__qualname__") or unreachable(fn) is not None:
            return ""
        name = full_name(fn)
        return "" if name in self._keys.values() else name

    def write_dependency(self, call: Call, value: Any) -> Any:
        """Write a dependency's value; `NO_VALUE` for one that cannot be written."""
        if self._codec.problem(call.returns) is not None:
            return NO_VALUE
        try:
            return self._codec.writer(call.returns)(value)
        except Unwritable:
            return NO_VALUE

    def read_dependency(self, call: Call, data: Any) -> Any:
        """Read a dependency's value; raises `GraphChanged` where it does not fit its type any more."""
        try:
            return self._codec.reader(call.returns)(data)
        except Unreadable as error:
            change = f"what {call.name} gave is recorded, and does not fit its type any more: {error}"
            raise GraphChanged(change, changes=[change]) from error

    def question(self, id: str, run: str, activation: str, item: Input, node: str) -> Interrupt:
        """The question of a gate field."""
        assert item.marker is not None
        return Interrupt(
            id=id,
            question=getattr(item.marker, "question", ""),
            run=run,
            node=node,
            activation=activation,
            field=item.name,
            type=hints.show(item.type),
            schema=json_schema(item.type),
        )

    def read_answer(self, interrupt: Interrupt, answer: Any) -> tuple[Any, Any]:
        """Check an answer, and give it as a value and as data; raises `AnswerError`."""
        item = self._field(interrupt)
        try:
            value = fit(answer, item.type)
            self._validate(interrupt, value)
            return value, self._codec.writer(item.type)(value)
        except InvalidAnswer as error:
            places = [(interrupt.id + one.path.removeprefix("$"), one.problem) for one in error.invalid]
            raise AnswerError(str(error), invalid=[InvalidField(*place) for place in places]) from error
        except Unwritable as error:
            raise AnswerError(str(error), invalid=[InvalidField(interrupt.id, str(error))]) from error

    def _validate(self, interrupt: Interrupt, value: Any) -> None:
        """Ask the field's own validator, which would otherwise refuse the answer in the midst of the run."""
        fields = fields_of(self._nodes[interrupt.node].cls)
        attribute = next(field for field in fields if field.name == interrupt.field)
        if attribute.validator is None:
            return
        try:
            attribute.validator(None, attribute, _converted(attribute, value))
        except AttributeError:
            return  # it looks at other fields, which have no values yet
        except Exception as error:
            raise InvalidAnswer([InvalidField("$", message_of(error))]) from error

    def read_recorded_answer(self, interrupt: Interrupt, data: Any) -> Any:
        """Read an answer from the journal."""
        item = self._field(interrupt)
        try:
            return self._codec.reader(item.type)(data)
        except Unreadable as error:
            place = f"{interrupt.node}.{item.name}"
            change = f"the answer to {interrupt.id} does not fit the type of {place} any more: {error}"
            raise GraphChanged(change, changes=[change]) from error

    def _field(self, interrupt: Interrupt) -> Input:
        node_type = self._nodes.get(interrupt.node)
        for item in node_type.of_kind("gate") if node_type is not None else ():
            if item.name == interrupt.field:
                return item
        change = f"{interrupt.node}.{interrupt.field}, which asked {interrupt.question!r}, is no gate any more"
        raise GraphChanged(change, changes=[change])


class TypedRecorder:
    """Writes what one run comes to into the journal, and takes over what it finds there (`kernel.recorded`)."""

    def __init__(self, shared: GraphRecording, state: TypedState) -> None:
        self._shared = shared
        self._state = state
        self._restored: dict[str, tuple[Node, Node | None]] = {}

    def write_input(self) -> Any:
        """Write the start node."""
        assert self._state.start is not None
        return self._shared.write_node(self._state.start)

    def write_step(self, node: str, value: Any, result: Any, writes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write a node that completed, and the one that its body made."""
        payload = {"value": self._shared.write_node(value)}
        if result is not None:
            payload["result"] = self._shared.write_node(result)
        return payload

    def dependency_key(self, call: Call) -> str:
        """Name a dependency so that another process knows it; empty for one that is not recorded."""
        return self._shared.dependency_key(call)

    def write_dependency(self, call: Call, value: Any) -> Any:
        """Write a dependency's value; `NO_VALUE` for one that cannot be written."""
        return self._shared.write_dependency(call, value)

    def read_dependency(self, call: Call, data: Any) -> Any:
        """Read a dependency's value; raises `GraphChanged` where it does not fit its type any more."""
        return self._shared.read_dependency(call, data)

    def read_answer(self, interrupt: Interrupt, answer: Any) -> tuple[Any, Any]:
        """Check an answer, and give it as a value and as data; raises `AnswerError`."""
        return self._shared.read_answer(interrupt, answer)

    def remember(self, history: Iterable[NodeSucceeded], previous: RecordedRun | None) -> None:
        """Take over the nodes of earlier runs, as far as the graph still has them: nothing but recalls needs them."""
        for event in history:
            try:
                self._state.history.append(self._shared.read_node(event.node, event.value))
            except GraphChanged:
                continue

    def restore(self, recorded: RecordedRun, answers: Mapping[str, Any]) -> None:
        """Take over what was recorded of the run, and the answers to its questions."""
        state, shared = self._state, self._shared
        shared.check_start(recorded.started.graph)
        following: Node | None = shared.read_node(recorded.started.graph, recorded.started.input)
        state.start, data = following, recorded.started.input
        for event in recorded.succeeded:
            # Most nodes ran just as the one before made them, and need not be read a second time.
            if following is not None and event.value == data and type(following).__name__ == event.node:
                value = following
            else:
                value = shared.read_node(event.node, event.value)
            result: Node | None = None
            if event.result is not None:
                result = shared.read_node(event.targets[0], event.result)
                state.made[event.activation] = result
            self._restored[event.activation] = (value, result)
            state.trace.append(value)
            following, data = result, event.result
        if following is not None:
            shared.check_given(following)
        for asked in recorded.interrupted.values():
            for interrupt in asked.interrupts:
                if interrupt.run == recorded.id and interrupt.id in answers:
                    state.answers[interrupt.id] = shared.read_recorded_answer(interrupt, answers[interrupt.id])

    def typed(self, event: NodeSucceeded) -> NodeSucceeded:
        """The event with nodes in the place of their data."""
        restored = self._restored.get(event.activation)
        if restored is None:
            return event
        value, result = restored
        # Written out, because `attrs.evolve` would take most of the time that a long journal is read in.
        return NodeSucceeded(
            seq=event.seq,
            run=event.run,
            wall=event.wall,
            elapsed=event.elapsed,
            node=event.node,
            activation=event.activation,
            attempt=event.attempt,
            value=value,
            result=result,
            targets=event.targets,
            duration=event.duration,
            writes=event.writes,
        )


def _converted(attribute: attrs.Attribute[Any], value: Any) -> Any:
    """What the field's own converter, which runs before its validator, makes of a value."""
    convert: Any = attribute.converter
    if convert is None:
        return value
    # One that takes the instance or the field has its function inside.
    return convert.converter(value, None, attribute) if hasattr(convert, "converter") else convert(value)


def full_name(fn: Fn) -> str:
    """The name of a callable with its module, as far as it has one."""
    module = getattr(fn, "__module__", None) or type(fn).__module__
    return f"{module}:{name_of(fn)}"
