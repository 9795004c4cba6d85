"""Classes of answers: what a prompt's `schema` declares, as an attrs class that LM requests and structuring take."""

from __future__ import annotations

import copy
import functools
import keyword
import re
import unicodedata
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final, get_args

import attrs

from dagflow.core.answers import InvalidAnswer
from dagflow.core.markers import DESCRIPTION, JSON_KEY
from dagflow.core.schema import json_schema
from dagflow.core.shapes import kind_of
from dagflow.core.structure import message_of, structure
from dagflow.declarative.model.fields import ABSENT
from dagflow.declarative.model.prompts import FieldSpec, SchemaSpec
from dagflow.declarative.prompts.faults import PromptError
from dagflow.declarative.prompts.field_constraints import narrowed, validators_of
from dagflow.declarative.type_names import parse_type
from dagflow.errors import InvalidField
from dagflow.source.paths import LONGEST_KEY

__all__ = ["make_class"]

MAX_FIELDS: Final = 500
MAX_DEPTH: Final = 8
MAX_NAME: Final = 64

FindClass = Callable[[str], Any]

_CLASS_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_TAKEN: Final = {"self", "NOTHING"}
"""Names that the code of attrs has for itself where it makes an instance."""


def make_class(spec: SchemaSpec | str, *, find_class: FindClass | None = None) -> type[Any]:
    """Make the class of an answer: frozen, with keyword arguments, and validators for what the fields demand.

    Its name and fields are those of the spec; a field whose name Python has for itself (`class`) gets an underscore
    behind it, and keeps its name in JSON. A `spec` that is a text names a class, which `find_class` finds; it raises
    `ValueError` where it does not. Nothing in a spec is run: names and texts are data.

    Raises `PromptError` with everything that is wrong, by its path in the spec.
    """
    if isinstance(spec, str):
        return _named(spec, find_class)
    maker = _Maker(find_class)
    cls = maker.make(spec.name, spec.fields, "$", spec.description)
    if maker.faults:
        raise PromptError(maker.faults)
    return cls


def _named(text: str, find_class: FindClass | None) -> type[Any]:
    try:
        if find_class is None:
            raise ValueError("no class can be named here; write the fields")
        found = find_class(text)
        if not isinstance(found, type) or kind_of(found) != "object":
            raise ValueError(f"{text} is no class with fields; name a class that attrs made")
        json_schema(found)
    except ValueError as error:
        raise PromptError([InvalidField("$", str(error))]) from error
    return found


@attrs.frozen
class _Place:
    """Where a field is: its path, that of its type, its name in JSON, and the name of the class inside of it."""

    path: str
    of_type: str
    key: str
    inner_name: str


class _Maker:
    """Makes the class of a schema and those inside of it, collecting faults."""

    def __init__(self, find_class: FindClass | None) -> None:
        self.faults: list[InvalidField] = []
        self._find_class = find_class
        self._count = 0
        self._depth = 0

    def make(
        self, name: str, fields: Mapping[str, str | FieldSpec], path: str, description: str | None = None
    ) -> type[Any]:
        """Make a class; it is of use only where there are no faults."""
        if self._refuses_class(name, fields, path):
            return object
        made: dict[str, Any] = {}
        self._depth += 1
        for key, given in fields.items():
            here = _below(f"{path}.fields", key)
            attribute = self._attribute_name(key, made, here)
            spec = FieldSpec(type=given) if isinstance(given, str) else given
            place = _Place(here, here if isinstance(given, str) else f"{here}.type", key, f"{name}{_camel(key)}")
            made[attribute] = self._field(spec, place, {} if attribute == key else {JSON_KEY: key})
        self._depth -= 1
        if self.faults:
            return object
        cls: type[Any] = attrs.make_class(
            name, made, frozen=True, slots=True, kw_only=True, order=False, class_body={"__doc__": description}
        )
        return cls

    def _refuses_class(self, name: str, fields: Mapping[str, str | FieldSpec], path: str) -> bool:
        """Note what is wrong with a class as a whole; gives whether its fields are worth no look."""
        if self._depth == 0 and (
            _CLASS_NAME.fullmatch(name) is None or len(name) > MAX_NAME or keyword.iskeyword(name)
        ):
            told = f"{name[:80]!r} is no name for a class; use up to {MAX_NAME} letters and digits, a letter first"
            self.faults.append(InvalidField(f"{path}.name", told))
        self._count += len(fields)
        problem = None
        if not fields:
            problem = "lists no field; leave it out for an object with any keys"
        elif self._count > MAX_FIELDS:
            problem = f"more than {MAX_FIELDS} fields in one schema"
        elif self._depth >= MAX_DEPTH:
            problem = f"objects are nested more than {MAX_DEPTH} deep"
        if problem is not None:
            self.faults.append(InvalidField(f"{path}.fields", problem))
        return problem is not None

    def _attribute_name(self, key: str, made: Mapping[str, Any], here: str) -> str:
        attribute = f"{key}_" if keyword.iskeyword(key) or key in _TAKEN else key
        problem = _name_problem(key)
        if problem is None and attribute in made:
            problem = f"two fields have the name {attribute!r} in Python; call one of them something else"
        if problem is not None:
            self.faults.append(InvalidField(here, problem))
        return attribute

    def _field(self, spec: FieldSpec, place: _Place, metadata: dict[str, Any]) -> Any:
        inner = self.make(place.inner_name, spec.fields, place.path) if spec.fields is not None else dict[str, Any]
        try:
            hint = parse_type(spec.type, find_class=self._find_class, object_type=inner)
            json_schema(hint)
        except ValueError as error:
            self.faults.append(InvalidField(place.of_type, str(error)))
            return None
        found: list[InvalidField] = []
        if spec.fields is not None and not _holds(hint, inner):
            found.append(InvalidField("$.fields", "belong to an object; write `type: object`, or `list[object]`"))
        hint = narrowed(spec, hint, found)
        validators = validators_of(spec, hint, found)
        default = _default(spec, hint, validators, place.key, found)
        self.faults += [InvalidField(place.path + fault.path.removeprefix("$"), fault.problem) for fault in found]
        if spec.description is not None:
            metadata[DESCRIPTION] = spec.description
        return attrs.field(type=hint, default=default, validator=validators or None, metadata=metadata)


def _default(spec: FieldSpec, hint: Any, validators: list[Any], name: str, found: list[InvalidField]) -> Any:
    if spec.default is ABSENT:
        return attrs.NOTHING
    try:
        value = structure(spec.default, hint)
    except InvalidAnswer as error:
        found += [InvalidField(f"$.default{fault.path.removeprefix('$')}", fault.problem) for fault in error.invalid]
        return attrs.NOTHING
    for validator in validators:
        try:
            validator(None, SimpleNamespace(name=name), value)
        except Exception as error:
            found.append(InvalidField("$.default", message_of(error)))
    kind: Any = type(value)
    if kind in (list, dict, set) and not value:
        return attrs.Factory(kind)  # the one factory that the JSON Schema can tell
    if kind in (list, dict, set, tuple) or attrs.has(kind):
        return attrs.Factory(functools.partial(copy.deepcopy, value))
    return value


def _below(path: str, key: str) -> str:
    """The path of a key, as `core.structure` writes it."""
    key = key if len(key) <= LONGEST_KEY else f"{key[:LONGEST_KEY]}..."
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]"


def _name_problem(key: str) -> str | None:
    if len(key) > MAX_NAME:
        return f"the name of a field has at most {MAX_NAME} characters"
    if not key.isidentifier():
        return f"{key!r} cannot be the name of a field; use letters, digits and `_`, and no digit first"
    if key.startswith("_"):
        return f"the name of a field cannot begin with `_`; write {key.strip('_') or 'a word'}"
    if unicodedata.normalize("NFKC", key) != key:
        return f"write {key!r} with the usual characters: {unicodedata.normalize('NFKC', key)!r}"
    return None


def _camel(key: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in key.split("_"))


def _holds(hint: Any, wanted: Any) -> bool:
    return hint is wanted or any(_holds(argument, wanted) for argument in get_args(hint))
