"""The state of a YAML graph: the types of its keys, what they begin with, and how writes are folded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import attrs

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.codec import Codec, Unreadable, Unwritable
from dagflow.core.fitting import fit
from dagflow.core.structure import nearest
from dagflow.declarative.model.fields import ABSENT
from dagflow.errors import GraphChanged, InvalidField, NodeError

__all__ = ["REDUCERS", "KeyType", "StateSchema"]

Reducer = Callable[[Any, Any], Any]


def add(before: Any, after: Any) -> Any:
    """Add numbers, join lists and texts; null is what there is before anything was added."""
    if before is None or after is None:
        return after if before is None else before
    return before + after


def last_value(before: Any, after: Any) -> Any:
    """Take the later one; of branches that meet, that of the branch that is declared later."""
    return after


def merge(before: Any, after: Any) -> Any:
    """Join two objects; of a key that both have, the later value is taken."""
    if before is None or after is None:
        return after if before is None else before
    return {**before, **after}


REDUCERS: Mapping[str, Reducer] = {"add": add, "last_value": last_value, "merge": merge}


@attrs.frozen
class KeyType:
    """A key as it is declared."""

    hint: Any = Any
    default: Any = ABSENT
    description: str = ""


@attrs.frozen(eq=False, slots=False)
class StateSchema:
    """The keys of a graph's state. `written` are those that nodes write, declared or not; both are known.

    `closed` tells that no others can be given: that is so for a graph that declares any.
    """

    keys: Mapping[str, KeyType]
    reducers: Mapping[str, Reducer]
    written: frozenset[str] = frozenset()
    types: tuple[Any, ...] = ()
    """Classes that the codec needs to know."""
    is_inner: bool = False
    """Whether it is that of a node inside another, whose writes are its result and never reach the state."""

    @property
    def closed(self) -> bool:
        """Whether only known keys can be given."""
        return bool(self.keys)

    @property
    def known(self) -> tuple[str, ...]:
        """The names of all keys."""
        return tuple(dict.fromkeys([*self.keys, *sorted(self.written)]))

    def hint(self, key: str) -> Any:
        """The type of a key; `Any` where none is declared."""
        found = self.keys.get(key)
        return Any if found is None else found.hint

    @cached_property
    def codec(self) -> Codec:
        """Writes values into journals."""
        return Codec(self.types)

    def beginning(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a run begins with: the defaults, and what it is given, of the declared types.

        Raises `StateError` with every key that is unknown or does not fit.
        """
        state = {key: _copy(kind.default) for key, kind in self.keys.items() if kind.default is not ABSENT}
        return state | self.read(given)

    def read(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Take values that come from outside; raises `StateError`."""
        problems: list[InvalidField] = []
        state: dict[str, Any] = {}
        for key, value in given.items():
            if self.closed and key not in self.keys and key not in self.written:
                near = nearest(key, self.known) or f"; its keys are {', '.join(self.known)}"
                problems.append(InvalidField(key, f"the graph's state has no such key{near}"))
                continue
            try:
                state[key] = fit(value, self.hint(key))
            except InvalidAnswer as error:
                problems += [InvalidField(key + one.path.removeprefix("$"), one.problem) for one in error.invalid]
        if problems:
            raise StateError(problems)
        return state

    def check(self, writes: Mapping[str, Any], node: str) -> dict[str, Any]:
        """Hold what a node writes to the declared types; raises `NodeError` with all that does not fit."""
        if self.closed and not self.is_inner:
            for key in writes:
                if key not in self.keys and key not in self.written:
                    near = (
                        nearest(key, self.known)
                        or f"; declare it under `state:`, whose keys are {', '.join(self.known)}"
                    )
                    raise NodeError(f"node {node} wrote {key!r}, which is no key of the state{near}", node=node)
        try:
            return {key: self._fit(key, value) for key, value in writes.items()}
        except InvalidAnswer as error:
            raise NodeError(f"node {node} wrote what does not fit the state: {error}", node=node) from error

    def _fit(self, key: str, value: Any) -> Any:
        kind = self.keys.get(key)
        if kind is None or kind.hint is Any:
            return value
        try:
            return fit(value, kind.hint)
        except InvalidAnswer as error:
            places = [InvalidField(key + one.path.removeprefix("$"), one.problem) for one in error.invalid]
            raise InvalidAnswer(places) from error

    def fold(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
        """Write on top of a state, as one node after another would."""
        state = dict(before)
        for key, value in after.items():
            reducer = self.reducers.get(key)
            state[key] = reducer(state[key], value) if reducer is not None and key in state else value
        return state

    def write(self, values: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Write values as data for the journal; raises `NodeError` naming the key that cannot be written."""
        data: dict[str, Any] = {}
        for key, value in values.items():
            try:
                data[key] = self.codec.writer(self.hint(key))(value)
            except Unwritable as error:
                raise NodeError(
                    f"{where}: state key {key!r} cannot be recorded: {error}; declare its type under `state:`, as "
                    f"module:Class, or write JSON values",
                    node=where,
                ) from error
        return data

    def restore(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Read values from the journal; raises `GraphChanged` for one that does not fit its declared type any more."""
        values: dict[str, Any] = {}
        for key, item in data.items():
            try:
                values[key] = self.codec.reader(self.hint(key))(item)
            except Unreadable as error:
                change = f"state key {key!r} is recorded with what does not fit its type any more: {error}"
                raise GraphChanged(change, changes=[change]) from error
        return values

    def signature(self, keys: Iterable[str]) -> list[str]:
        """The keys with their types, as the fingerprint of a node that writes them has them."""
        return [f"{key}: {hints.show(self.hint(key))}" for key in sorted(keys)]


class StateError(ValueError):
    """Raised for a state that a graph cannot begin with; `invalid` has every key that is unknown or does not fit."""

    def __init__(self, invalid: Iterable[InvalidField]) -> None:
        self.invalid: tuple[InvalidField, ...] = tuple(invalid)
        super().__init__("the state does not fit the graph: " + "; ".join(map(str, self.invalid)))


def _copy(value: Any) -> Any:
    """Defaults are shared by all runs; a list of one must not grow in another."""
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value
