"""Graphs inside graphs: YAML in YAML, typed in YAML, YAML in typed."""

from pathlib import Path

import pytest

from dagflow import Graph, MemoryStore, Node, NodeError, dep
from dagflow.declarative.api import run_graph_async
from declarative.yaml_files import compiled, faults_in, write_graph

CHILD = """
    state: {x: int, y: int}
    nodes: {add: {type: passthrough, output: {y: "{x + 1}"}}}
    edges: [{from: START, to: add}, {from: add, to: END}]
"""

PARENT = """
    state: {x: int, z: int, all: any}
    nodes:
      sub: {type: subgraph, graph: child.yaml, MORE}
    edges: [{from: START, to: sub}, {from: sub, to: END}]
"""


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ("output: {z: y}", {"x": 1, "z": 2}),
        ('input: {x: "{x * 10}"}, output: {z: y}', {"x": 1, "z": 11}),
        ("state_key: all", {"x": 1, "all": {"x": 1, "y": 2}}),
    ],
)
async def test_a_yaml_graph_is_a_node(tmp_path: Path, more: str, state: dict[str, object]) -> None:
    """It begins with what is given, or the keys that both declare, and gives what is named."""
    write_graph(tmp_path, CHILD, "child.yaml")
    assert state == (await compiled(tmp_path, PARENT.replace("MORE", more)).run({"x": 1})).state


async def test_a_question_of_a_subgraph_is_asked_by_the_run(tmp_path: Path) -> None:
    """The inner run goes on where it was, and nothing of it runs again."""
    calls: list[str] = []

    async def count() -> int:
        calls.append("count")
        return len(calls)

    child = """
        nodes:
          count: {type: python, function: count, state_key: n}
          ask: {type: interrupt, message: "?", resume_key: y}
        edges: [{from: START, to: count}, {from: count, to: ask}, {from: ask, to: END}]
    """
    write_graph(tmp_path, child, "child.yaml")
    graph = compiled(tmp_path, PARENT.replace("MORE", "output: {z: y}"), count=count)
    store = MemoryStore()
    asked = await graph.run({"x": 1}, store=store, thread_id="t")
    assert ["sub#1/child.1/ask#1.y"] == [one.id for one in asked.interrupts]
    assert 5 == (await graph.resume("t", {"y": 5}, store=store)).state["z"]
    assert ["count"] == calls


class Double(Node):
    x: int

    async def __call__(self) -> "Doubled":
        return Doubled(y=2 * self.x)


class Doubled(Node):
    y: int

    async def __call__(self) -> None: ...


async def test_a_typed_graph_is_a_node(tmp_path: Path) -> None:
    """Its start node is made from the state, and the fields of its last node are what it gives."""
    text = PARENT.replace("child.yaml", '"mine:double"')
    graph = compiled(tmp_path, text.replace("MORE", "output: {z: y}"), known={"mine:double": Graph(start=Double)})
    assert {"x": 4, "z": 8} == (await graph.run({"x": 4})).state


def test_what_a_typed_graph_does_not_take_is_told(tmp_path: Path) -> None:
    """An input that its start node has no field for is a fault at its line."""
    text = PARENT.replace("child.yaml", '"mine:double"').replace("MORE", 'input: {xx: "{x}"}, output: {z: y}')
    (fault,) = faults_in(tmp_path, text, known={"mine:double": Graph(start=Double)})
    assert "nodes.sub.input.xx: graph Double takes no 'xx'; did you mean 'x'?" in fault


async def test_a_yaml_graph_is_a_dependency_of_a_typed_one(tmp_path: Path) -> None:
    """A dependency that runs a YAML graph runs it as a part of the typed run."""
    inner = compiled(tmp_path, CHILD)

    async def added() -> int:
        result = await run_graph_async(inner, {"x": 41})
        answer: int = result["state"]["y"]
        return answer

    class Answer(Node):
        value: int = dep(added)

        async def __call__(self) -> None: ...

    result = await Graph(start=Answer, namespace=locals()).run(Answer())
    assert 42 == result.node.value
    assert any("graph.1" in event.run for event in result.events)


def test_a_graph_that_holds_itself_is_refused(tmp_path: Path) -> None:
    """A circle of files is a fault, not a recursion; the circle is spelled out."""
    write_graph(tmp_path, PARENT.replace("child.yaml", "graph.yaml").replace("MORE", "state_key: all"), "child.yaml")
    (fault,) = faults_in(tmp_path, PARENT.replace("MORE", "state_key: all"))
    assert "graph.yaml -> child.yaml -> graph.yaml" in fault


def test_faults_of_a_subgraph_have_their_own_lines(tmp_path: Path) -> None:
    """What is wrong in an inner file is told with the outer place and the inner line."""
    write_graph(tmp_path, CHILD.replace("x + 1", "x + wrong"), "child.yaml")
    (fault,) = faults_in(tmp_path, PARENT.replace("MORE", "output: {z: y}"))
    assert "nodes.sub.graph: " in fault
    assert "child.yaml:2:" in fault
    assert "the state has no key 'wrong'" in fault


async def test_a_missing_output_is_told(tmp_path: Path) -> None:
    """A key that the inner graph ends without is an error that names both, not a null."""
    write_graph(
        tmp_path,
        CHILD.replace(
            "edges: [{from: START, to: add}, {from: add, to: END}]",
            'none: {type: passthrough}}\n    edges: [{from: START, to: add, condition: "x > 1"}, '
            "{from: START, to: none}, {from: add, to: END}, {from: none, to: END}]",
        ).replace('"{x + 1}"}}}', '"{x + 1}"}}, '),
        "child.yaml",
    )
    graph = compiled(tmp_path, PARENT.replace("MORE", "output: {z: y}"))
    assert 3 == (await graph.run({"x": 2})).state["z"]
    with pytest.raises(NodeError, match="subgraph child ended without 'y', which 'z' is to get"):
        await graph.run({"x": 1})
