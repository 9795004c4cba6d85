"""Gates where none can be: every mistake is found when the graph is built, or before the run starts."""

from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest

from dagflow import Dep, Gate, Graph, GraphError, MemoryStore, Node, dep, gate, resolve_dep, resolve_fields


class Closed(Node):
    text: str

    async def __call__(self) -> None: ...


def with_field(annotation: Any, default: Any = attrs.NOTHING) -> type[Node]:
    async def body(self: Any) -> None: ...

    names: dict[str, Any] = {"__annotations__": {"size": annotation}, "__call__": body}
    if default is not attrs.NOTHING:
        names["size"] = default
    return type("Asks", (Node,), names)


class Opaque:
    """It has no form in JSON."""

    def __init__(self, handle: Callable[[], None]) -> None:
        self.handle = handle


@pytest.mark.parametrize(
    ("node", "fault"),
    [
        (with_field(Annotated[str, Gate]), "Asks.size is marked with a class; write Dep.fn., Recall.. or Gate"),
        (with_field(Annotated[str, Gate("a?")], "M"), "Asks.size has a gate and a default, which would never be used"),
        (with_field(Annotated[str, Gate("a?"), Gate("b?")]), "Asks.size has 2 markers .*; keep one"),
        (with_field(Annotated[str, Gate("a?")], gate("b?")), "Asks.size has 2 markers .*; keep one"),
        (with_field(Annotated[str, Gate("a?"), Dep(str)]), "Asks.size has 2 markers .*; keep one"),
        (with_field(Annotated[Opaque, Gate("a?")]), "Asks.size asks a person for Opaque, which has no form in JSON"),
        (with_field(Annotated[Callable[[], int], Gate("a?")]), "Asks.size asks a person for .*no form in JSON"),
    ],
)
async def test_a_gate_that_makes_no_sense_is_a_fault_of_the_graph(node: type[Node], fault: str) -> None:
    """The fault names node and field, and says what to do."""
    with pytest.raises(GraphError, match=fault):
        Graph(start=node)


@pytest.mark.parametrize("question", ["", "  \n", None, 3, str])
async def test_a_gate_has_a_question_in_words(question: Any) -> None:
    """An empty question, or none, is refused where it is written."""
    for make in (Gate, gate):
        with pytest.raises(ValueError, match=r"a gate asks a question in words.*write Gate\('Which size\?'\)"):
            make(question)


async def size_of(size: Annotated[str, Gate("Which size?")]) -> str:
    return size


class AsksThrough(Node):
    size: str = dep(size_of)

    async def __call__(self) -> None: ...


async def test_a_parameter_cannot_be_asked_for() -> None:
    """Only fields of nodes are gates; a parameter marked so is a fault that names it."""
    with pytest.raises(GraphError, match=r"size_of.*size.*(field|node)"):
        Graph(start=AsksThrough)
    with pytest.raises(GraphError, match="size_of"):
        await resolve_dep(size_of)


class Shirt(Node):
    size: str = gate("Which size?")

    async def __call__(self) -> None: ...


class Wears(Node):
    shirt: Shirt = dep(Shirt)

    async def __call__(self) -> None: ...


async def test_a_node_that_is_a_dependency_cannot_ask() -> None:
    """The fault names both, and the way out."""
    with pytest.raises(
        GraphError, match="Wears.shirt depends on the node Shirt, whose field size asks a person; a dep"
    ):
        Graph(start=Wears)


async def test_outside_of_a_run_nobody_can_be_asked() -> None:
    """`resolve_fields` of a node with a gate says so."""
    with pytest.raises(GraphError, match="Shirt.size asks a person, which only a run can do"):
        await resolve_fields(Shirt)


class Leads(Node):
    async def __call__(self) -> "Shirt | Closed":
        return Closed(text="x")


async def test_a_graph_with_gates_needs_a_store_wherever_they_are() -> None:
    """A run without a store is refused before anything runs, and names every gate that it may meet."""
    graph = Graph(start=Leads)
    for run in (graph.run, graph.prepare):
        with pytest.raises(GraphError, match=r"Shirt.size asks a person, and only a run with a store can wait"):
            started = run(Leads())
            if hasattr(started, "__await__"):
                await started
    with pytest.raises(GraphError, match=r"MemoryStore\(\) keeps it within this process"):
        async with graph.stream(Leads()):
            raise AssertionError("it must not begin")
    assert "complete" == (await graph.run(Leads(), store=MemoryStore())).status


class Inside(Node):
    async def __call__(self) -> None:
        await Graph(start=Shirt).run(Shirt())


async def test_a_nested_graph_with_gates_needs_the_store_of_the_outermost_run() -> None:
    """In a run without a store the nested run is refused; in one with a store it asks through it."""
    graph = Graph(start=Inside)
    with pytest.raises(GraphError, match=r"Shirt.size asks a person, and only a run with a store can wait"):
        await graph.run(Inside())
    result = await graph.run(Inside(), store=MemoryStore())
    assert ["Inside#1/Shirt.1/Shirt#1.size"] == [asked.id for asked in result.interrupts]


def test_type_checkers_know_that_gates_may_be_left_out() -> None:
    """`gate()` types its field by the annotation, and leaves it out of the constructor (mypy reads this file)."""
    shirt = Shirt()
    assert "UNSET" == repr(shirt.size)
    with pytest.raises(TypeError, match="'text'"):
        Closed()  # type: ignore[call-arg]  # a plain field is required
