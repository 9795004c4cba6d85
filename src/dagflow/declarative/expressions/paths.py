"""Reading paths such as `grade.score` or `items[-1].name`: keys of mappings, fields of objects, items of arrays.

Reading is quick and says nothing of what it does not find; then the path is walked once more, to say what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Final, NoReturn

import attrs

from dagflow.core.structure import nearest
from dagflow.declarative.expressions.faults import Place, excerpt, listed
from dagflow.declarative.expressions.kinds import ARRAYS, a_kind, fields_of, settle
from dagflow.declarative.expressions.scope import Scope

__all__ = ["MISSING", "Key", "Run", "Span", "read_of", "root_of", "walk_of"]

Run = Callable[[Scope], Any]
"""A compiled part of an expression."""

Key = tuple[str | int | Run, int, int]
"""A compiled step: its key, or what computes it; the offset at which it begins, and that at which it ends."""

MISSING: Final[Any] = object()
"""Stands for the value of a path that leads nowhere."""

SEQUENCES: Final = (*ARRAYS, str)

# Looking for the nearest of a hundred thousand keys takes seconds.
_MOST_CANDIDATES = 200
_LONGEST_CANDIDATE = 100


@attrs.frozen
class Span:
    """Where a path stands in the source, and where its root ends."""

    source: str
    start: int
    end: int

    def to(self, end: int) -> str:
        """The text of the path up to a place."""
        return self.source[self.start : end]


def root_of(name: str) -> Run:
    """Make what gives the value of a name, or `MISSING`."""
    if name == "state":
        return lambda scope: scope.locals.get("state", scope.state)

    def read(scope: Scope) -> Any:
        if name in scope.locals:
            return scope.locals[name]
        return scope.state.get(name, MISSING)

    return read


def read_of(root: Run, keys: Sequence[str | int], walk: Run) -> Run:
    """Make what reads a path whose keys are known; `walk` is called to say what is wrong."""
    if len(keys) == 1:
        (only,) = keys

        def read_part(scope: Scope) -> Any:
            value = root(scope)
            value = value.get(only, MISSING) if value.__class__ is dict else _part(value, only)
            return walk(scope) if value is MISSING else value

        return read_part

    def read(scope: Scope) -> Any:
        value = root(scope)
        for key in keys:
            value = value.get(key, MISSING) if value.__class__ is dict else _part(value, key)
        return walk(scope) if value is MISSING else value

    return read


def walk_of(root: Run, keys: Sequence[Key], span: Span, *, or_missing: bool) -> Run:
    """Make what reads a path and says what is wrong with it; or gives `MISSING` where it leads nowhere."""

    def walk(scope: Scope) -> Any:
        value = root(scope)
        if value is MISSING:
            return MISSING if or_missing else _no_name(scope, span)
        before = span.end
        for key, offset, end in keys:
            plain = _checked_key(key(scope), Place(span.source, offset)) if callable(key) else key
            part = _part(value, plain)
            if part is MISSING:
                failed = _Failed(value, plain, Place(span.source, offset), span.to(end), span.to(before))
                return MISSING if or_missing and failed.may_be_missing() else failed.refuse()
            value, before = part, end
        return value

    return walk


def _part(value: Any, key: str | int) -> Any:
    """A part of a value, or `MISSING`, be it that there is no such part or that the value has no parts."""
    return _reader(value.__class__)(value, key)


@lru_cache(maxsize=1024)
def _reader(cls: Any) -> Callable[[Any, Any], Any]:
    if issubclass(cls, Mapping):
        return _from_mapping
    if issubclass(cls, SEQUENCES):
        return _from_sequence
    fields = fields_of(cls)

    def from_object(value: Any, key: Any) -> Any:
        name = fields.get(key)
        return MISSING if name is None else getattr(value, name, MISSING)

    return from_object if fields else _from_nothing


def _from_mapping(value: Any, key: Any) -> Any:
    return value.get(key, MISSING)  # not `value[key]`: reading a defaultdict would write to it


def _from_sequence(value: Any, key: Any) -> Any:
    if key.__class__ is int and -len(value) <= key < len(value):
        return value[key]
    return MISSING


def _from_nothing(_value: Any, _key: Any) -> Any:
    return MISSING


def _checked_key(key: Any, place: Place) -> str | int:
    plain = settle(key)
    if plain.__class__ is str or plain.__class__ is int:
        return plain
    raise place.error(f"brackets take a string or an integer, not {a_kind(key)}")


def _no_name(scope: Scope, span: Span) -> NoReturn:
    name = span.to(span.end)
    names = _names([*scope.locals, *scope.state])
    there = f"the names are {listed(names)}" if names else "there are no names"
    raise Place(span.source, span.start).error(f"`{_short(name)}` is missing: {there}{_near(name, names)}")


@attrs.frozen
class _Failed:
    """A step that leads nowhere: from the value of the path `owner`, by the key, to the path `path`."""

    value: Any
    key: str | int
    place: Place
    path: str
    owner: str

    def may_be_missing(self) -> bool:
        """Whether it is only that the part is missing, where values of this kind may have such a key."""
        if self.value is None or isinstance(self.value, Mapping) or fields_of(self.value.__class__):
            return True
        return isinstance(self.value, SEQUENCES) and isinstance(self.key, int)

    def refuse(self) -> NoReturn:
        """Say what is wrong."""
        path = _short(self.path)
        if self.may_be_missing():
            raise self.place.error(f"`{path}` is missing: {self._what_is_there()}")
        parts = "only items by number" if isinstance(self.value, SEQUENCES) else "and no items"
        raise self.place.error(f"`{path}` cannot be read: {a_kind(self.value)} has no keys, {parts}")

    def _what_is_there(self) -> str:
        owner, value, key = _short(self.owner), self.value, self.key
        if value is None:
            return f"`{owner}` is null"
        if isinstance(value, SEQUENCES):
            count = f"{len(value)} item{'' if len(value) == 1 else 's'}" if len(value) else "no items"
            return f"`{owner}` has {count}"
        keys = _names(value if isinstance(value, Mapping) else fields_of(value.__class__))
        if not keys:
            return f"`{owner}` has no keys"
        return f"`{owner}` has no key {_shown_key(key)}, but {listed(keys)}{_near(key, keys)}"


def _shown_key(key: str | int) -> str:
    if isinstance(key, str):
        return excerpt(key)
    return str(key) if key.bit_length() <= 64 else "so large a number"


def _names(keys: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(key for key in islice(keys, _MOST_CANDIDATES) if isinstance(key, str)))


def _near(name: Any, names: Iterable[str]) -> str:
    return nearest(name, [known for known in names if len(known) <= _LONGEST_CANDIDATE])


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:28]}...{text[-29:]}"
