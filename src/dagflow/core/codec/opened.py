"""Types that leave the class open, or say how it is written by functions of their own."""

from __future__ import annotations

from typing import Any

from dagflow.core.codec.faults import Fault, TooDeep, Unreadable, Unwritable
from dagflow.core.codec.forms import alias_target, class_of, reason_against
from dagflow.core.codec.scope import Hook, Hooks, Level, read_any, tag_of, write_any
from dagflow.core.hints import show
from dagflow.core.scalars import describe_json
from dagflow.errors import describe

__all__ = [
    "alias_reader",
    "alias_writer",
    "any_reader",
    "any_writer",
    "base_reader",
    "base_writer",
    "serializer_reader",
    "serializer_writer",
]


def any_writer(hint: Any, hooks: Hooks) -> Hook:
    """By the class of the value."""
    return write_any


def any_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `any_writer`."""
    return read_any


def alias_writer(hint: Any, hooks: Hooks) -> Hook:
    """As what it stands for, which is looked for at first use, as an alias may hold itself."""
    target: Hook | None = None

    def write(value: Any, at: Level) -> Any:
        nonlocal target
        if target is None:
            target = hooks.writer(alias_target(hint))
        return target(value, at)

    return write


def alias_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `alias_writer`."""
    target: Hook | None = None

    def read(data: Any, at: Level) -> Any:
        nonlocal target
        if target is None:
            target = hooks.reader(alias_target(hint))
        return target(data, at)

    return read


def base_writer(hint: Any, hooks: Hooks) -> Hook:
    """A class with no form of its own: as a subclass that has one."""
    cls = class_of(hint)
    if not isinstance(cls, type):
        return _refuse(hint)

    def write(value: Any, at: Level) -> Any:
        if type(value) is cls:
            raise Unwritable(cls, reason_against(cls))
        return at.scope.write_subclass(value, cls, at)

    return write


def _refuse(hint: Any) -> Hook:
    def write(value: Any, at: Level) -> Any:
        raise Unwritable(type(value), f"{show(hint)} is declared, which no data can stand for; declare another type")

    return write


def base_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `base_writer`."""
    cls = class_of(hint)

    def read(data: Any, at: Level) -> Any:
        if not isinstance(cls, type):
            raise Unreadable(f"{show(hint)} is declared, which no data can stand for")
        return at.scope.read_subclass(data, cls, at)

    return read


def serializer_writer(hint: Any, hooks: Hooks) -> Hook:
    """With the name always before the data: they are the user's, and could look like anything."""
    cls = class_of(hint)
    serializer = hooks.serializers[cls]
    tag = f"${serializer.name}"

    def write(value: Any, at: Level) -> Any:
        if type(value) is not cls:
            return at.scope.write_subclass(value, cls, at)
        try:
            data = serializer.write(value)
        except Exception as error:
            raise Unwritable(cls, f"its Serializer failed: {describe(error)}") from error
        try:
            return {tag: write_any(data, at.deeper)}
        except Unwritable as fault:
            raise Unwritable(cls, f"its Serializer gave what cannot be written ({fault})") from fault

    return write


def serializer_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `serializer_writer`."""
    cls = class_of(hint)
    serializer = hooks.serializers[cls]

    def read(data: Any, at: Level) -> Any:
        name = tag_of(data) if type(data) is dict else None
        if name is None:
            raise Unreadable(f"expected an object {{'${serializer.name}': ...}}, got {describe_json(data)}")
        if name != serializer.name:
            return at.scope.read_subclass(data, cls, at)
        try:
            value = serializer.read(read_any(data[f"${name}"], at.deeper))
        except (TooDeep, RecursionError):
            raise
        except Fault as fault:
            fault.under(f".${name}")
            raise
        except Exception as error:
            raise Unreadable(f"the Serializer of {cls.__qualname__} failed: {describe(error)}") from error
        if type(value) is not cls:
            raise Unreadable(f"the Serializer of {cls.__qualname__} gave a {type(value).__qualname__}")
        return value

    return read
