"""The plan of a dependency set: which callables are called, with what, and in which topological levels."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from inspect import CO_COROUTINE
from types import FunctionType
from typing import Any, Literal

import attrs

from dagflow.core import hints
from dagflow.core.callables import MISSING, Callee, look_at
from dagflow.core.importable import refusal
from dagflow.core.inputs import Input, inputs
from dagflow.core.markers import Dep
from dagflow.core.node import Node
from dagflow.core.topology import CycleFound, levels
from dagflow.errors import GraphError, name_of
from dagflow.types import Retry

__all__ = ["Call", "DependencyPlan", "Request", "plan_dependencies", "plan_fields"]

Fn = Callable[..., Any]


@attrs.frozen(eq=False)
class Call:
    """One callable of a plan, to be called once in a run.

    `place` is the field path that first asked for it, and `options` what it was marked with. `timeout` and
    `retry` are what counts: a node's own configuration stands in for options that its marker lacks. `arguments`
    pairs each parameter with the callable that gives it; `positional` says how many of them must be passed by
    position. `mode` is how to run it.
    """

    fn: Fn
    name: str
    place: str
    options: Dep
    timeout: float | None
    retry: Retry | None
    mode: Literal["await", "context", "node", "thread", "inline", "process"]
    returns: Any
    arguments: tuple[tuple[str, Fn], ...]
    positional: int
    fits: Callable[[object], bool] | None
    plain: bool = False
    """Whether it is just `await fn(**arguments)` of a coroutine function, with no options."""


@attrs.frozen(eq=False)
class DependencyPlan:
    """What `fields` need, level by level; every call stands in a later level than all that it reads."""

    fields: tuple[tuple[str, Fn], ...]
    levels: tuple[tuple[Call, ...], ...]
    calls: Mapping[Fn, Call]
    dependents: Mapping[Fn, tuple[Fn, ...]]

    def needed(self, known: Iterable[Fn]) -> tuple[tuple[Call, ...], ...]:
        """The levels without the calls in `known`, and without those that only known ones read."""
        have = set(known)
        wanted: set[Fn] = set()
        pending = [fn for _, fn in self.fields if fn not in have]
        while pending:
            fn = pending.pop()
            if fn in wanted:
                continue
            wanted.add(fn)
            pending.extend(argument for _, argument in self.calls[fn].arguments if argument not in have)
        trimmed = (tuple(call for call in level if call.fn in wanted) for level in self.levels)
        return tuple(level for level in trimmed if level)

    def only(self, names: Collection[str]) -> DependencyPlan:
        """The plan of some of the fields, with what these need."""
        part = attrs.evolve(self, fields=tuple(field for field in self.fields if field[0] in names))
        return attrs.evolve(part, levels=part.needed(()))


@attrs.frozen
class Request:
    """Somebody asks for the value of a dependency: the place, the marker, and the type that must fit there."""

    place: str
    marker: Dep
    type: Any


def plan_fields(fields: Iterable[Input], *, owner: str, namespace: Mapping[str, Any] | None = None) -> DependencyPlan:
    """Plan the dependency fields of a node; raises `GraphError` as `plan_dependencies` does."""
    requests = [Request(item.name, item.marker, item.type) for item in fields if isinstance(item.marker, Dep)]
    return plan_dependencies(requests, owner=owner, namespace=namespace)


def plan_dependencies(
    requests: Sequence[Request], *, owner: str = "", namespace: Mapping[str, Any] | None = None
) -> DependencyPlan:
    """Plan everything that the requests need, transitively.

    Raises `GraphError` with every fault: what is not callable, what is not annotated or returns a type that
    does not fit, options that contradict each other or cannot work, cycles.
    """
    survey = _Survey(owner, namespace or {})
    survey.explore(requests)
    if survey.faults:
        raise GraphError(survey.faults, subject=owner or "the dependency")
    needs = {fn: [argument for _, argument in call.arguments] for fn, call in survey.calls.items()}
    try:
        ordered = levels(needs)
    except CycleFound as found:
        cycle = " -> ".join(name_of(fn) for fn in found.cycle)
        place = next(call.place for fn, call in survey.calls.items() if fn == found.cycle[0])
        raise GraphError(
            [f"{survey.locate(place)} depends on itself: {cycle}"], subject=owner or "the dependency"
        ) from None
    dependents: dict[Fn, list[Fn]] = {fn: [] for fn in needs}
    for fn, arguments in needs.items():
        for argument in dict.fromkeys(arguments):
            dependents[argument].append(fn)
    return DependencyPlan(
        fields=tuple((request.place, request.marker.fn) for request in requests),
        levels=tuple(tuple(survey.calls[fn] for fn in level) for level in ordered),
        calls=survey.calls,
        dependents={fn: tuple(readers) for fn, readers in dependents.items()},
    )


class _Survey:
    """Walks from the requests to everything that they need, and notes what is wrong on the way."""

    def __init__(self, owner: str, namespace: Mapping[str, Any]) -> None:
        self.owner = owner
        self.namespace = namespace
        self.calls: dict[Fn, Call] = {}
        self.faults: list[str] = []
        self._queue: deque[Request] = deque()

    def locate(self, place: str) -> str:
        return ".".join(part for part in (self.owner, place) if part)

    def explore(self, requests: Iterable[Request]) -> None:
        # A queue, not recursion: chains of ten thousand dependencies are allowed.
        self._queue.extend(requests)
        while self._queue:
            self._visit(self._queue.popleft())

    def _visit(self, request: Request) -> None:
        marker, place = request.marker, self.locate(request.place)
        if not callable(marker.fn):
            self.faults.append(f"{place} depends on {marker.fn!r}, which is not callable; write Dep(fn), not Dep(fn())")
            return
        try:
            call = self.calls.get(marker.fn)
        except TypeError:
            self.faults.append(
                f"{place} depends on {name_of(marker.fn)}, which has no hash; "
                f"a dependency is known by its == and hash, so make its class frozen or hash by identity"
            )
            return
        if call is None:
            call = self._add(request, place)
        elif call.options != marker:
            self.faults.append(
                f"{place} and {self.locate(call.place)} mark {call.name} with different options; "
                f"a callable is called once in a run, so give both the same, or use two callables"
            )
        if call.returns is not MISSING and not hints.is_assignable(call.returns, request.type):
            self.faults.append(
                f"{place} is {hints.show(request.type)}, but {call.name} returns {hints.show(call.returns)}"
            )

    def _add(self, request: Request, place: str) -> Call:
        fn = request.marker.fn
        if isinstance(fn, type) and issubclass(fn, Node):
            call, requests = self._node_call(fn, request)
        else:
            call, requests = self._function_call(fn, request, place)
        self.calls[fn] = call
        self._queue.extend(requests)
        return call

    def _function_call(self, fn: Fn, request: Request, place: str) -> tuple[Call, list[Request]]:
        callee = look_at(fn, self.namespace)
        positional = sum(parameter.positional for parameter in callee.parameters)
        self.faults.extend(f"{place}: {fault}" for fault in callee.faults)
        self.faults.extend(f"{place}: {fault}" for fault in _option_faults(fn, request.marker, callee))
        call = Call(
            fn=fn,
            name=name_of(fn),
            place=request.place,
            options=request.marker,
            timeout=request.marker.timeout,
            retry=request.marker.retry,
            mode=_mode(callee, request.marker),
            returns=callee.returns,
            arguments=tuple((parameter.name, parameter.marker.fn) for parameter in callee.parameters),
            positional=positional,
            fits=hints.value_test(callee.returns),
            plain=_is_plain(fn, request.marker, positional),
        )
        asked = [
            Request(f"{request.place}.{parameter.name}".lstrip("."), parameter.marker, parameter.type)
            for parameter in callee.parameters
        ]
        return call, asked

    def _node_call(self, fn: type[Node], request: Request) -> tuple[Call, list[Request]]:
        marker = request.marker
        fields: tuple[Input, ...] = ()
        try:
            fields = inputs(fn, self.namespace)
        except GraphError as error:
            self.faults.extend(error.faults)
        if marker.offload is not None:
            self.faults.append(
                f"{self.locate(request.place)} offloads the node {fn.__name__}; nodes run in the event loop"
            )
        self.faults.extend(
            f"{self.locate(request.place)} depends on the node {fn.__name__}, whose field {item.name} asks a person; "
            f"a dependency cannot wait for that, so put the gate on a node of the graph"
            for item in fields
            if item.kind == "gate"
        )
        asked = [
            Request(f"{request.place}.{item.name}".lstrip("."), item.marker, item.type)
            for item in fields
            if isinstance(item.marker, Dep)
        ]
        arguments = tuple((item.name, item.marker.fn) for item in fields if isinstance(item.marker, Dep))
        call = Call(
            fn=fn,
            name=fn.__name__,
            place=request.place,
            options=marker,
            timeout=marker.timeout or fn.node_config.timeout,
            retry=marker.retry or fn.node_config.retry,
            mode="node",
            returns=fn,
            arguments=arguments,
            positional=0,
            fits=None,
        )
        return call, asked


def _mode(callee: Callee, marker: Dep) -> Literal["await", "context", "thread", "inline", "process"]:
    if callee.kind == "async":
        return "await"
    if callee.kind == "context":
        return "context"
    return marker.offload or "thread"


def _is_plain(fn: Fn, marker: Dep, positional: int) -> bool:
    if not isinstance(fn, FunctionType) or not fn.__code__.co_flags & CO_COROUTINE:
        return False
    return marker.timeout is None and marker.retry is None and not positional


def _option_faults(fn: Fn, marker: Dep, callee: Callee) -> Iterable[str]:
    name = name_of(fn)
    if marker.timeout is not None and marker.timeout <= 0:
        yield f"{name} has timeout={marker.timeout}; give a number of seconds above 0"
    if callee.kind != "sync":
        if marker.offload is not None:
            yield f"{name} is async, so offload={marker.offload!r} does not apply to it; leave it out"
        return
    if marker.offload == "process":
        reason = refusal(fn)
        if reason is not None:
            yield f'{name} cannot have offload="process": {reason}'
    elif marker.timeout is not None:
        yield (
            f"{name} is a sync function with a timeout, but a thread cannot be stopped; "
            f'give it offload="process", or make it async'
        )
