"""Nodes as the records of a journal have them: each field by its own declared type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from dagflow.core.codec.faults import Fault, Unreadable, Unwritable, key_step
from dagflow.core.codec.fields import Field, fields_of, unrecorded
from dagflow.core.codec.layout import Layout
from dagflow.core.inputs import inputs
from dagflow.core.markers import UNSET
from dagflow.core.node import Node
from dagflow.core.scalars import describe_json
from dagflow.errors import GraphError, describe

__all__ = ["NodeReader", "NodeWriter"]


class Types(Protocol):
    """Gives what writes and reads values of a declared type, and says which have none."""

    def problem(self, hint: Any) -> str | None:
        """Say why no value of a type could be written."""
        ...

    def writer(self, hint: Any) -> Callable[[Any], Any]:
        """Give what writes values of a type."""
        ...

    def reader(self, hint: Any) -> Callable[[Any], Any]:
        """Give what reads values of a type."""
        ...


class NodeWriter:
    """Writes the nodes of one type."""

    def __init__(self, cls: type[Node], types: Types) -> None:
        try:
            kinds = {item.name: item.kind for item in inputs(cls)}
        except GraphError as error:
            raise Unwritable(cls, str(error)) from error
        kept_out = unrecorded(cls)
        self._layout = Layout(cls, kinds)
        self._names = frozenset(kinds)
        self._rows = []
        for item in inputs(cls):
            may_be_left_out = kinds[item.name] in ("dep", "recall")
            if item.name in kept_out or (may_be_left_out and types.problem(item.type) is not None):
                continue
            self._rows.append((item.name, types.writer(item.type), may_be_left_out))

    def write(self, node: Node) -> dict[str, Any]:
        """Write a node; raises `Unwritable`."""
        state: Mapping[str, Any] = self._layout.state(node)
        if state.keys() != self._names:
            state = self._layout.check(state, self._names)
        written = {}
        for name, write, may_be_left_out in self._rows:
            value = state.get(name, UNSET)
            if value is UNSET:
                continue
            try:
                written[name] = write(value)
            except Unwritable as fault:
                if may_be_left_out:
                    continue
                fault.under(key_step(name))
                raise
        return written


class NodeReader:
    """Reads the nodes of one type."""

    def __init__(self, cls: type[Node], types: Types) -> None:
        try:
            fields = fields_of(cls)
        except GraphError as error:
            raise Unreadable(str(error)) from error
        self._cls = cls
        self._layout = Layout(cls, [field.name for field in fields])
        self._readers = {field.name: types.reader(field.hint) for field in fields}
        self._blank = {field.name: UNSET for field in fields}
        self._defaults: list[Field] = [field for field in fields if field.default is not None]

    def read(self, data: Mapping[str, Any]) -> Node:
        """Read a node; raises `Unreadable`."""
        if not isinstance(data, Mapping):
            raise Unreadable(f"expected {self._cls.__qualname__} as an object, got {describe_json(data)}")
        state: dict[str, Any] = self._blank.copy()
        name: Any = None
        try:
            for name, item in data.items():
                read = self._readers.get(name)
                if read is None:
                    raise Unreadable(f"{self._cls.__qualname__} has no such field; it has {self._known()}")
                state[name] = read(item)
        except Fault as fault:
            fault.under(key_step(name))
            raise
        node: Node = self._layout.make(state)
        for field in self._defaults:
            if field.name not in data:
                node = self._with_default(node, state, field)
        return node

    def _known(self) -> str:
        return ", ".join(map(repr, self._readers)) or "none"

    def _with_default(self, node: Node, state: dict[str, Any], field: Field) -> Node:
        try:
            state[field.name] = field.default(node) if field.default is not None else UNSET
        except Exception as error:
            raise Unreadable(f"the default of the field {field.name!r} cannot be made: {describe(error)}") from error
        return self._layout.make(state)  # type: ignore[no-any-return]  # it makes instances of the class
