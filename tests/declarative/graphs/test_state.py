"""The state of YAML graphs: types, defaults, reducers, and what a thread's next run begins with."""

from pathlib import Path

import attrs
import pytest

from dagflow import MemoryStore, NodeError, StateConflict
from dagflow.declarative.state import StateError
from declarative.yaml_files import compiled, faults_in

SMALL = """
    state:
      n: {type: int, default: 7}
      words: list[str]
      note: str | null
    nodes:
      a: {type: passthrough, output: {n: "{n + 1}"}}
    edges:
      - {from: START, to: a}
      - {from: a, to: END}
"""


async def test_a_run_begins_with_defaults_and_what_it_is_given(tmp_path: Path) -> None:
    """A key has what the caller gave, else its default, else no value at all."""
    graph = compiled(tmp_path, SMALL)
    assert {"n": 8} == (await graph.run()).state
    assert {"n": 2, "note": None, "words": ["x"]} == (await graph.run({"n": 1, "words": ["x"], "note": None})).state


async def test_a_default_is_never_shared(tmp_path: Path) -> None:
    """A list that one run begins with is not the list of another."""

    def grow(words: list[str]) -> None:
        words.append("more")

    graph = compiled(
        tmp_path,
        """
        state: {words: {type: "list[str]", default: [one]}}
        nodes: {a: {type: python, function: grow, offload: inline}}
        edges: [{from: START, to: a}, {from: a, to: END}]
        """,
        grow=grow,
    )
    assert ["one", "more"] == (await graph.run()).state["words"]
    assert ["one", "more"] == (await graph.run()).state["words"]


async def test_a_state_that_does_not_fit_is_refused_as_a_whole(tmp_path: Path) -> None:
    """Every unknown key and wrong type is told before anything runs, with the nearest name."""
    graph = compiled(tmp_path, SMALL)
    with pytest.raises(StateError) as caught:
        graph.prepare({"n": "7", "words": ["a", 1], "noet": "x"})
    told = {item.path: item.problem for item in caught.value.invalid}
    assert ["n", "words[1]", "noet"] == list(told)
    assert "expected integer" in told["n"]
    assert "expected string" in told["words[1]"]
    assert "did you mean 'note'?" in told["noet"]


async def test_what_a_node_writes_is_checked(tmp_path: Path) -> None:
    """A write of another type than the declared one fails the node that made it."""
    graph = compiled(tmp_path, SMALL.replace('"{n + 1}"', '"many"'))
    with pytest.raises(NodeError, match=r"node a wrote what does not fit the state: n: expected integer"):
        await graph.run()


async def test_any_key_will_do_where_no_state_is_declared(tmp_path: Path) -> None:
    """A graph without a `state:` section takes whatever it is given."""
    graph = compiled(
        tmp_path,
        """
        nodes: {a: {type: passthrough, output: {twice: "{x * 2}"}}}
        edges: [{from: START, to: a}, {from: a, to: END}]
        """,
    )
    assert {"twice": 6, "x": 3} == (await graph.run({"x": 3})).state


BRANCHES = """
    state: {found: REDUCED}
    nodes:
      left: {type: passthrough, output: {found: LEFT}}
      right: {type: passthrough, output: {found: RIGHT}}
    edges:
      - {from: START, to: [left, right]}
      - {from: left, to: END}
      - {from: right, to: END}
"""


@pytest.mark.parametrize(
    ("reducer", "left", "right", "both"),
    [
        ("add", "[1]", "[2]", [1, 2]),
        ("add", "1", "2", 3),
        ("add", "ab", "c", "abc"),
        ("merge", "{a: 1, b: 1}", "{b: 2}", {"a": 1, "b": 2}),
        ("last_value", "1", "2", 2),
        ("longest", "abc", "d", "abc"),
    ],
)
async def test_reducers_fold_branches_in_declared_order(
    tmp_path: Path, reducer: str, left: str, right: str, both: object
) -> None:
    """`add`, `merge`, `last_value` and functions of one's own join what parallel branches write."""
    text = (
        BRANCHES.replace("REDUCED", f"{{type: any, reducer: {reducer}}}").replace("LEFT", left).replace("RIGHT", right)
    )
    graph = compiled(tmp_path, text.replace("longest", "mine:longest"), known={"mine:longest": longest})
    assert both == (await graph.run()).state["found"]


def longest(before: str, after: str) -> str:
    return max(before, after, key=len)


async def test_branches_that_write_one_key_conflict(tmp_path: Path) -> None:
    """Without a reducer, branches that are sure to meet are refused at the line of one of them."""
    text = BRANCHES.replace("REDUCED", "any").replace("LEFT", "1").replace("RIGHT", "1")
    (fault,) = faults_in(tmp_path, text)
    assert "state key 'found' is written by left and by right" in fault
    assert fault.startswith("3:")


async def test_branches_that_may_meet_conflict_when_they_do(tmp_path: Path) -> None:
    """What cannot be seen at build time is an error of the run that names key and writers."""
    text = BRANCHES.replace("REDUCED", "any").replace("LEFT", "1").replace("RIGHT", "1")
    text = text.replace("{from: left, to: END}", '{from: left, to: END, condition: "true"}')
    text = text.replace("to: [left, right]}", 'to: [left, right], condition: "true"}')
    with pytest.raises(StateConflict, match="'found' was written by left#1 and by right#1"):
        await compiled(tmp_path, text).run()


@attrs.frozen
class Place:
    name: str
    size: int = 0


async def test_state_of_a_class_stays_what_it_is(tmp_path: Path) -> None:
    """A key whose type is a class holds instances, also after they were recorded and read again."""
    text = """
        state: {place: "mine:Place", size: int}
        nodes:
          a: {type: interrupt, message: "Where is {place.name}?", resume_key: size}
          b: {type: python, function: sized, state_key: place}
        edges: [{from: START, to: a}, {from: a, to: b}, {from: b, to: END}]
    """

    async def sized(place: Place, size: int) -> Place:
        assert isinstance(place, Place)
        return attrs.evolve(place, size=size)

    store = MemoryStore()
    graph = compiled(tmp_path, text, sized=sized, known={"mine:Place": Place})
    asked = await graph.run({"place": {"name": "Brno"}}, store=store, thread_id="t")
    assert "Where is Brno?" == asked.interrupts[0].question
    assert Place("Brno", 4) == (await graph.resume("t", {"size": 4}, store=store)).state["place"]


async def test_what_cannot_be_recorded_is_refused_naming_node_and_key(tmp_path: Path) -> None:
    """With a store, a value that no journal can hold fails the node that wrote it."""

    async def make() -> object:
        return Place("Brno")

    graph = compiled(
        tmp_path,
        """
        nodes: {a: {type: python, function: make, state_key: place}}
        edges: [{from: START, to: a}, {from: a, to: END}]
        """,
        make=make,
    )
    assert Place("Brno") == (await graph.run()).state["place"]
    with pytest.raises(NodeError, match=r"a: state key 'place' cannot be recorded.*module:Class"):
        await graph.run(store=MemoryStore())


async def test_a_thread_goes_on_from_its_last_state(tmp_path: Path) -> None:
    """A new run on a thread begins where the last one ended, with what it is given folded in."""
    graph = compiled(
        tmp_path,
        """
        state:
          heard: {type: "list[str]", reducer: add}
          count: {type: int, default: 0}
        nodes: {a: {type: passthrough, output: {count: "{len(heard)}"}}}
        edges: [{from: START, to: a}, {from: a, to: END}]
        """,
    )
    store = MemoryStore()
    await graph.run({"heard": ["one"]}, store=store, thread_id="t")
    assert {"count": 1, "heard": ["one"]} == (await graph.run(store=store, thread_id="t")).state
    assert {"count": 2, "heard": ["one", "two"]} == (
        await graph.run({"heard": ["two"]}, store=store, thread_id="t")
    ).state


async def test_a_thread_goes_on_where_the_graph_has_changed(tmp_path: Path) -> None:
    """Between two runs of a thread the graph may change; what still fits its state is kept."""
    before = compiled(tmp_path, SMALL, name="before.yaml")
    store = MemoryStore()
    await before.run({"words": ["a"], "note": "kept"}, store=store, thread_id="t")
    after = compiled(
        tmp_path,
        SMALL.replace("words: list[str]", "words: int")
        .replace("a: {type", "b: {type")
        .replace("to: a", "to: b")
        .replace("from: a", "from: b"),
        name="after.yaml",
    )
    assert {"n": 9, "note": "kept"} == (await after.run(store=store, thread_id="t")).state
