"""Placement: the x of every vertex of a mesh, after Brandes and Köpf."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise

from dagflow.core.drawing.mesh import Mesh

__all__ = ["horizontal"]

MARGIN = 24.0
BOX_GAP = 32.0
WAY_GAP = 18.0


def horizontal(mesh: Mesh) -> list[float]:
    """Find the x of every vertex: the middle of four extreme assignments, each as straight as it can be."""
    conflicts = _conflicts(mesh)
    results: list[list[float]] = []
    for upwards in (False, True):
        for mirrored in (False, True):
            layers = [layer[::-1] if mirrored else layer for layer in mesh.layers]
            neighbours = mesh.below if upwards else mesh.above
            root = _align(layers[::-1] if upwards else layers, neighbours, conflicts, len(mesh.layer_of))
            results.append(_compact(mesh, layers, root, mirrored))
    narrowest = min(results, key=lambda xs: _extent(mesh, xs)[1] - _extent(mesh, xs)[0])
    low, high = _extent(mesh, narrowest)
    for index, xs in enumerate(results):
        start, end = _extent(mesh, xs)
        shift = high - end if index % 2 else low - start
        xs[:] = [x + shift for x in xs]
    middle = [sum(sorted(four)[1:3]) / 2 for four in zip(*results, strict=True)]
    left = _extent(mesh, middle)[0]
    return [x - left + MARGIN for x in middle]


def _extent(mesh: Mesh, xs: Sequence[float]) -> tuple[float, float]:
    low = min(x - reach for x, reach in zip(xs, mesh.left, strict=True))
    return low, max(x + reach for x, reach in zip(xs, mesh.right, strict=True))


def _conflicts(mesh: Mesh) -> set[tuple[int, int]]:
    """Find the steps that cross a straight run of way points: long links win, so that they stay straight."""
    found: set[tuple[int, int]] = set()
    for layer in mesh.layers[1:]:
        low, scanned = 0, 0
        for index, vertex in enumerate(layer):
            inner = mesh.boxes <= vertex and any(mesh.boxes <= other for other in mesh.above[vertex])
            if not inner and index < len(layer) - 1:
                continue
            high = mesh.position[mesh.above[vertex][0]] if inner else len(mesh.layer_of)
            for other in layer[scanned : index + 1]:
                for upper in mesh.above[other]:
                    crosses = mesh.position[upper] < low or mesh.position[upper] > high
                    if crosses and not (upper >= mesh.boxes and other >= mesh.boxes):
                        found.add((upper, other))
            low, scanned = high, index + 1
    return found


def _align(
    layers: Sequence[Sequence[int]],
    neighbours: Sequence[Sequence[int]],
    conflicts: set[tuple[int, int]],
    count: int,
) -> list[int]:
    """Tie each vertex to its median neighbour where it can be; gives the first vertex of each one's block."""
    root = list(range(count))
    position = [0] * count
    for layer in layers:
        for index, vertex in enumerate(layer):
            position[vertex] = index
    for layer in layers:
        reached = -1
        for vertex in layer:
            ordered = sorted(neighbours[vertex], key=position.__getitem__)
            for middle in sorted({(len(ordered) - 1) // 2, len(ordered) // 2}) if ordered else ():
                other = ordered[middle]
                crosses = (other, vertex) in conflicts or (vertex, other) in conflicts
                if root[vertex] == vertex and not crosses and reached < position[other]:
                    root[vertex] = root[other]
                    reached = position[other]
    return root


def _compact(mesh: Mesh, layers: Sequence[Sequence[int]], root: Sequence[int], mirrored: bool) -> list[float]:
    """Push the blocks together, first to one side, then each back as far as its neighbours allow."""
    ahead: dict[int, dict[int, float]] = defaultdict(dict)
    missing: dict[int, int] = defaultdict(int)
    left, right = (mesh.right, mesh.left) if mirrored else (mesh.left, mesh.right)
    for layer in layers:
        for one, two in pairwise(layer):
            gap = BOX_GAP if one < mesh.boxes and two < mesh.boxes else WAY_GAP
            before, after = root[one], root[two]
            if after not in ahead[before]:
                missing[after] += 1
            ahead[before][after] = max(ahead[before].get(after, 0.0), right[one] + gap + left[two])
    x = dict.fromkeys(root, 0.0)
    ready = [block for block in x if not missing[block]]
    for block in ready:
        for after, gap in ahead[block].items():
            x[after] = max(x[after], x[block] + gap)
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)
    for block in reversed(ready):
        if ahead[block]:
            x[block] = min(x[after] - gap for after, gap in ahead[block].items())
    sign = -1 if mirrored else 1
    return [sign * x[block] for block in root]
