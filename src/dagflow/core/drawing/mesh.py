"""The mesh of a layered drawing: boxes and way points in layers, and their order within each."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from itertools import pairwise

import attrs

__all__ = ["Link", "Mesh", "crossings", "order"]

LOOP_REACH = 22.0
SWEEPS = 12
# A chain of a thousand boxes that all read the first one would need half a million way points: links beyond
# this many, the longest ones, are drawn as a single curve.
MAX_WAY_POINTS = 8_000


@attrs.frozen
class Link:
    """An arrow to draw between two boxes, given by their indices, with the size of its label if it has one."""

    source: int
    target: int
    label: tuple[float, float] | None = None


class Mesh:
    """Boxes and the way points of long links as one set of vertices, each joined to the next layer only."""

    def __init__(
        self,
        sizes: Sequence[tuple[float, float]],
        links: Sequence[Link],
        downward: Sequence[tuple[int, int] | None],
        layer_of: Sequence[int],
    ) -> None:
        self.boxes: int = len(sizes)
        self.sizes = sizes
        self.layer_of: list[int] = list(layer_of)
        self.left: list[float] = [width / 2 for width, _ in sizes]
        self.right: list[float] = list(self.left)
        self.height: list[float] = [height for _, height in sizes]
        self.above: list[list[int]] = [[] for _ in sizes]
        self.below: list[list[int]] = [[] for _ in sizes]
        self.chains: list[list[int]] = [[] for _ in links]
        self._reserve_self_loops(links)
        self._join(links, downward)
        self.layers: list[list[int]] = [[] for _ in range(max(self.layer_of) + 1)]
        for vertex in self._by_first_visit():
            self.layers[self.layer_of[vertex]].append(vertex)
        self.position: list[int] = [0] * len(self.layer_of)
        for layer in self.layers:
            self.place(layer)

    def place(self, layer: list[int]) -> None:
        """Note where each vertex of a layer stands in it."""
        for index, vertex in enumerate(layer):
            self.position[vertex] = index

    def _reserve_self_loops(self, links: Sequence[Link]) -> None:
        for link in links:
            if link.source == link.target:
                self.right[link.source] += LOOP_REACH + (link.label[0] if link.label else 0.0)

    def _join(self, links: Sequence[Link], downward: Sequence[tuple[int, int] | None]) -> None:
        spans = [
            (self.layer_of[ends[1]] - self.layer_of[ends[0]], index)
            for index, ends in enumerate(downward)
            if ends is not None
        ]
        left = MAX_WAY_POINTS
        for span, index in sorted(spans):
            left -= span - 1
            if left < 0 and span > 2:
                continue
            ends = downward[index]
            assert ends is not None
            self.chains[index] = self._chain(ends, span, links[index].label)

    def _chain(self, ends: tuple[int, int], span: int, label: tuple[float, float] | None) -> list[int]:
        upper, lower = ends
        chain = [upper]
        for step in range(1, span):
            width, height = label if label and step == span // 2 else (0.0, 0.0)
            chain.append(len(self.layer_of))
            self.layer_of.append(self.layer_of[upper] + step)
            self.left.append(width / 2)
            self.right.append(width / 2)
            self.height.append(height)
            self.above.append([])
            self.below.append([])
        chain.append(lower)
        for one, two in pairwise(chain):
            self.below[one].append(two)
            self.above[two].append(one)
        return chain

    def _by_first_visit(self) -> list[int]:
        """List the vertices depth first, so that what belongs together starts out side by side."""
        seen = [False] * len(self.layer_of)
        visited: list[int] = []
        for root in sorted(range(len(self.layer_of)), key=self.layer_of.__getitem__):
            stack = [root]
            while stack:
                vertex = stack.pop()
                if seen[vertex]:
                    continue
                seen[vertex] = True
                visited.append(vertex)
                stack.extend(reversed(self.above[vertex] + self.below[vertex]))
        return visited


def order(mesh: Mesh) -> None:
    """Order each layer by the barycentres of its neighbours, down and up in turn, keeping the best order."""
    best = [list(layer) for layer in mesh.layers]
    fewest = crossings(mesh)
    stale = 0
    for sweep in range(SWEEPS):
        if fewest == 0 or stale == 4:
            break
        downwards = sweep % 2 == 0
        neighbours = mesh.above if downwards else mesh.below
        for layer in mesh.layers if downwards else reversed(mesh.layers):
            _sort_by_barycentre(mesh, layer, neighbours)
        count = crossings(mesh)
        stale = 0 if count < fewest else stale + 1
        if count < fewest:
            fewest = count
            best = [list(layer) for layer in mesh.layers]
    mesh.layers = best
    for layer in best:
        mesh.place(layer)


def _sort_by_barycentre(mesh: Mesh, layer: list[int], neighbours: list[list[int]]) -> None:
    position = mesh.position
    weight = {
        vertex: sum(position[other] for other in neighbours[vertex]) / len(neighbours[vertex])
        for vertex in layer
        if neighbours[vertex]
    }
    # Vertices without neighbours on that side keep their places; the others are sorted around them.
    movable = iter(sorted((vertex for vertex in layer if vertex in weight), key=weight.__getitem__))
    layer[:] = [next(movable) if vertex in weight else vertex for vertex in layer]
    mesh.place(layer)


def crossings(mesh: Mesh) -> int:
    """Count the pairs of links that cross between adjacent layers."""
    total = 0
    for layer in mesh.layers:
        seen: list[int] = []
        for vertex in layer:
            ends = sorted(mesh.position[other] for other in mesh.below[vertex])
            total += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return total
