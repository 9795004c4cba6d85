"""The writers and readers of all types: which makes which, and each made once."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any, cast

from dagflow.core.codec import abstract, choices, containers, objects, opened, records, scalars, unions
from dagflow.core.codec.forms import bare, class_of, form_of, label
from dagflow.core.codec.scope import Hook, Hooks
from dagflow.core.codec.serializer import Serializer

__all__ = ["Compiled"]

Factory = Callable[[Any, Hooks], Hook]

_FACTORIES: dict[str, tuple[Factory, Factory]] = {
    "any": (opened.any_writer, opened.any_reader),
    "alias": (opened.alias_writer, opened.alias_reader),
    "base": (opened.base_writer, opened.base_reader),
    "none": (opened.base_writer, opened.base_reader),
    "serializer": (opened.serializer_writer, opened.serializer_reader),
    "scalar": (lambda hint, _: scalars.scalar_writer(hint), lambda hint, _: scalars.scalar_reader(hint)),
    "literal": (choices.literal_writer, choices.literal_reader),
    "enum": (choices.enum_writer, choices.enum_reader),
    "flag": (choices.flag_writer, choices.flag_reader),
    "union": (unions.union_writer, unions.union_reader),
    "list": (containers.list_writer, containers.list_reader),
    "tuple": (containers.tuple_writer, containers.tuple_reader),
    "set": (containers.set_writer, containers.set_reader),
    "dict": (containers.dict_writer, containers.dict_reader),
    "abstract": (abstract.abstract_writer, abstract.abstract_reader),
    "class": (objects.class_writer, objects.class_reader),
    "named tuple": (records.named_tuple_writer, records.named_tuple_reader),
    "typed dict": (records.typed_dict_writer, records.typed_dict_reader),
}

_TAKEN_BY_CATTRS = (str, bytes, int, float, pathlib.Path)
"""cattrs takes a class that derives from these, an enum say, for its base, whatever hooks there are for it."""


class Compiled:
    """The hooks of one codec. cattrs finds who makes the one of a type; see `Hook` for how they are called."""

    def __init__(self, serializers: Mapping[type, Serializer]) -> None:
        import cattrs  # it takes long

        self.serializers = serializers
        self._names = {cls: serializer.name for cls, serializer in serializers.items()}
        self._writers: dict[Any, Hook] = {}
        self._readers: dict[Any, Hook] = {}
        self._converter = cattrs.Converter()
        for form, (make_writer, make_reader) in _FACTORIES.items():
            is_of_form = self._test(form)
            self._converter.register_unstructure_hook_factory(is_of_form, self._bound(make_writer))
            self._converter.register_structure_hook_factory(is_of_form, self._bound(make_reader))

    def form(self, hint: Any) -> str:
        """The form of a bare hint; `serializer` where the user has one for its class."""
        return "serializer" if class_of(hint) in self.serializers else form_of(hint)

    def name(self, hint: Any) -> str:
        """The name of a type in a journal."""
        return label(hint, self._names)

    def writer(self, hint: Any) -> Hook:
        """The writer of a type; raises `NameError` or `TypeError` for what is no type."""
        hint = bare(hint)
        found = self._writers.get(hint)
        if found is None:
            if self._is_taken(hint):
                found = _FACTORIES[self.form(hint)][0](hint, self)
            else:
                found = cast(Hook, self._converter.get_unstructure_hook(hint, cache_result=False))
            self._writers[hint] = found
        return found

    def reader(self, hint: Any) -> Hook:
        """The reader of a type; raises `NameError` or `TypeError` for what is no type."""
        hint = bare(hint)
        found = self._readers.get(hint)
        if found is None:
            if self._is_taken(hint):
                found = _FACTORIES[self.form(hint)][1](hint, self)
            else:
                found = cast(Hook, self._converter.get_structure_hook(hint, cache_result=False))
            self._readers[hint] = found
        return found

    def _is_taken(self, hint: Any) -> bool:
        return (
            isinstance(hint, type) and isinstance(class_of(hint), type) and issubclass(class_of(hint), _TAKEN_BY_CATTRS)
        )

    def _test(self, form: str) -> Callable[[Any], bool]:
        return lambda hint: self.form(hint) == form

    def _bound(self, make: Factory) -> Callable[[Any], Any]:
        return lambda hint: make(hint, self)
