"""Types that stand unquoted in a flow mapping."""

from __future__ import annotations

import pytest

from dagflow.source import SourceError, read_document
from dagflow.source.type_texts import Quoted


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("a: {type: list[str], reducer: add}", {"a": {"type": "list[str]", "reducer": "add"}}),
        ("{x: list[str]}", {"x": "list[str]"}),
        ("{x: dict[str, list[int]], y: 1}", {"x": "dict[str, list[int]]", "y": 1}),
        ("{x: list[str] | null}", {"x": "list[str] | null"}),
        ("{x: str | list[int] | dict[str, any] , y: 2}", {"x": "str | list[int] | dict[str, any]", "y": 2}),
        ("[list[int], set[str]]", ["list[int]", "set[str]"]),
        ("{x: list[mine:Place]}", {"x": "list[mine:Place]"}),
        ("{a: list[str],\n b: list[int]}", {"a": "list[str]", "b": "list[int]"}),
        ("a: list[str]  # in a block it is plain YAML", {"a": "list[str]"}),
        ("{a: 'list[str', b: [1, 2]}", {"a": "list[str", "b": [1, 2]}),
    ],
)
def test_a_type_needs_no_quotes(text: str, data: object) -> None:
    """What people write for a type in a flow mapping is read as the text that they mean."""
    assert data == read_document(text, file="f").data


def test_places_are_those_of_the_text_as_it_is() -> None:
    """Marks behind a type that was quoted are not shifted by the quotes."""
    text = "state: {a: {type: list[str], b: 7}, c: {type: list[int]}}\nlast: 1"
    document = read_document(text, file="f")
    for path, word in (
        (("state", "a", "type"), "list[str]"),
        (("state", "a", "b"), "7"),
        (("state", "c", "type"), "list[int]"),
    ):
        assert text.index(word) + 1 == document.mark(path).column
    assert (2, 7) == (document.mark(("last",)).line, document.mark(("last",)).column)


@pytest.mark.parametrize(
    "text",
    ["{x: list [int]}", "{x: list[int}", "{x: list[str] more}", "{x: 7[str]}", "{x: list[{a: 1}]}", '{x: a["b"]}'],
)
def test_anything_else_is_the_error_that_it_was(text: str) -> None:
    """Only a whole type is read so; the rest of YAML's rules stay."""
    with pytest.raises(SourceError):
        read_document(text, file="f")


def test_many_types_are_still_read_quickly() -> None:
    """A file full of types is read, and one with absurdly many is refused with the usual advice."""
    few = "{" + ", ".join(f"k{i}: list[str]" for i in range(50)) + "}"
    assert 50 == len(read_document(few, file="f").data)
    many = "{" + ", ".join(f"k{i}: list[str]" for i in range(300)) + "}"
    with pytest.raises(SourceError, match="quotes"):
        read_document(many, file="f")


def test_offsets_lead_back() -> None:
    """Every offset of the quoted text leads to the character that it was, quotes to their neighbours."""
    quoted = Quoted("{x: list[a], y: list[b]}")
    assert quoted.quote_at(quoted.text.index("["))
    assert quoted.quote_at(quoted.text.rindex("["))
    original = "{x: list[a], y: list[b]}"
    back = [original[quoted.original(place)] for place, letter in enumerate(quoted.text) if letter != "'"]
    assert list(original) == back
