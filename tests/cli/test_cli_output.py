"""What the command line writes: failures, values as JSON, and the rows of the live tree."""

import datetime
import enum
import io
import math
from typing import Any, Literal

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from dagflow.cli.live import CHILDREN_SHOWN, LINES_A_FRAME, LiveTree
from dagflow.cli.problems import tell_failure
from dagflow.cli.spoken import Speakers
from dagflow.cli.values import event_json, to_json
from dagflow.errors import Failure, NodeError
from dagflow.events import DependencyStarted, DependencySucceeded, NodeStarted, Printed, Progress, RunEnded, RunStarted

HEIGHT = 20
"""Of the terminal that trees are drawn for."""


def test_every_failure_is_told_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    """Failures that the error's own message does not tell are listed, those too whose text is part of another's."""
    failures = [Failure(ValueError("no"), "A"), Failure(ValueError("nothing"), "B", "field")]
    tell_failure(NodeError("node A failed: ValueError: nothing", node="A", failures=failures), with_traceback=False)
    assert [
        "error: NodeError: node A failed: ValueError: nothing",
        "  - A: ValueError: no",
        "  - B.field: ValueError: nothing",
    ] == capsys.readouterr().err.splitlines()


def test_a_failure_is_not_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    """The only failure of a run is told once, with the notes that it carries."""
    error = NodeError("node A failed: ValueError: no", node="A", failures=[Failure(ValueError("no"), "A")])
    error.add_note("a note")
    tell_failure(error, with_traceback=False)
    assert ["error: NodeError: node A failed: ValueError: no", "a note"] == capsys.readouterr().err.splitlines()


class Size(enum.Enum):
    SMALL = "s"


@attrs.frozen
class Secretive:
    name: str
    key: str = attrs.field(repr=False)


class Client:
    pass


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("s", Size.SMALL),
        ({"name": "n", "key": "<str>"}, Secretive("n", "sk-canary")),
        ("nan", math.nan),
        ([1, "2026-10-14"], (1, datetime.date(2026, 10, 14))),
        (["a", "b"], {"b", "a"}),
        ({"1": f"<{__name__}.Client>"}, {1: Client()}),
        (f"<{__name__}.Client>", Client),
        ("<function>", lambda: None),
    ],
)
def test_values_are_written_as_json_or_by_type(expected: Any, value: object) -> None:
    """What has a form in JSON is written; secrets and what has none are named by their type."""
    assert expected == to_json(value)


def test_an_event_has_its_type_and_fields() -> None:
    """An event is an object with its type's name and all its fields."""
    event = Progress(seq=3, run="r", wall=1.5, elapsed=0.5, node="A", activation="A#1", message="half", fraction=0.5)
    assert {
        "event": "Progress",
        "seq": 3,
        "run": "r",
        "wall": 1.5,
        "elapsed": 0.5,
        "node": "A",
        "activation": "A#1",
        "message": "half",
        "fraction": 0.5,
    } == event_json(event)


def node(run: str, name: str) -> NodeStarted:
    return NodeStarted(seq=1, run=run, wall=0.0, elapsed=0.0, node=name, activation=name, attempt=1, parents=())


def dependency(run: str, name: str, activation: str) -> DependencyStarted:
    return DependencyStarted(
        seq=1, run=run, wall=0.0, elapsed=0.0, dependency=name, name=name, activation=activation, needs=()
    )


def live_tree() -> LiveTree:
    return LiveTree(Console(width=80, height=HEIGHT, file=io.StringIO()))


def drawn(tree: LiveTree) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(tree.draw())
    return capture.get().splitlines()


def test_the_tree_shows_nested_runs_below_their_activation() -> None:
    """Dependencies and the nodes of a nested run stand below the activation that they belong to."""
    tree = live_tree()
    tree.show(node("r", "Outer#1"))
    tree.show(
        RunStarted(
            seq=1, run="r/Outer#1/Inner.0", wall=0.0, elapsed=0.0, graph="Inner", fingerprint="", parent="Outer#1"
        )
    )
    tree.show(node("r/Outer#1/Inner.0", "Inner#1"))
    tree.show(dependency("r/Outer#1/Inner.0", "[bold]fetch", "Inner#1"))
    lines = drawn(tree)
    assert ["Outer#1", "Inner#1", "[bold]fetch"] == [line.split()[-3] for line in lines[1:]]
    assert [4, 8, 12] == [line.index("── ") + 3 for line in lines[1:]]


@given(st.integers(1, 60), st.integers(0, 60))
def test_the_tree_fits_the_terminal(nodes: int, dependencies: int) -> None:
    """However much runs, the tree is no taller than a terminal, and shows the newest."""
    tree = live_tree()
    for number in range(nodes):
        tree.show(node("r", f"N#{number}"))
    for number in range(dependencies):
        tree.show(dependency("r", f"d{number}", f"N#{nodes - 1}"))
    lines = drawn(tree)
    assert len(lines) < HEIGHT
    assert any(f"N#{nodes - 1}" in line for line in lines)
    assert min(dependencies, CHILDREN_SHOWN) == sum(" d" in line for line in lines)


def test_what_ended_is_marked() -> None:
    """A dependency that is done has its mark and the time that it took."""
    tree = live_tree()
    tree.show(node("r", "A#1"))
    tree.show(dependency("r", "fetch", "A#1"))
    ended = DependencySucceeded(
        seq=2, run="r", wall=0.0, elapsed=0.0, dependency="fetch", name="fetch", activation="A#1", duration=1.5
    )
    tree.show(ended)
    assert drawn(tree)[-1].endswith("✓ fetch  1.50 s")


def printed(run: str, text: str, *, stream: Literal["stdout", "stderr", "log"] = "stdout") -> Printed:
    return Printed(seq=1, run=run, wall=0.0, elapsed=0.0, node="say", activation="say#1", stream=stream, text=text)


def begun(run: str, parent: str, graph: str) -> RunStarted:
    return RunStarted(seq=1, run=run, wall=0.0, elapsed=0.0, graph=graph, fingerprint="", parent=parent)


def test_lines_of_tasks_say_by_which_way_they_come() -> None:
    """Branches, items and iterations are told apart at any depth, whatever they are called, and without a beginning."""
    speakers = Speakers()
    assert speakers.line(begun("r/both#1/a/b.1", "both#1", "a/b")) is None
    assert speakers.line(begun("r/both#1/a/b.1/each#1/[7].1", "each#1", "[7]")) is None
    assert "both/a/b/say: x" == speakers.line(printed("r/both#1/a/b.1", "x"))
    assert "both/a/b/each[7]/say (log): x" == speakers.line(printed("r/both#1/a/b.1/each#1/[7].1", "x", stream="log"))
    assert "say: x" == speakers.line(printed("r", "x"))
    ended = RunEnded(seq=1, run="r/both#1/a/b.1", wall=0.0, elapsed=0.0, outcome="complete")
    assert speakers.line(ended) is None
    assert "both#1/a/b.1/say (stderr): x" == speakers.line(printed("r/both#1/a/b.1", "x", stream="stderr"))


def test_the_tree_has_lines_of_tasks_above_it() -> None:
    """A line is cut at the edge of the terminal, is no markup, and of too many at once the rest is counted."""
    written = io.StringIO()
    tree = LiveTree(Console(width=40, height=HEIGHT, file=written), clock=lambda: 7.0)
    with tree:
        tree.show(printed("r", "[bold]" + "x" * 1000))
        for number in range(LINES_A_FRAME + 4):
            tree.show(printed("r", f"line {number}"))
    lines = written.getvalue().splitlines()
    assert f"say: [bold]{'x' * 28}…" == lines[0]
    assert f"say: line {LINES_A_FRAME - 2}" in lines
    assert f"say: line {LINES_A_FRAME - 1}" not in lines
    assert any(line.startswith("… 5 lines more, too many at once") for line in lines)
