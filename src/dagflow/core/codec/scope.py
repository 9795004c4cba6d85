"""What is known while one value is written or read: the names of classes, and how deep in the value we are."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from dagflow.core.codec.faults import Fault, TooDeep, Unreadable, Unwritable
from dagflow.core.codec.forms import reason_against
from dagflow.core.codec.scalars import OWN_PATHS, SCALARS
from dagflow.core.codec.serializer import Serializer
from dagflow.core.scalars import describe_json
from dagflow.core.shapes import COLLECTIONS

__all__ = ["MAX_DEPTH", "Hook", "Hooks", "Level", "Scope", "named_classes", "read_any", "tag_of", "write_any"]

MAX_DEPTH = 200
"""How many containers, objects and tags may be within each other.

Counted, and not left to Python's recursion limit: what was written must be readable from any depth of the stack.
"""

Hook = Callable[[Any, "Level"], Any]
"""Writes a value, or reads data, at a level of the whole."""

SELF_TAGGED = (types.NoneType, bool, int, float, str, list, dict)
"""What tells itself from all else in JSON, so that no tag is needed."""

ESCAPED: dict[str, type] = {"str": str, "int": int, "float": float}
"""Of these, what has a form with a tag too, for the values that JSON does not have."""

RESERVED = frozenset(cls.__name__ for cls in SELF_TAGGED)

BUILT_IN: dict[str, type] = {
    cls.__name__: cls for cls in (*SCALARS - OWN_PATHS.keys(), tuple, set, frozenset) if cls not in SELF_TAGGED
}


class Hooks(Protocol):
    """Gives the compiled writer and reader of a type. Neither is asked for the types inside of a class at once."""

    serializers: Mapping[type, Serializer]

    def writer(self, hint: Any) -> Hook:
        """The writer of a type."""
        ...

    def reader(self, hint: Any) -> Hook:
        """The reader of a type."""
        ...

    def name(self, hint: Any) -> str:
        """The name of a type in a journal."""
        ...


class Level:
    """A depth within a value; `deeper` is the next one, made when it is first asked for."""

    __slots__ = ("deeper", "depth", "scope")

    deeper: Level

    def __init__(self, scope: Scope, depth: int = 0) -> None:
        self.scope: Scope = scope
        self.depth: int = depth

    def __getattr__(self, name: str) -> Level:
        if name != "deeper":
            raise AttributeError(name)
        if self.depth == MAX_DEPTH:
            raise TooDeep
        self.deeper = Level(self.scope, self.depth + 1)
        return self.deeper


class Scope:
    """The classes that a value may be of where its declared type leaves that open, each with its name."""

    def __init__(self, hooks: Hooks, named: Mapping[str, type]) -> None:
        self.classes: dict[str, type] = {**named, **BUILT_IN}
        self.top: Level = Level(self)
        self.hooks = hooks
        self._names = {cls: name for name, cls in self.classes.items()}
        self.writers: dict[type, Hook] = {cls: hooks.writer(cls) for cls in SELF_TAGGED}
        self.readers: dict[type, Hook] = {cls: hooks.reader(cls) for cls in SELF_TAGGED}

    def write_subclass(self, value: Any, declared: type, at: Level) -> Any:
        """Write a value that is no direct instance of its declared class."""
        cls = type(value)
        if _derives(cls, declared):
            write = self.tagging(cls)
            if write is not None:
                return write(value, at)
            raise Unwritable(cls, f"{declared.__qualname__} is declared, of which it is a subclass. {_advice(cls)}")
        raise Unwritable(cls, f"{declared.__qualname__} is declared; declare the type that it really has")

    def tagging(self, cls: type) -> Hook | None:
        """The writer that puts the name of a class before its data."""
        if cls in self.writers:
            return self.writers[cls]
        name = self._names.get(cls)
        if name is None:
            return None
        write = self.hooks.writer(cls)
        if cls not in self.hooks.serializers:
            write = _tagged(f"${name}", write)
        self.writers[cls] = write
        return write

    def read_subclass(self, data: Any, declared: type, at: Level, expected: str = "") -> Any:
        """Read an instance of a subclass of the declared class, by the name that stands before it."""
        expected = expected or declared.__qualname__
        name = tag_of(data) if type(data) is dict else None
        if name is None:
            raise Unreadable(f"expected {expected}, got {describe_json(data)}")
        cls = self.classes.get(name)
        # Of the declared class itself, more is declared than its name: the items of a tuple, say.
        if cls is declared or name in RESERVED or (cls is not None and not _derives(cls, declared)):
            raise Unreadable(f"expected {expected}, got an object of one key, '${name}'")
        return self.read_tagged(data, name, at)

    def read_tagged(self, data: dict[str, Any], name: str, at: Level) -> Any:
        """Read data by the name that stands before them."""
        cls = self.classes.get(name)
        if cls is None:
            raise Unreadable(f"the class {name} is not known here; register it, or use its name of before")
        read = self.readers.get(cls)
        if read is None:
            read = self.readers[cls] = self.hooks.reader(cls)
        if cls in self.hooks.serializers:
            return read(data, at)
        try:
            return read(data[f"${name}"], at.deeper)
        except Fault as fault:
            fault.under(f".${name}")
            raise


def write_any(value: Any, at: Level) -> Any:
    """Write a value whose declared type says nothing about it."""
    cls = type(value)
    write = at.scope.writers.get(cls) or at.scope.tagging(cls)
    if write is None:
        raise Unwritable(cls, reason_against(cls))
    return write(value, at)


def read_any(data: Any, at: Level) -> Any:
    """Read what `write_any` wrote."""
    cls = type(data)
    if cls is dict:
        name = tag_of(data)
        if name is not None and name not in RESERVED:
            return at.scope.read_tagged(data, name, at)
        cls = ESCAPED.get(name or "", dict)
    elif cls not in SELF_TAGGED:
        raise Unreadable(f"expected JSON data, got a {cls.__name__}")
    return at.scope.readers[cls](data, at)


def _advice(cls: type) -> str:
    return f"Register {cls.__qualname__}, or declare it"


def _derives(cls: type, declared: type) -> bool:
    """Tell whether a class derives from another; the built-in containers are told from their abstract types."""
    if declared in cls.__mro__:
        return True
    return (
        declared in COLLECTIONS
        and cls not in SELF_TAGGED
        and cls.__name__ not in BUILT_IN
        and issubclass(cls, declared)
    )


def _tagged(tag: str, write: Hook) -> Hook:
    return lambda value, at: {tag: write(value, at.deeper)}


def tag_of(data: dict[str, Any]) -> str | None:
    """The name that stands before data in an object of one key, `{"$name": data}`."""
    if len(data) == 1:
        (key,) = data
        if type(key) is str and key[:1] == "$":
            return key[1:]
    return None


def named_classes(registered: Mapping[str, type], reachable: Iterable[type]) -> dict[str, type]:
    """Name the classes that a declared type leads to, beside those that are registered.

    A name that two of them have is given to neither, and none takes a registered one's: which is meant must not
    depend on the order in which classes are found.
    """
    known = set(registered.values())
    found: dict[str, set[type]] = {}
    for cls in reachable:
        if cls not in known:
            found.setdefault(cls.__qualname__, set()).add(cls)
    single = {name: next(iter(classes)) for name, classes in found.items() if len(classes) == 1}
    taken = registered.keys() | BUILT_IN.keys() | RESERVED
    return {**registered, **{name: cls for name, cls in single.items() if name not in taken}}
