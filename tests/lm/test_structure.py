"""Strict structuring: what is taken, and how everything that is wrong is told."""

import datetime
import decimal
import enum
import pathlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, NewType, NotRequired, TypedDict, TypeVar

import attrs
import pytest
from attrs import validators as v

from dagflow import Dep, Node, Recall, field
from dagflow.core.answers import InvalidAnswer
from dagflow.core.shapes import UnsupportedType
from dagflow.core.structure import MAX_PROBLEMS, structure
from dagflow.core.unstructure import unstructure

T = TypeVar("T")
Celsius = NewType("Celsius", float)


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Corner(enum.Enum):
    TOP = (0, 0)
    BOTTOM = (1, 1)


@attrs.frozen
class Place:
    name: str
    country: str = "PT"


@attrs.frozen
class Tree:
    value: int
    children: "list[Tree]" = attrs.field(factory=list)
    parent: "Tree | None" = None


@attrs.frozen
class Box(Generic[T]):
    content: T


@attrs.frozen
class IntBox(Box[int]):
    label: str = ""


@attrs.frozen
class Aliased:
    _hidden: int
    shown: int = attrs.field(alias="as_shown")


@dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


@attrs.frozen
class Limited:
    size: int = attrs.field(validator=[v.ge(1), v.lt(10)])
    code: str = attrs.field(validator=v.matches_re("[A-Z]+"))
    tags: list[str] = attrs.field(factory=list, validator=v.max_len(2))
    mood: str | None = attrs.field(default=None, validator=v.optional(v.in_(["good", "bad"])))


@attrs.frozen
class Range:
    low: int
    high: int = attrs.field()

    @high.validator
    def _above_low(self, attribute: Any, value: int) -> None:
        if value <= self.low:
            raise AssertionError("high must be above low")


@attrs.frozen
class Even:
    number: int

    def __attrs_post_init__(self) -> None:
        if self.number % 2:
            raise ValueError("the number must be even")


@attrs.frozen
class Cat:
    lives: int
    name: str = ""


@attrs.frozen
class Dog:
    tricks: list[str]
    name: str = ""


@attrs.frozen
class Pet:
    name: str = ""


@attrs.frozen
class Circle:
    kind: Literal["circle"]
    size: float


@attrs.frozen
class Square:
    kind: Literal["square"]
    size: float


@attrs.frozen
class Metres:
    value: float


@attrs.frozen
class Feet:
    value: float


def invalid(data: object, target: Any, **how: Any) -> dict[str, str]:
    with pytest.raises(InvalidAnswer) as caught:
        structure(data, target, **how)
    found = {item.path: item.problem for item in caught.value.invalid}
    assert len(found) == len(caught.value.invalid)
    return found


MOMENT = datetime.datetime(2030, 1, 2, 3, 4, 5, 678, tzinfo=datetime.UTC)
NUMBER = uuid.UUID(int=7)


@pytest.mark.parametrize(
    ("target", "data", "value"),
    [
        (int, 7, 7),
        (float, 7, 7.0),
        (float, 7.5, 7.5),
        (bool, True, True),
        (str, "x", "x"),
        (None, None, None),
        (Any, {"a": [1]}, {"a": [1]}),
        (object, "x", "x"),
        (list[int], [1, 2], [1, 2]),
        (list, [1, "a"], [1, "a"]),
        (Sequence[int], [1], [1]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
        (tuple[()], [], ()),
        (tuple, [1], (1,)),
        (set[int], [1, 2], {1, 2}),
        (frozenset[str], ["a"], frozenset("a")),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (Mapping[str, list[int]], {"a": [1]}, {"a": [1]}),
        (dict[Colour, int], {"red": 1}, {Colour.RED: 1}),
        (Colour, "red", Colour.RED),
        (list[Colour], ["blue"], [Colour.BLUE]),
        (Level, 2, Level.HIGH),
        (dict[str, Level], {"a": 1}, {"a": Level.LOW}),
        (Corner, "TOP", Corner.TOP),
        (Literal["a", 1, None], 1, 1),
        (Literal[Colour.RED], "red", Colour.RED),
        (int | None, None, None),
        (int | str, "x", "x"),
        (float | int, 1, 1),
        (int | float, 1.0, 1.0),
        (str | datetime.date, "2030-01-02", datetime.date(2030, 1, 2)),
        (str | datetime.date, "soon", "soon"),
        (datetime.date | datetime.datetime, "2030-01-02T03:04:05", datetime.datetime(2030, 1, 2, 3, 4, 5)),
        (pathlib.Path | str, "a/b", "a/b"),
        (str | Colour, "red", Colour.RED),
        (list[int] | dict[str, int], {"a": 1}, {"a": 1}),
        (list[str] | list[int], [1], [1]),
        (datetime.datetime, "2030-01-02T03:04:05.000678Z", MOMENT),
        (datetime.date, "2030-01-02", datetime.date(2030, 1, 2)),
        (datetime.time, "03:04", datetime.time(3, 4)),
        (datetime.timedelta, "P1DT2H3M4.5S", datetime.timedelta(days=1, hours=2, minutes=3, seconds=4.5)),
        (uuid.UUID, str(NUMBER), NUMBER),
        (decimal.Decimal, "1.10", decimal.Decimal("1.10")),
        (pathlib.Path, "a/b", pathlib.Path("a/b")),
        (bytes, "AAE=", b"\x00\x01"),
        (Celsius, 3, 3.0),
        (Annotated[int, "metadata"], 3, 3),
        (Place, {"name": "Faro"}, Place("Faro")),
        (list[Place], [{"name": "Faro", "country": "PT"}], [Place("Faro")]),
        (Place | None, {"name": "Faro"}, Place("Faro")),
        (Tree, {"value": 1, "children": [{"value": 2}]}, Tree(1, [Tree(2)])),
        (Tree, {"value": 1, "parent": {"value": 0}}, Tree(1, [], Tree(0))),
        (Box[int], {"content": 1}, Box(1)),
        (Box[Box[str]], {"content": {"content": "x"}}, Box(Box("x"))),
        (IntBox, {"content": 1}, IntBox(1)),
        (Aliased, {"hidden": 1, "as_shown": 2}, Aliased(hidden=1, as_shown=2)),
        (Point, {"x": 1}, Point(1)),
        (Movie, {"title": "M"}, {"title": "M"}),
        (Movie, {"title": "M", "year": 1931}, {"title": "M", "year": 1931}),
        (Cat | Dog | Pet, {"lives": 9, "name": "Tom"}, Cat(9, "Tom")),
        (Cat | Dog | Pet, {"tricks": []}, Dog([])),
        (Cat | Dog | Pet, {"name": "Nemo"}, Pet("Nemo")),
        (Circle | Square, {"kind": "square", "size": 2}, Square("square", 2.0)),
        (Metres | Feet | None, {"type": "Feet", "value": 2}, Feet(2.0)),
        (list[Metres | Feet], [{"type": "Metres", "value": 1}], [Metres(1.0)]),
    ],
)
def test_a_valid_value_is_read_and_written_back(target: Any, data: Any, value: Any) -> None:
    """What fits is read as its type, to the very class, and what is written of it reads as the same again."""
    found = structure(data, target)
    assert value == found
    assert type(value) is type(found)
    assert found == structure(unstructure(found, target), target)


@pytest.mark.parametrize(
    ("target", "data", "said"),
    [
        (int, "7", "expected integer, got string '7'"),
        (int, True, "expected integer, got boolean True"),
        (int, 1.0, "expected integer, got number 1.0"),
        (float, "1.5", "expected number, got string '1.5'"),
        (float, True, "expected number, got boolean True"),
        (float, float("nan"), "expected a finite number, got number nan"),
        (float, float("inf"), "expected a finite number, got number inf"),
        (float, 10**400, "expected a finite number"),
        (bool, 1, "expected boolean, got integer 1"),
        (bool, "true", "expected boolean, got string 'true'"),
        (str, 1, "expected string, got integer 1"),
        (str, None, "expected string, got null"),
        (None, 0, "expected null, got integer 0"),
        (list[str], "abc", "expected array, got string 'abc'"),
        (list[str], {"a": 1}, "expected array, got object"),
        (tuple[int, int], [1], "expected an array of 2 items, got 1"),
        (tuple[int, ...], 1, "expected array, got integer 1"),
        (set[int], [1, 1], "expected every item once, got one more than once"),
        (set[Any], [[1]], "expected items that a set can hold"),
        (dict[str, int], [["a", 1]], "expected object, got array"),
        (Colour, "rad", "expected Colour ('red', 'blue'), got string 'rad'; did you mean 'red'?"),
        (Colour, "RED", "did you mean 'red'?"),
        (Level, True, "expected Level (1, 2), got boolean True"),
        (Level, [1], "expected Level (1, 2), got array"),
        (Literal["a", 1], True, "expected one of the values ('a', 1), got boolean True"),
        (int | None, "x", "expected integer or null, got string 'x'"),
        (int | None, 1.5, "expected integer or null, got number 1.5"),
        (datetime.date | uuid.UUID, "x", "expected string or string; tried string (expected a date"),
        (datetime.datetime, "2030-01-02", "expected a date and time (ISO 8601"),
        (datetime.datetime, 1893456000, "expected a date and time"),
        (datetime.date, "20300102", "expected a date (ISO 8601, 2030-12-31), got string '20300102'"),
        (datetime.date, "2030-02-30", "expected a date"),
        (datetime.time, "2030", "expected a time"),
        (datetime.timedelta, "P", "expected a duration"),
        (datetime.timedelta, "P99999999999D", "expected a duration"),
        (uuid.UUID, "x", "expected a UUID"),
        (decimal.Decimal, "NaN", "expected a decimal number"),
        (decimal.Decimal, 1.1, "expected a decimal number as a string, got number 1.1"),
        (bytes, "?", "expected bytes in base64"),
        (Place, "Faro", "expected an object for Place, got string 'Faro'"),
        (Place, [], "expected an object for Place, got array"),
        (Even, {"number": 1}, "the number must be even"),
        (Cat | Dog, {}, "expected Cat or Dog, which their fields tell apart (Cat has 'lives', Dog has 'tricks')"),
        (Cat | Dog, {"lives": 1, "tricks": []}, "got an object with 'lives', 'tricks'"),
        (Cat | int, "x", "expected Cat or integer, got string 'x'"),
    ],
)
def test_a_value_of_another_type_is_refused(target: Any, data: Any, said: str) -> None:
    """Nothing is coerced, and the message says what was expected and what came instead."""
    found = invalid(data, target)
    assert ["$"] == list(found)
    assert said in found["$"]


@attrs.frozen
class Trip:
    places: list[Place]
    days: int
    colour: Colour
    pets: dict[str, Cat | Dog]
    limited: Limited


def test_every_problem_is_told_with_its_path() -> None:
    """All problems of an answer come at once, whatever their kind and depth."""
    data = {
        "places": [{"name": "Faro"}, {"nam": "Evora"}, "Beja"],
        "days": "3",
        "color": "red",
        "pets": {"tom": {"lives": "nine"}, "the dog": {"tricks": [1]}},
        "limited": {"size": 0, "code": "abc", "tags": ["a", "b", "c"], "mood": "so so"},
    }
    assert {
        "$.color": "unknown field; did you mean 'colour'?",
        "$.places[1].nam": "unknown field; did you mean 'name'?",
        "$.places[1].name": "missing; expected string",
        "$.places[2]": "expected an object for Place, got string 'Beja'",
        "$.days": "expected integer, got string '3'",
        "$.colour": "missing; expected Colour",
        "$.pets.tom.lives": "expected integer, got string 'nine'",
        "$.pets['the dog'].tricks[0]": "expected string, got integer 1",
        "$.limited.size": "'size' must be >= 1: 0",
        "$.limited.code": "'code' must match regex '[A-Z]+' ('abc' doesn't)",
        "$.limited.tags": "Length of 'tags' must be <= 2: 3",
        "$.limited.mood": "'mood' must be in ['good', 'bad'] (got 'so so')",
    } == invalid(data, Trip)


def test_validators_are_asked_though_other_fields_are_wrong() -> None:
    """A refused value is told beside a missing one, so that one repair can mend both."""
    assert {"$.code": "missing; expected string", "$.size": "'size' must be < 10: 10"} == invalid({"size": 10}, Limited)


def test_a_validator_that_looks_at_other_fields_waits_for_them() -> None:
    """A validator over two fields speaks when both are there, and does not fail when one is missing."""
    assert {"$.high": "high must be above low"} == invalid({"low": 3, "high": 2}, Range)
    assert {"$.low": "expected integer, got string '3'"} == invalid({"low": "3", "high": 2}, Range)


def test_a_null_stands_for_a_default() -> None:
    """A null leaves out a field with a default, as strict dialects demand; a field that may be null is null."""
    assert Place("Faro") == structure({"name": "Faro", "country": None}, Place)
    assert Tree(1) == structure({"value": 1, "children": None, "parent": None}, Tree)
    assert ["$.name"] == list(invalid({"name": None}, Place))


def test_unions_of_classes_are_told_apart() -> None:
    """The problems of the class that was meant are told, not those of all classes."""
    assert {"$.size": "expected number, got string 'big'"} == invalid(
        {"kind": "circle", "size": "big"}, Circle | Square
    )
    assert {"$.kind": "expected one of 'circle', 'square'; got string 'cirle'; did you mean 'circle'?"} == invalid(
        {"kind": "cirle", "size": 1}, Circle | Square
    )
    assert {"$.type": "expected one of 'Metres', 'Feet'; missing"} == invalid({"value": 1}, Metres | Feet)
    assert {"$.lives": "expected integer, got null"} == invalid({"lives": None}, Cat | Dog)


class Outfit(Node):
    weather: Annotated[str, Dep(lambda: "dry")]
    earlier: Annotated[int, Recall()]
    top: str
    size: int = field(default=3, validator=v.ge(1))

    async def __call__(self) -> None: ...


def test_given_values_are_kept_as_they_are() -> None:
    """Values that are resolved are taken by identity, and the answer may not speak of them."""
    weather: Any = object()
    made: Outfit = structure({"top": "shirt"}, Outfit, only=("top", "size"), given={"weather": weather, "earlier": 1})
    assert weather is made.weather
    assert ("shirt", 3) == (made.top, made.size)
    assert {"$.weather": "unknown field; expected 'top'"} == invalid(
        {"top": "x", "weather": "wet"}, Outfit, only=("top",), given={"weather": weather, "earlier": 1}
    )


def test_only_plain_fields_of_a_node_are_read() -> None:
    """What the engine resolves is no part of an answer."""
    assert ["$.weather"] == list(invalid({"top": "x", "weather": "wet"}, Outfit))


def test_problems_are_bounded() -> None:
    """A long answer in which all is wrong gives a bounded error."""
    with pytest.raises(InvalidAnswer) as caught:
        structure(["x"] * 10_000, list[int])
    assert MAX_PROBLEMS + 1 == len(caught.value.invalid)
    with pytest.raises(InvalidAnswer) as caught:
        structure({f"unknown{number}": 1 for number in range(10_000)}, Place)
    assert len(caught.value.invalid) < 30


def test_a_long_wrong_word_gives_a_short_message() -> None:
    """Long values and keys are cut where they are told."""
    word = "red" * 100_000
    assert len(invalid(word, Colour)["$"]) < 200
    assert len(str(invalid({word: 1, "name": "Faro"}, Place))) < 1000


def test_deep_data_is_refused_not_overflowed() -> None:
    """Data nested beyond the stack is an invalid answer, not a RecursionError."""
    data: Any = {"value": 1}
    for _ in range(20_000):
        data = {"value": 1, "parent": data}
    with pytest.raises(InvalidAnswer, match="nested too deeply"):
        structure(data, Tree)


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), object(), print, {1: 2}, [object()]])
def test_what_has_no_form_in_json_is_not_written(value: object) -> None:
    """A value without a form in JSON is refused when it is written, wherever it stands."""
    with pytest.raises(TypeError):
        unstructure(value)


def test_sets_are_written_in_one_order() -> None:
    """Equal sets are written alike."""
    assert ["a", "b", "c"] == unstructure({"c", "b", "a"}) == unstructure({"a", "c", "b"})


def test_a_type_without_a_form_in_json_is_named() -> None:
    """Structuring into what JSON cannot hold is a mistake in the program, not in the answer."""
    with pytest.raises(UnsupportedType, match="complex"):
        structure(1, complex)


def test_a_mapping_beside_several_classes_is_read() -> None:
    """An object that is meant for none of a union's classes is read as the mapping that stands beside them."""

    @attrs.frozen
    class One:
        x: int

    @attrs.frozen
    class Other:
        x: int

    hint = dict[str, int] | One | Other
    assert {} == structure({}, hint)
    assert {"x": 1} == structure({"x": 1}, hint)
    assert Other(1) == structure({"type": "Other", "x": 1}, hint)
