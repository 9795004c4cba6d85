"""Scalars that are text in JSON: dates, times, durations, paths, decimal numbers, bytes and UUIDs."""

from __future__ import annotations

import datetime
import decimal
import pathlib
import re
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from dagflow.core.codec.faults import Unreadable, Unwritable
from dagflow.core.codec.json_values import read_text, write_text
from dagflow.core.scalars import READERS, describe_json, write_scalar

if TYPE_CHECKING:
    from dagflow.core.codec.scope import Hook, Level

__all__ = ["TEXTS", "text_reader", "text_writer"]


@attrs.frozen
class Text:
    """How a scalar is written as text, and read; both may raise `ValueError` that says why not."""

    write: Callable[[Any], str]
    read: Callable[[str], Any]
    what: str


_SUFFIXES = re.compile(r"(?P<time>[^\[\]]*)(\[(?P<zone>[^\[\]=]*)\])?(?P<fold>\[fold=1\])?")


def _write_moment(value: datetime.datetime | datetime.time) -> str:
    """As ISO 8601, then what it has no word for: the zone's name in brackets, and `[fold=1]`.

    A zone of `zoneinfo` is written by its key and without an offset, as the offset follows from it.
    """
    zone = value.tzinfo
    fold = "[fold=1]" if value.fold else ""
    if zone is None or zone is datetime.UTC:
        return value.isoformat() + fold
    name = _zone_name(zone)
    if type(zone) is not datetime.timezone:
        return f"{value.replace(tzinfo=None).isoformat()}[{name}]{fold}"
    return value.isoformat() + (f"[{name}]" if name else "") + fold


def _zone_name(zone: datetime.tzinfo) -> str:
    from zoneinfo import ZoneInfo  # when it is needed, as few need it

    if type(zone) is datetime.timezone:
        name = zone.tzname(None)
        if name == datetime.timezone(zone.utcoffset(None)).tzname(None):
            return ""
    elif type(zone) is ZoneInfo and zone.key is not None:
        name = zone.key
    else:
        raise ValueError(
            f"its time zone is a {type(zone).__qualname__}; use datetime.timezone, or zoneinfo.ZoneInfo with a key"
        )
    if not name or not name.isprintable() or not set("[]=").isdisjoint(name):
        raise ValueError(f"its time zone has the name {name!r}, which must be printable and without [, ] and =")
    return name


def _read_moment(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        found = _SUFFIXES.fullmatch(text)
        if found is None:
            raise ValueError(text)
        value = parse(found["time"])
        if found["zone"] is not None:
            value = value.replace(tzinfo=_zone(found["zone"], value.tzinfo))
        return value.replace(fold=1) if found["fold"] else value

    return read


def _zone(name: str, offset: datetime.tzinfo | None) -> datetime.tzinfo:
    if offset is not None:
        return datetime.timezone(offset.utcoffset(None) or datetime.timedelta(), name)
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise Unreadable(f"the time zone {name!r} is not known on this machine") from error


def _write_path(value: pathlib.PurePath) -> str:
    text = str(value)
    if type(value)(text) != value:
        raise ValueError("its text stands for another path")
    return text


_PATHS: dict[Any, Text] = {
    cls: Text(_write_path, cls, "a path")
    for cls in (
        pathlib.PosixPath,
        pathlib.WindowsPath,
        pathlib.PurePosixPath,
        pathlib.PureWindowsPath,
    )
}

TEXTS: dict[Any, Text] = {
    datetime.datetime: Text(_write_moment, _read_moment(datetime.datetime.fromisoformat), "a date and time (ISO 8601)"),
    datetime.date: Text(write_scalar, READERS[datetime.date], "a date (ISO 8601)"),
    datetime.time: Text(_write_moment, _read_moment(datetime.time.fromisoformat), "a time (ISO 8601)"),
    datetime.timedelta: Text(write_scalar, READERS[datetime.timedelta], "a duration (ISO 8601)"),
    uuid.UUID: Text(write_scalar, READERS[uuid.UUID], "a UUID"),
    decimal.Decimal: Text(str, decimal.Decimal, "a decimal number"),
    bytes: Text(write_scalar, READERS[bytes], "bytes in base64"),
    **_PATHS,
}


def text_writer(declared: type, cls: type, text: Text) -> Hook:
    """The writer of instances of `cls`."""

    def write(value: Any, at: Level) -> Any:
        if type(value) is not cls:
            return at.scope.write_subclass(value, declared, at)
        try:
            return write_text(text.write(value))
        except (ValueError, OverflowError) as error:
            raise Unwritable(cls, str(error)) from error

    return write


def text_reader(declared: type, text: Text) -> Hook:
    """The reader of what it writes, and of nothing else."""

    def read(data: Any, at: Level) -> Any:
        found = read_text(data) if type(data) is dict and data.keys() == {"$str"} else data
        if type(found) is not str:
            return at.scope.read_subclass(data, declared, at, text.what)
        try:
            value = text.read(found)
            written = text.write(value)
        except Unreadable:
            raise
        except (ValueError, ArithmeticError, NotImplementedError) as error:
            raise Unreadable(f"expected {text.what}, got {describe_json(found)}") from error
        if written != found:  # such as another spelling, which whoever compares digests would take for another value
            raise Unreadable(f"expected {text.what} as it is written, {written!r}, got {describe_json(found)}")
        return value

    return read
