"""Where the parts of a drawn graph go: boxes in layers, and curves between them, as plain geometry.

The method is that of Sugiyama, Tagawa and Toda ("Methods for visual understanding of hierarchical system
structures", 1981): break cycles, give every box a layer, send long links through invisible way points, order
each layer so that few links cross (barycentre sweeps), then find coordinates (Brandes and Köpf, "Fast and
simple horizontal coordinate assignment", 2001, with the block-graph compaction that dagre uses).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

import attrs

from dagflow.core.drawing.mesh import LOOP_REACH, Link, Mesh, order
from dagflow.core.drawing.placement import MARGIN, horizontal

__all__ = ["Box", "Curve", "Layout", "Link", "Point", "lay_out"]

Point = tuple[float, float]
"""A place in the drawing: right and down from its top left corner."""

LAYER_GAP = 46.0
LABEL_GAP = 20.0
PORT_GAP = 14.0


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
