"""Tests of graphs as SVG pictures."""

from __future__ import annotations

from typing import Literal
from xml.etree import ElementTree

from hypothesis import given, settings
from hypothesis import strategies as st

from dagflow.core.drawing.svg import to_svg
from dagflow.core.drawing.text import printable, text_width
from dagflow.types import EdgeShape, GraphShape, NodeShape

SVG = "{http://www.w3.org/2000/svg}"
KINDS: tuple[Literal["start", "node", "terminal", "dependency"], ...] = ("start", "node", "terminal", "dependency")


def draw(*nodes: NodeShape, edges: tuple[EdgeShape, ...] = ()) -> ElementTree.Element:
    return ElementTree.fromstring(to_svg(GraphShape("G", nodes, edges)))


def titles(picture: ElementTree.Element) -> list[str]:
    return [title.text or "" for title in picture.iter(f"{SVG}title")]


def group(picture: ElementTree.Element, title: str) -> ElementTree.Element:
    (found,) = (g for g in picture.iter(f"{SVG}g") if (g.findtext(f"{SVG}title") or "").startswith(title))
    return found


def test_everything_has_a_title() -> None:
    """The picture, each node and each edge say what they are to those who cannot see it."""
    nodes = (NodeShape("A", "start", ("x: int",)), NodeShape("B", "terminal"), NodeShape("d", "dependency"))
    edges = (EdgeShape("A", "B", "go"), EdgeShape("d", "B", kind="dependency"), EdgeShape("B", "B"))
    assert [
        "G: 3 nodes, 3 edges",
        "A leads to B: go",
        "d is read by B",
        "B leads to B",
        "A (start node)\nx: int",
        "B (terminal node)",
        "d (dependency)",
    ] == titles(draw(*nodes, edges=edges))


def test_kinds_look_different() -> None:
    """Each kind of node has a shape and colours of its own."""
    picture = draw(*(NodeShape(kind, kind) for kind in KINDS))
    outlines = [[part for part in group(picture, kind) if not part.tag.endswith(("title", "text"))] for kind in KINDS]
    assert [1, 1, 2, 1] == [len(parts) for parts in outlines]
    looks = {(parts[0].tag, parts[0].get("rx"), parts[0].get("fill")) for parts in outlines}
    assert 4 == len(looks)
    assert f"{SVG}polygon" == outlines[3][0].tag


def test_dependency_edges_are_dashed() -> None:
    """A dependency is drawn dashed, a route solid."""
    edges = (EdgeShape("A", "B"), EdgeShape("B", "A", kind="dependency"))
    picture = draw(NodeShape("A"), NodeShape("B"), edges=edges)
    dashes = [group(picture, title)[1].get("stroke-dasharray") for title in ("A leads", "B is read")]
    assert [None, "5 4"] == dashes


def test_labels_fit_their_boxes() -> None:
    """A node is wide enough for its name and its details, and the picture for the node."""
    for name in ("i", "W" * 30, "Ünïcödé", "改行日本語のノード名", "x" * 500):
        picture = draw(NodeShape(name, detail=(name[::-1], "m" * 20)))
        (node,) = picture.iter(f"{SVG}g")
        width = float(node[1].get("width", "0"))
        assert all(text_width(text.text or "", 11.5) < width for text in node.iter(f"{SVG}text"))
        assert width < float(picture.get("width", "0"))


def test_long_names_are_whole_in_the_title() -> None:
    """A name that is too long is cut in the picture only."""
    picture = draw(NodeShape("x" * 500))
    assert "x" * 500 + " (node)" in titles(picture)
    assert "…" == (picture.findtext(f".//{SVG}text") or "")[-1]


def test_background_of_its_own() -> None:
    """The picture has a background over its whole size, so that it can be read on any page."""
    picture = draw(NodeShape("A"))
    background = picture[1]
    assert float(picture.get("width", "0")) - 1 == float(background.get("width", "0"))
    assert "none" != background.get("fill")


def test_empty_graph() -> None:
    """A graph without nodes is a picture with nothing in it."""
    assert ["G: 0 nodes, 0 edges"] == titles(draw())


def test_same_graph_same_picture() -> None:
    """The same graph is drawn the same way, byte for byte."""
    nodes = tuple(NodeShape(name, kind) for name, kind in zip("ABCD", KINDS, strict=True))
    edges = tuple(EdgeShape(source, target) for source in "ABCD" for target in "DBCA")
    assert to_svg(GraphShape("G", nodes, edges)) == to_svg(GraphShape("G", nodes, edges))


@given(st.lists(st.text(st.characters() | st.characters(categories=["Cs", "Cc"]), max_size=8), unique=True, max_size=4))
@settings(max_examples=40)
def test_any_names(names: list[str]) -> None:
    """Whatever the names, the picture is valid XML and can be written as UTF-8."""
    nodes = tuple(NodeShape(name, detail=(name,)) for name in names)
    edges = tuple(EdgeShape(name, names[0], name) for name in names)
    picture = ElementTree.fromstring(to_svg(GraphShape("".join(names), nodes, edges)).encode())
    assert 1 + 2 * len(names) == len(titles(picture))


def test_printable() -> None:
    """Control characters, lone surrogates and text direction overrides are shown as pictures of themselves."""
    assert "a␊b␀␡\ufffd\ufffd é" == printable("a\nb\0\x7f\ud800\u202e é")
