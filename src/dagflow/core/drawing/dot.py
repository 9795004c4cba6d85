"""Graphs in DOT, the language of Graphviz."""

from __future__ import annotations

from dagflow.core.drawing.text import printable
from dagflow.types import EdgeShape, GraphShape, NodeShape

__all__ = ["to_dot"]

LOOKS = {
    "start": 'shape=box, style="rounded,filled,bold", fillcolor="#e3f6ea", color="#2f9e64"',
    "node": 'shape=box, style="filled", fillcolor="#e9effc", color="#5b7fd1"',
    "terminal": 'shape=box, peripheries=2, style="filled", fillcolor="#f3e9fb", color="#9a63c9"',
    "dependency": 'shape=parallelogram, style="filled", fillcolor="#fdf6e3", color="#c9a24a"',
}
QUOTED = str.maketrans({"\\": r"\\", '"': r"\""})
# Escaped, not replaced as in a label, so that two names that look alike stay two nodes.
CONTROLS = {code: f"\\u{code:04x}" for code in [*range(0x20), *range(0x7F, 0xA0), *range(0xD800, 0xE000)]}


def to_dot(shape: GraphShape) -> str:
    """Write a graph in DOT: routes as solid arrows, dependencies as dashed ones."""
    lines = [
        f"digraph {_identifier(shape.name)} {{",
        "    rankdir=TB;",
        '    graph [fontname="Helvetica", bgcolor="white"];',
        '    node [fontname="Helvetica", fontcolor="#1e293b"];',
        '    edge [fontname="Helvetica", fontsize=11, color="#64748b", fontcolor="#475569"];',
        *(f"    {_identifier(node.name)} [label={_label(node)}, {LOOKS[node.kind]}];" for node in shape.nodes),
        *(f"    {_identifier(edge.source)} -> {_identifier(edge.target)}{_look(edge)};" for edge in shape.edges),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _identifier(name: str) -> str:
    return f'"{name.translate(QUOTED).translate(CONTROLS)}"'


def _label(node: NodeShape) -> str:
    return '"' + r"\n".join(_text(line) for line in (node.name, *node.detail)) + '"'


def _look(edge: EdgeShape) -> str:
    looks = [f'label="{_text(edge.label)}"'] if edge.label else []
    if edge.kind == "dependency":
        looks.append("style=dashed")
    return f" [{', '.join(looks)}]" if looks else ""


def _text(text: str) -> str:
    # Graphviz decodes HTML entities in labels, though they are not HTML.
    return printable(text).replace("&", "&amp;").translate(QUOTED)
