"""Discovery: from a start node to every node that can be reached, by the return hints of `__call__`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import attrs

from dagflow.core.dependencies import DependencyPlan, plan_fields
from dagflow.core.inputs import Body, Input, body_of, inputs, routes
from dagflow.core.node import Node
from dagflow.errors import GraphError

__all__ = ["NodeType", "discover"]

T = TypeVar("T")


@attrs.frozen(eq=False)
class NodeType:
    """A node type of a graph, with all that introspection found out about it."""

    cls: type[Node]
    inputs: tuple[Input, ...]
    routes: tuple[type[Node] | None, ...]
    body: Body
    dependencies: DependencyPlan

    @property
    def name(self) -> str:
        """The name of the class, which is unique in its graph."""
        return self.cls.__name__

    def of_kind(self, kind: str) -> tuple[Input, ...]:
        """The inputs of one kind: `"plain"`, `"dep"` or `"recall"`."""
        return tuple(item for item in self.inputs if item.kind == kind)


def discover(start: type[Node], namespace: Mapping[str, Any], faults: list[str]) -> dict[str, NodeType]:
    """Find every node that `start` leads to, by name, in breadth-first order; what is wrong goes to `faults`."""
    found: dict[str, NodeType] = {}
    classes = [start]
    for cls in classes:  # grows while it is read: it is the queue
        known = found.get(cls.__name__)
        if known is not None:
            if known.cls is not cls:
                faults.append(
                    f"two nodes are named {cls.__name__}: {_full_name(known.cls)} and {_full_name(cls)}; rename one"
                )
            continue
        node = _look(cls, {cls.__name__: cls, **namespace}, faults)
        found[cls.__name__] = node
        classes.extend(target for target in node.routes if target is not None)
    return found


def _look(cls: type[Node], namespace: Mapping[str, Any], faults: list[str]) -> NodeType:
    nothing: tuple[Any, ...] = ()
    fields = _collect(faults, lambda: inputs(cls, namespace), nothing)
    empty_plan = DependencyPlan((), (), {}, {})
    return NodeType(
        cls=cls,
        inputs=fields,
        routes=_collect(faults, lambda: routes(cls, namespace), nothing),
        body=_collect(faults, lambda: body_of(cls, namespace), Body(empty=True, lm_parameter=None)),
        dependencies=_collect(faults, lambda: plan_fields(fields, owner=cls.__name__, namespace=namespace), empty_plan),
    )


def _collect(faults: list[str], look: Callable[[], T], otherwise: T) -> T:
    """Look, or note the faults and go on with something empty, so that all of them are found in one go."""
    try:
        return look()
    except GraphError as error:
        faults.extend(error.faults)
        return otherwise


def _full_name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
