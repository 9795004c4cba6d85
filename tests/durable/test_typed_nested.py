"""Runs nested in recorded runs: they ask through the outermost one, and go on where they were."""

from typing import Any

import anyio
import pytest

from dagflow import Graph, GraphResult, MemoryStore, Node, NodeConfig, NodeError, Retry, dep, gate, map_concurrent

calls: list[str] = []
broken: list[str] = []


@pytest.fixture(autouse=True)
def start_anew() -> None:
    calls.clear()
    broken.clear()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class Plans(Node):
    about: str

    async def __call__(self) -> "Confirms":
        calls.append(f"Plans {self.about}")
        return Confirms(about=self.about)


class Confirms(Node):
    about: str
    answer: str = gate("Go ahead?")

    async def __call__(self) -> "Confirmed":
        calls.append(f"Confirms {self.about}: {self.answer}")
        if self.about in broken:
            raise ValueError("not today")
        return Confirmed(text=f"{self.about} {self.answer}")


class Confirmed(Node):
    text: str

    async def __call__(self) -> None: ...


inner = Graph(start=Plans)


async def confirmed(about: str) -> str:
    result = await inner.run(Plans(about=about))
    text: str = result.node.text
    return text


class Outer(Node):
    about: str = "trip"

    async def __call__(self) -> "After":
        calls.append("Outer")
        return After(texts=[await confirmed(self.about)])


class After(Node):
    texts: list[str]

    async def __call__(self) -> None:
        calls.append("After")


async def answer_all(graph: Graph, store: MemoryStore, result: GraphResult, answer: str = "yes") -> GraphResult:
    """Answer the questions one at a time until none is left."""
    while result.interrupts:
        result = await graph.resume("t", {result.interrupts[0].id: answer}, store=store)
    return result


async def test_a_nested_question_is_the_outer_runs_and_its_answer_goes_on_inside(store: MemoryStore) -> None:
    """The body that awaits it is called again; what completed inside is not."""
    graph = Graph(start=Outer)
    result = await graph.run(Outer(), store=store, thread_id="t")
    (asked,) = result.interrupts
    assert ("interrupted", "Outer#1/Plans.1/Confirms#1.answer") == (result.status, asked.id)
    assert (f"{result.run}/Outer#1/Plans.1", "Confirms", "Confirms#1") == (asked.run, asked.node, asked.activation)
    assert ["Outer", "Plans trip"] == calls
    result = await graph.resume("t", {asked.id: "yes"}, store=store)
    assert ["Outer", "Plans trip", "Outer", "Confirms trip: yes", "After"] == calls
    assert ["trip yes"] == result.node.texts


class Outermost(Node):
    async def __call__(self) -> None:
        calls.append("Outermost")
        assert ["trip yes"] == (await Graph(start=Outer).run(Outer())).node.texts


async def test_a_run_nested_twice_asks_through_both(store: MemoryStore) -> None:
    """The id has the way to it, and each level goes on."""
    graph = Graph(start=Outermost)
    result = await graph.run(Outermost(), store=store, thread_id="t")
    assert ["Outermost#1/Outer.1/Outer#1/Plans.1/Confirms#1.answer"] == [asked.id for asked in result.interrupts]
    result = await answer_all(graph, store, result)
    assert "complete" == result.status
    assert 1 == calls.count("Plans trip")
    assert 2 == calls.count("Outermost") == calls.count("Outer")


class Both(Node):
    swap: bool = False

    async def __call__(self) -> After:
        texts: list[str] = []

        async def ask(about: str) -> None:
            texts.append(await confirmed(about))

        abouts = ["hotel", "flight"]
        if "swap" in broken:
            abouts.reverse()
        async with anyio.create_task_group() as group:
            for about in abouts:
                group.start_soon(ask, about)
        return After(texts=sorted(texts))


@pytest.mark.parametrize("swapped", [False, True])
async def test_two_at_once_in_a_task_group_of_the_body(store: MemoryStore, swapped: bool) -> None:
    """All questions come, each is answered where it was asked, and neither inner run begins twice."""
    graph = Graph(start=Both)
    result = await graph.run(Both(), store=store, thread_id="t")
    if swapped:
        broken.append("swap")
    result = await answer_all(graph, store, result)
    assert ["flight yes", "hotel yes"] == result.node.texts
    assert ["Plans flight", "Plans hotel"] == sorted(call for call in calls if call.startswith("Plans"))


class Mapped(Node):
    async def __call__(self) -> After:
        return After(texts=await map_concurrent(confirmed, ["a", "b", "c"], limit=2))


async def test_a_map_over_inner_runs(store: MemoryStore) -> None:
    """Every item asks, is answered once, and is planned once; the results are in order."""
    graph = Graph(start=Mapped)
    result = await answer_all(graph, store, await graph.run(Mapped(), store=store, thread_id="t"))
    assert ["a yes", "b yes", "c yes"] == result.node.texts
    assert ["Plans a", "Plans b", "Plans c"] == sorted(call for call in calls if call.startswith("Plans"))


async def asks_once() -> str:
    calls.append("asks_once")
    return await confirmed("first")


async def sibling() -> str:
    calls.append("sibling")
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    return "sibling"


async def asks_too() -> str:
    calls.append("asks_too")
    return await confirmed("second")


class Depends(Node):
    one: str = dep(asks_once)
    two: str = dep(sibling)
    three: str = dep(asks_too)

    async def __call__(self) -> After:
        return After(texts=[self.one, self.two, self.three])


@pytest.mark.parametrize("schedule", ["levels", "eager"])
async def test_a_dependency_that_asks_lets_its_siblings_finish(store: MemoryStore, schedule: Any) -> None:
    """They are recorded and not called again; two that ask have both questions open at once."""
    graph = Graph(start=Depends, schedule=schedule)
    result = await graph.run(Depends(), store=store, thread_id="t")
    assert 2 == len(result.interrupts)
    result = await answer_all(graph, store, result)
    assert ["first yes", "sibling", "second yes"] == result.node.texts
    assert 1 == calls.count("sibling") == calls.count("Plans first") == calls.count("Plans second")


async def same_too() -> str:
    return await confirmed("same")


async def same() -> str:
    return await confirmed("same")


class Twins(Node):
    one: str = dep(same)
    two: str = dep(same_too)

    async def __call__(self) -> After:
        return After(texts=[self.one, self.two, await confirmed("same")])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_equal_runs_of_different_dependencies_keep_their_answers(
    store: MemoryStore, order: tuple[int, int]
) -> None:
    """Runs that begin with the same, in two dependencies and the body, are told apart by who started them."""
    graph = Graph(start=Twins)
    result = await graph.run(Twins(), store=store, thread_id="t")
    asked = sorted(interrupt.id for interrupt in result.interrupts)
    assert 2 == len(asked)
    texts = {asked[place]: f"answer {place}" for place in order}
    for place in order:
        result = await graph.resume("t", {asked[place]: texts[asked[place]]}, store=store)
    (last,) = result.interrupts
    assert last.id not in asked
    result = await graph.resume("t", {last.id: "of the body"}, store=store)
    assert "same of the body" == result.node.texts[2]
    assert ["same answer 0", "same answer 1"] == sorted(result.node.texts[:2])


async def run_quickly() -> str:
    result = await simple.run(Simple())
    assert "complete" == result.status
    return "quick"


class Simple(Node):
    ask: bool = False

    async def __call__(self) -> "Ask | None":
        calls.append(f"Simple {self.ask}")
        return Ask() if self.ask else None


class Ask(Node):
    answer: str = gate("Well?")

    async def __call__(self) -> None: ...


simple = Graph(start=Simple)


class Mixed(Node):
    quick: str = dep(run_quickly)

    async def __call__(self) -> After:
        return After(texts=[(await simple.run(Simple(ask=True))).node.answer])


async def test_a_recorded_dependency_that_ran_the_same_graph_does_not_shift_the_bodys_run(store: MemoryStore) -> None:
    """The body's inner run keeps its id although the dependency's is not run again: one answer is enough."""
    graph = Graph(start=Mixed)
    result = await graph.run(Mixed(), store=store, thread_id="t")
    (asked,) = result.interrupts
    result = await graph.resume("t", {asked.id: "yes"}, store=store)
    assert ("complete", ["yes"]) == (result.status, result.node.texts)
    assert ["Simple False", "Simple True", "After"] == calls


class Loops(Node):
    async def __call__(self) -> After:
        texts = []
        for about in ("one", "two", "three"):
            text = await confirmed(f"changed {about}" if about in broken else about)
            texts.append(text)
        return After(texts=texts)


async def test_a_loop_of_inner_runs_goes_on_with_each_that_began_with_the_same(store: MemoryStore) -> None:
    """Each answered one gives its result again; one that begins with something else begins anew."""
    graph = Graph(start=Loops)
    result = await graph.run(Loops(), store=store, thread_id="t")
    for number in (1, 2):
        (asked,) = result.interrupts
        assert f"Loops#1/Plans.{number}/Confirms#1.answer" == asked.id
        result = await graph.resume("t", {asked.id: str(number)}, store=store)
    assert ["Plans one", "Confirms one: 1", "Plans two", "Confirms two: 2", "Plans three"] == calls
    broken.append("two")  # from here on the second one begins with something else
    result = await graph.resume("t", {result.interrupts[0].id: "3"}, store=store)
    assert "Plans changed two" == calls[-1]
    result = await answer_all(graph, store, result, "again")
    assert ["one 1", "changed two again"] == result.node.texts[:2]
    assert 1 == calls.count("Plans one")


class Tries(Node):
    node_config = NodeConfig(retry=Retry(attempts=3, delay=0))

    async def __call__(self) -> After:
        calls.append("Tries")
        text = await confirmed("retried")
        if "flaky" in broken:
            broken.remove("flaky")
            raise OSError("once")
        return After(texts=[text])


async def test_an_outer_node_that_is_retried_after_an_answer(store: MemoryStore) -> None:
    """A retry calls the body again as a whole, inner run included, which may ask again; it ends rightly."""
    graph = Graph(start=Tries)
    result = await graph.run(Tries(), store=store, thread_id="t")
    assert 1 == len(result.interrupts)
    broken.append("flaky")
    result = await answer_all(graph, store, result)
    assert ("complete", ["retried yes"]) == (result.status, result.node.texts)
    assert [] == broken


async def test_an_inner_failure_is_resumed_inside(store: MemoryStore) -> None:
    """Neither the inner node before the failed one runs again, nor is the question asked again."""
    graph = Graph(start=Outer)
    result = await graph.run(Outer(), store=store, thread_id="t")
    broken.append("trip")
    with pytest.raises(NodeError, match="Outer#1 failed: NodeError: node Confirms#1 failed: ValueError: not today"):
        await graph.resume("t", {result.interrupts[0].id: "yes"}, store=store)
    broken.clear()
    calls.clear()
    result = await graph.resume("t", store=store)
    assert ["Outer", "Confirms trip: yes", "After"] == calls
    assert ["trip yes"] == result.node.texts


async def test_a_nested_run_takes_no_store_of_its_own(store: MemoryStore) -> None:
    """It is recorded with the outermost one; the error says what to do, for runs and resumes alike."""

    class Stores(Node):
        way: str

        async def __call__(self) -> None:
            if self.way == "run":
                await inner.run(Plans(about="x"), store=store)
            else:
                await inner.resume("x", store=store)

    graph = Graph(start=Stores, namespace=locals())
    for way in ("run", "resume"):
        for options in ({}, {"store": MemoryStore()}):
            with pytest.raises(NodeError, match="leave store= out, and give it to the outermost run"):
                await graph.run(Stores(way=way), **options)  # type: ignore[arg-type]  # options by name
