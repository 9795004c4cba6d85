"""Every value and every key of a document has a place, by paths of both kinds."""

from __future__ import annotations

from typing import Any

import pytest

from dagflow.core.answers import InvalidAnswer
from dagflow.core.structure import structure
from dagflow.source import Document, Mark, parse_path, show_path
from source.reading import PARSERS, both, read

TEXT = """\
name: sort it
nodes:
  sort:
    type: router
    routes: {a: one, "b c": [two, three]}
  one: {type: llm,
    prompt:   write}
edges:
- from: START
  to:
    - sort
    - {x: [1, {y: 2}]}
empty:
text: |
  several
  lines
"""


@pytest.fixture(params=PARSERS)
def document(request: pytest.FixtureRequest) -> Document:
    return read(TEXT, request.param)


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("$", 1, 1),
        ("", 1, 1),
        ((), 1, 1),
        ("$.name", 1, 7),
        (("name",), 1, 7),
        ("nodes.sort", 4, 5),
        ("$.nodes.sort.type", 4, 11),
        ("$.nodes.sort.routes", 5, 13),
        ("$.nodes.sort.routes.a", 5, 17),
        ("$.nodes.sort.routes['b c']", 5, 29),
        ("$.nodes.sort.routes['b c'][1]", 5, 35),
        (("nodes", "sort", "routes", "b c", 1), 5, 35),
        ("$.nodes.one", 6, 8),
        ("$.nodes.one.prompt", 7, 15),
        ("$.edges", 9, 1),
        ("$.edges[0]", 9, 3),
        ("$.edges[0].to[1].x[1].y", 12, 19),
        ("$.empty", 13, 1),
        ("$.text", 14, 7),
    ],
)
def test_the_place_of_a_value(document: Document, path: Any, line: int, column: int) -> None:
    """It is where the value begins; of a block mapping that is its first key, of an empty value its own key."""
    assert Mark("graph.yaml", line, column) == document.mark(path)


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("$.nodes.sort", 3, 3),
        ("$.nodes.sort.routes['b c']", 5, 22),
        ("$.nodes.one.prompt", 7, 5),
        ("$.edges[0].to", 10, 3),
        ("$.edges[0].to[1]", 12, 7),
        ("$.edges[0].to[1].x", 12, 8),
        ("$", 1, 1),
    ],
)
def test_the_place_of_a_key(document: Document, path: Any, line: int, column: int) -> None:
    """It is where the key begins, in quotes or not; an item of a list has no key but its place."""
    assert Mark("graph.yaml", line, column) == document.key_mark(path)


@pytest.mark.parametrize(
    ("path", "line", "column"),
    [
        ("$.nodes.sort.prompt", 4, 5),
        ("$.nodes.other.prompt", 3, 3),
        ("$.nodes.sort.routes.b", 5, 13),
        ("$.name.first", 1, 7),
        ("$.name[0]", 1, 7),
        ("$.edges[7].to", 9, 1),
        ("$.edges.first", 9, 1),
        (("edges", -1), 9, 1),
        (("nodes", 0), 3, 3),
    ],
)
def test_what_is_not_there_is_placed_by_what_is_around_it(
    document: Document, path: Any, line: int, column: int
) -> None:
    """A missing key points at its mapping, whatever follows in the path."""
    assert Mark("graph.yaml", line, column) == document.mark(path)
    assert Mark("graph.yaml", line, column) == document.key_mark(path)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("$", ()),
        ("$.a.b", ("a", "b")),
        ("a.b", ("a", "b")),
        ("[0].a", (0, "a")),
        ("$[0][12].x", (0, 12, "x")),
        ("$['odd key']", ("odd key",)),
        ("$['it''s']", ("it",)),
        ('$["it\'s"].x', ("it's", "x")),
        (r"$['a\'b\\c\n']", ("a'b\\c\n",)),
        ("$['a.b[0]'].c", ("a.b[0]", "c")),
        ("$.a-b", ("a-b",)),
        ("$.a[x]", ("a",)),
        ("$.a[", ("a",)),
        ("$..", ()),
        ("$.\u00e9", ("\u00e9",)),
    ],
)
def test_paths_are_read(text: str, path: tuple[str | int, ...]) -> None:
    """As `core.structure` writes them, as people write them, and as far as they can be read."""
    if text == "$['it''s']":  # two texts to Python, and no path
        path = ()
    assert path == parse_path(text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("nodes", "sort", "routes"), "nodes.sort.routes"),
        (("edges", 0, "to"), "edges[0].to"),
        ((0, 1), "[0][1]"),
        (("odd key", "x"), "['odd key'].x"),
        (("a", "b c"), "a['b c']"),
        (("k" * 100,), "['" + "k" * 80 + "...']"),
    ],
)
def test_paths_are_shown_to_people(path: tuple[str | int, ...], text: str) -> None:
    """Without a `$`, and with long keys cut."""
    assert text == show_path(path)


ODD = [
    "x",
    "a b",
    "a.b",
    "it's",
    'say "x"',
    "\\",
    "line\nend",
    "[0]",
    "$",
    "",
    "\u00e9\u00e8",
    "k" * 100,
    "k k" * 60,
    "'" * 90,
]


@both
@pytest.mark.parametrize("key", ODD)
def test_the_paths_of_structure_find_their_keys(key: str, make_parser: Any) -> None:
    """Whatever is in a key, and however long it is."""
    import json

    found = read(f"z: 1\n? {json.dumps(key)}\n: [1, x]\n", make_parser)
    with pytest.raises(InvalidAnswer) as refused:
        structure(found.data, dict[str, int | list[int]])
    (item,) = refused.value.invalid
    assert Mark("graph.yaml", 3, 7) == found.mark(item.path)
    assert Mark("graph.yaml", 2, 3) == found.key_mark(parse_path(item.path)[:-1])


@both
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_three_ways(end: str, make_parser: Any) -> None:
    """And a character outside of the first plane is one column."""
    text = end.join(["# \U0001f600", "a: 1", "", "b:", "  - x", "  - '\U0001f600': [\u00e9, y]", ""])
    found = read(text, make_parser)
    assert {"a": 1, "b": ["x", {"\U0001f600": ["\u00e9", "y"]}]} == found.data
    marks = [found.mark(path) for path in ("a", "b[0]", "b[1]['\U0001f600'][1]")]
    assert [(2, 4), (5, 5), (6, 14)] == [(mark.line, mark.column) for mark in marks]
    assert [(6, 14), (2, 4)] == [
        (mark.line, mark.column) for mark in map(found.mark, ("b[1]['\U0001f600'][1]", "a"))
    ], "in any order"


@both
def test_a_byte_order_mark_takes_no_column(make_parser: Any) -> None:
    """In bytes and in text."""
    for text in ("\ufeffa: b", "\ufeffa: b".encode()):
        found = read(text, make_parser)
        assert {"a": "b"} == found.data
        assert Mark("graph.yaml", 1, 4) == found.mark("a")


def test_a_mark_reads_like_those_of_compilers() -> None:
    """Editors and terminals know the form."""
    assert "graph.yaml:8:14" == str(Mark("graph.yaml", 8, 14))
    assert Mark("a", 1, 9) < Mark("a", 2, 1)
