"""The shape of a typed graph, for drawing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dagflow.core.hints import show
from dagflow.graph.discover import NodeType
from dagflow.types import EdgeShape, GraphShape, NodeShape

__all__ = ["shape_of"]


def shape_of(name: str, nodes: Mapping[str, NodeType], *, dependencies: bool) -> GraphShape:
    """Describe the nodes and routes of a graph and, if asked for, the callables that the nodes depend on."""
    names = _dependency_names(nodes) if dependencies else {}
    shapes = [_node(node, is_start=node.name == name) for node in nodes.values()]
    shapes += [NodeShape(label, "dependency") for label in names.values()]
    routes = [
        EdgeShape(node.name, target.__name__) for node in nodes.values() for target in node.routes if target is not None
    ]
    reads = dict.fromkeys(_dependency_edges(nodes, names)) if dependencies else {}
    return GraphShape(name, tuple(shapes), (*routes, *reads))


def _node(node: NodeType, *, is_start: bool) -> NodeShape:
    detail = tuple(f"{item.name}: {show(item.type)}" for item in node.inputs)
    return NodeShape(node.name, "start" if is_start else "terminal" if None in node.routes else "node", detail)


def _dependency_names(nodes: Mapping[str, NodeType]) -> dict[Callable[..., Any], str]:
    """A name for every callable, unique among them and the nodes."""
    names: dict[Callable[..., Any], str] = {}
    taken = set(nodes)
    for node in nodes.values():
        for fn, call in node.dependencies.calls.items():
            if fn not in names:
                label, number = call.name, 2
                while label in taken:
                    label, number = f"{call.name} ({number})", number + 1
                taken.add(label)
                names[fn] = label
    return names


def _dependency_edges(nodes: Mapping[str, NodeType], names: Mapping[Callable[..., Any], str]) -> Iterator[EdgeShape]:
    for node in nodes.values():
        for field, fn in node.dependencies.fields:
            yield EdgeShape(names[fn], node.name, field, "dependency")
        for call in node.dependencies.calls.values():
            for argument, fn in call.arguments:
                yield EdgeShape(names[fn], names[call.fn], argument, "dependency")
