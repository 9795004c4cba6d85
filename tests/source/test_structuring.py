"""Documents become values of classes, and every problem is told with its place."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest

from dagflow.declarative.model import GraphFile, PassthroughNode
from dagflow.errors import GraphError, InvalidField
from dagflow.source import Fault, Mark, SourceError, faults_of, read_document, structure_document
from source.reading import both, budget, read, seconds_of

GRAPH = """\
version: "1"
name: study
state:
  notes: {type: "list[str]", reducer: add}
nodes:
  read: {type: python, function: "papers:read", state_key: papers}
  study:
    type: llm
    prompt: study
    on_error:
      retry: x
  sort: {type: router, prompt: sort, routes: {good: study, bad: END}, rotue_field: kind}
edges:
- {from: START, to: read}
- from: read
  to: [sort, 7]
- {to: END}
"""

FAULTS = [
    "graph.yaml:11:14: nodes.study.on_error.retry: expected integer or Backoff or null, got string 'x'",
    "graph.yaml:12:71: nodes.sort.rotue_field: unknown field; did you mean 'route_field'?",
    "graph.yaml:16:14: edges[1].to[1]: expected string, got integer 7",
    "graph.yaml:17:3: edges[2].from: missing; expected string",
]


@both
def test_every_fault_is_told_in_the_order_of_the_file(make_parser: Any) -> None:
    """A wrong value at the value, an unknown key at the key, a missing key at its mapping."""
    with pytest.raises(SourceError) as refused:
        structure_document(read(GRAPH, make_parser), GraphFile)
    assert FAULTS == [str(fault) for fault in refused.value.found]
    assert FAULTS == list(refused.value.faults)
    assert "\n".join(["graph.yaml has 4 faults:", *(f"  - {told}" for told in FAULTS)]) == str(refused.value)


def test_an_error_is_one_of_the_graph() -> None:
    """Whoever catches `GraphError` catches it; its faults carry file, line, column and path."""
    with pytest.raises(GraphError) as refused:
        structure_document(read("nodes: {}\nedges: []\n"), GraphFile)
    assert isinstance(refused.value, SourceError)
    fault = refused.value.found[0]
    assert (Mark("graph.yaml", 1, 8), "nodes") == (fault.mark, fault.path)
    assert "graph.yaml" == refused.value.subject


@both
def test_a_document_without_faults_becomes_a_value(make_parser: Any) -> None:
    """Of a class, or of any type hint."""
    graph = structure_document(
        read("nodes: {a: {type: passthrough}}\nedges: [{from: START, to: a}]", make_parser), GraphFile
    )
    assert {"a": PassthroughNode(type="passthrough")} == graph.nodes
    assert [1, 2] == structure_document(read("[1, 2]", make_parser), list[int])


def test_the_whole_document_may_be_wrong() -> None:
    """There is no path then."""
    with pytest.raises(SourceError, match="graph.yaml:2:1: expected an object for GraphFile, got array"):
        structure_document(read("# a graph\n- a\n"), GraphFile)


def test_other_checks_can_be_told_in_the_same_report() -> None:
    """`faults_of` gives marks to whatever has a path, and the error puts everything in order."""
    document = read(GRAPH)
    later = faults_of(document, [InvalidField("$.edges[0].to", "no node 'red'; did you mean 'read'?")])
    assert [Fault(Mark("graph.yaml", 14, 21), "edges[0].to", "no node 'red'; did you mean 'read'?")] == later
    first = faults_of(
        document, [InvalidField("$", "unknown field of all"), InvalidField("$.state.notes", "never read")]
    )
    error = SourceError([*later, *first], subject="graph.yaml")
    assert [1, 4, 14] == [fault.mark.line for fault in error.found]


def test_no_more_than_a_hundred_faults_are_told() -> None:
    """The hundred come first, and that there are more is told."""
    faults = [Fault(Mark("a", line, 1), "", "wrong") for line in range(300, 0, -1)]
    error = SourceError(faults, subject="a")
    assert [1, 100] == [error.found[0].mark.line, error.found[-1].mark.line]
    assert 101 == len(error.faults)
    assert "there are more than these 100 faults" == error.faults[-1]


def test_a_fault_can_be_pickled_and_compared() -> None:
    """Faults are values."""
    fault = Fault(Mark("a", 1, 2), "x", "wrong")
    assert fault == pickle.loads(pickle.dumps(fault))
    assert "a:1:2: x: wrong" == str(fault)
    assert "a:1:2: wrong" == str(attrs.evolve(fault, path=""))


def test_the_data_of_a_document_is_plain() -> None:
    """Nothing of PyYAML's is left in it."""
    found = read_document("a: [1, 1.5, x, true, null, {b: c}]", file="x")
    assert {"a": [1, 1.5, "x", True, None, {"b": "c"}]} == found.data
    assert [int, float, str, bool, type(None), dict] == [type(item) for item in found.data["a"]]
    assert "Document(file='x', data=" in repr(found)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.data = {}  # type: ignore[misc]


@both
def test_a_graph_of_a_thousand_nodes_is_read_in_little_time(make_parser: Any) -> None:
    """It takes a fifth of the time that people notice, and with the parser in Python still less than half a second."""
    nodes = "".join(f'  n{n}: {{type: passthrough, output: {{x: "{{state.x + {n}}}"}}}}\n' for n in range(1000))
    edges = "".join(f"  - {{from: n{n}, to: n{n + 1}}}\n" for n in range(999))
    text = f"nodes:\n{nodes}edges:\n  - {{from: START, to: n0}}\n{edges}"
    seconds = seconds_of(lambda: structure_document(read(text, make_parser), GraphFile))
    assert 1000 == len(structure_document(read(text, make_parser), GraphFile).nodes)
    assert seconds < budget(0.06 if "yaml" in make_parser.__module__ else 0.4)
