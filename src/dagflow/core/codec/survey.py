"""Looking through a declared type before there is a value: what it leads to, and why it could never be written."""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from dagflow.core.codec.compiled import Compiled
from dagflow.core.codec.fields import fields_of, unrecorded
from dagflow.core.codec.forms import alias_target, bare, class_of, members, reason_against
from dagflow.core.codec.layout import Layout
from dagflow.core.codec.unions import same_names
from dagflow.core.hints import show
from dagflow.core.node import Node
from dagflow.core.shapes import UnsupportedType
from dagflow.errors import GraphError, describe

__all__ = ["WRONG_HINT", "problem_of", "reachable"]

_CLASSES = ("class", "named tuple", "enum", "flag", "serializer")
_WITH_FIELDS = ("class", "named tuple", "typed dict")
WRONG_HINT = (UnsupportedType, GraphError, NameError, TypeError, AttributeError, SyntaxError)
"""What evaluating a hint raises: an unknown name, what is no type, text that is no Python."""


def _parts(hint: Any, form: str) -> Iterator[tuple[str, Any]]:
    """The types inside of a type, each with its place where it has one."""
    if form == "alias":
        yield "", alias_target(hint)
    elif form == "union":
        yield from (("", member) for member in members(hint))
    elif form in ("list", "set", "tuple", "dict"):
        yield from (("", argument) for argument in get_args(hint) if argument is not ...)
    elif form == "abstract":
        yield from (("", argument) for argument in get_args(hint))
    elif form in _WITH_FIELDS:
        name = class_of(hint).__qualname__
        yield from ((f"{name}.{field.name}: ", field.hint) for field in fields_of(hint))
    elif form == "literal":
        yield from (("", type(value)) for value in get_args(hint))


def reachable(hint: Any, compiled: Compiled) -> frozenset[type]:
    """The classes that a declared type names, at whatever depth, and that can be written."""
    found: set[type] = set()
    seen: set[Any] = set()
    waiting = [hint]
    while waiting:
        try:
            hint = bare(waiting.pop())
            if hint in seen:
                continue
            seen.add(hint)
            form = compiled.form(hint)
            if form in _CLASSES:
                found.add(class_of(hint))
            waiting += [part for _, part in _parts(hint, form)]
        except WRONG_HINT:
            continue  # `problem_of` tells it
    return frozenset(found)


def problem_of(hint: Any, compiled: Compiled, known: Iterable[type]) -> str | None:
    """Say why no value of a type could be written, empty containers aside; `known` are the classes with names."""
    return _Search(compiled, tuple(known)).problem(hint)


class _Search:
    def __init__(self, compiled: Compiled, known: tuple[type, ...]) -> None:
        self._compiled = compiled
        self._known = known
        self._seen: set[Any] = set()

    def problem(self, hint: Any) -> str | None:
        try:
            hint = bare(hint)
            if hint in self._seen:
                return None  # it holds itself
            self._seen.add(hint)
            return self._problem(hint, self._compiled.form(hint))
        except WRONG_HINT as error:
            return f"the hint {show(hint)} cannot be evaluated: {describe(error)}"

    def _problem(self, hint: Any, form: str) -> str | None:
        if form in ("base", "none"):
            return self._problem_of_base(class_of(hint), hint)
        if form == "union":
            return self._problem_of_union(hint)
        if form == "class":
            cls = class_of(hint)
            found = Layout(cls, [field.name for field in fields_of(hint)]).problem
            if found is None and issubclass(cls, Node) and (kept_out := unrecorded(cls)):
                found = f"its field {min(kept_out)!r} is marked record=False"
            if found is not None:
                return f"{cls.__qualname__} cannot be written: {found}"
        for place, part in _parts(hint, form):
            found = self.problem(part)
            if found is not None:
                return place + found
        return None

    def _problem_of_base(self, cls: Any, hint: Any) -> str | None:
        is_class = isinstance(cls, type) and cls is not type
        if is_class and any(cls in other.__mro__ for other in self._known):
            return None
        if not is_class or cls.__module__ == collections.abc.__name__:
            return f"{show(hint)} cannot be written: no data can stand for it; declare another type"
        return f"{cls.__qualname__} cannot be written: {reason_against(cls)}"

    def _problem_of_union(self, hint: Any) -> str | None:
        twice = same_names(hint, self._compiled)
        if twice:
            return f"{show(hint)} has two members called {twice[0]}; rename one, or register it under another name"
        found = [self.problem(member) for member in members(hint)]
        return found[0] if None not in found else None
