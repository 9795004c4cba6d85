"""The codec: instances come back in the state that they had, without `__init__`, validators and converters."""

import abc
import dataclasses
import datetime
import functools
import sys
from collections import namedtuple
from typing import Annotated, Any, Generic, NamedTuple, NotRequired, Protocol, TypedDict, TypeVar

import attrs
import pytest
from typing_extensions import TypeAliasType

from core.codec_cases import codec, round_trip, same, through_text
from dagflow import Dep, Node, dep
from dagflow.core.codec import Codec, Unreadable, Unwritable
from dagflow.core.markers import UNSET
from dagflow.core.secrets import Secret

CODEC = Codec()
T = TypeVar("T")


@attrs.define
class Slotted:
    _hidden: int
    renamed: str = attrs.field(alias="other")
    later: list[int] = attrs.field(init=False)


@attrs.frozen(slots=False, cache_hash=True)
class Hashed:
    name: str

    @functools.cached_property
    def length(self) -> int:
        return len(self.name)


@attrs.frozen(cache_hash=True)
class HashedSlotted:
    name: str

    @functools.cached_property
    def length(self) -> int:
        return len(self.name)


def double(value: int) -> int:
    return value * 2


def add_length(value: int, instance: Any) -> int:
    return value + len(instance.name)


ADD_LENGTH: Any = attrs.Converter(add_length, takes_self=True)  # mypy knows no such converters


@attrs.frozen
class Converting:
    number: int = attrs.field(converter=double, validator=attrs.validators.ge(10))
    total: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "total", self.number + 1)


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    value: "int | None"
    next: "Link | None" = None


@dataclasses.dataclass
class Counting:
    step: dataclasses.InitVar[int]
    total: int = dataclasses.field(init=False)
    unit: str = dataclasses.field(default="m", init=False)

    def __post_init__(self, step: int) -> None:
        self.total = step * 2


@attrs.frozen
class Box(Generic[T]):
    content: T
    more: "list[Box[T]]" = attrs.field(factory=list)


@attrs.frozen
class Crate(Box[datetime.date]):
    label: str = ""


@attrs.frozen
class Empty:
    pass


class Untouched(Slotted):
    """No attrs class by itself: it has a `__dict__` as well."""


class Pair(NamedTuple):
    left: "datetime.date"
    right: int = 0


class GenericPair(NamedTuple, Generic[T]):
    left: T


Bare = namedtuple("Bare", "a b")  # people still have them


class Movie(TypedDict):
    title: str
    year: NotRequired["int"]


Odd = TypedDict("Odd", {"$ref": datetime.date, "\ud800": int}, total=False)


class Ask(Node):
    question: str
    asked: datetime.date | None = None
    answer: str = dep(lambda: "yes")

    async def __call__(self) -> None: ...


answered: Any = Ask  # to type checkers, `answer` is not for the caller to give
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | str | float | bool | None")


def slotted(later: list[int] | None = None) -> Slotted:
    value = Slotted(1, other="a")
    if later is not None:
        value.later = later
    return value


def with_hash(value: Any) -> Any:
    assert hash(value)
    return value


@pytest.mark.parametrize(
    ("hint", "value", "data"),
    [
        (Slotted, slotted(), {"_hidden": 1, "renamed": "a"}),
        (Slotted, slotted([1]), {"_hidden": 1, "renamed": "a", "later": [1]}),
        (Hashed, with_hash(Hashed("a")), {"name": "a"}),
        (HashedSlotted, with_hash(HashedSlotted("a")), {"name": "a"}),
        (Converting, Converting(5), {"number": 10, "total": 11}),
        (Link, Link(1, Link(None)), {"value": 1, "next": {"value": None, "next": None}}),
        (Counting, Counting(2), {"total": 4}),
        (Box[int], Box(1, [Box(2)]), {"content": 1, "more": [{"content": 2, "more": []}]}),
        (Box, Box((1,)), {"content": {"$tuple": [1]}, "more": []}),
        (Crate, Crate(datetime.date(2030, 1, 2)), {"content": "2030-01-02", "more": [], "label": ""}),
        (Empty, Empty(), {}),
        (Untouched, Untouched(1, "a"), {"_hidden": 1, "renamed": "a"}),
        (Pair, Pair(datetime.date(2030, 1, 2)), {"left": "2030-01-02", "right": 0}),
        (GenericPair[int], GenericPair(1), {"left": 1}),
        (Bare, Bare(1, (2,)), {"a": 1, "b": {"$tuple": [2]}}),
        (Movie, {"year": 1, "title": "a"}, {"year": 1, "title": "a"}),
        (Movie, {"title": "a"}, {"title": "a"}),
        (
            Odd,
            {"$ref": datetime.date(2030, 1, 2), "\ud800": 1},
            {"$dict": [["$ref", "2030-01-02"], [{"$str": "7aCA"}, 1]]},
        ),
        (Ask, Ask(question="a"), {"question": "a", "asked": None}),
        (Ask, answered(question="a", answer="b"), {"question": "a", "asked": None, "answer": "b"}),
        (Json, {"a": [1, 1.5, None, {"$b": True}]}, {"a": [1, 1.5, None, {"$dict": [["$b", True]]}]}),
    ],
)
def test_an_instance_comes_back_in_its_state(hint: Any, value: Any, data: Any) -> None:
    """All fields are written under the names of the attributes, and nothing runs when they are read."""
    assert same(data, round_trip(hint, value))


if sys.version_info >= (3, 12):  # the syntax is new

    def test_classes_and_aliases_of_the_new_syntax() -> None:
        """`type X = ...` and `class Box[T]` are as those of old."""
        names: dict[str, Any] = {"attrs": attrs, "__name__": __name__}
        exec("type Row[T] = dict[str, T]\n@attrs.frozen\nclass Cell[T]:\n  row: Row[T]\n", names)
        assert {"row": {"a": []}} == round_trip(names["Cell"][tuple[()] | int], names["Cell"]({"a": ()}))
        assert {"row": {"a": [1]}} == round_trip(names["Cell"][tuple[int, ...]], names["Cell"]({"a": (1,)}))


@pytest.mark.parametrize("cls", [Hashed, HashedSlotted])
def test_what_is_read_can_be_hashed_and_computes_what_was_cached(cls: Any) -> None:
    """The caches of an instance are no state: they are filled again."""
    value = cls("abc")
    assert 3 == value.length
    found = CODEC.reader(cls)(CODEC.writer(cls)(value))
    assert (value, 3) == (found, found.length)
    assert hash(value) == hash(found)


class Plain:
    pass


@attrs.define(slots=False)
class Holder(Plain):
    name: str
    other: Any = None


class SlottedPlain:
    __slots__ = ("secret",)


@attrs.define
class OnSlots(SlottedPlain):
    name: str


class Point(NamedTuple):
    x: int


class NamedPoint(Point):
    pass


def holder_with(**extra: Any) -> Holder:
    holder = Holder("a")
    vars(holder).update(extra)
    return holder


def changed(value: Any, **attributes: Any) -> Any:
    for name, attribute in attributes.items():
        setattr(value, name, attribute)
    return value


def without(value: Any, name: str) -> Any:
    delattr(value, name)
    return value


@pytest.mark.parametrize(
    ("hint", "value", "path", "reason"),
    [
        (Holder, Plain(), "$", "Holder is declared; declare the type that it really has"),
        (Holder, holder_with(extra=1), "$", "it has the attribute 'extra', which is no field and would be lost"),
        (OnSlots, changed(OnSlots("a"), secret=1), "$", "it has the attribute 'secret', which is no field"),
        (Holder, without(Holder("a"), "name"), "$", "its field 'name' has no value; give it one"),
        (Holder, Holder("a", [Plain()]), "$.other[0]", "it is neither plain data nor a class that is known here"),
        (Holder, Holder(1), "$.name", "str is declared"),  # type: ignore[arg-type]  # that is the point
        (Slotted, Untouched(1, "a"), "$", "Slotted is declared, of which it is a subclass. Register Untouched"),
        (Point, NamedPoint(1), "$", "Point is declared, of which it is a subclass"),
        (NamedPoint, changed(NamedPoint(1), note="a"), "$", "it has attributes beside its items, which would be lost"),
        (tuple[int], Point(1), "$", "tuple is declared, of which it is a subclass. Register Point, or declare it"),
        (Movie, {"year": 1}, "$", "Movie is declared, and its key 'title' is missing"),
        (Movie, {"title": "a", "more": 1}, "$", "Movie is declared, which has no key .more; declare it"),
        (Movie, {"title": 1}, "$.title", "str is declared"),
        (Movie, Holder("a"), "$", "the typed dict Movie is declared; declare what it really is"),
        (Box[int], Box("a"), "$.content", "int is declared"),
        (Link, Link(1, Link("a")), "$.next.value", "int is declared"),  # type: ignore[arg-type]  # that is the point
    ],
)
def test_an_instance_that_would_not_come_back_is_refused(hint: Any, value: Any, path: str, reason: str) -> None:
    """What is no field, or not of its declared type, is never lost or changed in silence."""
    with pytest.raises(Unwritable) as caught:
        CODEC.writer(hint)(value)
    assert path == caught.value.path
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("hint", "data", "problem"),
    [
        (Link, 1, "$: expected Link as an object, got integer 1"),
        (Link, {"value": 1, "last": 1}, "$.last: Link has no such field; it has 'value', 'next'"),
        (Link, {"next": None}, "$: expected Link, got an object without its field 'value'"),
        (Link, {"value": 1, "next": {"value": "a"}}, "$.next.value: expected an integer, got string 'a'"),
        (Link, {"$Link": {"value": 1}}, "$: expected Link, got an object of one key, '$Link'"),
        (Link, {"$Pair": {"left": "2030-01-02"}}, "$: the class Pair is not known here"),
        (Pair, [1], "$: expected Pair as an object, got array"),
        (Pair, {"right": 1}, "$: expected Pair, got an object without its field 'left'"),
        (Movie, {"year": 1}, "$: expected Movie, got an object without its key 'title'"),
        (Movie, {"title": "a", "b": 1}, "$.b: Movie has no such field; it has 'title', 'year'"),
        (Movie, [], "$: expected Movie as an object, got array"),
        (Odd, {"$dict": [["$ref", "2030-01-02"]] * 2}, "$: expected every key once"),
    ],
)
def test_data_that_do_not_fit_are_refused(hint: Any, data: Any, problem: str) -> None:
    """The fault leads to the field."""
    with pytest.raises(Unreadable) as caught:
        CODEC.reader(hint)(data)
    assert str(caught.value).startswith(problem)


def test_a_field_that_was_added_has_its_default() -> None:
    """Data of before a field was added are read, with the default as the class makes it."""

    @attrs.frozen
    class Grown:
        name: str
        sizes: tuple[int, ...] = attrs.field(factory=lambda: [1], converter=tuple)
        shout: str = attrs.field(default=attrs.Factory(lambda self: self.name.upper(), takes_self=True))
        count: int = attrs.field(default=2, converter=ADD_LENGTH)  # type: ignore[misc]  # as above

    assert Grown("ab") == CODEC.reader(Grown)({"name": "ab"})
    assert Link(1, None) == CODEC.reader(Link)({"value": 1})
    assert Pair(datetime.date(2030, 1, 2), 0) == CODEC.reader(Pair)({"left": "2030-01-02"})


def test_a_default_that_fails_is_told() -> None:
    """An error of the user's own becomes `Unreadable`, with its cause."""

    @dataclasses.dataclass
    class Failing:
        value: int = dataclasses.field(default_factory=lambda: 1 // 0)

    with pytest.raises(Unreadable, match="the default of the field 'value' cannot be made: .*division") as caught:
        CODEC.reader(Failing)({})
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


# --- what could never be written


class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self) -> float: ...


@attrs.frozen
class Square(Shape):
    side: float

    def area(self) -> float:
        return self.side**2


@attrs.define
class Failed(Exception):
    code: int


@attrs.define
class Numbers(dict[str, int]):
    name: str


@attrs.frozen
class Client:
    url: str
    password: Secret


@attrs.frozen
class Session:
    client: Client
    retries: int = 3


class Speaks(Protocol):
    def speak(self) -> str: ...


@attrs.define(slots=False)
class Forward:
    nothing: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Kept(Node):
    client: Annotated[str, Dep(lambda: "a", record=False)]

    async def __call__(self) -> None: ...


@pytest.mark.parametrize(
    ("hint", "problem"),
    [
        (Plain, "Plain cannot be written: it is neither plain data nor a class that is known here; declare a narrower"),
        (list[Plain], "Plain cannot be written: it is neither plain data"),
        (dict[str, tuple[int, Plain]], "Plain cannot be written"),
        (Plain | Shape, "Plain cannot be written"),
        (Secret, "Secret cannot be written: no secret is ever written; mark the dependency that gives it record=False"),
        (Client, "Client.password: Secret cannot be written: no secret is ever written"),
        (Session | Plain, "Session.client: Client.password: Secret cannot be written"),
        (Failed, "Failed cannot be written: exceptions hold more than their fields; declare a narrower type"),
        (Numbers, "Numbers cannot be written: it derives from a built-in class, and holds more than its fields"),
        (Speaks, "Speaks cannot be written: it is neither plain data nor a class that is known here"),
        (Shape, "Shape cannot be written: it is neither plain data nor a class that is known here"),
        (type[Plain], "type[Plain] cannot be written: no data can stand for it; declare another type"),
        (type, "type cannot be written"),
        ("Callable[..., None]", "the hint 'Callable[..., None]' cannot be evaluated: "),
        (Forward, "the hint Forward cannot be evaluated: "),
        (5, "5 cannot be written: no data can stand for it"),
        ([int], "the hint [<class 'int'>] cannot be evaluated: "),
        (Kept, "Kept cannot be written: its field 'client' is marked record=False"),
    ],
)
def test_a_type_that_has_no_values_to_write_is_told(hint: Any, problem: str) -> None:
    """What could never be written is known before there is a value, and refused with the same words."""
    assert (CODEC.problem(hint) or "").startswith(problem)
    with pytest.raises(Unwritable) as unwritable:
        CODEC.writer(hint)(Plain())
    assert unwritable.value.reason == CODEC.problem(hint)
    with pytest.raises(Unreadable) as unreadable:
        CODEC.reader(hint)({})
    assert unreadable.value.problem == CODEC.problem(hint)


@pytest.mark.parametrize("hint", [Any, object, None, Link, Client | None, Json, list, Shape | Square, Box, Box[Any]])
def test_a_type_that_may_have_values_to_write_has_no_problem(hint: Any) -> None:
    """Where one value at least can be written, each value is asked."""
    assert CODEC.problem(hint) is None


def test_a_secret_is_refused_wherever_it_is() -> None:
    """No way leads a secret into a journal."""
    for hint, value in [
        (Any, Secret("a")),
        (list[Any], [Secret("a")]),
        (Client | None, Client("a", Secret("a"))),
        (dict[Any, Any], {Secret("a"): 1}),
        (Secret | None, Secret("a")),
    ]:
        with pytest.raises(Unwritable, match="no secret is ever written"):
            CODEC.writer(hint)(value)


def test_a_subclass_is_written_under_its_name_where_it_is_known() -> None:
    """A class that the declared type names, or that is registered, may stand where its base is declared."""
    value = Crate(datetime.date(2030, 1, 2))
    data = {"$Crate": {"content": "2030-01-02", "more": [], "label": ""}}
    assert data == round_trip(Box, value, Crate)
    assert {"$Square": {"side": 2.0}} == round_trip(Shape, Square(2.0), Square)
    assert [{"$Square": {"side": 2.0}}, {"side": 1.0}] == round_trip(tuple[Shape, Square], (Square(2.0), Square(1.0)))
    assert {"$Crate": data["$Crate"]} == round_trip(Any, value, Crate)
    with pytest.raises(Unreadable, match="expected Shape, got an object of one key, '\\$Crate'"):
        codec("reads", Square, Crate).reader(Shape)(data)


def test_a_node_in_a_value_is_written_whole_or_not_at_all() -> None:
    """A node that would come back without a field that it has is refused, as nobody would fill it again."""
    with pytest.raises(Unwritable, match="its field 'client' is marked record=False, and it would come back without"):
        CODEC.writer(Kept | None)(Kept(client="a"))
    found = CODEC.reader(Ask)(through_text(CODEC.writer(Ask)(Ask(question="a"))))
    assert found.answer is UNSET
