"""Random types with random values of them: what is written is read back exactly, and what is read can be written."""

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import itertools
import pathlib
import typing
import uuid
import zoneinfo
from typing import Any, Literal, NamedTuple, TypedDict, Union

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.codec_cases import codec, round_trip, same, through_text
from dagflow import Node
from dagflow.core.codec import Unreadable, Unwritable

Case = tuple[Any, st.SearchStrategy[Any]]
"""A hint, and its values."""


class Colour(enum.Enum):
    RED = "red"
    BLUE = (1, 2)


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Word(str, enum.Enum):  # noqa: UP042  # as it was before StrEnum
    YES = "yes"
    NO = "no"


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


@attrs.frozen
class Point:
    x: int
    y: float = 0.0


@attrs.frozen
class PointToo:
    x: int
    y: float = 0.0


@dataclasses.dataclass(slots=True)
class Tree:
    label: str
    children: "list[Tree]"


class Pair(NamedTuple):
    left: str
    right: "int | None" = None


class Movie(TypedDict, total=False):
    title: typing.Required[str]
    year: int


class Asked(Node):
    question: str
    answers: list[str | None]

    async def __call__(self) -> None: ...


TEXT = st.text(max_size=6) | st.sampled_from(["$", "$float", "$dict", "$Point", "", "\ud800", "\ud83d\ude00", "é"])
ZONES = st.sampled_from(
    [
        None,
        datetime.UTC,
        datetime.timezone(datetime.timedelta(hours=-3, seconds=7)),
        datetime.timezone(datetime.timedelta(hours=1), "CET"),
        zoneinfo.ZoneInfo("Europe/Prague"),
        zoneinfo.ZoneInfo("UTC"),
    ]
)
FOLDS = st.integers(0, 1)
INTS = st.integers() | st.integers(-3, 3) | st.sampled_from([2**2048, -(2**2048), 2**2048 - 1])
POINTS = st.builds(Point, st.integers(0, 2), st.floats())
TREES = st.recursive(
    st.builds(Tree, TEXT, st.just([])), lambda inner: st.builds(Tree, TEXT, st.lists(inner, max_size=2)), max_leaves=4
)
MOMENTS = st.datetimes().flatmap(lambda moment: st.builds(moment.replace, tzinfo=ZONES, fold=FOLDS))
TIMES = st.times().flatmap(lambda time: st.builds(time.replace, tzinfo=ZONES, fold=FOLDS))
PATHS = TEXT.map(lambda text: text.replace("\0", ""))

SCALARS: list[Case] = [
    (None, st.none()),
    (bool, st.booleans()),
    (int, INTS | st.booleans()),
    (float, st.floats() | st.integers(-3, 3) | st.just(2**2048)),
    (str, TEXT),
    (bytes, st.binary(max_size=6)),
    (datetime.datetime, MOMENTS),
    (datetime.date, st.dates() | st.datetimes()),
    (datetime.time, TIMES),
    (datetime.timedelta, st.timedeltas()),
    (uuid.UUID, st.uuids()),
    (decimal.Decimal, st.decimals(allow_nan=False) | st.just(decimal.Decimal("NaN7"))),
    (pathlib.Path, PATHS.map(pathlib.Path)),
    (pathlib.PurePath, PATHS.map(pathlib.PurePosixPath) | PATHS.map(pathlib.Path)),
    (pathlib.PureWindowsPath, st.sampled_from(["c:\\a", "c:a", "\\\\h\\s\\a", "a/b", ""]).map(pathlib.PureWindowsPath)),
    (Colour, st.sampled_from(Colour)),
    (Size, st.sampled_from(Size)),
    (Word, st.sampled_from(Word)),
    (Access, st.sampled_from([Access(0), Access.READ, Access.READ | Access.WRITE])),
    (Literal["a", 1, None, b"x", Colour.RED], st.sampled_from(["a", 1, None, b"x", Colour.RED])),
    (Literal[True, 0], st.sampled_from([True, 0])),
]
CLASSES: list[Case] = [
    (Point, POINTS),
    (PointToo, st.builds(PointToo, st.integers(0, 2))),
    (Tree, TREES),
    (Pair, st.builds(Pair, TEXT, st.none() | st.integers())),
    (Movie, st.fixed_dictionaries({"title": TEXT}, optional={"year": st.integers()})),
    (Asked, st.builds(Asked, question=TEXT, answers=st.lists(st.none() | TEXT, max_size=2))),
]
ANYTHING = st.recursive(
    st.one_of([values for _, values in SCALARS]) | POINTS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(TEXT | st.integers(-2, 2) | st.none(), inner, max_size=3)
        | st.builds(Tree, TEXT, st.just([]))
    ),
    max_leaves=5,
)
BASES: list[Case] = [(Any, ANYTHING), (object, ANYTHING)]
REGISTERED = (Point, Tree, Colour, Size, Word, Access)


def one_of(cases: list[Case]) -> st.SearchStrategy[Case]:
    """Any of these; not `sampled_from`, which shows them all in every failure."""
    return st.integers(0, len(cases) - 1).map(lambda place: cases[place])


WRITES, READS = codec("writes", *REGISTERED), codec("reads", *REGISTERED)
HASHABLE = one_of(SCALARS)
MADE = itertools.count()


def of(generic: Any, *arguments: Any) -> Any:
    """Give a generic its arguments, which type checkers want to see written out."""
    return generic[arguments]


def lists_of(hint: Any, values: st.SearchStrategy[Any]) -> list[Case]:
    lists = st.lists(values, max_size=3)
    tuples = lists.map(tuple)
    return [
        (of(list, hint), lists),
        (of(tuple, hint, ...), tuples),
        (of(tuple, hint, int), st.tuples(values, st.integers())),
        (of(collections.abc.Sequence, hint), lists | tuples),
        (of(collections.abc.Iterable, hint), lists | tuples),
        (of(dict, str, hint), st.dictionaries(TEXT, values, max_size=3)),
        (of(collections.abc.Mapping, int, hint), st.dictionaries(INTS, values, max_size=3)),
        (typing.Annotated[hint, "a note"], values),
        (typing.NewType("New", hint), values),
    ]


def hashed(inner: Case) -> list[Case]:
    hint, values = inner
    return [
        (of(set, hint), st.sets(values, max_size=3)),
        (of(frozenset, hint), st.frozensets(values, max_size=3)),
        (of(collections.abc.Set, hint), st.frozensets(values, max_size=3) | st.sets(values, max_size=3)),
        (of(dict, hint, str), st.dictionaries(values, TEXT, max_size=3)),
    ]


def made_class(inner: list[Case]) -> Case:
    """A new class, of one of the kinds that there are, with fields of these types."""
    number = next(MADE)
    name = f"Made{number}"
    names = ["alpha", "_beta", "gamma"][: len(inner)]
    fields: dict[str, Any] = dict(zip(names, (hint for hint, _ in inner), strict=True))
    cls: Any
    if number % 3 == 2:
        cls = dataclasses.make_dataclass(name, fields.items(), slots=number % 2 == 0)
        return cls, st.builds(cls, **dict(zip(names, (values for _, values in inner), strict=True)))
    cls = attrs.make_class(
        name,
        {key: attrs.field(type=hint) for key, hint in fields.items()},
        slots=number % 3 == 0,
        frozen=number % 2 == 0,
    )
    return cls, st.builds(cls, **{key.lstrip("_"): pair[1] for key, pair in zip(names, inner, strict=True)})


def union_of(inner: list[Case]) -> Case:
    return Union[tuple(hint for hint, _ in inner)], st.one_of([values for _, values in inner])  # noqa: UP007


def compound(children: st.SearchStrategy[Case]) -> st.SearchStrategy[Case]:
    return st.one_of(
        children.flatmap(lambda inner: one_of(lists_of(*inner))),
        HASHABLE.flatmap(lambda inner: one_of(hashed(inner))),
        children.map(lambda inner: union_of([inner, (None, st.none())])),
        st.lists(children, min_size=2, max_size=3).map(union_of),
        st.lists(children, min_size=1, max_size=3).map(made_class),
    )


TYPES = st.recursive(one_of([*SCALARS, *CLASSES, *BASES]), compound, max_leaves=6)
SLOW = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.slow
@SLOW
@given(st.data())
def test_what_is_written_is_read_back_exactly(data: st.DataObject) -> None:
    """Any value of any type that can be written is, through text, read back equal and of the same types."""
    hint, values = data.draw(TYPES)
    if WRITES.problem(hint) is None:
        round_trip(hint, data.draw(values), *REGISTERED)


KEYS = ["x", "y", "label", "children", "left", "title", "alpha", "_beta", "question", "a"]
TAGS = [
    "$Point",
    "$Tree",
    "$Pair",
    "$tuple",
    "$set",
    "$frozenset",
    "$dict",
    "$float",
    "$int",
    "$str",
    "$bytes",
    "$date",
]
TAGS += [
    "$datetime",
    "$time",
    "$timedelta",
    "$Decimal",
    "$UUID",
    "$PosixPath",
    "$WindowsPath",
    "$Colour",
    "$Access",
    "$",
]
WORDS = ["RED", "nan", "inf", "2030-01-02", "2030-01-02T03:04:05", "2030-01-02T03:04:05[Europe/Prague]", "PT1S", "1.50"]
WORDS += ["P1DT0S", "eHl6", "c:\\a", "0x1", hex(2**2048), "x", "-0", "03:04:05[fold=1]", "/etc[../x]", "\ud800", ""]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        | st.dictionaries(st.sampled_from(TAGS), inner, min_size=1, max_size=1)
        | st.dictionaries(st.sampled_from(KEYS + TAGS), inner, max_size=3)
        | st.lists(st.tuples(inner, inner).map(list), max_size=2).map(lambda pairs: {"$dict": pairs})
    ),
    max_leaves=8,
)


@pytest.mark.slow
@SLOW
@given(st.data())
def test_any_data_is_a_value_that_can_be_written_or_refused(data: st.DataObject) -> None:
    """Whatever JSON a store gives, it is a value of the type, which is written and read again, or `Unreadable`."""
    hint, _ = data.draw(TYPES)
    given_data = data.draw(JSON)
    try:
        value = READS.reader(hint)(given_data)
    except Unreadable:
        return
    assert same(value, READS.reader(hint)(through_text(WRITES.writer(hint)(value))))


@pytest.mark.slow
@SLOW
@given(st.data())
def test_damaged_data_are_a_value_or_refused(data: st.DataObject) -> None:
    """What was written for one type, read as another, is a value of that one, or `Unreadable`."""
    (hint, values), (other, _) = data.draw(TYPES), data.draw(TYPES)
    if WRITES.problem(hint) is not None:
        return
    try:
        value = READS.reader(other)(WRITES.writer(hint)(data.draw(values)))
    except Unreadable:
        return
    assert same(value, READS.reader(other)(through_text(WRITES.writer(other)(value))))


@pytest.mark.slow
@SLOW
@given(st.data())
def test_a_value_of_another_type_is_written_exactly_or_refused(data: st.DataObject) -> None:
    """A value that was declared wrongly is read back exactly all the same, or `Unwritable`; never changed."""
    (_, values), (other, _) = data.draw(TYPES), data.draw(TYPES)
    value = data.draw(values)
    try:
        written = WRITES.writer(other)(value)
    except Unwritable:
        return
    assert same(value, READS.reader(other)(through_text(written)))
