"""Answers to gates: values and JSON of many types, and wrong ones, which change nothing."""

import enum
from datetime import date
from typing import Annotated, Any, Literal

import attrs
import pytest
from attrs import validators

from dagflow import AnswerError, Gate, Graph, MemoryStore, Node, gate
from dagflow.core.storage import Record, Store


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Address:
    street: str
    number: int = 1


@attrs.frozen
class Parcel:
    to: Address
    tags: list[str]


@attrs.frozen
class Circle:
    radius: float


@attrs.frozen
class Square:
    side: float


def graph_asking(hint: Any, **namespace: Any) -> Graph:
    class Asks(Node):
        answer: Annotated[hint, Gate("Well?")]

        async def __call__(self) -> None: ...

    return Graph(start=Asks, namespace={"hint": hint, **namespace})


async def open_question(graph: Graph, store: MemoryStore) -> None:
    result = await graph.run(graph.start(), store=store, thread_id="t")
    assert ["Asks#1.answer"] == [asked.id for asked in result.interrupts]


async def records(store: Store) -> list[Record]:
    async with store.open() as session:
        return list(await session.read("t"))


@pytest.mark.parametrize(
    ("hint", "answer", "value"),
    [
        (str, "L", "L"),
        (str, "", ""),
        (str, "ünï\u2028\x00code", "ünï\u2028\x00code"),
        (int, 3, 3),
        (int, -(10**30), -(10**30)),
        (float, 2.5, 2.5),
        (float, 3, 3.0),
        (bool, True, True),
        (bool, False, False),
        (Size, Size.LARGE, Size.LARGE),
        (Size, "l", Size.LARGE),
        (Level, Level.HIGH, Level.HIGH),
        (Level, 2, Level.HIGH),
        (Literal["S", "M"], "M", "M"),
        (Literal[1, 2], 2, 2),
        (str | None, None, None),
        (str | None, "x", "x"),
        (int | str, 7, 7),
        (int | str, "7", "7"),
        (date, date(2030, 1, 2), date(2030, 1, 2)),
        (date, "2030-01-02", date(2030, 1, 2)),
        (str | date, date(2030, 1, 2), date(2030, 1, 2)),
        (list[float], [1, 2.5], [1.0, 2.5]),
        (Any, {"a": [None, 1.5]}, {"a": [None, 1.5]}),
        (list[int], [1, 2], [1, 2]),
        (list[int], [], []),
        (set[str], {"a", "b"}, {"a", "b"}),
        (tuple[int, str], (1, "a"), (1, "a")),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[str, list[int]], {"a": [1]}, {"a": [1]}),
        (Address, Address("Main St", 4), Address("Main St", 4)),
        (Address, {"street": "Main St"}, Address("Main St")),
        (list[Address], [{"street": "a", "number": 2}], [Address("a", 2)]),
        (list[Address], [Address("a"), Address("b", 3)], [Address("a"), Address("b", 3)]),
        (Parcel, {"to": {"street": "a"}, "tags": ["x"]}, Parcel(Address("a"), ["x"])),
        (Circle | Square, Square(2.0), Square(2.0)),
    ],
)
async def test_an_answer_is_a_value_or_the_json_for_it(hint: Any, answer: object, value: object) -> None:
    """The node gets the value of the asked type, now and when the thread is read again."""
    store, graph = MemoryStore(), graph_asking(hint)
    await open_question(graph, store)
    result = await graph.resume("t", {"Asks#1.answer": answer}, store=store)
    assert (value, type(value)) == (result.node.answer, type(result.node.answer))
    again = (await graph.resume("t", store=store)).node.answer
    assert (value, type(value)) == (again, type(again))


@pytest.mark.parametrize(
    ("hint", "answer", "problem"),
    [
        (str, 3, "expected string, got integer 3"),
        (str, None, "expected string, got null"),
        (str, b"x", "expected string"),
        (int, "3", "expected integer, got string '3'"),
        (int, True, "expected integer, got boolean"),
        (int, 2.5, "expected integer, got"),
        (float, "2", "expected number, got string '2'"),
        (float, True, "expected number, got boolean"),
        (bool, 1, "expected boolean, got integer 1"),
        (bool, "yes", "expected boolean, got string"),
        (Size, "medium", r"expected Size \('s', 'l'\)"),
        (Size, "LARGE", r"expected Size \('s', 'l'\)"),
        (Level, 3, r"expected Level \(1, 2\)"),
        (Literal["S", "M"], "XL", r"expected one of the values \('S', 'M'\)"),
        (str | None, 3, "expected string or null"),
        (date, "tomorrow", "date"),
        (list[int], 3, "expected array, got integer 3"),
        (list[int], [True], r"Asks#1.answer\[0\]: expected integer, got boolean"),
        (list[int], [1, "x"], r"Asks#1.answer\[1\]: expected integer, got string 'x'"),
        (Address, "Main St", "expected an object for Address"),
        (Address, {"number": 3}, "street"),
        (Parcel, {"to": {"street": 4}, "tags": []}, r"Asks#1.answer.to.street: expected string, got integer 4"),
        (Address, Circle(1.0), "expected an object for Address"),
        (list[Address], [{"street": "a", "house": 2}], "house"),
        (str, object(), "expected string"),
    ],
)
async def test_a_wrong_answer_says_what_was_expected_and_records_nothing(
    hint: Any, answer: object, problem: str
) -> None:
    """The error names the question; the thread is as before, and a right answer still completes it."""
    store, graph = MemoryStore(), graph_asking(hint)
    await open_question(graph, store)
    before = await records(store)
    with pytest.raises(AnswerError, match=problem) as caught:
        await graph.resume("t", {"Asks#1.answer": answer}, store=store)
    assert "Asks#1.answer" in str(caught.value)
    assert all(invalid.path.startswith("Asks#1.answer") for invalid in caught.value.invalid)
    assert before == await records(store)
    result = await graph.resume("t", store=store)
    assert ["Asks#1.answer"] == [asked.id for asked in result.interrupts]


def even(instance: object, attribute: object, value: int) -> None:
    if value % 2:
        raise ValueError(f"{value} is odd")


class Checked(Node):
    count: Annotated[int, Gate("How many?")] = attrs.field(validator=[validators.ge(2), even])
    name: Annotated[str, Gate("Who?")] = attrs.field(converter=str.strip, validator=validators.max_len(3))

    async def __call__(self) -> None: ...


async def test_a_fields_own_validator_judges_the_answer_after_its_converter() -> None:
    """A value that the field refuses is a wrong answer, and a converter counts as when a node is made."""
    store, graph = MemoryStore(), Graph(start=Checked)
    await graph.run(Checked(), store=store, thread_id="t")
    before = await records(store)
    for answer, problem in ((1, "'count' must be >= 2: 1"), (3, "3 is odd")):
        with pytest.raises(AnswerError, match=f"Checked#1.count: {problem}"):
            await graph.resume("t", {"Checked#1.count": answer}, store=store)
    with pytest.raises(AnswerError, match="Checked#1.name"):
        await graph.resume("t", {"Checked#1.name": " Ada Lovelace "}, store=store)
    assert before == await records(store)
    result = await graph.resume("t", {"Checked#1.name": "  Ada ", "Checked#1.count": 4}, store=store)
    assert (4, "Ada") == (result.node.count, result.node.name)


class Two(Node):
    first: int = gate("First?")
    second: int = gate("Second?")

    async def __call__(self) -> None: ...


async def test_all_wrong_answers_are_told_and_none_of_the_right_ones_is_taken() -> None:
    """Several wrong answers are one error, and the right one among them is not recorded either."""
    store, graph = MemoryStore(), Graph(start=Two)
    await graph.run(Two(), store=store, thread_id="t")
    before = await records(store)
    with pytest.raises(AnswerError, match="Two#1.first: .*; Two#1.second: ") as caught:
        await graph.resume("t", {"Two#1.first": "a", "Two#1.second": "b"}, store=store)
    assert ["Two#1.first", "Two#1.second"] == [invalid.path for invalid in caught.value.invalid]
    with pytest.raises(AnswerError, match="Two#1.second"):
        await graph.resume("t", {"Two#1.first": 1, "Two#1.second": "b"}, store=store)
    assert before == await records(store)


@pytest.mark.parametrize("name", ["Two#2.first", "first", "", "Two#1.third"])
async def test_an_unknown_id_is_a_wrong_answer_that_says_which_are_open(name: str) -> None:
    """It names the id, and lists the open questions; nothing is recorded."""
    store, graph = MemoryStore(), Graph(start=Two)
    await graph.run(Two(), store=store, thread_id="t")
    before = await records(store)
    with pytest.raises(
        AnswerError, match=r"waits for Two#1.first \('First\?'\), Two#1.second \('Second\?'\)"
    ) as caught:
        await graph.resume("t", {"Two#1.first": 1, name: 2}, store=store)
    assert [name] == [invalid.path for invalid in caught.value.invalid]
    assert before == await records(store)


async def test_an_answer_to_what_is_answered_already_is_refused() -> None:
    """A question is answered once; another answer to it, before or after the end, is unknown."""
    store, graph = MemoryStore(), Graph(start=Two)
    await graph.run(Two(), store=store, thread_id="t")
    await graph.resume("t", {"Two#1.first": 1}, store=store)
    with pytest.raises(AnswerError, match="asked no Two#1.first; it waits for Two#1.second"):
        await graph.resume("t", {"Two#1.first": 2}, store=store)
    result = await graph.resume("t", {"Two#1.second": 2}, store=store)
    assert (1, 2) == (result.node.first, result.node.second)
    with pytest.raises(AnswerError, match="asked no Two#1.first; it waits for nothing"):
        await graph.resume("t", {"Two#1.first": 3}, store=store)


class Outer(Node):
    async def __call__(self) -> None:
        await inner.run(Two())


inner = Graph(start=Two)


async def test_a_wrong_answer_to_a_nested_question_leaves_it_open() -> None:
    """It is found when the inner run looks at it: the error is the same, and a right answer goes on."""
    store, graph = MemoryStore(), Graph(start=Outer)
    result = await graph.run(Outer(), store=store, thread_id="t")
    first, second = (asked.id for asked in result.interrupts)
    with pytest.raises(AnswerError, match=f"{first}: expected integer, got string 'a'"):
        await graph.resume("t", {first: "a"}, store=store)
    result = await graph.resume("t", {first: 1, second: 2}, store=store)
    assert "complete" == result.status
