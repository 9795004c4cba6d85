"""Structuring: from parsed JSON to typed values and back, strictly, with every problem at its path."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.scalars import READERS, Mismatch, describe_json, write_scalar
from dagflow.core.shapes import COLLECTIONS, ObjectField, alias_value, enum_form, kind_of, object_fields, peel
from dagflow.core.unions import (
    ByKey,
    discriminator,
    json_type,
    json_types,
    literal_form,
    union_members,
    union_objects,
)
from dagflow.errors import InvalidField

if TYPE_CHECKING:
    import cattrs

__all__ = ["structure", "unstructure"]

T = TypeVar("T")


def structure(
    data: Any,
    target: Callable[..., T] | Any,
    *,
    only: Sequence[str] | None = None,
    given: Mapping[str, Any] | None = None,
) -> T:
    """Make a value of `target` (a class or any type hint) from parsed JSON.

    Nothing is coerced. `only` names the fields of a class that `data` has; `given` holds values of other
    fields, which are taken as they are.

    Raises `InvalidAnswer` with every problem: missing and unknown fields, wrong types, values that attrs
    validators refuse.
    """
    hint = peel(target)
    values = dict(given or {})
    if kind_of(hint) != "object":
        value: T = _read(data, hint)
        return value
    fields = [
        field for field in object_fields(hint) if field.name not in values and (only is None or field.name in only)
    ]
    if type(data) is not dict:
        name = hints.show(hint)
        raise InvalidAnswer([InvalidField("$", f"expected an object for {name}, got {describe_json(data)}")])
    problems = list(_unknown_keys(data, [field.key for field in fields]))
    arguments = _given_by_key(hint, values)
    for field in fields:
        if field.key not in data:
            if field.required:
                problems.append(InvalidField(f"$.{field.key}", f"missing; expected {_expected(field.hint)}"))
            continue
        try:
            arguments[field.key] = _read(data[field.key], field.hint)
        except InvalidAnswer as error:
            problems.extend(_below(f"$.{field.key}", error.invalid))
    if problems:
        raise InvalidAnswer(problems)
    try:
        made: T = (get_origin(hint) or hint)(**arguments)
    except (ValueError, TypeError) as error:
        raise InvalidAnswer([_refused(error, [field.key for field in fields])]) from error
    return made


def _given_by_key(hint: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    cls = get_origin(hint) or hint
    aliases = {item.name: item.alias or item.name for item in attrs.fields(cls)} if attrs.has(cls) else {}
    return {aliases.get(name, name): value for name, value in values.items()}


def _read(data: Any, hint: Any) -> Any:
    try:
        return _converter().structure(data, hint)
    except Exception as error:
        raise InvalidAnswer(_problems(error, "$")) from error


@lru_cache(maxsize=1)
def _converter() -> cattrs.Converter:
    """The converter, with a strict hook for each kind of type. cattrs caches what it finds for each class."""
    import cattrs

    converter = cattrs.Converter(detailed_validation=True)
    for kind, read in _HOOKS.items():
        converter.register_structure_hook_factory(partial(_is_of_kind, kind), partial(_hook_for, read))
    for scalar, read_scalar in READERS.items():
        converter.register_structure_hook(scalar, _ignoring_type(read_scalar))
    return converter


def _ignoring_type(read: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda data, _: read(data)


def _is_of_kind(kind: str, hint: Any) -> bool:
    return kind_of(peel(hint)) == kind


def _hook_for(read: Callable[[Any, Any], Any], hint: Any) -> Callable[[Any, Any], Any]:
    bare = peel(hint)
    return lambda data, _: read(data, bare)


def _read_any(data: Any, hint: Any) -> Any:
    return data


def _read_scalar(data: Any, hint: Any) -> Any:
    return READERS[hint](data)


def _read_alias(data: Any, hint: Any) -> Any:
    return _converter().structure(data, alias_value(hint))


def _read_enum(data: Any, hint: Any) -> Any:
    return _choose(data, {_form_key(enum_form(member)): member for member in hint}, hints.show(hint))


def _read_literal(data: Any, hint: Any) -> Any:
    return _choose(data, {_form_key(literal_form(value)): value for value in get_args(hint)}, "one of the values")


def _form_key(form: Any) -> tuple[type, Any]:
    return type(form), form  # 1 and True are equal, but not the same answer


def _choose(data: Any, choices: Mapping[tuple[type, Any], Any], what: str) -> Any:
    key = (type(data), data)
    if isinstance(data, (dict, list)) or key not in choices:
        allowed = ", ".join(repr(form) for _, form in choices)
        near = get_close_matches(str(data), [str(form) for _, form in choices], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise Mismatch(f"expected {what} ({allowed}), got {describe_json(data)}{hint}")
    return choices[key]


def _read_object(data: Any, hint: Any) -> Any:
    try:
        return structure(data, hint)
    except InvalidAnswer as error:
        raise _Below(error.invalid) from error


def _read_array(data: Any, hint: Any) -> Any:
    arguments = get_args(hint) or (Any,)
    return COLLECTIONS[get_origin(hint) or hint][1](_read_items(data, [arguments[0]] * _length(data)))


def _read_tuple(data: Any, hint: Any) -> Any:
    arguments = get_args(hint)
    if not arguments:
        arguments = (Any, ...)
    if arguments[-1] is ...:
        return tuple(_read_items(data, [arguments[0]] * _length(data)))
    if arguments == ((),):
        arguments = ()
    if _length(data) != len(arguments):
        raise Mismatch(f"expected an array of {len(arguments)} items, got {len(data)}")
    return tuple(_read_items(data, arguments))


def _length(data: Any) -> int:
    if type(data) is not list:
        raise Mismatch(f"expected array, got {describe_json(data)}")
    return len(data)


def _read_items(data: list[Any], kinds: Sequence[Any]) -> list[Any]:
    found, problems = [], []
    for index, (item, kind) in enumerate(zip(data, kinds, strict=True)):
        try:
            found.append(_converter().structure(item, kind))
        except Exception as error:
            problems.extend(_problems(error, f"$[{index}]"))
    if problems:
        raise _Below(problems)
    return found


def _read_mapping(data: Any, hint: Any) -> Any:
    if type(data) is not dict:
        raise Mismatch(f"expected object, got {describe_json(data)}")
    key_type, value_type = get_args(hint) or (Any, Any)
    found: dict[Any, Any] = {}
    problems: list[InvalidField] = []
    for key, value in data.items():
        path = f"$.{key}" if key.isidentifier() else f"$[{key!r}]"
        try:
            found[_converter().structure(key, key_type)] = _converter().structure(value, value_type)
        except Exception as error:
            problems.extend(_problems(error, path))
    if problems:
        raise _Below(problems)
    return found


def _read_union(data: Any, hint: Any) -> Any:
    """Read the member that the value is meant for, so that its problems are told, not those of all others."""
    members = union_members(hint)
    fitting = [member for member in members if json_type(data) in json_types(member)]
    if not fitting:
        raise Mismatch(f"expected {' or '.join(map(_expected, members))}, got {describe_json(data)}")
    objects = union_objects(hint)
    if isinstance(data, dict) and len(objects) > 1:
        return _read_tagged(data, objects)
    tried: list[str] = []
    for member in fitting:
        try:
            return _converter().structure(data, member)
        except Exception as error:
            problems = _problems(error, "$")
            if len(fitting) == 1:
                raise _Below(problems) from error
            tried.append(f"{_expected(member)} ({'; '.join(map(str, problems))})")
    raise Mismatch(f"fits none of {' or '.join(tried)}")


def _read_tagged(data: dict[str, Any], objects: Sequence[Any]) -> Any:
    found = discriminator(objects)
    if isinstance(found, ByKey):
        tag = data.get(found.key)
        if not isinstance(tag, str) or tag not in found.members:
            allowed = ", ".join(map(repr, found.members))
            told = "missing" if found.key not in data else f"got {describe_json(tag)}"
            raise _Below([InvalidField(f"$.{found.key}", f"{told}; expected one of {allowed}")])
        if found.added:
            data = {key: value for key, value in data.items() if key != found.key}
        return _read_object(data, found.members[tag])
    matching = [member for member, keys in found.members.items() if keys & data.keys()]
    if len(matching) == 1:
        return _read_object(data, matching[0])
    if not matching and found.rest is not None:
        return _read_object(data, found.rest)
    names = " or ".join(map(_expected, objects))
    raise Mismatch(f"expected {names}; the fields {', '.join(map(repr, data)) or '(none)'} fit no single one")


_HOOKS: dict[str, Callable[[Any, Any], Any]] = {
    "any": _read_any,
    "scalar": _read_scalar,
    "alias": _read_alias,
    "enum": _read_enum,
    "literal": _read_literal,
    "object": _read_object,
    "array": _read_array,
    "set": _read_array,
    "tuple": _read_tuple,
    "mapping": _read_mapping,
    "union": _read_union,
}


class _Below(Exception):
    """Problems at paths below the value that was being read."""

    def __init__(self, invalid: Sequence[InvalidField]) -> None:
        self.invalid = tuple(invalid)
        super().__init__(*map(str, invalid))


def _problems(error: Exception, path: str) -> list[InvalidField]:
    if isinstance(error, (_Below, InvalidAnswer)):
        return list(_below(path, error.invalid))
    return [InvalidField(path, str(error))]


def _below(path: str, invalid: Sequence[InvalidField]) -> Iterator[InvalidField]:
    for item in invalid:
        yield InvalidField(path + item.path.removeprefix("$"), item.problem)


def _unknown_keys(data: Mapping[str, Any], known: Sequence[str]) -> Iterator[InvalidField]:
    for key in data:
        if key not in known:
            near = get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"expected {', '.join(map(repr, known)) or 'no field'}"
            yield InvalidField(f"$.{key}", f"unknown field; {hint}")


def _refused(error: Exception, names: Sequence[str]) -> InvalidField:
    """Find the field that a validator speaks of: attrs' messages begin with its quoted name."""
    text = str(error.args[0]) if error.args else str(error)
    found = re.search(r"'(\w+)'", text)
    path = f"$.{found[1]}" if found and found[1] in names else "$"
    return InvalidField(path, text)


def _expected(hint: Any) -> str:
    hint = peel(hint)
    kind = kind_of(hint)
    if kind == "scalar":
        return (
            sorted(json_types(hint), key=("integer", "number").index)[-1]
            if hint is float
            else next(iter(json_types(hint)))
        )
    return hints.show(hint)


def unstructure(value: Any, hint: Any = Any) -> Any:
    """Write a value as JSON-able data, so that `structure(unstructure(value, hint), hint)` gives it back.

    Raises `TypeError` for a value that has no form in JSON.
    """
    hint = peel(hint)
    while kind_of(hint) == "alias":
        hint = peel(alias_value(hint))
    if isinstance(value, enum.Enum):
        return enum_form(value)
    if attrs.has(type(value)) or dataclasses.is_dataclass(type(value)):
        return _write_object(value, hint)
    if isinstance(value, Mapping):
        return _write_mapping(value, hint)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _write_items(value, hint)
    return write_scalar(value)


def _write_object(value: Any, hint: Any) -> dict[str, Any]:
    written = {field.key: unstructure(getattr(value, field.name), field.hint) for field in _fields(value, hint)}
    objects = union_objects(hint) if kind_of(hint) == "union" else ()
    if len(objects) > 1:
        found = discriminator(objects)
        if isinstance(found, ByKey) and found.added:
            tags = {(get_origin(member) or member): tag for tag, member in found.members.items()}
            if type(value) in tags:
                written = {found.key: tags[type(value)]} | written
    return written


def _fields(value: Any, hint: Any) -> tuple[ObjectField, ...]:
    cls: Any = type(value)
    for member in union_members(hint):
        if get_origin(peel(member)) is cls:
            return object_fields(peel(member))
    return object_fields(cls)


def _write_mapping(value: Mapping[Any, Any], hint: Any) -> dict[str, Any]:
    if kind_of(hint) == "object":
        kinds = {field.key: field.hint for field in object_fields(hint)}
        return {key: unstructure(item, kinds.get(key, Any)) for key, item in value.items()}
    arguments = next((get_args(peel(m)) for m in union_members(hint) if kind_of(peel(m)) == "mapping"), ())
    key_type, value_type = arguments or (Any, Any)
    written = {}
    for key, item in value.items():
        name = unstructure(key, key_type)
        if not isinstance(name, str):
            raise TypeError(f"the key {key!r} is no string, as the keys of a JSON object are")
        written[name] = unstructure(item, value_type)
    return written


def _write_items(value: Any, hint: Any) -> list[Any]:
    kinds = ("array", "set", "tuple")
    arguments = next((get_args(peel(m)) for m in union_members(hint) if kind_of(peel(m)) in kinds), ())
    if isinstance(value, tuple) and arguments and arguments[-1] is not ... and len(arguments) == len(value):
        return [unstructure(item, kind) for item, kind in zip(value, arguments, strict=True)]
    return [unstructure(item, arguments[0] if arguments else Any) for item in value]
