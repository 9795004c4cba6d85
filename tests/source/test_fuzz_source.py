"""Any text is a document, equal to what PyYAML makes of it, or is refused with faults that have places."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagflow.declarative.model import GraphFile
from dagflow.source import Document, Fault, Mark, SourceError, read_document, structure_document
from dagflow.source.scan import python_parser
from schedule.campaign import SCALE
from source.core_schema import load_by_the_book
from source.hostile import CORPUS, Hostile
from source.reading import LIBYAML, NO_LIBYAML, read
from source.test_mistakes import MISTAKES, NO_MISTAKES

pytestmark = [pytest.mark.slow, pytest.mark.fuzz]
in_parts = pytest.mark.parametrize("part", range(SCALE))  # each within the time that a test may take

GRAPHS = (
    """\
version: "1"
name: study   # what it is for
state: {notes: {type: "list[str]", reducer: add}, text: str}
nodes:
  read: {type: python, function: "papers:read", state_key: text, timeout: 1.5}
  ask:
    type: llm
    prompt:
      user: |
        Read {text}

        and say "why".
      schema: {fields: {why: str, sure: {type: float, ge: 0}}}
    on_error: {retry: 3, fallback: {value: null}, then: skip}
  sort: {type: router, prompt: sort, routes: {good: ask, bad: END}}
edges:
- {from: START, to: read}
- from: read
  to: [ask, sort]
  condition: "text != ''"
""",
    "nodes:\r\n  a: {type: passthrough, output: {x: 0x1F, y: -1e3, z: '~'}}\r\nedges: [{from: START, to: a}]\r\n",
    '{"nodes": {"a": {"type": "map", "over": "{xs}", "node": {"type": "shell", "command": ["ls", "-l"]}}}, "edges": [{"from": "START", "to": "a"}]}',  # noqa: E501
    "? nodes\n: a:\n    type: interrupt\n    message: >-\n      Are you\n      sure?\n    resume_key: ok\n? edges\n: - from: START\n    to: a\n",  # noqa: E501
)

SIGNS = [*"abx1-?:,[]{}#&*!|>'\"%@`~\\.<=", "\n", "\t", " ", "\r", "\n  ", "\n- ", "\n---\n", "\n...\n", "--- ", "\r\n"]
WORDS = ["a: ", "- ", "? ", ": ", "key: ", "'q'", '"d"', "|\n", "|-\n  ", ">+\n ", "|2\n", "{a: b}", "[a, b]", " #"]
ODD = [
    "&a ",
    "*a",
    "!t ",
    "! ",
    "<<: ",
    "k:v",
    "x?",
    "x[y]",
    "x[y] | z",
    "\\n",
    "\\x41",
    "\\ud800",
    "\\0",
    "%YAML 1.2\n",
]
SCALARS = ["null", "true", "yes", "0x1F", "1e3", ".inf", "01"]
RARE = ["\u00e9", "\U0001f600", "\u2028", "\x85", "\ufeff", "\0", "\x07", "\ud800"]
tokens = st.sampled_from([*SIGNS, *WORDS, *ODD, *SCALARS, *RARE])
soups = st.lists(tokens, max_size=15).map("".join)
known = st.sampled_from([*GRAPHS, *MISTAKES, *NO_MISTAKES])


@st.composite
def mutated(draw: st.DrawFn, base: st.SearchStrategy[str] = known) -> str:
    """A text that was one before some parts of it were taken out, put in, doubled, or swapped."""
    text = draw(base)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 1, 2, 5, 20])))
        part = draw(st.one_of(st.just(""), tokens, st.just(text[start:end] * 2), soups))
        text = text[:start] + part + text[end:]
    return text


texts = st.one_of(soups, mutated(), st.text(max_size=60))
sources = st.one_of(texts, texts.map(lambda text: text.encode("utf-8", "surrogatepass")), st.binary(max_size=60))


@in_parts
@settings(max_examples=1000)
@given(source=sources)
@example(source="\r%FOO\n--- ")
@example(source='a: "\\ud800"')
@example(source='"\\UFFFFFFFF"')
@example(source="{? [a]: b, ? }")
@example(source="a: b\n\u00a0c: d")
def test_any_source_is_a_document_or_has_faults(part: int, source: str | bytes) -> None:
    """A document is plain data, every part of which has a place; otherwise there are faults, each with a place."""
    check(source)


@in_parts
@settings(max_examples=1000)
@given(text=texts)
@example(text="a: ! 12")
@example(text="- 0o17\n- +0\n- 1.\n- .5\n- 0x0\n- -0\n")
@example(text="{a: b, a: c}")
def test_a_document_is_what_yaml_1_2_says(part: int, text: str) -> None:
    """Whatever is accepted is equal to what a loader by the book makes of it, types and the order of keys included."""
    try:
        document = read_document(text, file="graph.yaml")
    except SourceError:
        return
    try:
        by_the_book = load_by_the_book(text.removeprefix("\ufeff"))
    except yaml.YAMLError:
        assert re.search(r"\w\[", text), "only types such as `list[str]` need no quotes, which YAML asks for"
    else:
        assert repr(by_the_book) == repr(document.data)


@in_parts
@NO_LIBYAML
@settings(max_examples=1000)
@given(text=texts)
@example(text="a: b\t# c\n")
@example(text="| # c\n \tb")
@example(text="{a:}")
@example(text="[a?, b ? c]")
def test_both_parsers_accept_the_same(part: int, text: str) -> None:
    """The same texts, with the same data at the same places; what one of them refuses, so does the other."""
    assert reading(text, LIBYAML) == reading(text, python_parser())


@in_parts
@settings(max_examples=300)
@given(text=mutated(st.sampled_from(GRAPHS)))
def test_a_graph_has_faults_with_places_or_none(part: int, text: str) -> None:
    """Structuring raises nothing else, whatever the data are."""
    try:
        structure_document(read_document(text, file="graph.yaml"), GraphFile)
    except SourceError as error:
        check_faults(error.found, text)


@pytest.mark.parametrize("case", [case for case in CORPUS if not case.is_large], ids=lambda case: str(case.name))
def test_hostile_documents_stay_hostile(case: Hostile) -> None:
    """Whatever is put in front of them or behind."""

    @settings(max_examples=20 * SCALE)
    @given(soups, soups)
    def surround(before: str, behind: str) -> None:
        text = case.made(0)
        check(before + text + behind if isinstance(text, str) else before.encode("utf-8", "replace") + text)

    surround()


def check(source: str | bytes) -> None:
    """Read a source, and look at what comes of it."""
    try:
        document = read_document(source, file="graph.yaml")
    except SourceError as error:
        check_faults(error.found, source)
    else:
        check_document(document, source)


def reading(text: str, make_parser: Any) -> object:
    """What a parser makes of a text: its data and all places, or nothing."""
    try:
        document = read(text, make_parser)
    except SourceError:
        return None
    return repr(document.data), [(document.key_mark(path), document.mark(path)) for path in paths(document.data)]


def paths(data: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every path into plain data."""
    yield path
    inside = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for step, value in inside:
        yield from paths(value, (*path, step))


def lines_of(source: str | bytes) -> list[str]:
    text = source.decode("utf-8", "replace") if isinstance(source, bytes) else source
    return re.split("\r\n|\r|\n", text.removeprefix("\ufeff"))


def check_mark(mark: Mark, lines: list[str]) -> None:
    """It is in the text, or behind the end of a line."""
    assert "graph.yaml" == mark.file
    assert 1 <= mark.line <= len(lines)
    assert 1 <= mark.column <= len(lines[mark.line - 1]) + 1


def check_faults(found: tuple[Fault, ...], source: str | bytes) -> None:
    """There is one, and they are in order."""
    assert found
    assert sorted(fault.mark for fault in found) == [fault.mark for fault in found]
    lines = lines_of(source)
    for fault in found:
        check_mark(fault.mark, lines)
        assert fault.problem
        assert "\n" not in str(fault)


def check_document(document: Document, source: str | bytes) -> None:
    """Its data can be written as JSON in UTF-8, and each key stands where its mark says."""
    assert document.data == json.loads(json.dumps(document.data, allow_nan=False, ensure_ascii=False).encode())
    lines = lines_of(source)
    for path in paths(document.data):
        check_mark(document.mark(path), lines)
        mark = document.key_mark(path)
        check_mark(mark, lines)
        step = path[-1] if path else 0
        if isinstance(step, str) and step.isalnum():
            there = lines[mark.line - 1][mark.column - 1 :]
            assert there.startswith((step, "'", '"', "|", ">")), (path, there)
