"""Streams are cut into lines, wherever their pieces begin and end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagflow.capture.lines import LONGEST_LINE, LineCutter


def lines(*pieces: bytes) -> list[str]:
    cutter = LineCutter()
    return [*itertools.chain.from_iterable(map(cutter.feed, pieces)), *cutter.finish()]


@pytest.mark.slow
@given(st.lists(st.binary(max_size=20)))
def test_pieces_give_the_lines_of_the_whole(pieces: list[bytes]) -> None:
    """The lines are those of all pieces together; what is no UTF-8 is shown."""
    whole = b"".join(pieces).split(b"\n")
    last = whole.pop()
    expected = [line.removesuffix(b"\r").decode(errors="replace") for line in whole]
    assert expected + ([last.decode(errors="replace")] if last else []) == lines(*pieces)


def test_a_character_that_is_cut_is_put_together() -> None:
    """A character whose bytes come apart is one character."""
    assert ["é", "ключ"] == lines(b"\xc3", b"\xa9\n\xd0\xba\xd0", b"\xbb\xd1\x8e\xd1\x87")


def test_a_line_without_an_end_is_given_in_pieces() -> None:
    """A line that grows too long is cut between two characters, and nothing of it is lost."""
    text = "é" * LONGEST_LINE + "x"
    found = lines(b"a", text.encode(), b"\nb\n")
    assert [f"a{text}", "b"] == ["".join(found[:-1]), found[-1]]
    assert all(len(line.encode()) <= LONGEST_LINE for line in found)
    assert "\ufffd" not in "".join(found)
    assert 3 == len(lines(b"\x80" * (2 * LONGEST_LINE + 1)))
