"""Graphs as Mermaid flowcharts, the diagrams that Markdown viewers draw."""

from __future__ import annotations

import re

from dagflow.core.drawing.text import printable
from dagflow.types import EdgeShape, GraphShape, NodeShape

__all__ = ["to_mermaid"]

BRACKETS = {
    "start": ('(["', '"])'),
    "node": ('["', '"]'),
    "terminal": ('[["', '"]]'),
    "dependency": ('[/"', '"/]'),
}
COLOURS = {
    "start": "fill:#e3f6ea,stroke:#2f9e64,color:#14532d",
    "node": "fill:#e9effc,stroke:#5b7fd1,color:#1e2f5c",
    "terminal": "fill:#f3e9fb,stroke:#9a63c9,color:#45206b",
    "dependency": "fill:#fdf6e3,stroke:#c9a24a,color:#5c4510,stroke-dasharray:4 3",
}
# A name that is no plain identifier, or that the grammar reads as a keyword or a direction, cannot stand for
# itself: `end` alone breaks a whole diagram.
PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
RESERVED = frozenset(
    {
        *("acctitle", "accdescr", "br", "bt", "call", "class", "classdef", "click", "default", "direction", "end"),
        *("flowchart", "graph", "href", "interpolate", "linkstyle", "lr", "o", "rl", "style", "subgraph", "tb"),
        *("td", "v", "x"),
    }
)
# Mermaid reads `#name;` and `#number;` as the character; a quote ends the text, `%%{` starts a directive, a
# backtick Markdown, a backslash an escape.
ENTITIES = str.maketrans(
    {
        '"': "#quot;",
        "#": "#35;",
        "&": "#amp;",
        "<": "#lt;",
        ">": "#gt;",
        "%": "#37;",
        "`": "#96;",
        "\\": "#92;",
        # A semicolon of the text itself would end the statement in some versions.
        ";": "#59;",
    }
)


def to_mermaid(shape: GraphShape) -> str:
    """Write a graph as a Mermaid flowchart: routes as solid arrows, dependencies as dotted ones."""
    identifiers = _identifiers(shape)
    lines = ["flowchart TD"]
    lines += [f"    {identifiers[node.name]}{_text(node)}:::{node.kind}Node" for node in shape.nodes]
    lines += [f"    {identifiers[edge.source]} {_arrow(edge)} {identifiers[edge.target]}" for edge in shape.edges]
    kinds = {node.kind for node in shape.nodes}
    lines += [f"    classDef {kind}Node {colours}" for kind, colours in COLOURS.items() if kind in kinds]
    return "\n".join(lines) + "\n"


def _identifiers(shape: GraphShape) -> dict[str, str]:
    """Give each node its own name where the grammar allows it, else a number that no name has taken."""
    names = {node.name for node in shape.nodes}
    found: dict[str, str] = {}
    for index, node in enumerate(shape.nodes, 1):
        identifier = node.name
        if not PLAIN.fullmatch(identifier) or identifier.lower() in RESERVED:
            identifier = f"node_{index}"
            while identifier in names:
                identifier += "_"
        found[node.name] = identifier
    return found


def _text(node: NodeShape) -> str:
    before, after = BRACKETS[node.kind]
    return before + "<br/>".join(_escape(line) for line in (node.name, *node.detail)) + after


def _arrow(edge: EdgeShape) -> str:
    arrow = "-.->" if edge.kind == "dependency" else "-->"
    return f'{arrow}|"{_escape(edge.label)}"|' if edge.label else arrow


def _escape(text: str) -> str:
    escaped = printable(text).translate(ENTITIES)
    # Mermaid drops the last semicolon of what looks like `style…:…#…;`, ours among them.
    escaped = re.sub(r":(?! )", "#58;", escaped)
    return escaped if escaped.strip() else "#160;"
