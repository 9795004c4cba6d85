"""The codec: the members of a union are told apart, by what JSON tells apart or by a name before the data."""

import datetime
import decimal
import enum
import pathlib
from collections.abc import Sequence
from typing import Any, Generic, Literal, Optional, TypedDict, TypeVar, Union

import attrs
import pytest

from core.codec_cases import round_trip, same
from dagflow.core.codec import Codec, Serializer, Unreadable, Unwritable

CODEC = Codec()
T = TypeVar("T")


class Colour(enum.Enum):
    RED = 1


@attrs.frozen
class Cat:
    name: str


@attrs.frozen
class Dog:
    name: str


@attrs.frozen
class Puppy(Dog):
    pass


@attrs.frozen
class Cage(Generic[T]):
    held: T


class Named(TypedDict):
    name: str


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)


MONEY = Serializer(Money, lambda money: money.cents, Money)


@pytest.mark.parametrize(
    ("hint", "value", "data"),
    [
        (int | str, "1", "1"),
        (int | str, 1, 1),
        (int | float, 1, 1),
        (int | float, 1.0, 1.0),
        (int | bool, True, True),
        (float | None, None, None),
        (Optional[Cat], Cat("a"), {"name": "a"}),  # noqa: UP045  # people still write it
        (Cat | None, None, None),
        (Cat | Dog, Cat("a"), {"$Cat": {"name": "a"}}),
        (Cat | Dog | str, "a", "a"),
        (Cat | Puppy, Puppy("a"), {"$Puppy": {"name": "a"}}),
        (Cat | Dog | Puppy, Puppy("a"), {"$Puppy": {"name": "a"}}),
        (Cat | list[Dog], [Dog("a")], [{"name": "a"}]),
        (Cat | list[Dog | Puppy], [Puppy("a")], [{"$Puppy": {"name": "a"}}]),
        (Cat | Named, {"name": "a"}, {"$Named": {"name": "a"}}),
        (Cat | dict[str, str], {"name": "a"}, {"$dict[str, str]": {"name": "a"}}),
        (dict[str, int] | dict[int, int], {}, {"$dict[int, int]": {}}),
        (dict[str, int] | dict[int, int], {1: 1}, {"$dict[int, int]": {"$dict": [[1, 1]]}}),
        (dict | Cat, {"$dict": 1}, {"$dict": {"$dict": [["$dict", 1]]}}),
        (list[int] | list[str], [1], {"$list[int]": [1]}),
        (list[int] | list[str], ["a"], {"$list[str]": ["a"]}),
        (list[int] | tuple[int, ...] | set[int], (1,), {"$tuple[int, ...]": [1]}),
        (list[int] | None, [1], [1]),
        (str | datetime.date | datetime.datetime, "2030-01-02", "2030-01-02"),
        (str | datetime.date | datetime.datetime, datetime.date(2030, 1, 2), {"$date": "2030-01-02"}),
        (datetime.date | int, datetime.date(2030, 1, 2), "2030-01-02"),
        (bytes | str, b"", {"$bytes": ""}),
        (decimal.Decimal | float, decimal.Decimal(1), "1"),
        (pathlib.Path | str, pathlib.Path("a"), {"$Path": "a"}),
        (Colour | str, Colour.RED, {"$Colour": "RED"}),
        (Colour | int, Colour.RED, "RED"),
        (Literal["RED"] | Colour, "RED", "RED"),
        (Literal["RED"] | Colour, Colour.RED, {"$Colour": "RED"}),
        (Literal[1] | Literal["a"] | float, "a", "a"),
        (Sequence[int] | None, (1,), {"$tuple": [1]}),
        (Sequence[int] | str, (1,), {"$tuple": [1]}),
        (Sequence[str] | str, "a", "a"),
        (Sequence[int] | frozenset[int], frozenset({1}), {"$frozenset[int]": [1]}),
        (Cage[int] | Cage[str], Cage("a"), {"$Cage[str]": {"held": "a"}}),
        (Cage[Cat | Dog] | None, Cage(Dog("a")), {"held": {"$Dog": {"name": "a"}}}),
        (Any | None, (1,), {"$tuple": [1]}),
        (Money | Cat, Money(3), {"$Money": 3}),
        (Money | int, Money(3), {"$Money": 3}),
        (Money | int | Cat, Cat("a"), {"name": "a"}),
    ],
)
def test_a_member_is_read_back_as_itself(hint: Any, value: Any, data: Any) -> None:
    """What JSON tells apart has no name before it, all else has."""
    assert same(data, round_trip(hint, value, MONEY))


def test_the_order_of_the_members_does_not_matter() -> None:
    """Equal unions are one hint to Python, so that the data cannot depend on which was there first."""
    value = [Cat("a"), [1], []]
    one = Codec().writer(list[Cat | list[int] | list[str] | Dog])(value)
    other = Codec().writer(list[Dog | list[str] | list[int] | Cat])(value)
    assert one == other == [{"$Cat": {"name": "a"}}, {"$list[int]": [1]}, {"$list[int]": []}]


def test_a_subclass_that_two_members_could_be_comes_back() -> None:
    """A registered subclass keeps its own name within that of the member."""
    assert {"$Dog": {"$Puppy": {"name": "a"}}} == round_trip(Cat | Dog, Puppy("a"), Puppy)


@pytest.mark.parametrize(
    ("hint", "value", "reason"),
    [
        (int | str, 1.5, "int | str is declared, and none of these takes it as it is"),
        (list[int] | list[str], [1, "a"], "list[int] | list[str] is declared, and none of these takes it as it is"),
        (Cat | None, Dog("a"), "Cat is declared; declare the type that it really has"),
        (Cat | int, Puppy("a"), "Cat | int is declared, and none of these takes it as it is"),
    ],
)
def test_a_value_of_no_member_is_refused(hint: Any, value: Any, reason: str) -> None:
    """The message names the members."""
    with pytest.raises(Unwritable) as caught:
        CODEC.writer(hint)(value)
    assert reason == caught.value.reason


@pytest.mark.parametrize(
    ("hint", "data", "problem"),
    [
        (int | str, 1.5, "$: expected int or str, got number 1.5"),
        (int | str, None, "$: expected int or str, got null"),
        (Cat | Dog, {"name": "a"}, "$: expected an object {'$Cat': ...} or an object {'$Dog': ...}, got object"),
        (Cat | Dog, {"$Cat": {"name": 1}}, "$.$Cat.name: expected a string, got integer 1"),
        (Cat | Dog, {"$Cow": {}}, "$: expected an object {'$Cat': ...} or an object {'$Dog': ...}, got object"),
        (Cat | None, {"name": None}, "$.name: expected a string, got null"),
        (list[int] | None | str, [1, "a"], "$[1]: expected an integer, got string 'a'"),
        (list[int] | list[str], {"$list[int]": ["a"]}, "$.$list[int][0]: expected an integer, got string 'a'"),
        (Colour | str, {"$Colour": "BLUE"}, "$.$Colour: expected the name of a member of Colour ('RED')"),
        (Money | None, {"$Money": {}}, "$: the Serializer of Money gave a"),
    ],
)
def test_data_of_no_member_are_refused(hint: Any, data: Any, problem: str) -> None:
    """The message leads into the member that is meant, or names all."""
    codec = Codec([MONEY if "gave" not in problem else Serializer(Money, Money.__hash__, lambda data: data)])
    with pytest.raises(Unreadable) as caught:
        codec.reader(hint)(data)
    assert str(caught.value).startswith(problem)


def test_two_members_of_one_name_are_a_problem() -> None:
    """Which of them is meant could not be told."""
    other: Any = attrs.make_class("Cat", {"name": attrs.field(type=str)})
    other.__qualname__ = "Cat"
    assert "Cat | Cat has two members called Cat; rename one, or register it under another name" == CODEC.problem(
        Union[Cat, other]  # noqa: UP007  # mypy
    )
    codec = Codec([Serializer(other, lambda cat: cat.name, other, name="OtherCat")])
    assert codec.problem(Union[Cat, other]) is None  # noqa: UP007


def test_a_member_is_not_taken_for_a_registered_class_of_its_name() -> None:
    """The names of registered classes come first, so that a member of the same name is refused."""
    other: Any = attrs.make_class("Cat", {"name": attrs.field(type=str)})
    other.__qualname__ = "Cat"
    with pytest.raises(Unwritable, match="two classes are called Cat; register one under another name"):
        Codec([other]).writer(Cat | Dog)(Cat("a"))
