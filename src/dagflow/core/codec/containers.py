"""Lists, tuples, sets and dicts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from dagflow.core.codec.faults import Fault, Unreadable, Unwritable, key_step
from dagflow.core.codec.forms import bare, class_of, item_hint
from dagflow.core.codec.json_values import BULK
from dagflow.core.codec.scope import Hook, Hooks, Level, tag_of
from dagflow.core.hints import show
from dagflow.core.scalars import describe_json

__all__ = [
    "dict_reader",
    "dict_writer",
    "list_reader",
    "list_writer",
    "read_pairs",
    "set_reader",
    "set_writer",
    "tuple_reader",
    "tuple_writer",
    "write_pairs",
]


def each(values: Iterable[Any], hook: Hook, inner: Level) -> list[Any]:
    """Write or read each item; a fault gets its place."""
    found: list[Any] = []
    try:
        for value in values:
            found.append(hook(value, inner))  # its length is the place of a fault
    except Fault as fault:
        fault.under(f"[{len(found)}]")
        raise
    return found


def list_writer(hint: Any, hooks: Hooks) -> Hook:
    """An array."""
    write_item = hooks.writer(item_hint(hint))
    are_plain = BULK.get(bare(item_hint(hint)), _never)

    def write(value: Any, at: Level) -> Any:
        if type(value) is not list:
            return at.scope.write_subclass(value, list, at)
        if are_plain(value):
            return value.copy()
        # As `each` does, without its frame on the stack, as nesting is deepest here.
        inner = at.deeper
        written: list[Any] = []
        try:
            for item in value:
                written.append(write_item(item, inner))
        except Fault as fault:
            fault.under(f"[{len(written)}]")
            raise
        return written

    return write


def list_reader(hint: Any, hooks: Hooks) -> Hook:
    """An array."""
    read_item = hooks.reader(item_hint(hint))
    are_plain = BULK.get(bare(item_hint(hint)), _never)

    def read(data: Any, at: Level) -> Any:
        if type(data) is not list:
            return at.scope.read_subclass(data, list, at, "an array")
        if are_plain(data):
            return data.copy()
        inner = at.deeper
        found: list[Any] = []
        try:
            for item in data:
                found.append(read_item(item, inner))
        except Fault as fault:
            fault.under(f"[{len(found)}]")
            raise
        return found

    return read


def _never(values: Any) -> bool:
    return False


def tuple_writer(hint: Any, hooks: Hooks) -> Hook:
    """An array, of as many items as are declared."""
    items = _tuple_items(hint)
    if items is None:
        write_item = hooks.writer(item_hint(hint))

        def write(value: Any, at: Level) -> Any:
            if type(value) is not tuple:
                return at.scope.write_subclass(value, tuple, at)
            return each(value, write_item, at.deeper)

        return write

    writers = [hooks.writer(item) for item in items]

    def write_fixed(value: Any, at: Level) -> Any:
        if type(value) is not tuple:
            return at.scope.write_subclass(value, tuple, at)
        if len(value) != len(writers):
            raise Unwritable(tuple, f"{show(hint)} is declared, and it has {len(value)} items")
        return _each(value, writers, at.deeper)

    return write_fixed


def tuple_reader(hint: Any, hooks: Hooks) -> Hook:
    """An array, of as many items as are declared."""
    items = _tuple_items(hint)
    if items is None:
        read_item = hooks.reader(item_hint(hint))

        def read(data: Any, at: Level) -> Any:
            if type(data) is not list:
                return at.scope.read_subclass(data, tuple, at, "an array")
            return tuple(each(data, read_item, at.deeper))

        return read

    readers = [hooks.reader(item) for item in items]

    def read_fixed(data: Any, at: Level) -> Any:
        if type(data) is not list:
            return at.scope.read_subclass(data, tuple, at, "an array")
        if len(data) != len(readers):
            raise Unreadable(f"expected an array of {len(readers)} items, got {len(data)}")
        return tuple(_each(data, readers, at.deeper))

    return read_fixed


def _tuple_items(hint: Any) -> tuple[Any, ...] | None:
    """The types of a tuple of fixed length; `None` for any other."""
    arguments = get_args(hint)
    return None if hint is tuple or arguments[1:] == (...,) else arguments


def _each(values: Sequence[Any], hooks: Sequence[Hook], inner: Level) -> list[Any]:
    found: list[Any] = []
    try:
        for value, hook in zip(values, hooks, strict=True):
            found.append(hook(value, inner))
    except Fault as fault:
        fault.under(f"[{len(found)}]")
        raise
    return found


def set_writer(hint: Any, hooks: Hooks) -> Hook:
    """An array, sorted, so that equal sets are written alike."""
    cls = class_of(hint)
    write_item = hooks.writer(item_hint(hint))

    def write(value: Any, at: Level) -> Any:
        if type(value) is not cls:
            return at.scope.write_subclass(value, cls, at)
        return _in_order(each(value, write_item, at.deeper))

    return write


def _in_order(written: list[Any]) -> list[Any]:
    try:
        return sorted(written)
    except TypeError:
        return sorted(written, key=lambda item: json.dumps(item, sort_keys=True))


def set_reader(hint: Any, hooks: Hooks) -> Hook:
    """An array of items that differ."""
    cls: Callable[[Any], Any] = class_of(hint)
    declared = class_of(hint)
    read_item = hooks.reader(item_hint(hint))

    def read(data: Any, at: Level) -> Any:
        if type(data) is not list:
            return at.scope.read_subclass(data, declared, at, "an array")
        items = each(data, read_item, at.deeper)
        try:
            found = cls(items)
        except Exception as error:  # hashing and comparing may be the user's own
            raise Unreadable(f"expected items that a set can hold: {error}") from error
        if len(found) != len(items):
            raise Unreadable("expected every item once, got one more than once")
        return found

    return read


def dict_writer(hint: Any, hooks: Hooks) -> Hook:
    """An object where every key is written as text; else, and where a key starts with `$`, an array of pairs."""
    key_hint, value_hint = get_args(hint) or (Any, Any)
    write_key, write_value = hooks.writer(key_hint), hooks.writer(value_hint)

    def write(value: Any, at: Level) -> Any:
        if type(value) is not dict:
            return at.scope.write_subclass(value, dict, at)
        inner = at.deeper
        key: Any = None
        pairs = []
        try:
            for key, item in value.items():
                pairs.append((write_key(key, inner), write_value(item, inner)))
        except Fault as fault:
            fault.under(key_step(key))
            raise
        return write_pairs(pairs)

    return write


def write_pairs(pairs: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """Keys that JSON cannot have, or that would look like a tag, make it `{"$dict": [[key, value], ...]}`."""
    for key, _ in pairs:
        if type(key) is not str or key[:1] == "$":
            return {"$dict": [list(pair) for pair in pairs]}
    return dict(pairs)


def read_pairs(data: dict[Any, Any], at: Level) -> Iterable[tuple[Any, Any]]:
    """The written keys with their written values."""
    if data.keys() != {"$dict"}:
        for key in data:
            if type(key) is not str or key[:1] == "$":
                raise Unreadable(f"expected an object, got one with the key {key!r}, which no data have")
        return data.items()
    pairs = data["$dict"]
    if type(pairs) is not list or not all(type(pair) is list and len(pair) == 2 for pair in pairs):
        raise Unreadable(f"expected an array of pairs, got {describe_json(pairs)}")
    return [(key, value) for key, value in pairs]


def dict_reader(hint: Any, hooks: Hooks) -> Hook:
    """See `dict_writer`."""
    key_hint, value_hint = get_args(hint) or (Any, Any)
    read_key, read_value = hooks.reader(key_hint), hooks.reader(value_hint)

    def read(data: Any, at: Level) -> Any:
        if type(data) is not dict or tag_of(data) not in (None, "dict"):
            return at.scope.read_subclass(data, dict, at, "an object")
        pairs = read_pairs(data, at)
        inner = at.deeper
        found: dict[Any, Any] = {}
        count = 0
        key: Any = None
        try:
            for key, item in pairs:
                count += 1
                name = read_key(key, inner)
                value = read_value(item, inner)
                _put(found, name, value)
        except Fault as fault:
            fault.under(key_step(key))
            raise
        if len(found) != count:
            raise Unreadable("expected every key once, got one more than once")
        return found

    return read


def _put(found: dict[Any, Any], key: Any, value: Any) -> None:
    try:
        found[key] = value
    except Exception as error:  # hashing and comparing may be the user's own
        raise Unreadable(f"expected a key that a dict can hold: {error}") from error
