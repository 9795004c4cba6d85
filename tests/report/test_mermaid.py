"""Tests of graphs as Mermaid flowcharts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.core.drawing.mermaid import to_mermaid
from dagflow.types import EdgeShape, GraphShape, NodeShape

WAKE = GraphShape(
    "Wake",
    (
        NodeShape("GetDressed", "start", ("message: str",)),
        NodeShape("Choose"),
        NodeShape("Outfit", "terminal"),
        NodeShape("forecast", "dependency"),
    ),
    (
        EdgeShape("GetDressed", "Choose"),
        EdgeShape("Choose", "Choose", "again"),
        EdgeShape("Choose", "Outfit"),
        EdgeShape("Choose", "Outfit", "second"),
        EdgeShape("Outfit", "Choose"),
        EdgeShape("forecast", "Outfit", kind="dependency"),
        EdgeShape("forecast", "Choose", "sky", kind="dependency"),
    ),
)


def node(name: str) -> str:
    return to_mermaid(GraphShape("G", (NodeShape(name),), ())).splitlines()[1].strip()


def test_a_whole_graph() -> None:
    """Each kind of node and edge has its own look; loops and parallel edges are kept."""
    expected = """\
flowchart TD
    GetDressed(["GetDressed<br/>message: str"]):::startNode
    Choose["Choose"]:::nodeNode
    Outfit[["Outfit"]]:::terminalNode
    forecast[/"forecast"/]:::dependencyNode
    GetDressed --> Choose
    Choose -->|"again"| Choose
    Choose --> Outfit
    Choose -->|"second"| Outfit
    Outfit --> Choose
    forecast -.-> Outfit
    forecast -.->|"sky"| Choose
"""
    assert expected == re.sub(" +classDef .*\n", "", to_mermaid(WAKE))
    assert 4 == to_mermaid(WAKE).count("classDef")


def test_empty_graph() -> None:
    """A graph without nodes is still a flowchart."""
    assert "flowchart TD\n" == to_mermaid(GraphShape("G", (), ()))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ('say "hi"', "say #quot;hi#quot;"),
        ("list[str]", "list[str]"),
        ("<br/>", "#lt;br/#gt;"),
        ("a & b", "a #amp; b"),
        ("#quot;", "#35;quot#59;"),
        ("`code`", "#96;code#96;"),
        ("%%{init: {}}%%", "#37;#37;{init: {}}#37;#37;"),
        ("back\\n", "back#92;n"),
        ("new\nline", "new␊line"),
        ("nul\0", "nul␀"),
        ("style a:b", "style a#58;b"),
        ("改行", "改行"),
        ("", "#160;"),
    ],
)
def test_escapes(name: str, text: str) -> None:
    """Whatever a name holds, it is shown, and does not end the text or mean anything."""
    assert f'node_1["{text}"]:::nodeNode' == node(name)


@pytest.mark.parametrize("name", ["end", "End", "graph", "subgraph", "default", "style", "class", "v", "x", "TD"])
def test_reserved_words(name: str) -> None:
    """A name that is a word of the language is shown, and another identifier stands for it."""
    assert f'node_1["{name}"]:::nodeNode' == node(name)


def test_identifiers_are_unique() -> None:
    """The identifier made for a name is never that of another node."""
    nodes = (NodeShape("end"), NodeShape("node_1"), NodeShape("node_1_"))
    text = to_mermaid(GraphShape("G", nodes, (EdgeShape("end", "node_1"),)))
    assert "node_1__ --> node_1\n" in text


@given(st.lists(st.text(max_size=12), unique=True, max_size=5))
@settings(max_examples=25)
def test_any_names(names: list[str]) -> None:
    """Whatever the names, each node and edge is one line, with no quote or line break but ours."""
    nodes = tuple(NodeShape(name, detail=(name,)) for name in names)
    edges = tuple(EdgeShape(name, names[0], name) for name in names)
    lines = to_mermaid(GraphShape("G", nodes, edges)).splitlines()
    assert 1 + 2 * len(names) + bool(names) == len(lines)
    for line in lines[1 : 1 + len(names)]:
        assert re.fullmatch(r' +[A-Za-z]\w*\["[^"`<>\\]+<br/>[^"`<>\\]+"\]:::nodeNode', line)
