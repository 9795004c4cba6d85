"""Where the parts of a drawn graph go: boxes in layers, and curves between them, as plain geometry.

The method is that of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system
structures", 1981): break cycles, give every box a layer, send long links through invisible way points, order
each layer so that few links cross (barycentre sweeps), then find coordinates (Brandes and Köpf, "Fast and
simple horizontal coordinate assignment", 2001, with the block-graph compaction that dagre uses).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import attrs

__all__ = ["Box", "Curve", "Layout", "Link", "Point", "lay_out"]

Point = tuple[float, float]
"""A place in the drawing: right and down from its top left corner."""

MARGIN = 24.0
BOX_GAP = 32.0
WAY_GAP = 18.0
LAYER_GAP = 46.0
LABEL_GAP = 20.0
LOOP_REACH = 22.0
PORT_GAP = 14.0
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


@attrs.frozen
class Box:
    """A placed box; `x` and `y` are its centre."""

    x: float
    y: float
    width: float
    height: float


@attrs.frozen
class Curve:
    """A placed link: cubic Bézier segments (two control points and an end each) from `start` on.

    `label` is the centre of the link's label.
    """

    start: Point
    segments: tuple[tuple[Point, Point, Point], ...]
    label: Point


@attrs.frozen
class Layout:
    """A finished layout: its size, its boxes in the order given, and its curves in the order of the links."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]


def lay_out(sizes: Sequence[tuple[float, float]], links: Sequence[Link], *, anchors: Iterable[int] = ()) -> Layout:
    """Place boxes of the given `sizes` (width, height) in layers, top to bottom along the `links`.

    `anchors` are the boxes where reading starts: boxes that no anchor leads to are drawn right above what
    they lead to, not at the top. The result depends on the arguments only.
    """
    if not sizes:
        return Layout(2 * MARGIN, 2 * MARGIN, (), ())
    tops = tuple(anchors)
    downward = break_cycles(len(sizes), links, tops)
    lengths = [2 if link.label else 1 for link in links]
    layer_of = assign_layers(len(sizes), downward, lengths, tops)
    mesh = Mesh(sizes, links, downward, layer_of)
    order(mesh)
    xs = horizontal(mesh)
    return trace_curves(mesh, links, downward, xs)


def break_cycles(count: int, links: Sequence[Link], anchors: Sequence[int]) -> list[tuple[int, int] | None]:
    """Turn the links that close a cycle around; gives each link as (upper, lower), `None` for a self loop."""
    successors: list[list[int]] = [[] for _ in range(count)]
    entered = [False] * count
    for link in links:
        if link.source != link.target:
            successors[link.source].append(link.target)
            entered[link.target] = True
    roots = [*anchors, *(box for box in range(count) if not entered[box]), *range(count)]
    closing: set[tuple[int, int]] = set()
    unseen, open_, done = 0, 1, 2
    state = [unseen] * count
    for root in roots:
        if state[root] != unseen:
            continue
        state[root] = open_
        path = [(root, iter(successors[root]))]
        while path:
            box, rest = path[-1]
            for after in rest:
                if state[after] == open_:
                    closing.add((box, after))
                elif state[after] == unseen:
                    state[after] = open_
                    path.append((after, iter(successors[after])))
                    break
            else:
                state[box] = done
                path.pop()
    downward: list[tuple[int, int] | None] = []
    for link in links:
        if link.source == link.target:
            downward.append(None)
        elif (link.source, link.target) in closing:
            downward.append((link.target, link.source))
        else:
            downward.append((link.source, link.target))
    return downward


def assign_layers(
    count: int, downward: Sequence[tuple[int, int] | None], lengths: Sequence[int], anchors: Sequence[int]
) -> list[int]:
    """Give each box its layer: the longest path to it, or just above its reader where no anchor leads to it."""
    below: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    missing = [0] * count
    for ends, length in zip(downward, lengths, strict=True):
        if ends is not None:
            below[ends[0]].append((ends[1], length))
            missing[ends[1]] += 1
    layer = [0] * count
    held = [False] * count
    for box in anchors:
        held[box] = True
    ready = [box for box in range(count) if not missing[box]]
    for box in ready:
        for after, length in below[box]:
            layer[after] = max(layer[after], layer[box] + length)
            held[after] = held[after] or held[box]
            missing[after] -= 1
            if not missing[after]:
                ready.append(after)
    for box in reversed(ready):
        if below[box] and not held[box]:
            layer[box] = min(layer[after] - length for after, length in below[box])
    return layer


class Mesh:
    """Boxes and the way points of long links as one set of vertices, each joined to the next layer only."""

    def __init__(
        self,
        sizes: Sequence[tuple[float, float]],
        links: Sequence[Link],
        downward: Sequence[tuple[int, int] | None],
        layer_of: Sequence[int],
    ) -> None:
        self.boxes = len(sizes)
        self.sizes = sizes
        self.layer_of = list(layer_of)
        self.left = [width / 2 for width, _ in sizes]
        self.right = list(self.left)
        self.height = [height for _, height in sizes]
        self.above: list[list[int]] = [[] for _ in sizes]
        self.below: list[list[int]] = [[] for _ in sizes]
        self.chains: list[list[int]] = [[] for _ in links]
        self._reserve_self_loops(links)
        self._join(links, downward)
        self.layers: list[list[int]] = [[] for _ in range(max(self.layer_of) + 1)]
        for vertex in self._by_first_visit():
            self.layers[self.layer_of[vertex]].append(vertex)
        self.position = [0] * len(self.layer_of)
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


def trace_curves(
    mesh: Mesh, links: Sequence[Link], downward: Sequence[tuple[int, int] | None], xs: Sequence[float]
) -> Layout:
    """Place the boxes on their layers and lead every link from port to port through its way points."""
    tops, bottoms = _rows(mesh, xs)
    boxes = [
        Box(xs[index], (tops[layer] + bottoms[layer]) / 2, *size)
        for index, (size, layer) in enumerate(zip(mesh.sizes, mesh.layer_of, strict=False))
    ]
    leaving, entering = _ports(boxes, mesh.chains, downward, xs)
    curves: list[Curve] = []
    reach: dict[int, float] = defaultdict(float)
    for index, (link, ends) in enumerate(zip(links, downward, strict=True)):
        if ends is None:
            curves.append(_self_loop(boxes[link.source], reach[link.source], link.label))
            reach[link.source] += LOOP_REACH + (link.label[0] if link.label else 0.0)
            continue
        upper, lower = boxes[ends[0]], boxes[ends[1]]
        points = [(leaving[index], upper.y + upper.height / 2), (leaving[index], bottoms[mesh.layer_of[ends[0]]])]
        for vertex in mesh.chains[index][1:-1]:
            layer = mesh.layer_of[vertex]
            points += [(xs[vertex], tops[layer]), (xs[vertex], bottoms[layer])]
        points += [(entering[index], tops[mesh.layer_of[ends[1]]]), (entering[index], lower.y - lower.height / 2)]
        curves.append(_curve(points if ends == (link.source, link.target) else points[::-1]))
    right = max(x + reach for x, reach in zip(xs, mesh.right, strict=True))
    return Layout(right + MARGIN, bottoms[-1] + MARGIN, tuple(boxes), tuple(curves))


def _rows(mesh: Mesh, xs: Sequence[float]) -> tuple[list[float], list[float]]:
    """Give the top and bottom of each layer; layers are further apart where a link goes far to the side."""
    tops, bottoms = [MARGIN], [MARGIN + max(mesh.height[vertex] for vertex in mesh.layers[0])]
    for upper, lower in pairwise(mesh.layers):
        aside = max((abs(xs[one] - xs[two]) for one in upper for two in mesh.below[one]), default=0.0)
        boxes = all(any(vertex < mesh.boxes for vertex in layer) for layer in (upper, lower))
        tops.append(bottoms[-1] + (LAYER_GAP if boxes else LABEL_GAP) + min(aside * 0.08, 70.0))
        bottoms.append(tops[-1] + max(mesh.height[vertex] for vertex in lower))
    return tops, bottoms


def _ports(
    boxes: Sequence[Box],
    chains: Sequence[list[int]],
    downward: Sequence[tuple[int, int] | None],
    xs: Sequence[float],
) -> tuple[dict[int, float], dict[int, float]]:
    """Choose where each link leaves the bottom of its upper box and enters the top of its lower one."""
    leaving: dict[int, list[tuple[float, int]]] = defaultdict(list)
    entering: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for index, ends in enumerate(downward):
        if ends is not None:
            chain = chains[index] or list(ends)
            leaving[ends[0]].append((xs[chain[1]], index))
            entering[ends[1]].append((xs[chain[-2]], index))
    out: dict[int, float] = {}
    into: dict[int, float] = {}
    for side, ports in ((leaving, out), (entering, into)):
        for box, wishes in side.items():
            wishes.sort()
            spread = _spread(boxes[box], [wish for wish, _ in wishes])
            ports.update(zip((index for _, index in wishes), spread, strict=True))
    return out, into


def _spread(box: Box, wishes: Sequence[float]) -> list[float]:
    """Place ports towards where their links go, in that order, apart from each other and inside the box."""
    reach = max(box.width / 2 - 16.0, 1.0)
    gap = min(PORT_GAP, 2 * reach / max(len(wishes) - 1, 1))
    last = len(wishes) - 1
    wanted = [
        min(max((wish - box.x) * 0.2, index * gap - reach), reach - (last - index) * gap)
        for index, wish in enumerate(wishes)
    ]
    forward, backward = list(wanted), list(wanted)
    for index in range(1, len(wanted)):
        forward[index] = max(forward[index], forward[index - 1] + gap)
        backward[-index - 1] = min(backward[-index - 1], backward[-index] - gap)
    return [box.x + (one + two) / 2 for one, two in zip(forward, backward, strict=True)]


def _curve(points: Sequence[Point]) -> Curve:
    segments = []
    for (x0, y0), (x1, y1) in pairwise(points):
        # A step of no height, but for rounding, has no direction, and the arrow head needs one.
        if abs(y1 - y0) > 0.01:
            middle = (y0 + y1) / 2
            segments.append(((x0, middle), (x1, middle), (x1, y1)))
    half = len(points) // 2
    label = ((points[half - 1][0] + points[half][0]) / 2, (points[half - 1][1] + points[half][1]) / 2)
    return Curve(points[0], tuple(segments), label)


def _self_loop(box: Box, reach: float, label: tuple[float, float] | None) -> Curve:
    side = box.x + box.width / 2
    apex = reach + LOOP_REACH
    rise = min(box.height * 0.2 + reach * 0.05, box.height / 2 - 6.0)
    control = side + apex / 0.75  # a cubic with both controls at one x reaches three quarters of the way there
    end = (side, box.y + rise)
    segment = ((control, box.y - rise * 1.3), (control, box.y + rise * 1.3), end)
    width = label[0] if label else 0.0
    return Curve((side, box.y - rise), (segment,), (side + apex + width / 2, box.y))
