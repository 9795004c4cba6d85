"""Values of recorded runs: what cannot be written, how classes are, large ones once, and secrets never."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest

from dagflow import (
    Graph,
    GraphError,
    MemoryStore,
    Node,
    NodeError,
    Secret,
    Serializer,
    SQLiteStore,
    dep,
    gate,
    recall,
)
from dagflow.core.storage import Store
from dagflow.lm.openai import OpenAIBackend
from dagflow.testing import ScriptedLM

CANARY = "canary-4d1f-sk-abcdefghijklmnop"


class Handle:
    """What no store can hold."""


class Begins(Node):
    async def __call__(self) -> "Holds":
        return Holds(name="x", handle=Handle())


class Holds(Node):
    name: str
    handle: Handle

    async def __call__(self) -> None: ...


class HoldsFirst(Node):
    handle: Any = None

    async def __call__(self) -> None: ...


async def test_a_plain_field_that_cannot_be_written_is_refused_when_it_is_produced() -> None:
    """The error names node and field; the node that made it has not completed; without a store all is well."""
    graph, store = Graph(start=Begins), MemoryStore()
    assert "complete" == (await graph.run(Begins())).status
    with pytest.raises(NodeError, match=r"Holds cannot be recorded: \$.handle: .*Handle") as caught:
        await graph.run(Begins(), store=store, thread_id="t")
    assert ("Holds", "handle") == (caught.value.node, caught.value.failures[0].field)
    state = await graph.thread("t", store=store).state()
    assert ("failed", ()) == (state.outcome, state.trace)
    with pytest.raises(GraphError, match="Holds.handle cannot be recorded in a store"):
        graph.validate(store=True)
    graph.validate()


async def test_a_start_node_that_cannot_be_written_starts_nothing() -> None:
    """The refusal comes before anything runs, and leaves no thread."""
    graph, store = Graph(start=HoldsFirst), MemoryStore()
    with pytest.raises(NodeError, match=r"HoldsFirst cannot be recorded: \$.handle"):
        await graph.run(HoldsFirst(handle=Handle()), store=store, thread_id="t")
    async with store.open() as session:
        assert await session.find("t") is None
    result = await graph.run(HoldsFirst(handle=[1, {"a": None}]), store=store, thread_id="t")
    assert result.node == (await graph.resume("t", store=store)).node


class Shape:
    """An open base class."""


@attrs.frozen
class Circle(Shape):
    radius: float


@attrs.frozen
class Square(Shape):
    side: float


class Mixes(Node):
    share: Fraction
    shapes: list[Shape]
    anything: Any

    async def __call__(self) -> None: ...


TYPES = (Serializer(Fraction, write=str, read=Fraction), Circle, Square)


async def test_registered_classes_are_written_where_the_declared_type_leaves_them_open() -> None:
    """`types=` takes classes and serializers; each value comes back as it was, of its own class."""
    start = Mixes(share=Fraction(1, 3), shapes=[Circle(1.0), Square(2.0)], anything=(Circle(3.0), Fraction(1, 2)))
    store = MemoryStore()
    graph = Graph(start=Mixes, types=TYPES)
    graph.validate(store=True)
    await graph.run(start, store=store, thread_id="t")
    again = (await Graph(start=Mixes, types=TYPES).resume("t", store=store)).node
    assert start == again
    assert [Circle, Square] == [type(shape) for shape in again.shapes]
    with pytest.raises(NodeError, match=r"Mixes cannot be recorded: \$.(share|shapes|anything)"):
        await Graph(start=Mixes).run(start, store=store)


class Carries(Node):
    text: str
    items: list[str]
    turn: int = 0

    async def __call__(self) -> "Carries | Unpacks":
        if self.turn < 5:
            return Carries(text=self.text, items=self.items, turn=self.turn + 1)
        return Unpacks(items=self.items)


class Unpacks(Node):
    items: list[str]
    text: str = recall()

    async def __call__(self) -> None: ...


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_large_value_is_stored_once_however_many_nodes_carry_it(kind: str, tmp_path: Path) -> None:
    """Each large field is kept once in its thread under a digest; the records stay small, and reading is exact."""
    store: Store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "runs.db")
    large, items = "ä" * 200_000, [f"item {number}" for number in range(1_000)]
    graph = Graph(start=Carries)
    result = await graph.run(Carries(text=large, items=items), store=store, thread_id="t")
    async with store.open() as session:
        records = await session.read("t")
    assert 7 + 6 + 1 <= sum(record.text.count('"$value"') for record in records)
    assert 20_000 > sum(len(record.text) for record in records)
    again = await graph.resume("t", store=store)
    assert result.trace == again.trace
    assert (large, items) == (again.node.text, again.node.items)
    if kind == "sqlite":
        assert 2 * (len(large.encode()) + len(str(items))) > sum(file.stat().st_size for file in tmp_path.glob("*.db*"))


@pytest.mark.parametrize(
    "value",
    [
        {"$value": "0" * 64},
        {"a": {"$value": "x"}},
        {"$value": {"$value": ["x" * 2_000]}},
        {"v": 1, "kind": "NodeStarted"},
        ["$value", "x" * 5_000, {"$value": None}],
        "line one\nline two\u2028 \x00 \U0001f600",
        {"": "empty", " ": [[], {}, ""]},
    ],
)
async def test_data_that_look_like_the_journals_own_come_back_as_they_were(value: Any) -> None:
    """No value is mistaken for a reference or for part of a record."""
    graph, store = Graph(start=HoldsFirst), MemoryStore()
    await graph.run(HoldsFirst(handle=value), store=store, thread_id="t")
    assert value == (await graph.resume("t", store=store)).node.handle
    state = await graph.thread("t", store=store).state()
    assert (HoldsFirst(handle=value),) == state.trace


async def give_secret() -> Secret:
    return Secret(CANARY)


async def give_hidden() -> str:
    return CANARY


@attrs.frozen
class Account:
    name: str
    key: Secret


async def open_account() -> Account:
    return Account("ada", Secret(CANARY))


class Uses(Node):
    secret: Secret = dep(give_secret)
    hidden: str = dep(give_hidden, record=False)
    account: Account = dep(open_account)

    async def __call__(self) -> "Filled": ...


class Filled(Node):
    word: str = gate("Which word?")
    text: str

    async def __call__(self) -> None:
        assert CANARY


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_no_secret_reaches_a_store(kind: str, tmp_path: Path) -> None:
    """Neither dependencies that give or hold a secret nor a model's key are in the records or the file."""
    store: Store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "runs.db")
    graph = Graph(start=Uses)
    await graph.run(Uses(), store=store, thread_id="t", lm=OpenAIBackend("gpt", api_key=CANARY))
    await graph.resume("t", {"Filled#1.word": "a"}, store=store, lm=ScriptedLM({"Filled": {"text": "told"}}))
    async with store.open() as session:
        records = await session.read("t")
    assert "told" in "".join(record.text for record in records)
    assert not [record.text for record in records if CANARY in record.text]
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or CANARY.encode() not in file.read_bytes()


class Shows(Node):
    key: Secret

    async def __call__(self) -> None: ...


class AsksForKey(Node):
    key: Secret = gate("Which key?")

    async def __call__(self) -> None: ...


async def test_a_plain_field_that_is_a_secret_is_refused_rather_than_written() -> None:
    """It names the field and what to do, and does not show the secret."""
    store = MemoryStore()
    with pytest.raises(NodeError, match=r"Shows cannot be recorded: \$.key: .*no secret is ever written") as caught:
        await Graph(start=Shows).run(Shows(key=Secret(CANARY)), store=store)
    assert CANARY not in repr(caught.value)
    with pytest.raises(GraphError, match="AsksForKey.key asks a person for Secret, which has no form in JSON"):
        Graph(start=AsksForKey)
