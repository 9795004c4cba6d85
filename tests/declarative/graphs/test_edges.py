"""Edges of YAML graphs: conditions, defaults, fan-out, joins, loops and their limits."""

from pathlib import Path

import pytest

from dagflow import NodeError
from declarative.yaml_files import compiled

THREE = """
    state: {n: int, path: {type: any, reducer: add}}
    nodes:
      a: {type: passthrough, output: {path: [a]}}
      b: {type: passthrough, output: {path: [b]}}
      c: {type: passthrough, output: {path: [c]}}
      d: {type: passthrough, output: {path: [d]}}
    edges:
      - {from: START, to: a}
      - {from: b, to: END}
      - {from: c, to: END}
      - {from: d, to: END}
"""


async def walked(graph_text: str, folder: Path, **state: object) -> list[str]:
    result = await compiled(folder, graph_text).run(state)
    assert "complete" == result.status
    path = result.state["path"]
    assert isinstance(path, list)
    return path


async def test_the_first_condition_that_holds_wins(tmp_path: Path) -> None:
    """Conditions are tried in the order of the file, and what follows a match is not looked at."""
    text = THREE + (
        "      - {from: a, to: b, condition: 'n > 10'}\n"
        "      - {from: a, to: c, condition: 'n > 5'}\n"
        "      - {from: a, to: d, condition: 'n > 1'}\n"
    )
    assert ["a", "b"] == await walked(text, tmp_path, n=11)
    assert ["a", "c"] == await walked(text, tmp_path, n=6)
    assert ["a", "d"] == await walked(text, tmp_path, n=2)


async def test_an_edge_without_a_condition_beside_others_is_the_default(tmp_path: Path) -> None:
    """The default is taken only where no condition holds, wherever it stands in the file."""
    text = THREE + (
        "      - {from: a, to: d}\n"
        "      - {from: a, to: b, condition: 'n > 10'}\n"
        "      - {from: a, to: c, condition: 'n > 5'}\n"
    )
    assert ["a", "c"] == await walked(text, tmp_path, n=6)
    assert ["a", "d"] == await walked(text, tmp_path, n=0)


async def test_no_edge_that_matches_is_an_error(tmp_path: Path) -> None:
    """A run never ends silently because no condition held; the error names the node and the conditions."""
    text = THREE + (
        "      - {from: a, to: [b, c], condition: 'n > 10'}\n      - {from: a, to: d, condition: 'n == 5'}\n"
    )
    graph = compiled(tmp_path, text)
    with pytest.raises(NodeError, match=r"no edge of node a matches \(tried 'n > 10', 'n == 5'\)") as caught:
        await graph.run({"n": 1})
    assert "a" == caught.value.node


async def test_several_edges_without_conditions_fan_out(tmp_path: Path) -> None:
    """All of them are followed, and a list in one edge is the same."""
    separate = THREE + "      - {from: a, to: b}\n      - {from: a, to: c}\n      - {from: a, to: d}\n"
    listed = THREE + "      - {from: a, to: [b, c, d]}\n"
    assert ["a", "b", "c", "d"] == await walked(separate, tmp_path, n=0)
    assert ["a", "b", "c", "d"] == await walked(listed, tmp_path, n=0)


async def test_an_edge_sees_what_its_node_wrote(tmp_path: Path) -> None:
    """A condition is evaluated over the state with the writes of the node that it leaves."""
    graph = compiled(
        tmp_path,
        """
        state: {n: {type: int, default: 1}}
        nodes:
          a: {type: passthrough, output: {n: "{n + 1}"}}
          b: {type: passthrough, output: {seen: "{n}"}}
        edges:
          - {from: START, to: a}
          - {from: a, to: b, condition: "n == 2"}
          - {from: b, to: END}
        """,
    )
    assert {"n": 2, "seen": 2} == (await graph.run()).state


async def test_reducers_fold_before_an_edge_looks(tmp_path: Path) -> None:
    """A condition over a key with a reducer sees the folded value, not what was written last."""
    graph = compiled(
        tmp_path,
        """
        state: {notes: {type: "list[int]", reducer: add}}
        nodes:
          a: {type: passthrough, output: {notes: [1]}}
        edges:
          - {from: START, to: a}
          - {from: a, to: a, condition: "len(notes) < 3"}
          - {from: a, to: END, condition: "len(notes) >= 3"}
        """,
    )
    assert {"notes": [1, 1, 1]} == (await graph.run()).state


async def test_start_may_have_conditions(tmp_path: Path) -> None:
    """What a run begins with can depend on its state."""
    graph = compiled(
        tmp_path,
        """
        state: {n: int, where: str}
        nodes:
          low: {type: passthrough, output: {where: low}}
          high: {type: passthrough, output: {where: high}}
        edges:
          - {from: START, to: high, condition: "n > 10"}
          - {from: START, to: low}
          - {from: low, to: END}
          - {from: high, to: END}
        """,
    )
    assert "high" == (await graph.run({"n": 11})).state["where"]
    assert "low" == (await graph.run({"n": 1})).state["where"]


async def test_a_join_waits_for_all_and_sees_all(tmp_path: Path) -> None:
    """Branches of different lengths meet once, and their writes are folded in the order of the file."""
    graph = compiled(
        tmp_path,
        """
        state: {notes: {type: "list[str]", reducer: add}}
        nodes:
          left: {type: passthrough, output: {notes: [left]}}
          right: {type: passthrough, output: {notes: [right]}}
          longer: {type: passthrough, output: {notes: [longer]}}
          end: {type: passthrough, output: {count: "{len(notes)}"}}
        edges:
          - {from: START, to: [left, right]}
          - {from: right, to: longer}
          - {from: left, to: end}
          - {from: longer, to: end}
          - {from: end, to: END}
        """,
    )
    assert {"count": 3, "notes": ["left", "right", "longer"]} == (await graph.run()).state


async def test_join_each_starts_for_every_arrival(tmp_path: Path) -> None:
    """A node with `join: each` runs once for each branch that reaches it."""
    graph = compiled(
        tmp_path,
        """
        state: {notes: {type: "list[str]", reducer: add}}
        nodes:
          left: {type: passthrough, output: {name: left}}
          right: {type: passthrough, output: {other: right}}
          each: {type: passthrough, join: each, output: {notes: [seen]}}
        edges:
          - {from: START, to: [left, right]}
          - {from: left, to: each}
          - {from: right, to: each}
          - {from: each, to: END}
        """,
    )
    assert ["seen", "seen"] == (await graph.run()).state["notes"]


LOOP = """
    state: {n: {type: int, default: 0}, out: str}
    nodes:
      turn: {type: passthrough, output: {n: "{n + 1}"}}
      way_out: {type: passthrough, output: {out: left}}
    edges:
      - {from: START, to: turn}
      - {from: turn, to: turn, condition: "n < 10"}
      - {from: turn, to: END, condition: "n >= 10"}
      - {from: way_out, to: END}
    loop_limits: {turn: LIMIT}
"""


async def test_a_loop_limit_fails_naming_the_node(tmp_path: Path) -> None:
    """A node that has run as often as its limit may not lead back into its loop."""
    sound = (
        LOOP.replace("LIMIT", "10")
        .replace("way_out: {type", "turn_two: {type")
        .replace("from: way_out", "from: turn_two")
    )
    sound = sound.replace("      turn_two: {type: passthrough, output: {out: left}}\n", "")
    sound = sound.replace("      - {from: turn_two, to: END}\n", "")
    assert 10 == (await compiled(tmp_path, sound).run()).state["n"]
    with pytest.raises(NodeError, match=r"node turn has run 4 times, which is its loop limit.*loop_exits") as caught:
        await compiled(tmp_path, sound.replace("turn: 10", "turn: 4")).run()
    assert "turn" == caught.value.node


async def test_a_loop_limit_takes_the_way_out(tmp_path: Path) -> None:
    """With a declared exit the run goes on there, with what the loop has written."""
    text = LOOP.replace("LIMIT", "4") + "    loop_exits: {turn: way_out}\n"
    assert {"n": 4, "out": "left"} == (await compiled(tmp_path, text).run()).state


async def test_a_way_out_may_be_the_end(tmp_path: Path) -> None:
    """END is a way out of a loop as any node is."""
    text = LOOP.replace("LIMIT", "4").replace("turn, to: END", "turn, to: way_out") + "    loop_exits: {turn: END}\n"
    assert {"n": 4} == (await compiled(tmp_path, text).run()).state
