"""The codec: scalars, enums and literals, each read back exactly, and in no other form."""

import datetime
import decimal
import enum
import json
import math
import pathlib
import uuid
import zoneinfo
from typing import Annotated, Any, Literal, NewType, TypeVar

import pytest

from core.codec_cases import round_trip, same
from dagflow.core.codec import Codec, Unreadable, Unwritable

CODEC = Codec()
PRAGUE = zoneinfo.ZoneInfo("Europe/Prague")
UserId = NewType("UserId", int)
Text = TypeVar("Text", bound=str)
Number = TypeVar("Number", int, float)
Free = TypeVar("Free")


class Colour(enum.Enum):
    RED = "red"
    CRIMSON = "red"  # noqa: PIE796  # an alias
    BLUE = (1, 2)


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Access(enum.Flag):
    READ = enum.auto()
    WRITE = enum.auto()


class Bits(enum.IntFlag):
    ONE = 1


class Name(str):
    __slots__ = ()


class Moment(datetime.datetime):
    pass


def moment(*, fold: int = 0, zone: datetime.tzinfo | None = None) -> datetime.datetime:
    return datetime.datetime(2030, 10, 27, 2, 30, fold=fold, tzinfo=zone)


@pytest.mark.parametrize(
    ("hint", "value", "data"),
    [
        (None, None, None),
        (bool, True, True),
        (int, 7, 7),
        (int, True, True),
        (int, 2**64, 2**64),
        (int, -(2**9000), {"$int": hex(-(2**9000))}),
        (float, 0.1, 0.1),
        (float, -0.0, -0.0),
        (float, 1e300, 1e300),
        (float, 3, 3),
        (float, math.nan, {"$float": "nan"}),
        (float, -math.inf, {"$float": "-inf"}),
        (str, "žluť \u2028 \0 😀", "žluť \u2028 \0 😀"),
        (str, "a\ud83d\ude00", {"$str": "Ye2gve24gA=="}),
        (bytes, b"\xff\0", "/wA="),
        (datetime.date, datetime.date(1, 1, 1), "0001-01-01"),
        (datetime.date, moment(), {"$datetime": "2030-10-27T02:30:00"}),
        (datetime.datetime, moment(zone=datetime.UTC), "2030-10-27T02:30:00+00:00"),
        (datetime.datetime, moment(fold=1), "2030-10-27T02:30:00[fold=1]"),
        (datetime.datetime, moment(fold=1, zone=PRAGUE), "2030-10-27T02:30:00[Europe/Prague][fold=1]"),
        (
            datetime.datetime,
            moment(zone=datetime.timezone(datetime.timedelta(seconds=-3601, microseconds=5))),
            "2030-10-27T02:30:00-01:00:00.999995",
        ),
        (
            datetime.datetime,
            moment(zone=datetime.timezone(datetime.timedelta(hours=1), "CET")),
            "2030-10-27T02:30:00+01:00[CET]",
        ),
        (datetime.datetime, datetime.datetime.max, "9999-12-31T23:59:59.999999"),
        (datetime.time, datetime.time(1, 2, 3, 4, PRAGUE), "01:02:03.000004[Europe/Prague]"),
        (datetime.timedelta, datetime.timedelta(microseconds=-1), "-P0DT0.000001S"),
        (datetime.timedelta, datetime.timedelta.min, "-P999999999DT0S"),
        (datetime.timedelta, datetime.timedelta.max, "P999999999DT86399.999999S"),
        (uuid.UUID, uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal, decimal.Decimal("-0E-7"), "-0E-7"),
        (decimal.Decimal, decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal, decimal.Decimal("sNaN12"), "sNaN12"),
        (pathlib.Path, pathlib.Path("/a/b"), "/a/b"),
        (pathlib.PurePath, pathlib.PurePosixPath(), "."),
        (pathlib.PurePath, pathlib.Path("a"), {"$PosixPath": "a"}),
        (pathlib.PurePath, pathlib.PureWindowsPath("c:\\a"), {"$PureWindowsPath": "c:\\a"}),
        (pathlib.Path, pathlib.Path("a\udcff"), {"$str": "Ye2zvw=="}),
        (Colour, Colour.CRIMSON, "RED"),
        (Colour, Colour.BLUE, "BLUE"),
        (Size, Size.LARGE, "LARGE"),
        (Access, Access.READ | Access.WRITE, 3),
        (Access, Access(0), 0),
        (Bits, Bits(9), 9),
        (Literal["a", 1], 1, 1),
        (Literal[b"a", Colour.RED], Colour.RED, {"$Colour": "RED"}),
        (Literal[b"a", Colour.RED], b"a", {"$bytes": "YQ=="}),
        (UserId, 7, 7),
        (Annotated[int, []], 7, 7),
        (Text, "a", "a"),
        (Number, 1.5, 1.5),
        (Free, moment(), {"$datetime": "2030-10-27T02:30:00"}),
    ],
)
def test_a_scalar_is_read_back_exactly(hint: Any, value: Any, data: Any) -> None:
    """A scalar has the form that the documentation says, and comes back equal and of the same type."""
    assert same(data, round_trip(hint, value))


@pytest.mark.parametrize(
    ("hint", "value", "reason"),
    [
        (None, 0, "a value of type int cannot be written: None is declared; declare the type that it really has"),
        (bool, 1, "a value of type int cannot be written: bool is declared"),
        (int, 1.0, "a value of type float cannot be written: int is declared"),
        (float, True, "a value of type bool cannot be written: float is declared"),
        (str, b"a", "a value of type bytes cannot be written: str is declared"),
        (str, Name("a"), "str is declared, of which it is a subclass. Register Name, or declare it"),
        (int, Size.SMALL, "int is declared, of which it is a subclass. Register Size, or declare it"),
        (datetime.datetime, Moment(2030, 1, 1), "datetime is declared, of which it is a subclass. Register Moment"),
        (datetime.datetime, datetime.date(2030, 1, 1), "a value of type date cannot be written: datetime is declared"),
        (
            datetime.datetime,
            moment(zone=type("Zone", (datetime.tzinfo,), {})()),
            "its time zone is a Zone; use datetime.timezone, or zoneinfo.ZoneInfo with a key",
        ),
        (
            datetime.datetime,
            moment(zone=datetime.timezone(datetime.timedelta(), "a]")),
            "its time zone has the name 'a]', which must be printable and without [, ] and =",
        ),
        (Colour, "red", "Colour is declared"),
        (Literal[1, "a"], True, "Literal[1, 'a'] is declared, and it is none of these"),
        (Literal[1, "a"], [], "a value of type list cannot be written: Literal[1, 'a'] is declared"),
        (Number, "a", "a value of type str cannot be written: int | float is declared"),
    ],
)
def test_a_value_that_would_not_come_back_is_refused(hint: Any, value: Any, reason: str) -> None:
    """What is declared as something else, or cannot be told whole, is refused with what to do."""
    with pytest.raises(Unwritable) as caught:
        CODEC.writer(hint)(value)
    assert reason in str(caught.value)
    assert "$" == caught.value.path
    assert type(value) is caught.value.value_type


@pytest.mark.parametrize(
    ("hint", "data", "problem"),
    [
        (None, 0, "$: expected null, got integer 0"),
        (bool, 1, "$: expected a boolean, got integer 1"),
        (int, 1.0, "$: expected an integer, got number 1.0"),
        (int, {"$int": "0x1"}, "$: expected a large integer in hexadecimal, got string '0x1'"),
        (int, {"$int": 5}, "$: expected a large integer in hexadecimal, got integer 5"),
        (float, True, "$: expected a finite number, got boolean True"),
        (float, math.inf, "$: expected a finite number, got number inf"),
        (float, {"$float": "1"}, "$: expected a finite number, got an object of one key, '$float'"),
        (str, None, "$: expected a string, got null"),
        (str, {"$str": "YQ=="}, "$: expected text with surrogates in base64, got string 'YQ=='"),
        (bytes, "YR==", "$: expected bytes in base64 as it is written, 'YQ==', got string 'YR=='"),
        (bytes, "ý", "$: expected bytes in base64, got string 'ý'"),
        (datetime.date, "20300102", "$: expected a date (ISO 8601), got string '20300102'"),
        (
            datetime.datetime,
            "2030-01-02 03:04:05",
            "$: expected a date and time (ISO 8601) as it is written, '2030-01-02T03:04:05', "
            "got string '2030-01-02 03:04:05'",
        ),
        (datetime.datetime, "2030-01-02T03:04:05[Europe/Atlantis]", "the time zone 'Europe/Atlantis' is not known"),
        (datetime.datetime, "2030-01-02T03:04:05[../etc]", "expected a date and time"),
        (datetime.timedelta, "PT90S", "as it is written, 'P0DT90S'"),
        (uuid.UUID, "0" * 32, "as it is written, '00000000-0000-0000-0000-000000000000'"),
        (decimal.Decimal, "1_0", "as it is written, '10'"),
        (decimal.Decimal, "ten", "$: expected a decimal number, got string 'ten'"),
        (pathlib.Path, "a//b", "$: expected a path as it is written, 'a/b', got string 'a//b'"),
        (pathlib.PurePath, {"$WindowsPath": "a"}, "expected a path, got string 'a'"),
        (Colour, "red", "$: expected the name of a member of Colour ('RED', 'BLUE'), got string 'red'"),
        (Access, 4, "$: expected the bits of Access, got integer 4"),
        (Access, True, "$: expected the bits of Access, got boolean True"),
        (Literal[1, "a"], True, "$: expected one of 1, 'a', got boolean True"),
    ],
)
def test_data_that_do_not_fit_are_refused(hint: Any, data: Any, problem: str) -> None:
    """Only what the codec itself writes is read: other spellings would give equal values other digests."""
    with pytest.raises(Unreadable, match=r"^\$") as caught:
        CODEC.reader(hint)(data)
    assert problem in str(caught.value)


@pytest.mark.parametrize("text", ["./c:a", "c:a", "//server/share/a", "\\\\?\\c:\\a", "con"])
def test_a_path_whose_text_stands_for_another_is_refused(text: str) -> None:
    """Some paths of Windows are shown as others are, in some versions of Python; they are never changed."""
    path = pathlib.PureWindowsPath(text)
    if pathlib.PureWindowsPath(str(path)) == path:
        round_trip(pathlib.PureWindowsPath, path)
    else:
        with pytest.raises(Unwritable, match="its text stands for another path"):
            CODEC.writer(pathlib.PureWindowsPath)(path)


def test_text_needs_nothing_but_utf_8() -> None:
    """Whatever text and number there is, its data can be encoded without escapes, and by any JSON library."""
    values = ["\ud800", math.nan, 2**9000, {"\udfff": "\ud800"}, pathlib.Path("\udc80")]
    text = json.dumps(CODEC.writer(Any)(values), ensure_ascii=False, allow_nan=False)
    assert same(values, CODEC.reader(Any)(json.loads(text.encode())))


def test_a_fault_never_shows_the_value() -> None:
    """What cannot be written may be what must not be seen."""
    with pytest.raises(Unwritable) as caught:
        CODEC.writer(int)("sk-very-secret")
    assert "sk-very-secret" not in str(caught.value)


def test_a_member_that_has_no_name_is_refused() -> None:
    """An enum that makes members as they are asked for has some that would not be found again."""

    class Code(enum.Enum):
        OK = 200

        @classmethod
        def _missing_(cls, value: object) -> "Code":
            member = object.__new__(cls)
            member._name_, member._value_ = f"CODE_{value}", value
            return member

    with pytest.raises(Unwritable, match="it is no member with a name, and would not be found again"):
        CODEC.writer(Code)(Code(404))
