"""The shape of a YAML graph, to be drawn."""

from __future__ import annotations

from collections.abc import Iterator

from dagflow.declarative.model import FallbackNode, GraphFile, MapNode, NodeSpec, OnError, RaceNode, RouterNode
from dagflow.types import EdgeShape, GraphShape, NodeShape

__all__ = ["shape_of"]

START, END = "START", "END"


def shape_of(name: str, spec: GraphFile) -> GraphShape:
    """Describe nodes and edges, START and END included, with conditions and routes as labels."""
    edges = tuple(_edges(spec))
    nodes = [NodeShape(START, "start")]
    nodes += [NodeShape(node, "node", _detail(one)) for node, one in spec.nodes.items()]
    if any(edge.target == END for edge in edges):
        nodes.append(NodeShape(END, "terminal"))
    return GraphShape(name, tuple(nodes), edges)


def _edges(spec: GraphFile) -> Iterator[EdgeShape]:
    for edge in spec.edges:
        conditional = any(other.condition for other in spec.edges if other.from_ == edge.from_)
        label = edge.condition or ("else" if conditional else "")
        for target in [edge.to] if isinstance(edge.to, str) else edge.to:
            yield EdgeShape(edge.from_, target, label)
    for name, node in spec.nodes.items():
        if isinstance(node, RouterNode):
            for route, target in node.routes.items():
                yield EdgeShape(name, target, route)
            if node.default_route is not None:
                yield EdgeShape(name, node.default_route, "else")
        if isinstance(node.on_error, OnError) and isinstance(node.on_error.fallback, FallbackNode):
            yield EdgeShape(name, node.on_error.fallback.to, "on error")
    for name, target in spec.loop_exits.items():
        yield EdgeShape(name, target, f"after {spec.loop_limits.get(name, '?')} times")


def _detail(node: NodeSpec) -> tuple[str, ...]:
    if isinstance(node, MapNode):
        return (f"map over {node.over}: {node.node.type}",)
    if isinstance(node, RaceNode):
        return (f"race of {', '.join(node.nodes)}",)
    return (node.type,)
