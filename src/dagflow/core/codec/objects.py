"""Instances of classes: written by their fields, and made again in the same state, without their `__init__`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

import attrs

from dagflow.core.codec.faults import Fault, Unreadable, Unwritable, key_step
from dagflow.core.codec.fields import Field, fields_of, unrecorded
from dagflow.core.codec.forms import class_of
from dagflow.core.codec.layout import Layout
from dagflow.core.codec.scope import Hook, Hooks, Level, tag_of
from dagflow.core.markers import UNSET
from dagflow.core.node import Node
from dagflow.core.scalars import describe_json
from dagflow.core.shapes import UnsupportedType
from dagflow.errors import GraphError, describe

__all__ = ["Later", "Rows", "class_reader", "class_writer", "each_field", "refuse_unknown"]

T = TypeVar("T")
Rows = list[tuple[str, Hook]]
_MOST_SHOWN = 20


class Later(Generic[T]):
    """What is made at first use, as a class may hold itself; `fault` makes the error where its hints are wrong."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None

    def get(self, fault: Callable[[str], Fault]) -> T:
        """Give it; raises what `fault` makes of the reason why it cannot be made."""
        if self._made is None:
            try:
                self._made = self._make()
            except (UnsupportedType, GraphError, NameError, TypeError) as error:
                raise fault(str(error)) from error
        return self._made


def each_field(rows: Rows, state: Mapping[str, Any], inner: Level) -> dict[str, Any]:
    """Write or read each field; a fault gets its place."""
    found = {}
    name = ""
    try:
        for name, hook in rows:
            found[name] = hook(state[name], inner)
    except Fault as fault:
        fault.under(key_step(name))
        raise
    return found


@attrs.frozen
class Written:
    """What writing a class takes: its layout, its rows, and the fields that may be without a value."""

    layout: Layout
    rows: Rows
    names: frozenset[str]
    optional: frozenset[str]
    unrecorded: frozenset[str]
    is_node: bool


def class_writer(hint: Any, hooks: Hooks) -> Hook:
    """An object of all fields that have a value, by the names of the attributes."""
    cls: type = class_of(hint)
    later = Later(lambda: _prepare_writer(hint, hooks))
    prepared: Written | None = None

    def write(value: Any, at: Level) -> Any:
        nonlocal prepared
        if type(value) is not cls:
            return at.scope.write_subclass(value, cls, at)
        if prepared is None:
            prepared = later.get(lambda reason: Unwritable(cls, reason))
        state = prepared.layout.state(value)
        rows = prepared.rows
        if prepared.is_node or state.keys() != prepared.names:
            state = _partial_state(prepared, state)
            rows = [row for row in rows if row[0] in state]
        inner = at.deeper
        written = {}
        name = ""
        try:
            for name, write_field in rows:
                written[name] = write_field(state[name], inner)
        except Fault as fault:
            fault.under(key_step(name))
            raise
        return written

    return write


def _prepare_writer(hint: Any, hooks: Hooks) -> Written:
    cls: type = class_of(hint)
    fields = fields_of(hint)
    layout = Layout(cls, [field.name for field in fields])
    if layout.problem is not None:
        raise TypeError(layout.problem)
    return Written(
        layout,
        [(field.name, hooks.writer(field.hint)) for field in fields],
        frozenset(layout.names),
        frozenset(field.name for field in fields if field.may_be_unset),
        unrecorded(cls) if issubclass(cls, Node) else frozenset(),
        issubclass(cls, Node),
    )


def _partial_state(prepared: Written, state: Mapping[str, Any]) -> dict[str, Any]:
    found = prepared.layout.check({n: v for n, v in state.items() if v is not UNSET}, prepared.optional)
    for name in prepared.unrecorded & found.keys():
        raise Unwritable(
            prepared.layout.cls, f"its field {name!r} is marked record=False, and it would come back without"
        )
    return found


class ClassReader:
    """Reads the objects of one class."""

    def __init__(self, hint: Any, hooks: Hooks) -> None:
        self.cls: type = class_of(hint)
        self.fields: dict[str, Field] = {field.name: field for field in fields_of(hint)}
        self.layout: Layout = Layout(self.cls, self.fields)
        if self.layout.problem is not None:
            raise TypeError(self.layout.problem)
        self.rows: Rows = [(field.name, hooks.reader(field.hint)) for field in self.fields.values()]
        self._readers = dict(self.rows)
        self._blank: dict[str, Any] = {}
        if issubclass(self.cls, Node):
            self._blank = {field.name: UNSET for field in self.fields.values() if field.default is None}

    def read_uneven(self, data: dict[Any, Any], at: Level) -> Any:
        """Read an object that has not all fields, or others."""
        if tag_of(data) is not None:
            return at.scope.read_subclass(data, self.cls, at)
        refuse_unknown(data, self.fields, self.cls)
        state = self._blank | each_field([(name, self._readers[name]) for name in data], data, at.deeper)
        missing = [name for name in self.fields if name not in state]
        for name in missing:
            field = self.fields[name]
            if field.default is None and not field.may_be_unset:
                raise Unreadable(f"expected {self.cls.__qualname__}, got an object without its field {name!r}")
        instance = self.layout.make(state)
        return self._with_defaults(instance, state, missing) if missing else instance

    def _with_defaults(self, instance: Any, state: dict[str, Any], missing: list[str]) -> Any:
        found = dict(state)
        for name in missing:
            make = self.fields[name].default
            if make is not None:
                try:
                    found[name] = make(instance)
                except Exception as error:
                    raise Unreadable(f"the default of the field {name!r} cannot be made: {describe(error)}") from error
                instance = self.layout.make(found)
        return instance


def refuse_unknown(data: Mapping[Any, Any], known: Mapping[str, Any], cls: type) -> None:
    """Raise `Unreadable` for a key that is no field."""
    unknown = [key for key in data if key not in known]
    if unknown:
        shown = ", ".join(map(repr, list(known)[:_MOST_SHOWN])) or "none"
        fault = Unreadable(f"{cls.__qualname__} has no such field; it has {shown}")
        fault.under(key_step(unknown[0]))
        raise fault


def class_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `class_writer`; fields that the data lacks have their default, as fields are added to classes."""
    cls: type = class_of(hint)
    later = Later(lambda: ClassReader(hint, hooks))
    reader: ClassReader | None = None

    def read(data: Any, at: Level) -> Any:
        nonlocal reader
        if type(data) is not dict:
            raise Unreadable(f"expected {cls.__qualname__} as an object, got {describe_json(data)}")
        if reader is None:
            reader = later.get(Unreadable)
        if data.keys() != reader.fields.keys():
            return reader.read_uneven(data, at)
        inner = at.deeper
        state = {}
        name = ""
        try:
            for name, read_field in reader.rows:
                state[name] = read_field(data[name], inner)
        except Fault as fault:
            fault.under(key_step(name))
            raise
        return reader.layout.make(state)

    return read
