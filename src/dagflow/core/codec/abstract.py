"""The abstract types of containers, such as `Sequence`, which several concrete ones fit."""

from __future__ import annotations

import collections.abc
from typing import Any, get_args

from dagflow.core.codec.faults import Fault
from dagflow.core.codec.forms import bare, class_of, item_hint
from dagflow.core.codec.scope import Hook, Hooks, Level, tag_of
from dagflow.core.hints import show
from dagflow.core.shapes import COLLECTIONS

__all__ = ["abstract_reader", "abstract_writer", "concrete_classes"]

_FITTING: dict[Any, tuple[type, ...]] = {
    collections.abc.Sequence: (list, tuple),
    collections.abc.MutableSequence: (list,),
    collections.abc.Collection: (list, tuple, set, frozenset, dict),
    collections.abc.Iterable: (list, tuple, set, frozenset, dict),
    collections.abc.Set: (frozenset, set),
    collections.abc.MutableSet: (set,),
    collections.abc.Mapping: (dict,),
    collections.abc.MutableMapping: (dict,),
}
_OF_TEXT = (collections.abc.Sequence, collections.abc.Collection, collections.abc.Iterable)


def concrete_classes(hint: Any) -> dict[type, Any]:
    """The classes that fit an abstract container, each with its declared type there."""
    origin = class_of(hint)
    item = item_hint(hint)
    found: dict[type, Any] = {}
    for cls in _FITTING[origin]:
        if cls is not dict:
            found[cls] = _of(tuple, item, ...) if cls is tuple else _of(cls, item)
        elif COLLECTIONS[origin][1] is dict:
            found[cls] = _of(dict, *get_args(hint)) if get_args(hint) else dict
        else:
            found[cls] = _of(dict, item, Any)
    if origin in _OF_TEXT and bare(item) in (str, Any, object):
        found[str] = str
    if origin in _OF_TEXT and bare(item) in (int, Any, object):
        found[bytes] = bytes
    return found


def abstract_writer(hint: Any, hooks: Hooks) -> Hook:
    """As the class that is most usual for it, any other with its name before it."""
    origin = class_of(hint)
    usual = COLLECTIONS[origin][1]
    writers: dict[type, tuple[str | None, Hook]] = {}
    for cls, concrete in concrete_classes(hint).items():
        tag = None if cls in (usual, str, dict) else f"${cls.__name__}"
        writers[cls] = tag, hooks.writer(concrete)

    def write(value: Any, at: Level) -> Any:
        found = writers.get(type(value))
        if found is None:
            return at.scope.write_subclass(value, origin, at)
        tag, write_it = found
        return write_it(value, at) if tag is None else {tag: write_it(value, at.deeper)}

    return write


def abstract_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `abstract_writer`."""
    origin = class_of(hint)
    usual = COLLECTIONS[origin][1]
    readers = {cls: hooks.reader(concrete) for cls, concrete in concrete_classes(hint).items()}
    by_tag = {cls.__name__: read for cls, read in readers.items() if cls not in (usual, str, dict)}
    untagged: dict[type, Hook] = {cls: readers[cls] for cls in (str, dict) if cls in readers}
    if usual is not dict:
        untagged[list] = readers[usual]

    def read(data: Any, at: Level) -> Any:
        tag = tag_of(data) if type(data) is dict else None
        if tag in by_tag:
            try:
                return by_tag[tag](data[f"${tag}"], at.deeper)
            except Fault as fault:
                fault.under(f".${tag}")
                raise
        found = untagged.get(str if tag == "str" else type(data))
        if found is None or tag not in (None, "str", "dict"):
            return at.scope.read_subclass(data, origin, at, show(hint))
        return found(data, at)

    return read


def _of(generic: Any, *arguments: Any) -> Any:
    return generic[arguments]
