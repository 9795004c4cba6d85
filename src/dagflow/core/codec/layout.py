"""Where an instance keeps its state, so that it can be taken out whole and put into a new one, past `__init__`."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dagflow.core.codec.faults import Unwritable

__all__ = ["Layout"]

_CACHED_HASH = "_attrs_cached_hash"


class Layout:
    """Takes the state out of instances of a class, and makes instances of it.

    `state` gives what an instance has, by name; more than the fields, or less, is for `check` to judge.
    """

    def __init__(self, cls: type, names: Iterable[str]) -> None:
        self.cls = cls
        self.names: tuple[str, ...] = tuple(names)
        self.problem: str | None = _problem(cls, self.names)
        slots = [name for name in self.names if _is_slot(cls, name)] + _slots_of_no_fields(cls, self.names)
        # Not through `getattr`, which asks the class's own `__getattr__` for what is empty.
        self._getters = [(name, inspect.getattr_static(cls, name).__get__) for name in slots]
        self._caches = _caches(cls)
        self._caches_hash = _CACHED_HASH in getattr(getattr(cls.__hash__, "__code__", None), "co_names", ())
        in_dict = not slots and bool(cls.__dictoffset__)
        self._fills_dict = in_dict and not self._caches_hash
        self.state: Callable[[Any], dict[str, Any]] = _state_of_dict if in_dict else _state_of_slots(self._getters)

    def check(self, state: Mapping[str, Any], optional: frozenset[str]) -> dict[str, Any]:
        """Give the state of the fields alone; raises `Unwritable` where it is not all that makes up the instance."""
        extra = state.keys() - set(self.names) - self._caches - {_CACHED_HASH}
        if extra:
            raise Unwritable(
                self.cls,
                f"it has the attribute {min(extra)!r}, which is no field and would be lost; "
                f"make it a field, or register a Serializer for {self.cls.__qualname__}",
            )
        missing = [name for name in self.names if name not in state and name not in optional]
        if missing:
            raise Unwritable(self.cls, f"its field {missing[0]!r} has no value; give it one")
        return {name: state[name] for name in self.names if name in state}

    def make(self, state: dict[str, Any]) -> Any:
        """Make an instance that has this state."""
        instance: Any = object.__new__(self.cls)
        if self._fills_dict:
            instance.__dict__.update(state)
            return instance
        for name, value in state.items():
            put(instance, name, value)
        if self._caches_hash:
            put(instance, _CACHED_HASH, None)
        return instance


put: Callable[[object, str, Any], None] = object.__setattr__


def _state_of_dict(instance: Any) -> dict[str, Any]:
    return instance.__dict__  # type: ignore[no-any-return]  # as fast as it can be


def _state_of_slots(getters: Iterable[tuple[str, Callable[[Any], Any]]]) -> Callable[[Any], dict[str, Any]]:
    def state_of(instance: Any) -> dict[str, Any]:
        state = dict(getattr(instance, "__dict__", ()))
        for name, get in getters:
            try:
                state[name] = get(instance)
            except AttributeError:
                continue
        return state

    return state_of


def _is_slot(cls: type, name: str) -> bool:
    return isinstance(inspect.getattr_static(cls, name, None), types.MemberDescriptorType)


def _problem(cls: type, names: Iterable[str]) -> str | None:
    for name in names:
        found = inspect.getattr_static(cls, name, None)
        if found is not None and not _is_slot(cls, name) and hasattr(type(found), "__set__"):
            return f"its field {name!r} is kept by a descriptor; register a Serializer for {cls.__qualname__}"
    return None


def _slots_of_no_fields(cls: type, names: tuple[str, ...]) -> list[str]:
    """The slots of bases that are no attrs classes or dataclasses; the others have caches beside their fields."""
    found: list[str] = []
    for base in cls.__mro__:
        if "__attrs_attrs__" in vars(base) or "__dataclass_fields__" in vars(base):
            continue
        found += [name for name, value in vars(base).items() if isinstance(value, types.MemberDescriptorType)]
    return [name for name in found if name not in names]


def _caches(cls: type) -> frozenset[str]:
    """What a class computes from its fields whenever it is missing."""
    return frozenset(
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, functools.cached_property)
    )
