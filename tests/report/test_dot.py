"""Tests of graphs in DOT, most of them with the real Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from xml.etree import ElementTree

import pytest

from dagflow.core.drawing.dot import to_dot
from dagflow.types import EdgeShape, GraphShape, NodeShape

SVG = "{http://www.w3.org/2000/svg}"
needs_graphviz = pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz's `dot` is not installed")

ODD_NAMES = {
    'say "hi"': 'say "hi"',
    "trail\\": "trail\\",
    "\\N and \\G": "\\N and \\G",
    "new\nline": "new␊line",
    "new␊line": "new␊line",
    "nul\0": "nul␀",
    "node": "node",
    "edge": "edge",
    "a:b": "a:b",
    "<b>bold</b>": "<b>bold</b>",
    "&amp;": "&amp;",
    "list[str]": "list[str]",
    "改行 é": "改行 é",
    "half \ud800": "half \ufffd",
}


def drawn(shape: GraphShape) -> ElementTree.Element:
    done = subprocess.run(["dot", "-Tsvg"], input=to_dot(shape).encode(), capture_output=True, check=True)
    assert b"" == done.stderr
    return ElementTree.fromstring(done.stdout)


def texts(picture: ElementTree.Element, kind: str) -> list[list[str]]:
    groups = (group for group in picture.iter(f"{SVG}g") if group.get("class") == kind)
    return [[text.text or "" for text in group.iter(f"{SVG}text")] for group in groups]


def test_a_whole_graph() -> None:
    """Each kind of node has its own shape, and dependency edges are dashed."""
    shape = GraphShape(
        "Wake",
        (
            NodeShape("A", "start"),
            NodeShape("B", detail=("x: int",)),
            NodeShape("C", "terminal"),
            NodeShape("d", "dependency"),
        ),
        (EdgeShape("A", "B"), EdgeShape("B", "B", "again"), EdgeShape("d", "C", "e", kind="dependency")),
    )
    lines = to_dot(shape).splitlines()
    assert 'digraph "Wake" {' == lines[0]
    shapes = [line.partition(", style")[0].strip() for line in lines[5:9]]
    assert [
        '"A" [label="A", shape=box',
        r'"B" [label="B\nx: int", shape=box',
        '"C" [label="C", shape=box, peripheries=2',
        '"d" [label="d", shape=parallelogram',
    ] == shapes
    assert [
        '    "A" -> "B";',
        '    "B" -> "B" [label="again"];',
        '    "d" -> "C" [label="e", style=dashed];',
        "}",
    ] == lines[9:]


@needs_graphviz
def test_odd_names() -> None:
    """Graphviz shows every name as it is, in nodes, details and labels, and keeps the nodes apart."""
    names = list(ODD_NAMES)
    shape = GraphShape(
        'the "graph"\\',
        tuple(NodeShape(name, detail=(name,)) for name in names),
        tuple(EdgeShape(name, names[0], name) for name in names),
    )
    picture = drawn(shape)
    assert sorted([text, text] for text in ODD_NAMES.values()) == sorted(texts(picture, "node"))
    assert sorted([text] for text in ODD_NAMES.values()) == sorted(texts(picture, "edge"))


@needs_graphviz
def test_empty_graph() -> None:
    """A graph without nodes is a valid graph."""
    assert [] == texts(drawn(GraphShape("", (), ())), "node")
