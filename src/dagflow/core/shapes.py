"""What a type is in JSON: its kind, and the fields of the classes that are written as objects."""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import functools
import inspect
import pathlib
import types
import typing
import uuid
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NewType, TypeVar, Union, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.markers import DESCRIPTION, JSON_KEY, UNSET

__all__ = ["Kind", "ObjectField", "UnsupportedType", "kind_of", "object_fields", "peel"]

Kind = Literal["any", "scalar", "enum", "literal", "union", "object", "array", "set", "tuple", "mapping", "alias"]

SCALARS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    types.NoneType: "null",
    datetime.datetime: "string",
    datetime.date: "string",
    datetime.time: "string",
    datetime.timedelta: "string",
    uuid.UUID: "string",
    decimal.Decimal: "string",
    pathlib.Path: "string",
    pathlib.PurePath: "string",
    bytes: "string",
}
"""The types that are one JSON value, and the JSON type of it."""

COLLECTIONS: dict[Any, tuple[Kind, type]] = {
    list: ("array", list),
    collections.abc.Sequence: ("array", list),
    collections.abc.MutableSequence: ("array", list),
    collections.abc.Collection: ("array", list),
    collections.abc.Iterable: ("array", list),
    set: ("set", set),
    collections.abc.MutableSet: ("set", set),
    frozenset: ("set", frozenset),
    collections.abc.Set: ("set", frozenset),
    tuple: ("tuple", tuple),
    dict: ("mapping", dict),
    collections.abc.Mapping: ("mapping", dict),
    collections.abc.MutableMapping: ("mapping", dict),
}
"""The containers, and what each is built as."""

_QUALIFIERS = {typing.Required, typing.NotRequired, typing.Final, getattr(typing, "ReadOnly", typing.Required)}
_CONSTANT_FACTORIES = (list, dict, set, frozenset, tuple)


class UnsupportedType(ValueError):
    """Raised for a type that has no form in JSON; `path` leads to it (`Outfit.size`) and `hint` is the type."""

    def __init__(self, path: str, hint: Any, reason: str = "it has no form in JSON") -> None:
        self.path = path
        self.hint = hint
        self.reason = reason
        super().__init__(f"{path}: {hints.show(hint)} cannot be written as JSON: {reason}")


@attrs.frozen
class ObjectField:
    """One field of a class that is written as a JSON object.

    `key` is its name in JSON, and in the constructor (for attrs classes, the alias) unless `argument` says another.
    `default` is `attrs.NOTHING` where there is none, or none that is the same each time. `attribute` is the attrs
    field.
    """

    name: str
    key: str
    hint: Any
    required: bool
    default: Any
    description: str | None = None
    attribute: attrs.Attribute[Any] | None = None
    argument: str = attrs.field(default=attrs.Factory(lambda self: self.key, takes_self=True))


def is_alias(hint: Any) -> bool:
    """Tell whether a hint is a `type X = ...` alias, or one with arguments; it may refer to itself."""
    # Python 3.11 has none of its own, while that of typing_extensions is another class.
    return type(get_origin(hint) or hint).__name__ == "TypeAliasType"


def alias_value(hint: Any) -> Any:
    """The type that a `type X = ...` alias stands for."""
    origin = get_origin(hint) or hint
    return substitute(origin.__value__, dict(zip(origin.__type_params__, get_args(hint), strict=False)))


def peel(hint: Any) -> Any:
    """Take off what does not change the JSON form: `Annotated`, `NewType`, `Required`, a bound `TypeVar`."""
    while True:
        if hint is None:
            return types.NoneType
        origin = get_origin(hint)
        if origin is Annotated:
            hint = hint.__origin__
        elif origin in _QUALIFIERS:
            (hint,) = get_args(hint)
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif isinstance(hint, TypeVar) and hint.__bound__ is not None:
            hint = hint.__bound__
        else:
            return hint


def kind_of(hint: Any) -> Kind | None:
    """The kind of a peeled hint; `None` where it has no form in JSON."""
    if hint is Any or hint is object:
        return "any"
    if is_alias(hint):
        return "alias"
    origin = get_origin(hint) or hint
    if origin is Literal:
        return "literal"
    if origin in (Union, types.UnionType):
        return "union"
    if origin in SCALARS:
        return "scalar"
    if origin in COLLECTIONS:
        return COLLECTIONS[origin][0]
    if not isinstance(origin, type):
        return None
    if issubclass(origin, enum.Enum):
        return None if issubclass(origin, enum.Flag) else "enum"
    if typing.is_typeddict(origin) or attrs.has(origin) or dataclasses.is_dataclass(origin):
        return "object"
    return None


def enum_form(member: enum.Enum) -> Any:
    """How a member of an enum is written: its value where all values are plain and differ, else its name."""
    return member.value if _values_are_plain(type(member)) else member.name


@functools.lru_cache(maxsize=256)
def _values_are_plain(cls: type[enum.Enum]) -> bool:
    values = [member.value for member in cls]
    plain = all(value is None or type(value) in (str, int, bool) for value in values)
    return plain and len({repr(value) for value in values}) == len(values)


@hints.cached_by_hint(512)
def object_fields(hint: Any) -> tuple[ObjectField, ...]:
    """The fields of an attrs class, dataclass or typed dict, in the order of their declaration.

    Of a node type these are its plain fields. Raises `UnsupportedType` for a hint that cannot be evaluated.
    """
    cls = get_origin(hint) or hint
    if typing.is_typeddict(cls):
        found = _typed_dict_fields(cls)
    elif attrs.has(cls):
        found = _attrs_fields(cls)
    else:
        found = _dataclass_fields(cls)
    arguments = type_arguments(hint)
    return tuple(attrs.evolve(field, hint=substitute(field.hint, arguments)) for field in found)


def type_arguments(hint: Any) -> dict[Any, Any]:
    """What each type variable stands for in a generic class, those of its bases included."""
    origin = get_origin(hint) or hint
    found: dict[Any, Any] = dict(zip(getattr(origin, "__parameters__", ()), get_args(hint), strict=False))
    for base in getattr(origin, "__orig_bases__", ()):
        for variable, argument in type_arguments(base).items():
            found.setdefault(variable, substitute(argument, found))
    return found


def substitute(hint: Any, arguments: Mapping[Any, Any]) -> Any:
    """Put type arguments in the place of type variables."""
    if isinstance(hint, TypeVar):
        return arguments.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if not parameters or get_origin(hint) is None:
        return hint
    return hint[tuple(arguments.get(parameter, parameter) for parameter in parameters)]


def _attrs_fields(cls: type[Any]) -> tuple[ObjectField, ...]:
    types_of_plain_fields = _plain_inputs(cls)
    return tuple(
        _attrs_field(attribute, types_of_plain_fields[attribute.name])
        for attribute in attrs.fields(cls)
        if attribute.init and attribute.name in types_of_plain_fields
    )


def _plain_inputs(cls: type[Any]) -> dict[str, Any]:
    from dagflow.core.node import Node

    if issubclass(cls, Node):
        from dagflow.core.inputs import inputs

        return {item.name: item.type for item in inputs(cls) if item.kind == "plain"}
    return {a.name: evaluate_field(cls, a.name, Any if a.type is None else a.type) for a in attrs.fields(cls)}


def _attrs_field(attribute: attrs.Attribute[Any], hint: Any) -> ObjectField:
    default: Any = attribute.default
    required = default is attrs.NOTHING or default is UNSET
    factory_class: Any = attrs.Factory  # typed as a function, is a class
    if isinstance(default, factory_class):
        factory = getattr(default, "factory", None)
        default = factory() if factory in _CONSTANT_FACTORIES else attrs.NOTHING
    argument = attribute.alias or attribute.name
    return ObjectField(
        name=attribute.name,
        key=attribute.metadata.get(JSON_KEY, argument),
        hint=hint,
        required=required,
        default=attrs.NOTHING if required else default,
        description=attribute.metadata.get(DESCRIPTION),
        attribute=attribute,
        argument=argument,
    )


def _dataclass_fields(cls: type[Any]) -> tuple[ObjectField, ...]:
    found = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        default: Any = field.default
        required = default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if default is dataclasses.MISSING:
            constant = field.default_factory in _CONSTANT_FACTORIES
            factory: Any = field.default_factory
            default = factory() if constant else attrs.NOTHING
        description = field.metadata.get(DESCRIPTION)
        hint = evaluate_field(cls, field.name, field.type)
        found.append(ObjectField(field.name, field.name, hint, required, default, description))
    return tuple(found)


def _typed_dict_fields(cls: Any) -> tuple[ObjectField, ...]:
    found = []
    for name, raw in _annotations(cls).items():
        hint = evaluate_field(cls, name, raw)
        # A string hint hides its `NotRequired` from the class's own `__required_keys__`.
        required = name in cls.__required_keys__ and get_origin(hint) is not typing.NotRequired
        found.append(ObjectField(name, name, peel(hint), required, attrs.NOTHING))
    return tuple(found)


def _annotations(cls: Any) -> dict[str, Any]:
    return dict(cls.__annotations__)


def evaluate_field(cls: type[Any], name: str, hint: Any) -> Any:
    """Evaluate the hint of a class's field where it was declared; raises `UnsupportedType` for an unknown name."""
    for owner in cls.__mro__:
        if name in inspect.get_annotations(owner):
            break
    else:
        owner = cls
    # Fields of slotted classes are descriptors in the class's namespace: `date: date` must find the type.
    nested = {key: value for key, value in vars(owner).items() if isinstance(value, type)}
    namespaces = [nested, hints.module_namespace(owner), {owner.__name__: owner}]
    try:
        return hints.evaluate(hint, namespaces)
    except NameError as error:
        reason = f"the name {error.name!r} in its hint is not known in {owner.__module__}"
        raise UnsupportedType(f"{cls.__name__}.{name}", hint, reason) from error
