"""Named tuples and typed dicts: records without an `__init__` of their own."""

from __future__ import annotations

from typing import Any

from dagflow.core.codec.containers import read_pairs, write_pairs
from dagflow.core.codec.faults import Unreadable, Unwritable, key_step
from dagflow.core.codec.fields import fields_of
from dagflow.core.codec.forms import class_of
from dagflow.core.codec.json_values import write_text
from dagflow.core.codec.objects import Later, Rows, each_field, refuse_unknown
from dagflow.core.codec.scope import Hook, Hooks, Level, tag_of
from dagflow.core.scalars import describe_json

__all__ = ["named_tuple_reader", "named_tuple_writer", "typed_dict_reader", "typed_dict_writer"]


def named_tuple_writer(hint: Any, hooks: Hooks) -> Hook:
    """An object of the fields."""
    cls: Any = class_of(hint)
    later: Later[Rows] = Later(lambda: [(field.name, hooks.writer(field.hint)) for field in fields_of(hint)])

    def write(value: Any, at: Level) -> Any:
        if type(value) is not cls:
            return at.scope.write_subclass(value, cls, at)
        if getattr(value, "__dict__", None):
            raise Unwritable(cls, "it has attributes beside its items, which would be lost")
        rows = later.get(lambda reason: Unwritable(cls, reason))
        return each_field(rows, dict(zip(cls._fields, value, strict=True)), at.deeper)

    return write


def named_tuple_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `named_tuple_writer`."""
    cls: Any = class_of(hint)
    later = Later(lambda: [(field, hooks.reader(field.hint)) for field in fields_of(hint)])

    def read(data: Any, at: Level) -> Any:
        if type(data) is not dict or tag_of(data) is not None:
            return at.scope.read_subclass(data, cls, at, f"{cls.__qualname__} as an object")
        rows = later.get(Unreadable)
        refuse_unknown(data, {field.name: field for field, _ in rows}, cls)
        found = each_field([(field.name, hook) for field, hook in rows if field.name in data], data, at.deeper)
        for field, _ in rows:
            if field.name not in found:
                if field.default is None:
                    raise Unreadable(f"expected {cls.__qualname__}, got an object without its field {field.name!r}")
                found[field.name] = field.default(None)
        return tuple.__new__(cls, [found[name] for name in cls._fields])

    return read


def typed_dict_writer(hint: Any, hooks: Hooks) -> Hook:
    """An object, in the order of the value's own keys."""
    cls: Any = class_of(hint)
    later = Later(lambda: {field.name: (field, hooks.writer(field.hint)) for field in fields_of(hint)})

    def write(value: Any, at: Level) -> Any:
        if type(value) is not dict:
            raise Unwritable(type(value), f"the typed dict {cls.__qualname__} is declared; declare what it really is")
        rows = later.get(lambda reason: Unwritable(dict, reason))
        for key in value:
            if type(key) is not str or key not in rows:
                raise Unwritable(dict, f"{cls.__qualname__} is declared, which has no key {key_step(key)}; declare it")
        for name, (field, _) in rows.items():
            if name not in value and not field.may_be_unset:
                raise Unwritable(dict, f"{cls.__qualname__} is declared, and its key {name!r} is missing")
        written = each_field([(key, rows[key][1]) for key in value], value, at.deeper)
        return write_pairs([(write_text(key), item) for key, item in written.items()])

    return write


def typed_dict_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `typed_dict_writer`."""
    cls: Any = class_of(hint)
    later = Later(lambda: {field.name: (field, hooks.reader(field.hint)) for field in fields_of(hint)})
    read_key = hooks.reader(str)

    def read(data: Any, at: Level) -> Any:
        if type(data) is not dict:
            raise Unreadable(f"expected {cls.__qualname__} as an object, got {describe_json(data)}")
        rows = later.get(Unreadable)
        pairs = [(read_key(key, at), item) for key, item in read_pairs(data, at)]
        items = dict(pairs)
        if len(items) != len(pairs):
            raise Unreadable("expected every key once, got one more than once")
        refuse_unknown(items, rows, cls)
        for name, (field, _) in rows.items():
            if name not in items and not field.may_be_unset:
                raise Unreadable(f"expected {cls.__qualname__}, got an object without its key {name!r}")
        return each_field([(key, rows[key][1]) for key in items], items, at.deeper)

    return read
