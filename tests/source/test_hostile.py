"""Hostile documents: each is refused with a clear error, in little time and memory."""

from __future__ import annotations

import tracemalloc
from functools import partial

import pytest

from dagflow.source import Limits
from dagflow.source.scan import MakeParser, python_parser
from source.hostile import CORPUS, Hostile
from source.reading import LIBYAML, LIMITS, NO_LIBYAML, both, budget, found_in, seconds_of

MOST_SECONDS = 0.1
MOST_BYTES = 64 << 20
MANY = 1_000_000

# The parser in Python takes microseconds for a character. Its time grows with their number, and so a tenth will do.
TENTH = Limits(max_bytes=104_858, max_nodes=10_000, max_scalar=26_214, max_digits=50)

corpus = pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CORPUS])


def test_the_corpus_is_large_and_has_no_document_twice() -> None:
    """Every document has a name of its own."""
    assert len(CORPUS) >= 60
    assert len({case.name for case in CORPUS}) == len(CORPUS)


@NO_LIBYAML
@corpus
def test_it_is_refused_at_once(case: Hostile) -> None:
    """The error says what is wrong, and takes less than a tenth of a second on the processor, and 64 MiB."""
    text = case.made(MANY)
    assert case.told in "\n".join(faults(text))
    assert seconds_of(lambda: faults(text)) < budget(MOST_SECONDS)
    assert peak_of(text) < MOST_BYTES


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[pytest.mark.slow] if case.is_large else []) for case in CORPUS],
)
def test_the_parser_in_python_refuses_it_too(case: Hostile) -> None:
    """Both parsers tell the same at the same places, in memory that is bounded by the limits."""
    text = case.made(MANY // 10)
    assert faults(text, LIBYAML, TENTH) == faults(text, python_parser(), TENTH)
    assert peak_of(text, python_parser(), TENTH) < MOST_BYTES // 10
    if not case.is_large:
        assert seconds_of(lambda: faults(text, python_parser(), TENTH)) < budget(MOST_SECONDS)


@NO_LIBYAML
@pytest.mark.slow
@pytest.mark.parametrize(
    "text", [f"[{'a,' * 100_000}]", "- a\n" * 100_000, "".join(f"k{n}: v\n" for n in range(50_000))]
)
def test_one_node_too_many_costs_what_the_last_one_that_fits_does(text: str) -> None:
    """Where the nodes have to be read to be counted, it is the time of a file that is accepted."""
    assert ["1:1: the file has more than 100000 nodes, the limit set by max_nodes"] == faults(text)
    assert seconds_of(lambda: faults(text)) < budget(2.5 * MOST_SECONDS)


@NO_LIBYAML
@pytest.mark.slow
def test_types_behind_much_are_not_read_for_long() -> None:
    """Each type without quotes costs another parse of what stands before it, and few of them are made."""
    text = f"[{'a,' * 90_000}{'{x: b[c]},' * 300}]"
    assert "text inside of {} cannot hold [" in faults(text)[0]
    assert seconds_of(lambda: faults(text)) < budget(5 * MOST_SECONDS)


PARTS = {
    "mappings": "- k: [a, {b: c}]\n",
    "comments": "# comment\n",
    "quotes": "- 'a b'\n",
    "double quotes": '- "a \\n b"\n',
    "blocks": "- >\n  a\n\n",
    "line ends": "\n",
    "words": "a ",
    "tabs": "- 'a\tb' # c\td\n",
}


@both
@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_the_time_grows_with_the_length_and_no_faster(part: str, make_parser: MakeParser) -> None:
    """A document that is four times as long takes about four times as long, and not sixteen times."""
    short, long = (seconds_of(partial(found_in, part * times, make_parser)) for times in (1_000, 4_000))
    assert long < 9 * short + 0.005


def faults(text: str | bytes, make_parser: MakeParser = LIBYAML, limits: Limits = LIMITS) -> list[str]:
    """What is told of a document that is refused."""
    found = found_in(text, make_parser, limits)
    assert found, "it was accepted"
    return found


def peak_of(text: str | bytes, make_parser: MakeParser = LIBYAML, limits: Limits = LIMITS) -> int:
    """The most bytes that reading has in use at once, beside the text."""
    tracemalloc.start()
    try:
        found_in(text, make_parser, limits)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
