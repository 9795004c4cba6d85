"""Gates: fields that a person fills, when they are asked for, and what goes on meanwhile."""

from typing import Annotated

import attrs
import pytest

from dagflow import LM, CheckpointError, Graph, GraphError, MemoryStore, Node, Recall, dep, gate, recall
from dagflow.events import InterruptAnswered, NodeInterrupted
from dagflow.testing import ScriptedLM

calls: list[str] = []


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    calls.clear()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@attrs.frozen
class Price:
    euros: int


class Client:
    """What no store can hold."""


async def get_price() -> Price:
    calls.append("price")
    return Price(20)


async def connect() -> Client:
    calls.append("client")
    return Client()


class Order(Node):
    item: str

    async def __call__(self) -> "Shipment":
        calls.append("Order")
        return Shipment(item=self.item)


class Shipment(Node):
    item: str
    price: Price = dep(get_price)
    client: Client = dep(connect)
    size: str = gate("Which size?")
    street: str = gate("Which street?", description="with the number")

    async def __call__(self) -> "Sent":
        calls.append(f"Shipment of {self.size} to {self.street} for {self.price.euros}")
        return Sent(text=f"{self.item} {self.size}")


class Sent(Node):
    text: str

    async def __call__(self) -> None:
        calls.append("Sent")


orders = Graph(start=Order)


async def test_all_gates_of_a_node_are_asked_at_once_after_its_dependencies(store: MemoryStore) -> None:
    """A node with two gates and two dependencies: both are called, both questions are open, nothing else ran."""
    result = await orders.run(Order(item="hat"), store=store, thread_id="t")
    assert "interrupted" == result.status
    assert ["Order", "client", "price"] == [calls[0], *sorted(calls[1:])]
    assert [("Shipment#1.size", "Which size?"), ("Shipment#1.street", "Which street?")] == [
        (asked.id, asked.question) for asked in result.interrupts
    ]
    asked = result.interrupts[0]
    assert ("Shipment", "Shipment#1", "size", "str", {"type": "string"}) == (
        asked.node,
        asked.activation,
        asked.field,
        asked.type,
        asked.schema,
    )
    assert result.run == asked.run
    assert (Order(item="hat"), (Order(item="hat"),)) == (result.node, result.trace)


async def test_answers_complete_the_node_and_nothing_recorded_is_called_again(store: MemoryStore) -> None:
    """The recorded dependency is not called again, the one that cannot be recorded is, once."""
    await orders.run(Order(item="hat"), store=store, thread_id="t")
    calls.clear()
    answers = {"Shipment#1.size": "L", "Shipment#1.street": "Main St 1"}
    result = await orders.resume("t", answers, store=store)
    assert ("complete", ()) == (result.status, result.interrupts)
    assert ["client", "Shipment of L to Main St 1 for 20", "Sent"] == calls
    assert Sent(text="hat L") == result.node
    assert ["Order", "Shipment", "Sent"] == [type(node).__name__ for node in result.trace]


@pytest.mark.parametrize("first", ["size", "street"])
async def test_answers_come_in_parts_and_in_any_order(store: MemoryStore, first: str) -> None:
    """A part of the answers leaves the others open, is kept, and calls no body."""
    texts = {"Shipment#1.size": "L", "Shipment#1.street": "Main St 1"}
    await orders.run(Order(item="hat"), store=store, thread_id="t")
    calls.clear()
    now = f"Shipment#1.{first}"
    result = await orders.resume("t", {now: texts[now]}, store=store)
    (left,) = texts.keys() - {now}
    assert ("interrupted", [left]) == (result.status, [asked.id for asked in result.interrupts])
    assert [] == calls
    result = await orders.resume("t", {left: texts[left]}, store=store)
    assert "Shipment of L to Main St 1 for 20" in calls
    assert "complete" == result.status
    events = await orders.thread("t", store=store).events()
    assert [now, left] == [event.interrupt for event in events if isinstance(event, InterruptAnswered)]


async def test_interrupted_without_answers_it_stays_as_it_is(store: MemoryStore) -> None:
    """A resume without answers gives the same questions again, and writes nothing."""
    first = await orders.run(Order(item="hat"), store=store, thread_id="t")
    before = await orders.thread("t", store=store).summary()
    calls.clear()
    again = await orders.resume("t", store=store)
    assert ("interrupted", first.interrupts, first.trace) == (again.status, again.interrupts, again.trace)
    assert before == await orders.thread("t", store=store).summary()
    assert [] == calls


async def test_a_thread_with_open_questions_takes_no_new_run(store: MemoryStore) -> None:
    """Starting a run on it names the questions, and leaves it as it is."""
    await orders.run(Order(item="hat"), store=store, thread_id="t")
    before = await orders.thread("t", store=store).summary()
    with pytest.raises(
        CheckpointError, match=r"thread t waits for answers to Shipment#1.size \('Which size\?'\), Ship"
    ):
        await orders.run(Order(item="coat"), store=store, thread_id="t")
    assert before == await orders.thread("t", store=store).summary()


class Asks(Node):
    name: str = gate("Your name?")
    polite: bool = True

    async def __call__(self) -> None:
        calls.append(f"Asks {self.name}")


async def test_a_gate_of_the_start_node(store: MemoryStore) -> None:
    """Given by the caller it is not asked, and needs no store; left out it is asked."""
    graph = Graph(start=Asks)
    given = Asks(name="Ada")  # type: ignore[call-arg]  # gates are not in the constructor that type checkers see
    assert "complete" == (await graph.run(given)).status
    assert ["Asks Ada"] == calls
    result = await graph.run(given, store=store)
    assert ("complete", result.run) == (result.status, result.thread_id)
    result = await graph.run(Asks(polite=False), store=store, thread_id="t")
    assert ("interrupted", None, ()) == (result.status, result.node, result.trace)
    result = await graph.resume("t", {"Asks#1.name": "Grace"}, store=store)
    assert ("Grace", False) == (result.node.name, result.node.polite)
    with pytest.raises(
        GraphError, match=r"Asks.name asks a person, and only a run with a store can wait .* pass store="
    ):
        await graph.run(Asks())


class Prepares(Node):
    known: bool

    async def __call__(self) -> "Shirt":
        return Shirt(size="M") if self.known else Shirt()  # type: ignore[call-arg]  # as above


class Shirt(Node):
    size: str = gate("Which size?")

    async def __call__(self) -> None: ...


@pytest.mark.parametrize("known", [True, False])
async def test_a_body_may_answer_the_gate_of_the_next_node_itself(store: MemoryStore, known: bool) -> None:
    """A gate field that the body before has set is not asked."""
    result = await Graph(start=Prepares).run(Prepares(known=known), store=store)
    assert (("complete", 0) if known else ("interrupted", 1)) == (result.status, len(result.interrupts))


class Wish(Node):
    text: str

    async def __call__(self) -> "Poem": ...


class Poem(Node):
    mood: str = gate("Which mood?")
    lines: list[str]

    async def __call__(self) -> None: ...


async def test_a_model_fills_the_other_fields_after_the_answer_and_with_it(store: MemoryStore) -> None:
    """The model is not asked before the person has answered, and is told the answer."""
    lm = ScriptedLM({"Poem": {"lines": ["O tide"]}})
    graph = Graph(start=Wish)
    await graph.run(Wish(text="the sea"), store=store, thread_id="t", lm=lm)
    assert [] == lm.requests
    result = await graph.resume("t", {"Poem#1.mood": "wistful"}, store=store, lm=lm)
    assert Poem(mood="wistful", lines=["O tide"]) == result.node  # type: ignore[call-arg]  # as above
    (request,) = lm.requests
    told = "\n".join(message.content for message in request.messages)
    assert "wistful" in told
    assert "the sea" in told
    assert ["lines"] == list((request.schema or {})["properties"])


class MakesPoem(Node):
    async def __call__(self, lm: LM) -> Poem:
        made: Poem = await lm.make(self, Poem)
        return made


async def test_a_body_that_lets_a_model_make_a_node_leaves_its_gate_open(store: MemoryStore) -> None:
    """`lm.make` fills the plain fields of a node with a gate, and the engine asks for the rest."""
    lm = ScriptedLM({"Poem": {"lines": ["O tide"]}})
    graph = Graph(start=MakesPoem)
    result = await graph.run(MakesPoem(), store=store, thread_id="t", lm=lm)
    assert ["Poem#1.mood"] == [asked.id for asked in result.interrupts]
    result = await graph.resume("t", {"Poem#1.mood": "glad"}, store=store, lm=lm)
    assert ("glad", ["O tide"]) == (result.node.mood, result.node.lines)
    assert 1 == len(lm.requests)


class Turn(Node):
    said: list[str]

    async def __call__(self) -> "Listen":
        return Listen(said=self.said)


class Listen(Node):
    said: list[str]
    word: str = gate("And then?")

    async def __call__(self) -> "Turn | Told":
        said = [*self.said, self.word]
        return Told(words=said) if self.word == "stop" else Turn(said=said)


class Told(Node):
    words: list[str]

    async def __call__(self) -> None: ...


async def test_a_gate_in_a_loop_asks_anew_in_each_turn(store: MemoryStore) -> None:
    """Each turn has a question with an id of its own."""
    graph = Graph(start=Turn)
    result = await graph.run(Turn(said=[]), store=store, thread_id="t")
    for number, word in enumerate(("one", "two", "stop"), 1):
        (asked,) = result.interrupts
        assert f"Listen#{number}.word" == asked.id
        result = await graph.resume("t", {asked.id: word}, store=store)
    assert ["one", "two", "stop"] == result.node.words
    events = await graph.thread("t", store=store).events()
    assert 3 == sum(isinstance(event, NodeInterrupted) for event in events)


class Names(Node):
    nickname: str

    async def __call__(self) -> "Checks":
        return Checks()


class Checks(Node):
    name: str = recall()
    age: int = gate("How old?")
    title: Annotated[str | None, Recall()] = None

    async def __call__(self) -> None: ...


async def test_recalls_are_there_beside_the_answer(store: MemoryStore) -> None:
    """A node with recalls and a gate has both after a resume."""
    graph = Graph(start=Names)
    await graph.run(Names(nickname="Ada"), store=store, thread_id="t")
    result = await graph.resume("t", {"Checks#1.age": 36}, store=store)
    assert ("Ada", 36) == (result.node.name, result.node.age)


class Sized(Node):
    size: str = gate("Which size?")

    async def __call__(self) -> "Again":
        calls.append(self.size)
        return Again()


class Again(Node):
    async def __call__(self) -> "Sized | None":
        return Sized() if len(calls) < 2 else None


async def test_a_gate_that_is_reached_again_needs_a_store_though_the_caller_gave_the_first(store: MemoryStore) -> None:
    """Without a store nobody could answer the question of the second turn."""
    graph, start = Graph(start=Sized), Sized(size="M")  # type: ignore[call-arg]  # as above
    with pytest.raises(GraphError, match=r"Sized.size asks a person"):
        await graph.run(start)
    result = await graph.run(start, store=store, thread_id="t")
    assert ["Sized#2.size"] == [asked.id for asked in result.interrupts]
