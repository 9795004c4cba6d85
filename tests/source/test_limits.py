"""Each limit lets its number pass and refuses one more, naming itself and the number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from dagflow.source import Limits
from source.reading import both, found_in

CASES: dict[str, tuple[Limits, Callable[[int], str], str]] = {
    "max_bytes": (
        Limits(max_bytes=20),
        lambda size: "\u00e9" * (size // 2) + "a" * (size % 2),
        "1:1: the file has more than 20 bytes, the limit set by max_bytes",
    ),
    "max_depth": (
        Limits(max_depth=20),
        lambda size: "[" * size + "]" * size,
        "1:21: lists and mappings are more than 20 deep inside of each other, the limit set by max_depth",
    ),
    "max_nodes": (
        Limits(max_nodes=20),
        lambda size: f"# a list\n- [{'a,' * (size - 2)}]",
        "2:1: the file has more than 20 nodes, the limit set by max_nodes",
    ),
    "max_scalar": (
        Limits(max_scalar=20),
        lambda size: f"- a\n- '{'b' * size}'",
        "2:3: [1]: the text has more than 20 characters, the limit set by max_scalar",
    ),
    "max_digits": (
        Limits(max_digits=20),
        lambda size: f"- {'1' * size}",
        "1:3: [0]: the number '111111111111111111111' has more than 20 digits, the limit set by max_digits; "
        "a text of digits must be in quotes",
    ),
}


@both
@pytest.mark.parametrize("name", CASES)
def test_a_limit_is_the_most_that_is_allowed(name: str, make_parser: Any) -> None:
    """One more is refused, at its place."""
    limits, make, told = CASES[name]
    assert [] == found_in(make(20), make_parser, limits)
    assert [told] == found_in(make(21), make_parser, limits)


def test_every_limit_is_tested() -> None:
    """There is a case for each field."""
    assert set(CASES) == {field.name for field in attrs.fields(Limits)}


def test_the_bytes_of_a_file_are_counted_before_it_is_decoded() -> None:
    """Also those of text, and of a byte order mark."""
    limits = Limits(max_bytes=4)
    told = ["1:1: the file has more than 4 bytes, the limit set by max_bytes"]
    assert [] == found_in("\u00e9\u00e9", limits=limits)
    assert told == found_in("\u00e9\u00e9a", limits=limits)
    assert told == found_in(b"\xff" * 5, limits=limits)
    assert told == found_in("\ufeffab".encode(), limits=limits)


@both
def test_keys_count_as_nodes_and_texts(make_parser: Any) -> None:
    """A mapping of one pair is three nodes."""
    assert [] == found_in("{a: b}", make_parser, Limits(max_nodes=3))
    assert found_in("{a: b}", make_parser, Limits(max_nodes=2))
    assert found_in(f"{'a' * 9}: b", make_parser, Limits(max_scalar=8))


@both
@pytest.mark.parametrize("text", ["a: b\n" * 30, "{a: &b c, a: d, 1: e}", "- &a b\n- [c, d, e, f, g, h]"])
def test_too_many_nodes_are_told_alone(text: str, make_parser: Any) -> None:
    """Whatever else is wrong: nobody reads on in such a file."""
    (told,) = found_in(text, make_parser, Limits(max_nodes=5))
    assert told == "1:1: the file has more than 5 nodes, the limit set by max_nodes"


@pytest.mark.parametrize(
    "given", [{"max_depth": 201}, {"max_depth": 0}, {"max_bytes": 0}, {"max_nodes": -1}, {"max_digits": 1.5}]
)
def test_a_limit_is_a_number_that_makes_sense(given: dict[str, Any]) -> None:
    """Positive, and not deeper than what reads the data can go."""
    with pytest.raises((ValueError, TypeError)):
        Limits(**given)


@both
def test_the_deepest_document_can_be_read_and_written(make_parser: Any) -> None:
    """Neither the reader nor JSON runs out of stack at the largest limit, in blocks and in brackets."""
    import json

    from source.reading import read

    limits = Limits(max_depth=200)
    for text in ("[" * 200 + "]" * 200, "- " * 200 + "a", "".join(" " * step + "a:\n" for step in range(200))):
        assert json.dumps(read(text, make_parser, limits).data)
