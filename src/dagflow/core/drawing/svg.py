"""Graphs as SVG pictures: self-contained, with their own background, readable without a style sheet."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

import attrs

from dagflow.core.drawing.layout import Box, Curve, Link, lay_out
from dagflow.core.drawing.text import printable, shorten, text_width
from dagflow.types import EdgeShape, GraphShape, NodeShape

__all__ = ["document", "printable", "shorten", "text_width", "to_svg"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Helvetica, Arial, sans-serif"
NAME_SIZE = 14.0
DETAIL_SIZE = 11.5
LABEL_SIZE = 11.5
LINE_HEIGHT = 1.35
LONGEST_NAME = 44
LONGEST_DETAIL = 56
SLANT = 9.0


@attrs.frozen
class Style:
    """The colours of one kind of node, and the words that a screen reader says for it."""

    fill: str
    stroke: str
    ink: str
    words: str


CANVAS = "#fbfcfe"
LINE = "#64748b"
DEPENDENCY_LINE = "#a08a5b"
DETAIL_INK = "#5b6678"
STYLES = {
    "start": Style("#e3f6ea", "#2f9e64", "#14532d", "start node"),
    "node": Style("#e9effc", "#5b7fd1", "#1e2f5c", "node"),
    "terminal": Style("#f3e9fb", "#9a63c9", "#45206b", "terminal node"),
    "dependency": Style("#fdf6e3", "#c9a24a", "#5c4510", "dependency"),
}


def to_svg(shape: GraphShape) -> str:
    """Draw a graph as an SVG document: routes as solid arrows, dependencies as dashed ones.

    The drawing is layered, from the start nodes down; dependencies stand above the first node that reads
    them. Long names and details are cut in the picture and whole in its tooltips.
    """
    index = {node.name: place for place, node in enumerate(shape.nodes)}
    links = [Link(index[edge.source], index[edge.target], _label_size(edge.label)) for edge in shape.edges]
    starts = [place for place, node in enumerate(shape.nodes) if node.kind == "start"]
    layout = lay_out([_size(node) for node in shape.nodes], links, anchors=starts)
    edges = [_edge(edge, curve) for edge, curve in zip(shape.edges, layout.curves, strict=True)]
    labels = [_label(edge, curve) for edge, curve in zip(shape.edges, layout.curves, strict=True) if edge.label]
    nodes = [_node(node, box) for node, box in zip(shape.nodes, layout.boxes, strict=True)]
    counts = f"{_count(len(nodes), 'node')}, {_count(len(edges), 'edge')}"
    return document(f"{shape.name}: {counts}", layout.width, layout.height, [*edges, *nodes, *labels])


def document(title: str, width: float, height: float, parts: Sequence[str]) -> str:
    """Wrap drawn parts into an SVG document with a title and a background of its own."""
    title = printable(title)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{html.escape(title)}" '
        f'font-family="{FONT}">'
    )
    background = (
        f'<rect x="0.5" y="0.5" width="{width - 1:.0f}" height="{height - 1:.0f}" rx="12" '
        f'fill="{CANVAS}" stroke="#d9e0ea"/>'
    )
    return "\n".join([head, f"<title>{html.escape(title)}</title>", background, *parts, "</svg>"]) + "\n"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _size(node: NodeShape) -> tuple[float, float]:
    widths = [text_width(shorten(node.name, LONGEST_NAME), NAME_SIZE)]
    widths += [text_width(shorten(line, LONGEST_DETAIL), DETAIL_SIZE) for line in node.detail]
    height = NAME_SIZE * LINE_HEIGHT + len(node.detail) * DETAIL_SIZE * LINE_HEIGHT + 20
    return max(max(widths) + 32, 64.0), height


def _label_size(label: str) -> tuple[float, float] | None:
    if not label:
        return None
    return text_width(shorten(label, LONGEST_NAME), LABEL_SIZE) + 12, LABEL_SIZE * LINE_HEIGHT + 4


def _node(node: NodeShape, box: Box) -> str:
    style = STYLES[node.kind]
    told = html.escape(printable(f"{node.name} ({style.words})"))
    detail = "".join("\n" + html.escape(printable(line)) for line in node.detail)
    baseline = box.y - box.height / 2 + 10 + NAME_SIZE
    lines = [_text(box.x, baseline, NAME_SIZE, style.ink, shorten(node.name, LONGEST_NAME), weight="600")]
    for line in node.detail:
        baseline += DETAIL_SIZE * LINE_HEIGHT
        lines.append(_text(box.x, baseline, DETAIL_SIZE, DETAIL_INK, shorten(line, LONGEST_DETAIL)))
    return f"<g><title>{told}{detail}</title>{_outline(node.kind, box, style)}{''.join(lines)}</g>"


def _outline(kind: str, box: Box, style: Style) -> str:
    left, top = box.x - box.width / 2, box.y - box.height / 2
    paint = f'fill="{style.fill}" stroke="{style.stroke}" stroke-width="1.4"'
    if kind == "dependency":
        right, bottom = left + box.width, top + box.height
        corners = [(left + SLANT, top), (right, top), (right - SLANT, bottom), (left, bottom)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        return f'<polygon points="{points}" stroke-linejoin="round" {paint}/>'
    radius = min(box.height / 2, 22.0) if kind == "start" else 7.0
    outline = _rect(left, top, box.width, box.height, radius, paint)
    if kind == "terminal":
        inner = f'fill="none" stroke="{style.stroke}" stroke-width="1"'
        outline += _rect(left + 3.5, top + 3.5, box.width - 7, box.height - 7, 4.5, inner)
    return outline


def _rect(x: float, y: float, width: float, height: float, radius: float, paint: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}" {paint}/>'


def _text(x: float, y: float, size: float, ink: str, text: str, *, weight: str = "400") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" font-weight="{weight}" fill="{ink}" '
        f'text-anchor="middle">{html.escape(text)}</text>'
    )


def _edge(edge: EdgeShape, curve: Curve) -> str:
    colour = DEPENDENCY_LINE if edge.kind == "dependency" else LINE
    dash = ' stroke-dasharray="5 4"' if edge.kind == "dependency" else ""
    verb = "is read by" if edge.kind == "dependency" else "leads to"
    told = f"{edge.source} {verb} {edge.target}" + (f": {edge.label}" if edge.label else "")
    path = f"M{curve.start[0]:.1f},{curve.start[1]:.1f}"
    for segment in curve.segments:
        path += "C" + " ".join(f"{x:.1f},{y:.1f}" for x, y in segment)
    # The head is drawn, not a marker: markers are found by id, and two pictures in one page share their ids.
    return (
        f"<g><title>{html.escape(printable(told))}</title>"
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>'
        f'<path d="{_head(curve)}" fill="{colour}"/></g>'
    )


def _head(curve: Curve) -> str:
    _, (from_x, from_y), (x, y) = curve.segments[-1]
    angle = math.atan2(y - from_y, x - from_x)
    wings = [(x + 9 * math.cos(angle + turn), y + 9 * math.sin(angle + turn)) for turn in (2.72, -2.72)]
    return f"M{x:.1f},{y:.1f}L" + "L".join(f"{wing_x:.1f},{wing_y:.1f}" for wing_x, wing_y in wings) + "Z"


def _label(edge: EdgeShape, curve: Curve) -> str:
    size = _label_size(edge.label)
    assert size is not None
    (x, y), (width, height) = curve.label, size
    plate = _rect(x - width / 2, y - height / 2, width, height, 5.0, f'fill="{CANVAS}"')
    text = _text(x, y + LABEL_SIZE * 0.35, LABEL_SIZE, DETAIL_INK, shorten(edge.label, LONGEST_NAME))
    return f'<g aria-hidden="true">{plate}{text}</g>'
