"""The options that a plug-in has in a file: the parameters of its class, with the types that their hints declare."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from functools import reduce
from operator import or_
from pathlib import Path, PurePath
from typing import Any

import attrs

from dagflow.core import hints
from dagflow.core.schema import json_schema
from dagflow.core.secrets import Secret, mask
from dagflow.core.shapes import UnsupportedType
from dagflow.core.structure import structure
from dagflow.errors import describe, name_of
from dagflow.plugins.finding import broken, find, load
from dagflow.plugins.installed import Plugin
from dagflow.plugins.problems import PluginError

__all__ = ["PluginOptions", "read_options"]

OMITTED: Any = object()
"""Stands for an option that is not given: the class has a default of its own."""


@attrs.frozen(eq=False)
class PluginOptions:
    """A plug-in and what its class is to be called with, by name."""

    plugin: Plugin
    made: type[Any]
    values: Mapping[str, Any] = attrs.field(repr=False)

    def make(self, folder: Path) -> Any:
        """Make the object. A `Path` that is relative begins at `folder`.

        Raises `PluginError` where the class raises, which is the cause. No `Secret` is in its text.
        """
        given = {name: type(it)(folder / it) if isinstance(it, PurePath) else it for name, it in self.values.items()}
        try:
            return self.made(**given)
        except Exception as error:
            hidden = [value for value in given.values() if isinstance(value, Secret)]
            plugin = self.plugin
            raise PluginError(
                f"the plug-in {plugin.name!r} of {plugin.distribution} ({plugin.entry_point}) cannot be made from its "
                f"options: {mask(describe(error), hidden)}",
                distribution=plugin.distribution,
                entry_point=plugin.entry_point,
            ) from error


@attrs.frozen
class Option:
    """A parameter that can be given in a file; of a `Secret`, the file has the text."""

    name: str
    hint: Any
    required: bool
    is_secret: bool


def read_options(kind: str, name: str, data: Mapping[str, Any]) -> PluginOptions:
    """Read the options of a plug-in from plain data; imports the plug-in.

    An option is a parameter that can be passed by name. Its type is that of the hint, as far as that has a form in a
    file: of a union, the members that have one. A parameter with a default whose hint has none is no option; one
    without a hint takes anything.

    Raises `InvalidAnswer` with everything that is wrong with the data, and `PluginError` as `load` does, also for a
    class that cannot be made from a file: it has a required parameter that has no form in one.
    """
    cls, plugin = load(kind, name), find(kind, name)
    options = {option.name: option for option in _options(cls, plugin)}
    made = attrs.make_class(
        f"{cls.__name__}Options",
        {
            option.name: attrs.field(
                type=option.hint, default=attrs.NOTHING if option.required else OMITTED, alias=option.name
            )
            for option in options.values()
        },
        frozen=True,
        kw_only=True,
    )
    read: Any = structure(data, made)
    given = {name: value for name in options if (value := getattr(read, name)) is not OMITTED}
    return PluginOptions(
        plugin,
        cls,
        {
            name: Secret(value) if options[name].is_secret and isinstance(value, str) else value
            for name, value in given.items()
        },
    )


def _options(cls: type[Any], plugin: Plugin) -> Iterator[Option]:
    for parameter in _parameters(cls, plugin):
        hint = _hint(cls, parameter)
        members = hints.union_members(hint)
        forms = [form for member in members if (form := _form(member)) is not None]
        required = parameter.default is parameter.empty
        # `type` is what names the plug-in itself.
        if forms and parameter.kind is not parameter.POSITIONAL_ONLY and parameter.name != "type":
            yield Option(parameter.name, reduce(or_, forms), required, Secret in members)
        elif required:
            raise broken(
                plugin,
                f"{name_of(cls)} cannot be made from a file, which cannot give its parameter {parameter.name} "
                f"({hints.show(hint)}); give that a default",
            )


def _parameters(cls: type[Any], plugin: Plugin) -> list[inspect.Parameter]:
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError) as error:
        raise broken(plugin, f"{name_of(cls)} has no signature to read its options by") from error
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [parameter for parameter in signature.parameters.values() if parameter.kind not in several]


def _hint(cls: type[Any], parameter: inspect.Parameter) -> Any:
    """The hint of a parameter; `Any` where there is none, or it names what only type checkers know."""
    if parameter.annotation is parameter.empty:
        return Any
    maker = next((vars(owner)["__init__"] for owner in cls.__mro__ if "__init__" in vars(owner)), cls)
    try:
        return hints.evaluate(parameter.annotation, [hints.module_namespace(maker), hints.module_namespace(cls)])
    except Exception:  # whatever the text of a hint does when it is evaluated
        return Any


def _form(hint: Any) -> Any:
    """What a file can give where a type is asked for; `None` for nothing."""
    if hint is Secret:
        return str
    try:
        json_schema(hint)
    except UnsupportedType:
        return None
    return hint
