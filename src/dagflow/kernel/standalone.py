"""The resolver alone: concurrent dependency injection without a graph."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import lru_cache
from typing import Any, TypeVar, overload

from dagflow.core.dependencies import DependencyPlan, Request, plan_dependencies, plan_fields
from dagflow.core.inputs import Input, inputs, instruction_of
from dagflow.core.markers import Dep
from dagflow.core.node import Node
from dagflow.errors import GraphError, RecallError, name_of
from dagflow.kernel.cancellation import never_wrapped
from dagflow.kernel.context import ActivationContext, current_activation
from dagflow.kernel.resolve import Resolver, Schedule
from dagflow.kernel.resources import Resources

__all__ = ["NodeMaker", "resolve_calls", "resolve_dep", "resolve_fields", "resolve_inputs_of"]

T = TypeVar("T")
Overrides = Mapping[Callable[..., Any], Any]


@overload
async def resolve_dep(
    fn: Callable[..., AbstractAsyncContextManager[T]],
    *,
    deps: Overrides | None = ...,
    lm: Any = ...,
    schedule: Schedule = ...,
    namespace: Mapping[str, Any] | None = ...,
) -> T: ...
@overload
async def resolve_dep(
    fn: Callable[..., Awaitable[T]],
    *,
    deps: Overrides | None = ...,
    lm: Any = ...,
    schedule: Schedule = ...,
    namespace: Mapping[str, Any] | None = ...,
) -> T: ...
@overload
async def resolve_dep(
    fn: Callable[..., T],
    *,
    deps: Overrides | None = ...,
    lm: Any = ...,
    schedule: Schedule = ...,
    namespace: Mapping[str, Any] | None = ...,
) -> T: ...
async def resolve_dep(
    fn: Callable[..., Any],
    *,
    deps: Overrides | None = None,
    lm: Any = None,
    schedule: Schedule = "levels",
    namespace: Mapping[str, Any] | None = None,
) -> Any:
    """Call `fn` with its dependencies resolved, each once, and return its value.

    `deps` are values that stand for their callables, `lm` fills dependencies that are `Node` types, and
    `schedule` is `"levels"` (one task group for each topological level) or `"eager"` (each call as soon as its
    own inputs are there). `namespace` resolves names in hints that modules do not have: pass `locals()` for
    functions defined in a function under `from __future__ import annotations`.

    Called from a node's body without `deps` and `lm`, it takes part in the run: what the run has called already
    is not called again, the run's schedule counts, and async context managers stay open until the run ends.
    Otherwise they are closed, in reverse order, before this returns.

    Raises `GraphError` for a callable that cannot be planned and `DepError` with every failure. Cancelled, it
    cancels what is under way and waits for its clean-up.
    """
    plan = _cached_plan(fn) if namespace is None and _is_hashable(fn) else _plan(fn, namespace)
    values = await _resolve(plan, "", deps, lm, schedule)
    return values[""]


async def resolve_fields(
    node: type[Node],
    *,
    deps: Overrides | None = None,
    lm: Any = None,
    schedule: Schedule = "levels",
    namespace: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Resolve the dependency fields of a node type, and return them by name in the order of declaration.

    A node with plain fields only gives `{}`. Options, errors and cancellation are those of `resolve_dep`;
    `namespace` resolves names in hints that the node's module does not have. `Recall` fields take part in a
    run; outside one there is no trace, so that one without a default raises `RecallError`.
    """
    activation = current_activation()
    if activation is not None and deps is None and lm is None:
        return await activation.run.front.resolve_inputs(activation, node)
    found = inputs(node, namespace)
    for item in found:
        if item.kind == "recall" and item.required:
            raise RecallError(node=node.__name__, field=item.name, type=item.type, searched=())
        if item.kind == "gate":
            raise GraphError([f"{node.__name__}.{item.name} asks a person, which only a run can do"])
    plan = plan_fields(found, owner=node.__name__, namespace=namespace)
    return await _resolve(plan, node.__name__, deps, lm, schedule)


async def resolve_calls(calls: Mapping[str, Callable[..., Any]]) -> list[Any]:
    """Call functions that are called this once, all at the same time, with their dependencies resolved.

    `calls` names each for errors; the results come in its order. In a run they count under its limit, and
    share what it has called already. Raises `DepError` with every failure; cancelled, it cancels the calls.
    """
    plan = plan_dependencies([Request(place, Dep(fn), Any) for place, fn in calls.items()])
    try:
        values = await _resolve(plan, "", None, None, "levels")
    finally:
        activation = current_activation()
        if activation is not None:  # nobody can ask for them again, so that the run need not remember them
            for fn in calls.values():
                activation.run.resolver.memory.pop(fn, None)
    return list(values.values())


def _plan(fn: Callable[..., Any], namespace: Mapping[str, Any] | None = None) -> DependencyPlan:
    return plan_dependencies([Request("", Dep(fn), Any)], owner=name_of(fn), namespace=namespace)


# Looking at a callable costs far more than calling it; the plan depends on nothing that changes.
_cached_plan = lru_cache(maxsize=256)(_plan)


def _is_hashable(fn: object) -> bool:
    return type(fn).__hash__ is not None


async def _resolve(
    plan: DependencyPlan, node: str, deps: Overrides | None, lm: Any, schedule: Schedule
) -> dict[str, Any]:
    activation = current_activation()
    if activation is not None and deps is None and lm is None:
        return await activation.run.resolver.resolve(plan, node=node, asker=activation, exclusive=False)
    maker = NodeMaker(lm)
    if not any(call.mode == "context" for call in plan.calls.values()):
        return await Resolver(make_node=maker.make, schedule=schedule, overrides=deps).resolve(plan, node=node)
    try:
        async with Resources() as resources:
            resolver = Resolver(make_node=maker.make, schedule=schedule, overrides=deps, resources=resources)
            return await resolver.resolve(plan, node=node)
    except BaseExceptionGroup as group:
        raise (never_wrapped(group) or group) from None


async def resolve_inputs_of(target: type[Any], activation: ActivationContext) -> dict[str, Any]:
    """Resolve the dependency fields of a node that the body of an activation makes, outside of typed graphs."""
    plan = plan_fields(inputs(target), owner=target.__name__)
    return await activation.run.resolver.resolve(plan, node=activation.node, asker=activation, exclusive=False)


class NodeMaker:
    """Makes dependencies that are nodes outside of typed graphs, with a language model if there is one."""

    def __init__(self, lm: Any) -> None:
        self._lm = lm

    async def make(self, target: type[Any], resolved: dict[str, Any]) -> Any:
        """Make a node; raises `RecallError` for a recalled field, `GraphError` for one that nothing fills."""
        missing = [item for item in inputs(target) if item.name not in resolved]
        recalled = [item for item in missing if item.kind == "recall" and item.required]
        if recalled:
            raise RecallError(node=target.__name__, field=recalled[0].name, type=recalled[0].type, searched=())
        lm = target.node_config.lm or self._lm
        if lm is not None and any(item.kind == "plain" for item in missing):
            return await lm.fill(target, resolved, instruction_of(target), None)
        return construct(target, resolved, missing)


def construct(target: type[Any], resolved: dict[str, Any], missing: list[Input]) -> Any:
    """Make a node whose every field has a value or a default; raises `GraphError` for one that has not."""
    lacking = [item.name for item in missing if item.required]
    if lacking:
        raise GraphError(
            [f"{target.__name__} needs a language model to fill {', '.join(lacking)}; pass lm="],
            subject=target.__name__,
        )
    return target(**by_alias(target, resolved))


def by_alias(target: type[Node], values: Mapping[str, Any]) -> dict[str, Any]:
    """Key values by the names that the constructor takes."""
    aliases = {item.name: item.alias for item in inputs(target)}
    return {aliases[name]: value for name, value in values.items()}
