"""Resuming with a changed graph: what changed is said in sentences, and what still fits goes on if it is asked to."""

from collections.abc import Callable
from typing import Annotated, Any

import attrs
import pytest

from dagflow import Gate, Graph, GraphChanged, MemoryStore, Node, NodeError, dep, gate, recall
from dagflow.kernel.fault_points import armed

Version = Callable[[], Graph]


def begin(graph: Graph, **fields: Any) -> Any:
    start: Any = graph.start
    return start(**fields)


async def five() -> int:
    return 5


def original(*, broken: bool = True) -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=self.text)

    class Middle(Node):
        text: str
        count: int = 1

        async def __call__(self) -> "Last | Other":
            if broken:
                raise ValueError("not today")
            return Last(text=self.text)

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    class Other(Node):
        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def mended() -> Graph:
    return original(broken=False)


async def fail(graph: Graph, start: Any, store: MemoryStore) -> None:
    with pytest.raises(NodeError, match="not today"):
        await graph.run(start, store=store, thread_id="t")


async def test_a_change_of_bodies_is_no_change() -> None:
    """The classes are others, and so are their functions: the run goes on."""
    store, graph = MemoryStore(), original()
    await fail(graph, begin(graph, text="x"), store)
    result = await mended().resume("t", store=store)
    assert ["Start", "Middle", "Last"] == [type(node).__name__ for node in result.trace]
    assert graph.plan.fingerprint == mended().plan.fingerprint


def node_added() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=self.text)

    class Middle(Node):
        text: str
        count: int = 1

        async def __call__(self) -> "Last | Other | New":
            return New()

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    class Other(Node):
        async def __call__(self) -> None: ...

    class New(Node):
        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def node_removed() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=self.text)

    class Middle(Node):
        text: str
        count: int = 1

        async def __call__(self) -> "Last":
            return Last(text=self.text)

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def edge_added() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=self.text)

    class Middle(Node):
        text: str
        count: int = 1

        async def __call__(self) -> "Last | Other":
            return Last(text=self.text)

    class Last(Node):
        text: str

        async def __call__(self) -> "Other | None":
            return Other() if not self.text else None

    class Other(Node):
        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def fields_changed() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=self.text)

    class Middle(Node):
        text: str
        count: float = 1
        number: int = dep(five)

        async def __call__(self) -> "Last | Other":
            return Last(text=f"{self.text} {self.count} {self.number}")

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    class Other(Node):
        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def field_removed() -> Graph:
    class Start(Node):
        async def __call__(self) -> "Middle":
            return Middle()

    class Middle(Node):
        async def __call__(self) -> "Last | Other":
            return Last(text="")

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    class Other(Node):
        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


@pytest.mark.parametrize(
    ("changed", "changes", "then"),
    [
        (node_added, ["node New is new", "node Middle may now lead to New"], "New"),
        (node_removed, ["node Other is gone", "node Middle no longer leads to Other"], "Last"),
        (edge_added, ["node Last may now lead to Other"], "Last"),
        (
            fields_changed,
            ["node Middle has count: float = plain and number: int = dep where it had count: int = plain"],
            "Last",
        ),
        (
            field_removed,
            [
                "node Start has nothing where it had text: str = plain",
                "node Middle has nothing where it had text: str = plain and count: int = plain",
            ],
            "Last",
        ),
    ],
)
async def test_what_changed_is_said_and_the_run_goes_on_where_it_is_accepted(
    changed: Version, changes: list[str], then: str
) -> None:
    """One sentence for each change; nothing is written; `accept_changes=True` goes on with what is recorded."""
    store, graph = MemoryStore(), original()
    await fail(graph, begin(graph, text="x"), store)
    before = await graph.thread("t", store=store).summary()
    with pytest.raises(GraphChanged) as caught:
        await changed().resume("t", store=store)
    assert changes == list(caught.value.changes)
    lines = str(caught.value).splitlines()
    assert "graph Start has changed since thread t was recorded:" == lines[0]
    assert [f"  - {change}" for change in changes] == lines[1:-1]
    assert "pass accept_changes=True if what was recorded still means the same" in lines[-1]
    assert "t" == caught.value.thread_id
    assert before == await graph.thread("t", store=store).summary()
    new = changed()
    result = await new.resume("t", store=store, accept_changes=True)
    assert (then, "complete") == (type(result.node).__name__, result.status)
    again = await new.resume("t", store=store)
    assert (result.node, result.trace) == (again.node, again.trace)


async def test_a_new_field_with_a_default_has_it_and_others_are_kept() -> None:
    """A value that is recorded is read by the new type: 1 may be a float."""
    store, graph = MemoryStore(), original()
    await fail(graph, begin(graph, text="x"), store)
    result = await fields_changed().resume("t", store=store, accept_changes=True)
    assert "x 1 5" == result.node.text


def other_start() -> Graph:
    class Middle(Node):
        text: str
        count: int = 1

        async def __call__(self) -> "Last | Start":
            return Last(text=self.text)

    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=self.text)

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    return Graph(start=Middle, namespace=locals())


def retyped() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=["x"])

    class Middle(Node):
        text: list[str]
        count: int = 1

        async def __call__(self) -> "Last | Other":
            return Last(text="")

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    class Other(Node):
        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def required_field() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Middle":
            return Middle(text=self.text, colour="red")

    class Middle(Node):
        text: str
        count: int = 1
        colour: str

        async def __call__(self) -> "Last | Other":
            return Last(text=self.colour)

    class Last(Node):
        text: str

        async def __call__(self) -> None: ...

    class Other(Node):
        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def led_elsewhere() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> "Last":
            return Last(text=self.text)

    class Last(Node):
        text: str

        async def __call__(self) -> "Middle | None":
            return Middle(text="") if not self.text else None

    class Middle(Node):
        text: str
        count: int = 1

        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


def gone() -> Graph:
    class Start(Node):
        text: str

        async def __call__(self) -> None: ...

    return Graph(start=Start, namespace=locals())


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (other_start, "the run began with Start, and the graph begins with Middle now"),
        (retyped, r"Middle is recorded with what does not fit its class any more: \$.text: expected .*got string 'x'"),
        (required_field, "Middle.colour has no value in what is recorded, and no default"),
        (led_elsewhere, "Start#1 ran, and was followed by Middle, which cannot be in the graph as it is"),
        (gone, "node Middle is recorded, but not in the graph any more"),
    ],
)
async def test_where_it_cannot_go_on_accepting_is_graph_changed_too(changed: Version, why: str) -> None:
    """The error says what does not fit; the thread is as it was, or failed, and the old graph still goes on."""
    store, graph = MemoryStore(), original()
    await fail(graph, begin(graph, text="x"), store)
    with pytest.raises(GraphChanged, match=why):
        await changed().resume("t", store=store, accept_changes=True)
    result = await mended().resume("t", store=store)
    assert "Last" == type(result.node).__name__


async def test_a_changed_start_is_said() -> None:
    """The sentences tell which node starts the graph now."""
    store, graph = MemoryStore(), original()
    await fail(graph, begin(graph, text="x"), store)
    with pytest.raises(GraphChanged) as caught:
        await other_start().resume("t", store=store)
    assert {"node Start no longer starts the graph", "node Middle starts the graph now"} <= set(caught.value.changes)


def asking(kind: Any) -> Graph:
    class Asks(Node):
        answer: Annotated[kind, Gate("Well?")]

        async def __call__(self) -> "Fails":
            return Fails(text=str(self.answer))

    class Fails(Node):
        text: str

        async def __call__(self) -> None:
            raise ValueError("not today")

    return Graph(start=Asks, namespace=locals())


async def test_a_recorded_answer_must_fit_the_question_as_it_is_now() -> None:
    """An answer of another type is a change that cannot be accepted, before the node that asked has completed."""
    store, graph = MemoryStore(), asking(int)
    await graph.run(begin(graph), store=store, thread_id="t")

    class Stop(BaseException):
        pass

    def stop(point: str, what: str) -> None:
        if (point, what) == ("body", "Asks#1"):
            raise Stop

    with pytest.raises(Stop), armed(stop):
        await graph.resume("t", {"Asks#1.answer": 3}, store=store)
    with pytest.raises(GraphChanged, match="node Asks has answer: bool = gate where it had answer: int = gate"):
        await asking(bool).resume("t", store=store)
    with pytest.raises(GraphChanged, match="the answer to Asks#1.answer does not fit the type of Asks.answer any more"):
        await asking(bool).resume("t", store=store, accept_changes=True)


def nesting(inner: Graph) -> Graph:
    class Outer(Node):
        async def __call__(self) -> "Tells":
            return Tells(text=(await inner.run(begin(inner, text="x"))).node.answer)

    class Tells(Node):
        text: str

        async def __call__(self) -> None: ...

    return Graph(start=Outer, namespace=locals())


def inner_graph() -> Graph:
    class Inner(Node):
        text: str

        async def __call__(self) -> "Asked":
            return Asked()

    class Asked(Node):
        answer: str = gate("Well?")

        async def __call__(self) -> None: ...

    return Graph(start=Inner, namespace=locals())


def inner_changed() -> Graph:
    class Inner(Node):
        text: str

        async def __call__(self) -> "Asked":
            return Asked()

    class Asked(Node):
        answer: str = gate("Well?")
        size: int = 3

        async def __call__(self) -> None: ...

    return Graph(start=Inner, namespace=locals())


async def test_a_changed_nested_graph_is_found_when_its_run_would_go_on() -> None:
    """Its error is the same, with its own sentences; accepted, or with the graph as it was, the run goes on."""
    store, graph = MemoryStore(), nesting(inner_graph())
    (asked,) = (await graph.run(begin(graph), store=store, thread_id="t")).interrupts
    with pytest.raises(GraphChanged) as caught:
        await nesting(inner_changed()).resume("t", {asked.id: "yes"}, store=store)
    change = "node Asked has size: int = plain where it had nothing"
    assert (change,) == caught.value.changes
    assert f"graph Inner has changed since thread t was recorded:\n  - {change}" in str(caught.value)
    await graph.thread("t", store=store).fork("u")
    result = await nesting(inner_changed()).resume("t", {asked.id: "yes"}, store=store, accept_changes=True)
    assert ("complete", "yes") == (result.status, result.node.text)
    result = await graph.resume("u", {asked.id: "yes"}, store=store)
    assert ("complete", "yes") == (result.status, result.node.text)


class Carrier(Node):
    text: str

    async def __call__(self) -> "Reads":
        return Reads()


class Reads(Node):
    text: str = recall()

    async def __call__(self) -> None: ...


async def test_history_of_another_graph_is_no_change() -> None:
    """A new run on a thread takes what it still knows of earlier runs, and passes over the rest."""
    store = MemoryStore()
    graph = mended()
    await graph.run(begin(graph, text="x"), store=store, thread_id="t")
    result = await Graph(start=Carrier).run(Carrier(text="y"), store=store, thread_id="t")
    assert "y" == result.node.text
    assert attrs.has(type(result.node))
