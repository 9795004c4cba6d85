"""What attrs validators demand of a value, in the words of JSON Schema, or of people where it has none."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import attrs

from dagflow.core.unstructure import unstructure

__all__ = ["Constraints", "Unless", "constraints"]

_BOUNDS = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}


@attrs.frozen
class Constraints:
    """Keywords for a property's schema, and notes for its description where there is no keyword."""

    keywords: dict[str, Any] = attrs.field(factory=dict)
    notes: tuple[str, ...] = ()

    def __add__(self, other: Constraints) -> Constraints:
        return Constraints(self.keywords | other.keywords, self.notes + other.notes)


@attrs.frozen
class Unless:
    """A validator that is asked for all values but one, which stands for none."""

    absent: Any
    validator: Callable[[Any, Any, Any], Any]

    def __call__(self, instance: Any, attribute: Any, value: Any) -> None:
        """Ask the validator; raises what it does."""
        if value is not self.absent:
            self.validator(instance, attribute, value)


def constraints(validator: Any, types: Collection[str]) -> Constraints:
    """Read a validator of attrs for a value with these JSON types. What it does not know, attrs still enforces."""
    name = type(validator).__name__
    if isinstance(validator, (list, tuple)):
        return _all(validator, types)
    if name in ("_AndValidator", "_OptionalValidator", "Unless", "_validator_of_set_values"):
        inner = getattr(validator, "_validators", None) or validator.validator
        return _all(inner if isinstance(inner, (list, tuple)) else [inner], types)
    read = _READERS.get(name)
    return Constraints() if read is None else read(validator, types)


def _all(validators: Collection[Any], types: Collection[str]) -> Constraints:
    found = Constraints()
    for validator in validators:
        found += constraints(validator, types)
    return found


def _bound(validator: Any, types: Collection[str]) -> Constraints:
    bound = validator.bound
    if type(bound) in (int, float) and {"integer", "number"} & set(types):
        return Constraints({_BOUNDS[validator.compare_op]: bound})
    return Constraints(notes=(f"must be {validator.compare_op} {_plain(bound)}",))


def _min_length(validator: Any, types: Collection[str]) -> Constraints:
    return Constraints(_by_type(("minLength", "minItems", "minProperties"), validator.min_length, types))


def _max_length(validator: Any, types: Collection[str]) -> Constraints:
    return Constraints(_by_type(("maxLength", "maxItems", "maxProperties"), validator.max_length, types))


def _by_type(keywords: tuple[str, str, str], length: int, types: Collection[str]) -> dict[str, Any]:
    words = zip(("string", "array", "object"), keywords, strict=True)
    return {keyword: length for word, keyword in words if word in types}


def _pattern(validator: Any, types: Collection[str]) -> Constraints:
    pattern = validator.pattern.pattern
    match = getattr(validator.match_func, "__name__", "fullmatch")
    # Python's own syntax, and flags, have no form in the regular expressions of JSON Schema.
    is_portable = "(?" not in pattern.replace("(?:", "") and "\\A" not in pattern and "\\Z" not in pattern
    if type(pattern) is not str or not is_portable or validator.pattern.flags != _NO_FLAGS:
        return Constraints(notes=(f"must match the regular expression {pattern!r}",))
    # A search, which JSON Schema does, finds a part; attrs' default matches the whole.
    start = "" if match == "search" else "^"
    end = "$" if match == "fullmatch" else ""
    return Constraints({"pattern": f"{start}(?:{pattern}){end}" if start or end else pattern})


_NO_FLAGS = 32  # re.UNICODE, which every pattern of text has


def _choices(validator: Any, types: Collection[str]) -> Constraints:
    try:
        # attrs keeps the choices as a set too, which has lost their order.
        options = getattr(validator, "_original_options", validator.options)
        choices = unstructure(options if isinstance(options, (set, frozenset)) else list(options))
    except TypeError:
        return Constraints()
    # A field that may be null allows it beside the choices.
    return Constraints({"enum": [*choices, None] if "null" in types and None not in choices else choices})


def _items(validator: Any, types: Collection[str]) -> Constraints:
    outer = constraints(validator.iterable_validator, types) if validator.iterable_validator else Constraints()
    every = constraints(validator.member_validator, ("string", "integer", "number"))
    notes = tuple(f"every item: {word} {json.dumps(value)}" for word, value in every.keywords.items())
    return outer + Constraints(notes=notes + tuple(f"every item {note}" for note in every.notes))


def _plain(value: Any) -> str:
    try:
        return str(unstructure(value))
    except TypeError:
        return repr(value)


_READERS: dict[str, Callable[[Any, Collection[str]], Constraints]] = {
    "_NumberValidator": _bound,
    "_MinLengthValidator": _min_length,
    "_MaxLengthValidator": _max_length,
    "_MatchesReValidator": _pattern,
    "_InValidator": _choices,
    "_DeepIterable": _items,
}
