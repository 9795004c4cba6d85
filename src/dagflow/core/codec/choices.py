"""Enums and literals: one of a few values."""

from __future__ import annotations

import enum
from typing import Any, get_args

from dagflow.core.codec.faults import Unreadable, Unwritable
from dagflow.core.codec.json_values import read_int, read_str, write_int, write_text
from dagflow.core.codec.scope import Hook, Hooks, Level, read_any, write_any
from dagflow.core.hints import show
from dagflow.core.scalars import describe_json

__all__ = ["enum_reader", "enum_writer", "flag_reader", "flag_writer", "literal_reader", "literal_writer"]

_MOST_SHOWN = 20


def enum_writer(cls: type[enum.Enum], hooks: Hooks) -> Hook:
    """By the member's name: a value may be anything, and `auto()` gives another one after a member is added."""
    texts = {member.name: write_text(member.name) for member in cls.__members__.values()}
    members = cls.__members__

    def write(value: Any, at: Level) -> Any:
        if type(value) is not cls:
            return at.scope.write_subclass(value, cls, at)
        name = value._name_
        if members.get(name) is not value:
            raise Unwritable(cls, "it is no member with a name, and would not be found again")
        return texts[name]

    return write


def enum_reader(cls: type[enum.Enum], hooks: Hooks) -> Hook:
    """See `enum_writer`."""
    members = cls.__members__
    names = _shown([repr(member.name) for member in cls])

    def read(data: Any, at: Level) -> Any:
        if type(data) is str or (type(data) is dict and data.keys() == {"$str"}):
            found = members.get(read_str(data, at))
            if found is not None:
                return found
        return at.scope.read_subclass(data, cls, at, f"the name of a member of {cls.__qualname__} ({names})")

    return read


def flag_writer(cls: type[enum.Flag], hooks: Hooks) -> Hook:
    """By the value, as a combination of members has no name that is sure to be found again."""

    def write(value: Any, at: Level) -> Any:
        if type(value) is not cls:
            return at.scope.write_subclass(value, cls, at)
        bits = value._value_
        if type(bits) is not int or _flag(cls, bits) is not value:
            raise Unwritable(cls, "its value does not give it again")
        return write_int(bits, at)

    return write


def flag_reader(cls: type[enum.Flag], hooks: Hooks) -> Hook:
    """See `flag_writer`."""

    def read(data: Any, at: Level) -> Any:
        if type(data) is not int and not (type(data) is dict and data.keys() == {"$int"}):
            return at.scope.read_subclass(data, cls, at, f"the bits of {cls.__qualname__}")
        found = _flag(cls, read_int(data, at))
        if found is None:
            raise Unreadable(f"expected the bits of {cls.__qualname__}, got {describe_json(data)}")
        return found

    return read


def _flag(cls: type[enum.Flag], bits: int) -> enum.Flag | None:
    try:
        found = cls(bits)
    except ValueError:
        return None
    return found if type(found) is cls else None


def literal_writer(hint: Any, hooks: Hooks) -> Hook:
    """A value of a literal is written as any value is; 1 and True are equal, but not the same."""
    choices = [(type(value), value) for value in get_args(hint)]
    allowed = {cls for cls, _ in choices}

    def write(value: Any, at: Level) -> Any:
        cls = type(value)
        if cls not in allowed or (cls, value) not in choices:
            raise Unwritable(cls, f"{show(hint)} is declared, and it is none of these")
        return write_any(value, at)

    return write


def literal_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `literal_writer`."""
    choices = [(type(value), value) for value in get_args(hint)]
    allowed = {cls for cls, _ in choices}
    shown = _shown([repr(value) for _, value in choices])

    def read(data: Any, at: Level) -> Any:
        value = read_any(data, at)
        cls = type(value)
        if cls not in allowed or (cls, value) not in choices:
            raise Unreadable(f"expected one of {shown}, got {describe_json(data)}")
        return value

    return read


def _shown(choices: list[str]) -> str:
    return ", ".join(choices[:_MOST_SHOWN]) + (", ..." if len(choices) > _MOST_SHOWN else "")
