"""What may be under way at once, what comes before what, and loops, as far as a file tells."""

from __future__ import annotations

from dagflow.core.structure import structure
from dagflow.declarative.lint.ways import Ways
from dagflow.declarative.model import GraphFile


def ways_of(names: str, *edges: tuple[str, str | list[str]] | tuple[str, str | list[str], str], **more: object) -> Ways:
    """The ways of a graph of passthroughs; an edge may have a condition."""
    data = {
        "nodes": {name: {"type": "passthrough"} for name in names.split()},
        "edges": [
            {"from": edge[0], "to": edge[1]} | ({"condition": edge[2]} if len(edge) == 3 else {}) for edge in edges
        ],
        **more,
    }
    spec: GraphFile = structure(data, GraphFile)
    return Ways(spec)


def test_branches_of_a_fork_are_under_way_at_once() -> None:
    """What each branch leads to may be under way with what the other leads to, up to where they meet."""
    ways = ways_of("a b c d e", ("START", ["a", "b"]), ("a", "c"), ("b", "d"), ("c", "e"), ("d", "e"), ("e", "END"))
    assert ways.at_once("a", "b")
    assert ways.at_once("c", "b")
    assert ways.at_once("c", "d")
    assert not ways.at_once("a", "c")
    assert not ways.at_once("e", "c")


def test_branches_of_a_choice_are_not() -> None:
    """Of edges with conditions only one is taken; a list of targets of one edge is a fork all the same."""
    ways = ways_of(
        "a b c d", ("START", "a"), ("a", "b", "x"), ("a", ["c", "d"]), ("b", "END"), ("c", "END"), ("d", "END")
    )
    assert not ways.at_once("b", "c")
    assert ways.at_once("c", "d")


def test_branches_of_forks_that_exclude_each_other_are_not() -> None:
    """Where one of two forks is taken, the branches of one are not beside those of the other."""
    ends = [(name, "END") for name in "bcde"]
    ways = ways_of("a b c d e", ("START", "a"), ("a", ["b", "c"], "x"), ("a", ["d", "e"]), *ends)
    assert ways.at_once("b", "c")
    assert not ways.at_once("b", "d")


def test_what_follows_a_join_is_not_beside_its_branches() -> None:
    """After branches have met, a choice is a choice."""
    ways = ways_of(
        "a b j c d",
        ("START", ["a", "b"]),
        ("a", "j"),
        ("b", "j"),
        ("j", "c", "x"),
        ("j", "d"),
        ("c", "END"),
        ("d", "END"),
    )
    assert not ways.at_once("c", "d")


def test_branches_in_a_loop_are_under_way_at_once() -> None:
    """In a loop everything leads to everything, and in one turn it does not."""
    ways = ways_of("h a b c", ("START", "h"), ("h", ["a", "b"]), ("a", "c"), ("c", "h"), ("b", "h"))
    assert ways.at_once("a", "b")
    assert ways.at_once("c", "b")
    assert not ways.at_once("h", "a")
    assert "a" in ways.ancestors("b")
    assert "a" not in ways.ancestors_in_turn("b")


def test_loops_have_heads_and_lengths() -> None:
    """A loop has its nodes and the head where it is entered; a way round counts its nodes."""
    ways = ways_of("a b c d", ("START", "a"), ("a", "b"), ("b", "c"), ("c", "b", "x"), ("c", "d"), ("d", "END"))
    assert [(("b", "c"), ("b",))] == [(loop.nodes, loop.heads) for loop in ways.loops]
    assert 2 == ways.way_round("b")
    assert 0 == ways.way_round("a")


def test_routes_fallbacks_and_exits_are_ways() -> None:
    """A node is led to by routes, by fallbacks and by the exits of loops too."""
    node = {"type": "passthrough", "on_error": {"fallback": {"to": "b"}}}
    router = {"type": "router", "prompt": {"user": "?"}, "routes": {"x": "b"}, "default_route": "c"}
    nodes = {"a": node, "r": router, **{name: {"type": "passthrough"} for name in "bc"}}
    edges = [("START", "a"), ("a", "r"), ("b", "a"), ("c", "END")]
    data = {
        "nodes": nodes,
        "edges": [{"from": source, "to": target} for source, target in edges],
        "loop_limits": {"b": 2},
        "loop_exits": {"b": "c"},
    }
    ways = Ways(structure(data, GraphFile))
    assert ("r", "b") == ways.successors["a"]
    assert ("b", "c") == ways.successors["r"]
    assert ("a", "c") == ways.successors["b"]
    kinds = {(way.source, way.target): way.kind for way in ways.all}
    assert ("fallback", "route", "exit") == (kinds["a", "b"], kinds["r", "c"], kinds["b", "c"])


def test_faulty_graphs_have_ways_too() -> None:
    """Edges from and to nodes that are not there, and loops that nothing leads to, do no harm."""
    ways = ways_of("a b c", ("START", "a"), ("a", "x"), ("x", "b"), ("b", "c"), ("c", "b"), ("a", "END"))
    assert () == ways.loops
    assert not ways.at_once("b", "c")
    assert frozenset({"START"}) == ways.ancestors("a")


def test_a_thousand_branches_take_no_time() -> None:
    """Only the first of very many nodes are compared with each other."""
    names = [f"n{number}" for number in range(1000)]
    ways = ways_of(" ".join(names), ("START", names))
    assert ("n0", "n1") == ways.pair_at_once(names)
    ways = ways_of(" ".join(names), ("START", "n0"), *[("n0", name, "x") for name in names[1:]])
    assert ways.pair_at_once(names) is None
