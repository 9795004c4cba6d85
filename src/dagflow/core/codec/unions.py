"""Unions: a member is told from the others by what JSON tells apart, else by its name before the data."""

from __future__ import annotations

from typing import Any, get_args

import attrs

from dagflow.core.codec.abstract import concrete_classes
from dagflow.core.codec.faults import Fault, Unreadable, Unwritable
from dagflow.core.codec.forms import class_of, form_of, members
from dagflow.core.codec.scalars import JSON_TYPES
from dagflow.core.codec.scope import Hook, Hooks, Level, tag_of
from dagflow.core.hints import show
from dagflow.core.scalars import describe_json

__all__ = ["same_names", "union_reader", "union_writer"]

_OBJECT = frozenset({dict})
_ARRAY = frozenset({list})
_NO_TYPES: frozenset[type] = frozenset()
_BY_FORM: dict[str, frozenset[type]] = {
    "list": _ARRAY,
    "set": _ARRAY,
    "tuple": _ARRAY,
    "dict": _OBJECT,
    "typed dict": _OBJECT,
    "class": _OBJECT,
    "named tuple": _OBJECT,
    "enum": frozenset({str}),
    "flag": frozenset({int}),
}


@attrs.frozen
class Member:
    """One member of a union, with the name that is put before its data; `tag` is empty where none is needed.

    `data` are the types of what it is written as, `values` those of what it writes.
    """

    hint: Any
    name: str
    tag: str
    data: frozenset[type]
    values: frozenset[type]


def members_of(hint: Any, hooks: Hooks) -> list[Member]:
    """The members of a union in an order that does not depend on how it was written, since equal unions are one."""
    by_name = {hooks.name(member): member for member in members(hint)}
    data = {name: _data_types(member, hooks) for name, member in by_name.items()}
    found = []
    for name, member in sorted(by_name.items(), key=lambda item: (not _tells_itself(item[1]), item[0])):
        others = frozenset().union(*(types for other, types in data.items() if other != name))
        clashes = not _tells_itself(member) and data[name] & others
        found.append(Member(member, name, name if clashes else "", data[name], _value_types(member, hooks)))
    return found


def same_names(hint: Any, hooks: Hooks) -> list[str]:
    """The names that several members of a union have."""
    names = [hooks.name(member) for member in members(hint)]
    return sorted({name for name in names if names.count(name) > 1})


def _tells_itself(hint: Any) -> bool:
    """Whether the data of a member reads as the same value by any other member that takes it."""
    return hint in JSON_TYPES or form_of(hint) == "literal"


def _data_types(hint: Any, hooks: Hooks) -> frozenset[type]:
    if class_of(hint) in hooks.serializers:
        return _NO_TYPES  # these have their name before them anyway
    form = form_of(hint)
    if form == "scalar":
        return JSON_TYPES.get(hint, frozenset({str}))
    if form == "literal":
        return frozenset(type(value) for value in get_args(hint) if type(value) in JSON_TYPES)
    if form == "abstract":
        found = {
            _BY_FORM[form_of(concrete)] for cls, concrete in concrete_classes(hint).items() if cls not in (str, bytes)
        }
        return frozenset().union(*found, {str} if str in concrete_classes(hint) else ())
    return _BY_FORM.get(form, _NO_TYPES)


def _value_types(hint: Any, hooks: Hooks) -> frozenset[type]:
    if class_of(hint) in hooks.serializers:
        return frozenset({class_of(hint)})
    form = form_of(hint)
    if form == "literal":
        return frozenset(type(value) for value in get_args(hint))
    if form == "abstract":
        return frozenset(concrete_classes(hint))
    if form == "typed dict":
        return _OBJECT
    if hint in JSON_TYPES:
        return JSON_TYPES[hint]
    return frozenset({class_of(hint)}) if isinstance(class_of(hint), type) else _NO_TYPES


def is_open(hint: Any) -> bool:
    """Whether a member takes anything at all, so that the others say nothing."""
    return any(form_of(member) == "any" for member in members(hint))


def union_writer(hint: Any, hooks: Hooks) -> Hook:
    """As the first member that takes the value; each gives back exactly what it takes."""
    if is_open(hint):
        return hooks.writer(Any)
    found = members_of(hint, hooks)
    if len(found) == 2 and any(member.hint is type(None) for member in found):
        write_it = hooks.writer(next(member.hint for member in found if member.hint is not type(None)))
        return lambda value, at: None if value is None else write_it(value, at)

    writers = [(member, _member_writer(member, hooks)) for member in found]
    by_class: dict[type, list[Hook]] = {}
    for member, write_member in writers:
        for cls in member.values:
            by_class.setdefault(cls, []).append(write_member)
    everyone = [write_member for _, write_member in writers]

    def write(value: Any, at: Level) -> Any:
        candidates = by_class.get(type(value), everyone)
        if len(candidates) == 1:
            return candidates[0](value, at)
        for candidate in candidates:
            try:
                return candidate(value, at)
            except Unwritable:
                continue
        raise Unwritable(type(value), f"{show(hint)} is declared, and none of these takes it as it is")

    return write


def _member_writer(member: Member, hooks: Hooks) -> Hook:
    write_it = hooks.writer(member.hint)
    if not member.tag:
        return write_it
    cls = class_of(member.hint)

    def write(value: Any, at: Level) -> Any:
        known = at.scope.classes.get(member.tag, cls)
        if known is not cls:
            raise Unwritable(type(value), f"two classes are called {member.tag}; register one under another name")
        return {f"${member.tag}": write_it(value, at.deeper)}

    return write


def union_reader(hint: Any, hooks: Hooks) -> Hook:
    """By the name before the data, or by the type of the data."""
    if is_open(hint):
        return hooks.reader(Any)
    found = members_of(hint, hooks)
    if len(found) == 2 and any(member.hint is type(None) for member in found):
        read_it = hooks.reader(next(member.hint for member in found if member.hint is not type(None)))
        return lambda data, at: None if data is None else read_it(data, at)

    tagged = {f"${member.tag}": hooks.reader(member.hint) for member in found if member.tag}
    untagged = [(member, hooks.reader(member.hint)) for member in found if not member.tag]
    by_type: dict[type, list[Hook]] = {}
    for member, read_member in untagged:
        for cls in member.data:
            by_type.setdefault(cls, []).append(read_member)
    everyone = [read_member for _, read_member in untagged]

    def read(data: Any, at: Level) -> Any:
        candidates = by_type.get(type(data), [])
        if type(data) is dict and (name := tag_of(data)) is not None:
            if f"${name}" in tagged:
                return _read_tagged(tagged[f"${name}"], f"${name}", data, at)
            candidates = everyone
        if len(candidates) == 1:
            return candidates[0](data, at)
        for candidate in candidates:
            try:
                return candidate(data, at)
            except Unreadable:
                continue
        raise Unreadable(f"expected {_expected(found)}, got {describe_json(data)}")

    return read


def _read_tagged(read: Hook, tag: str, data: dict[str, Any], at: Level) -> Any:
    try:
        return read(data[tag], at.deeper)
    except Fault as fault:
        fault.under(f".{tag}")
        raise


def _expected(found: list[Member]) -> str:
    return " or ".join(f"an object {{'${member.tag}': ...}}" if member.tag else member.name for member in found)
