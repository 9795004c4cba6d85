"""The fields of classes as a journal has them: all that make up the state, under the names of the attributes."""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from dagflow.core.codec.forms import class_of, form_of
from dagflow.core.inputs import fields_of as attributes_of
from dagflow.core.inputs import inputs
from dagflow.core.markers import UNSET, Dep
from dagflow.core.node import Node
from dagflow.core.shapes import evaluate_field, object_fields, substitute, type_arguments

__all__ = ["Field", "fields_of", "unrecorded"]


@attrs.frozen
class Field:
    """One field of a class.

    `default` makes its value for an instance that is read from data without it; `None` where there is no default.
    `may_be_unset` where an instance need not have it at all.
    """

    name: str
    hint: Any
    default: Callable[[Any], Any] | None = None
    may_be_unset: bool = False


def fields_of(hint: Any) -> tuple[Field, ...]:
    """The fields of a class, named tuple or typed dict, in the order of their declaration.

    Raises `UnsupportedType` or `GraphError` for a hint that cannot be evaluated.
    """
    cls = class_of(hint)
    form = form_of(hint)
    if form == "typed dict":
        return tuple(Field(item.key, item.hint, may_be_unset=not item.required) for item in object_fields(hint))
    if form == "named tuple":
        found = _named_tuple_fields(cls)
    elif issubclass(cls, Node):
        found = _node_fields(cls)
    elif attrs.has(cls):
        found = _attrs_fields(cls)
    else:
        found = _dataclass_fields(cls)
    arguments = type_arguments(hint)
    return tuple(attrs.evolve(field, hint=substitute(field.hint, arguments)) for field in found)


def _named_tuple_fields(cls: Any) -> Iterator[Field]:
    hints = {name: hint for base in reversed(cls.__mro__) for name, hint in inspect.get_annotations(base).items()}
    for name in cls._fields:
        default = cls._field_defaults.get(name, UNSET)
        yield Field(
            name,
            evaluate_field(cls, name, hints.get(name, Any)),
            None if default is UNSET else _constant(default),
        )


def _node_fields(cls: type[Node]) -> Iterator[Field]:
    attributes = {attribute.name: attribute for attribute in attributes_of(cls)}
    for item in inputs(cls):
        unset = item.default is UNSET
        default = None if unset else _attrs_default(attributes[item.name])
        yield Field(item.name, item.type, default, may_be_unset=unset)


def unrecorded(cls: type[Node]) -> frozenset[str]:
    """The fields of a node that are to be kept out of a store."""
    return frozenset(item.name for item in inputs(cls) if isinstance(item.marker, Dep) and not item.marker.record)


def _attrs_fields(cls: type[Any]) -> Iterator[Field]:
    for attribute in attrs.fields(cls):
        hint = evaluate_field(cls, attribute.name, Any if attribute.type is None else attribute.type)
        has_default = attribute.default is not attrs.NOTHING
        yield Field(
            attribute.name,
            hint,
            _attrs_default(attribute) if has_default else None,
            may_be_unset=not has_default and not attribute.init,
        )


def _attrs_default(attribute: attrs.Attribute[Any]) -> Callable[[Any], Any]:
    """As the class's own `__init__` makes it: through the converter."""
    default: Any = attribute.default
    convert: Any = attribute.converter
    factory_class: Any = attrs.Factory  # typed as a function, is a class

    def make(instance: Any) -> Any:
        value = default
        if isinstance(default, factory_class):
            factory: Any = default
            value = factory.factory(instance) if factory.takes_self else factory.factory()
        if convert is None:
            return value
        if not isinstance(convert, attrs.Converter):
            return convert(value)
        whole: Any = convert  # typed without its attributes
        return whole.converter(value, *[instance] * whole.takes_self, *[attribute] * whole.takes_field)

    return make


def _dataclass_fields(cls: type[Any]) -> Iterator[Field]:
    for field in dataclasses.fields(cls):
        default: Callable[[Any], Any] | None = None
        if field.default_factory is not dataclasses.MISSING:
            default = _made_by(field.default_factory)
        elif field.default is not dataclasses.MISSING and (field.init or _is_slot(cls, field.name)):
            default = _constant(field.default)
        hint = evaluate_field(cls, field.name, field.type)
        # Else the class itself has the default, and its instances need not.
        yield Field(field.name, hint, default, may_be_unset=not field.init and default is None)


def _is_slot(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), types.MemberDescriptorType)


def _made_by(factory: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda instance: factory()


def _constant(value: Any) -> Callable[[Any], Any]:
    return lambda instance: value
