"""The codec: the registry of types, Serializers, and the names of classes."""

import collections
import datetime
import enum
import json
import subprocess
import sys
from typing import Any, TypedDict

import attrs
import pytest

from core.codec_cases import round_trip
from dagflow.core.codec import Codec, Serializer, Unreadable, Unwritable
from dagflow.core.secrets import Secret


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and other.cents == self.cents

    def __hash__(self) -> int:
        return hash(self.cents)


class Coin(Money):
    pass


class Name(str):
    __slots__ = ()


@attrs.frozen
class Place:
    name: str
    extra: Any = None


@attrs.frozen
class Trip:
    to: Place
    extra: Any = None


class Colour(enum.Enum):
    RED = 1


class Movie(TypedDict):
    title: str


MONEY = Serializer(Money, lambda money: money.cents, Money)


def same_name(cls: type) -> Any:
    other: Any = attrs.make_class(cls.__name__, {"name": attrs.field(type=str)})
    other.__qualname__ = cls.__qualname__
    return other


def test_a_serializer_writes_its_class_wherever_it_is() -> None:
    """With its name before the data, declared or not; the data may be whatever can be written."""
    assert {"$Money": 3} == round_trip(Money, Money(3), MONEY)
    assert [{"$Money": 3}] == round_trip(list[Any], [Money(3)], MONEY)
    assert {"$dict": [[{"$Money": 3}, 1]]} == round_trip(dict[Money, int], {Money(3): 1}, MONEY)
    since = Serializer(
        Money, lambda money: (money.cents, {"$since": money.cents}), lambda data: Money(data[0]), name="M"
    )
    assert {"$M": {"$tuple": [3, {"$dict": [["$since", 3]]}]}} == round_trip(Money, Money(3), since)
    queue = Serializer(collections.deque, list, collections.deque)
    assert {"$deque": [1, "a"]} == round_trip(Any, collections.deque([1, "a"]), queue)


def test_a_serializer_may_stand_for_a_subclass_of_what_is_built_in() -> None:
    """A registered subclass of `str` is no longer taken for a `str`, and comes back as itself."""
    assert {"$Name": "a"} == round_trip(str, Name("a"), Serializer(Name, str, Name))
    assert ["b", {"$Name": "a"}] == round_trip(list[str], ["b", Name("a")], Serializer(Name, str, Name))
    assert {"$Name": "a"} == round_trip(Name, Name("a"), Serializer(Name, str, Name))


def test_a_serializer_comes_before_what_the_codec_would_do() -> None:
    """Whoever registers functions for an attrs class wants them."""
    serializer = Serializer(Place, lambda place: place.name, Place)
    assert {"to": {"$Place": "a"}, "extra": None} == round_trip(Trip, Trip(Place("a")), serializer)


@pytest.mark.parametrize(
    ("write", "value", "reason"),
    [
        (lambda money: 1 // 0, Money(1), r"^\$: .* its Serializer failed: ZeroDivisionError: integer division"),
        (lambda money: [money.__class__], Money(1), r"gave what cannot be written \(\$\[0\]: a value of type type"),
        (lambda money: money, Money(1), "it holds itself, or more than 200"),
        (lambda money: money.cents, Coin(1), "Money is declared, of which it is a subclass. Register Coin"),
    ],
)
def test_a_serializer_that_fails_to_write_is_told(write: Any, value: Any, reason: str) -> None:
    """Errors of the user's functions become `Unwritable`, with their cause."""
    with pytest.raises(Unwritable, match=reason):
        Codec([Serializer(Money, write, Money)]).writer(Money)(value)


@pytest.mark.parametrize(
    ("read", "data", "problem"),
    [
        (lambda data: 1 // 0, {"$Money": 1}, "the Serializer of Money failed: ZeroDivisionError"),
        (lambda data: data, {"$Money": 1}, "the Serializer of Money gave a int"),
        (Coin, {"$Money": 1}, "the Serializer of Money gave a Coin"),
        (Money, 1, "expected an object {'$Money': ...}, got integer 1"),
        (Money, {"$Money": {"$Gone": 1}}, r"$.$Money: the class Gone is not known here"),
    ],
)
def test_a_serializer_that_fails_to_read_is_told(read: Any, data: Any, problem: str) -> None:
    """Errors of the user's functions become `Unreadable`, with their cause."""
    with pytest.raises(Unreadable) as caught:
        Codec([Serializer(Money, hash, read)]).reader(Money)(data)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("types", "error", "message"),
    [
        ([Place, Place], ValueError, "Place is registered twice"),
        ([Place, Serializer(Place, str, str)], ValueError, "Place is registered twice"),
        (
            [Place, same_name(Place)],
            ValueError,
            r"two classes are called Place; register one as Serializer\(..., name=",
        ),
        ([MONEY, Serializer(Coin, str, str, name="Money")], ValueError, "two classes are called Money"),
        ([Serializer(Coin, str, str, name="tuple")], ValueError, "two classes are called tuple"),
        ([Serializer(Coin, str, str, name="float")], ValueError, "two classes are called float"),
        (
            [Money],
            ValueError,
            "Money cannot be registered: .* it is neither plain data .* register it or a Serializer for it",
        ),
        ([list], ValueError, "list need not be registered"),
        ([datetime.date], ValueError, "date need not be registered"),
        ([list[int]], TypeError, r"a codec takes classes and Serializers, not list\[int\]"),
        (["Place"], TypeError, "a codec takes classes and Serializers, not 'Place'"),
        ([attrs.make_class("Odd", {"held": attrs.field(type=Money)})], ValueError, "Odd.held: Money cannot be written"),
        ([Secret], ValueError, "Secret cannot be registered: .* no secret is ever written"),
    ],
)
def test_what_cannot_be_registered_is_refused(types: Any, error: type[Exception], message: str) -> None:
    """A registry that could not work is refused when it is made."""
    with pytest.raises(error, match=message):
        Codec(types)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((Secret, str, str), ValueError, "Secret is a secret, and no secret is ever written"),
        ((type("Key", (Secret,), {}), str, str), ValueError, "Key is a secret"),
        (("Money", str, str), TypeError, "'cls' must be <class 'type'>"),
        ((Money, "write", str), TypeError, "'write' must be callable"),
        ((Money, str, str, ""), ValueError, "the name of a Serializer must be printable text, not ''"),
        ((Money, str, str, "a\nb"), ValueError, "must be printable text"),
        ((Money, str, str, 5), TypeError, "'name' must be <class 'str'>"),
    ],
)
def test_a_serializer_that_could_not_work_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    """Its arguments are looked at when it is made."""
    with pytest.raises(error, match=message):
        Serializer(*arguments)


def test_what_a_declared_type_names_is_known_for_it() -> None:
    """Classes that stand anywhere in a hint may be values wherever the hint leaves that open; others may not."""
    assert {"to": {"name": "a", "extra": None}, "extra": {"$Place": {"name": "b", "extra": None}}} == round_trip(
        Trip, Trip(Place("a"), Place("b"))
    )
    assert {"name": "a", "extra": {"$Colour": "RED"}} == round_trip(Place | Colour, Place("a", Colour.RED))
    with pytest.raises(Unwritable, match="it is neither plain data nor a class that is known here"):
        Codec().writer(Place)(Place("a", Colour.RED))
    with pytest.raises(Unreadable, match=r"\$\.extra: the class Colour is not known here"):
        Codec().reader(Place)({"name": "a", "extra": {"$Colour": "RED"}})


def test_what_is_known_does_not_depend_on_what_came_before() -> None:
    """A hint that another use made known is not known for this one: another process may not have had that use."""
    codec = Codec()
    assert codec.writer(Trip)(Trip(Place("a"), Place("b")))
    with pytest.raises(Unwritable, match="it is neither plain data"):
        codec.writer(Any)(Place("b"))


def test_what_a_registered_class_names_is_known_too() -> None:
    """As it is for a declared type."""
    assert {"$Trip": {"to": {"name": "a", "extra": None}, "extra": {"$Place": {"name": "b", "extra": None}}}} == (
        round_trip(Any, Trip(Place("a"), Place("b")), Trip)
    )


def test_a_name_that_two_classes_have_is_given_to_neither() -> None:
    """Where a declared type names two classes of one name, they are written where they are declared only."""
    other = same_name(Place)
    hint = tuple[Place, other, Any]  # type: ignore[valid-type]  # made here
    assert [{"name": "a", "extra": None}, {"name": "b"}, 1] == round_trip(hint, (Place("a"), other("b"), 1))
    for value in (Place("c"), other("c")):
        with pytest.raises(Unwritable, match=r"\$\[2\]: .*it is neither plain data nor a class that is known here"):
            Codec().writer(hint)((Place("a"), other("b"), value))


def test_typed_dicts_may_be_registered() -> None:
    """Their values are dicts, which are written as such where nothing is declared."""
    assert {"title": "a"} == round_trip(Any, {"title": "a"}, Movie)


@pytest.mark.slow
def test_another_process_reads_what_is_written() -> None:
    """Nothing in the data depends on the process: not the modules, nor the order in which things were asked for."""
    text = json.dumps(Codec([Place]).writer(Any)([Place("a", (1,)), {1: {2}}]))
    program = (
        "import attrs, json, sys; from typing import Any; from dagflow.core.codec import Codec\n"
        "@attrs.frozen\nclass Place:\n  name: str\n  extra: Any = None\n"
        "print(Codec([Place]).reader(Any)(json.loads(sys.argv[1])))"
    )
    found = subprocess.run([sys.executable, "-c", program, text], capture_output=True, text=True, check=True)
    assert "[Place(name='a', extra=(1,)), {1: {2}}]" == found.stdout.strip()


@pytest.mark.slow
def test_cattrs_is_imported_only_where_a_codec_is_made() -> None:
    """It takes a tenth of a second, which a run without a store need not wait."""
    loaded = "print('cattrs' in sys.modules)"
    program = f"import sys; import dagflow.core.codec as codec; {loaded}; codec.Codec(); {loaded}"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ["False", "True"] == found.stdout.split()
