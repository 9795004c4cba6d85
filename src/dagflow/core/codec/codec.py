"""`Codec`: writes values as data for JSON, and reads exactly the same values back, by their declared types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dagflow.core.codec.compiled import Compiled
from dagflow.core.codec.faults import Fault, TooDeep, Unreadable, Unwritable
from dagflow.core.codec.forms import bare, reason_against
from dagflow.core.codec.nodes import NodeReader, NodeWriter
from dagflow.core.codec.scope import BUILT_IN, MAX_DEPTH, RESERVED, Scope, named_classes
from dagflow.core.codec.serializer import Serializer
from dagflow.core.codec.survey import WRONG_HINT, problem_of, reachable
from dagflow.core.node import Node

__all__ = ["Codec"]

Write = Callable[[Any], Any]
Read = Callable[[Any], Any]

_OF_THEIR_OWN = ("class", "named tuple", "typed dict", "enum", "flag")
_TOO_DEEP = f"it holds itself, or more than {MAX_DEPTH} containers and objects within each other"


class Codec:
    """Writes values by their declared types as data that JSON has, and reads them back exactly: equal, same types.

    `types` are the classes that values may be of where a declared type leaves that open (`Any`, a base class):
    attrs classes, dataclasses, named tuples, enums and nodes as they are, any other class as a `Serializer`. The
    classes that a declared type names itself, at whatever depth, are known for it without that.

    Raises `TypeError` for what is no class, and `ValueError` for a class that cannot be written, or whose name
    another one has.
    """

    def __init__(self, types: Iterable[type | Serializer] = ()) -> None:
        types = tuple(types)
        self._registered = _names(types)
        self._compiled = Compiled({one.cls: one for one in types if isinstance(one, Serializer)})
        self._writers: dict[Any, Write] = {}
        self._readers: dict[Any, Read] = {}
        self._node_writers: dict[type, NodeWriter] = {}
        self._node_readers: dict[type, NodeReader] = {}
        self._problems: dict[Any, str | None] = {}
        self._scopes: dict[frozenset[type], Scope] = {}
        self._always = frozenset().union(*(reachable(cls, self._compiled) for cls in self._registered.values()))
        for cls in self._registered.values():
            self._check(cls)

    def _check(self, cls: type) -> None:
        form = self._compiled.form(cls)
        if form == "serializer":
            return
        problem = self.problem(cls)
        if form not in _OF_THEIR_OWN:
            problem = f"{cls.__qualname__} cannot be written: {reason_against(cls)}"
        if problem is not None:
            raise ValueError(f"{cls.__qualname__} cannot be registered: {problem}")

    def problem(self, hint: Any) -> str | None:
        """Say why no value of a declared type could ever be written, in a sentence; `None` where one could.

        An empty container is not counted, and of a union one member is enough.
        """
        key = _key(hint)
        if key not in self._problems:
            self._problems[key] = problem_of(hint, self._compiled, self._scope(hint).classes.values())
        return self._problems[key]

    def writer(self, hint: Any) -> Write:
        """Give the function that writes values of a declared type.

        It raises `Unwritable` for a value that cannot be written, or would not be read back as the same.
        """
        key = _key(hint)
        found = self._writers.get(key)
        if found is None:
            found = self._writers[key] = self._make_writer(hint)
        return found

    def reader(self, hint: Any) -> Read:
        """Give the function that reads data of a declared type; it raises `Unreadable` for data that do not fit."""
        key = _key(hint)
        found = self._readers.get(key)
        if found is None:
            found = self._readers[key] = self._make_reader(hint)
        return found

    def write_node(self, node: Node) -> dict[str, Any]:
        """Write a node as data by the name of its fields; those that nobody has given yet are left out.

        So are dependencies and recalled fields that cannot be written, or must not be. Raises `Unwritable` for
        any other field, with the path `$.field`.
        """
        cls = type(node)
        found = self._node_writers.get(cls)
        if found is None:
            found = self._node_writers[cls] = NodeWriter(cls, self)
        return found.write(node)

    def read_node(self, cls: type[Node], data: Mapping[str, Any]) -> Node:
        """Make a node in the state that was written, without running its `__init__`, validators or converters.

        A field that `data` lacks has its default, or nobody has given it yet. Raises `Unreadable` for data that
        do not fit, and for an unknown field.
        """
        found = self._node_readers.get(cls)
        if found is None:
            found = self._node_readers[cls] = NodeReader(cls, self)
        return found.read(data)

    def _scope(self, hint: Any) -> Scope:
        classes = self._always | reachable(hint, self._compiled)
        found = self._scopes.get(classes)
        if found is None:
            found = self._scopes[classes] = Scope(self._compiled, named_classes(self._registered, classes))
        return found

    def _make_writer(self, hint: Any) -> Write:
        problem = self.problem(hint)
        if problem is not None:
            return _never_written(problem)
        hook = self._compiled.writer(hint)
        top = self._scope(hint).top

        def write(value: Any) -> Any:
            try:
                return hook(value, top)
            except TooDeep as fault:
                raise _placed(Unwritable(type(value), _TOO_DEEP), fault) from None
            except RecursionError as error:
                raise Unwritable(type(value), f"the stack is too small for it here; {_TOO_DEEP}") from error

        return write

    def _make_reader(self, hint: Any) -> Read:
        problem = self.problem(hint)
        if problem is not None:
            return _never_read(problem)
        hook = self._compiled.reader(hint)
        top = self._scope(hint).top

        def read(data: Any) -> Any:
            try:
                return hook(data, top)
            except TooDeep as fault:
                raise _placed(Unreadable(_TOO_DEEP), fault) from None
            except RecursionError as error:
                raise Unreadable(f"the stack is too small for it here; {_TOO_DEEP}") from error

        return read


def _names(types: Iterable[type | Serializer]) -> dict[str, type]:
    found: dict[str, type] = {}
    for one in types:
        if not isinstance(one, (type, Serializer)):
            raise TypeError(f"a codec takes classes and Serializers, not {one!r}")
        cls, name = (one.cls, one.name) if isinstance(one, Serializer) else (one, one.__qualname__)
        if cls in (*BUILT_IN.values(), None) or cls.__module__ == "builtins":
            raise ValueError(f"{cls.__qualname__} need not be registered")
        if cls in found.values():
            raise ValueError(f"{cls.__qualname__} is registered twice")
        if name in found or name in BUILT_IN or name in RESERVED:
            raise ValueError(f"two classes are called {name}; register one as Serializer(..., name=...)")
        found[name] = cls
    return found


def _placed(fault: Fault, like: Fault) -> Fault:
    fault.placed_as(like)
    return fault


def _never_written(problem: str) -> Write:
    def write(value: Any) -> Any:
        raise Unwritable(type(value), problem)

    return write


def _never_read(problem: str) -> Read:
    def read(data: Any) -> Any:
        raise Unreadable(problem)

    return read


def _key(hint: Any) -> Any:
    """What a hint is known by; one may hold what cannot be hashed, as `Annotated[int, []]` does."""
    try:
        hash(hint)
    except TypeError:
        try:
            return bare(hint)
        except WRONG_HINT:
            return repr(hint)  # there is nothing to know but what is wrong with it
    return hint
