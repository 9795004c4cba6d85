"""Every node of a graph file with its place, those inside of others too."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.model import GraphFile, MapNode, NodeSpec, RaceNode

__all__ = ["ROOT", "PlacedNode", "placed_nodes"]

ROOT = Place("$")


@attrs.frozen(eq=False)
class PlacedNode:
    """A node, the node of the graph that it belongs to (`owner`), and the names that its expressions have besides.

    `around` are the nodes that it is inside of, the outermost first; a node of the graph itself has none.
    """

    owner: str
    place: Place
    spec: NodeSpec
    names: frozenset[str] = frozenset()
    around: tuple[NodeSpec, ...] = ()

    @property
    def is_inner(self) -> bool:
        """Whether it is inside of another."""
        return bool(self.around)


def placed_nodes(spec: GraphFile) -> Iterator[PlacedNode]:
    """Give every node, each followed by those inside of it."""
    for name, node in spec.nodes.items():
        yield from _with_inner(PlacedNode(name, ROOT / "nodes" / name, node))


def _with_inner(node: PlacedNode) -> Iterator[PlacedNode]:
    yield node
    spec, around = node.spec, (*node.around, node.spec)
    if isinstance(spec, MapNode):
        names = node.names | {spec.as_} | ({spec.index} if spec.index is not None else set())
        yield from _with_inner(PlacedNode(node.owner, node.place / "node", spec.node, names, around))
    if isinstance(spec, RaceNode):
        for name, racer in spec.nodes.items():
            place = node.place / "nodes" / name
            yield from _with_inner(PlacedNode(node.owner, place, racer, node.names, around))
