"""What a file demands of a field's values, as validators of attrs: schema and structuring read them from there."""

from __future__ import annotations

import decimal
import math
import re
import types
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import attrs

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.shapes import kind_of
from dagflow.core.structure import structure
from dagflow.declarative.model.prompts import FieldSpec
from dagflow.errors import InvalidField

__all__ = ["narrowed", "validators_of"]

MAX_PATTERN: Final = 500
MAX_CHOICES: Final = 1000

_BOUNDS: Final[dict[str, Callable[[Any], Any]]] = {
    "ge": attrs.validators.ge,
    "gt": attrs.validators.gt,
    "le": attrs.validators.le,
    "lt": attrs.validators.lt,
}
_LENGTHS: Final[dict[str, Callable[[int], Any]]] = {
    "min_length": attrs.validators.min_len,
    "max_length": attrs.validators.max_len,
}
_NUMBERS: Final = (int, float, decimal.Decimal)


def narrowed(spec: FieldSpec, hint: Any, faults: list[InvalidField]) -> Any:
    """The hint of the values that `enum` lists, where there is one; they must be of the field's own type."""
    choices = spec.enum
    if choices is None:
        return hint
    found = list(_choice_faults(choices, hint))
    faults += found
    if found:
        return hint
    chosen: Any = Literal[tuple(choices)]
    is_optional = types.NoneType in hints.union_members(hint) and None not in choices
    return chosen | None if is_optional else chosen


def _choice_faults(choices: list[Any], hint: Any) -> Iterator[InvalidField]:
    if not 0 < len(choices) <= MAX_CHOICES:
        yield InvalidField("$.enum", f"must list from 1 to {MAX_CHOICES} values")
        return
    if len({(type(choice), repr(choice)) for choice in choices}) < len(choices):
        yield InvalidField("$.enum", "lists a value more than once")
    for place, choice in enumerate(choices):
        path = f"$.enum[{place}]"
        if type(choice) not in (str, int, bool, type(None)):
            yield InvalidField(path, "a choice is a text, a whole number, true, false or null")
            continue
        try:
            structure(choice, hint)
        except InvalidAnswer as error:
            yield InvalidField(path, f"{error.invalid[0].problem}; give the field the type of its values")


def validators_of(spec: FieldSpec, hint: Any, faults: list[InvalidField]) -> list[Any]:
    """The validators of a field with this hint; what does not fit the hint is put to the faults."""
    members = [member for member in hints.union_members(hint) if member is not types.NoneType]
    found: list[Any] = []
    for name, make_bound in _BOUNDS.items():
        bound = getattr(spec, name)
        if bound is None:
            continue
        if not all(member in _NUMBERS for member in members):
            faults.append(InvalidField(f"$.{name}", f"is for numbers, and the field is {hints.show(hint)}"))
        else:
            found.append(make_bound(int(bound) if float(bound).is_integer() and int in members else bound))
    for name, make_length in _LENGTHS.items():
        length = getattr(spec, name)
        if length is None:
            continue
        if not all(_has_length(member) for member in members):
            faults.append(InvalidField(f"$.{name}", f"is for texts and lists, and the field is {hints.show(hint)}"))
        elif length < 0:
            faults.append(InvalidField(f"$.{name}", f"must be 0 or more, not {length}"))
        else:
            found.append(make_length(length))
    if spec.pattern is not None:
        found += _pattern(spec.pattern, members, hint, faults)
    faults += _contradictions(spec)
    return [attrs.validators.optional(one) for one in found] if len(members) < len(hints.union_members(hint)) else found


def _has_length(member: Any) -> bool:
    return member is str or kind_of(member) in ("array", "set", "mapping")


def _pattern(pattern: str, members: list[Any], hint: Any, faults: list[InvalidField]) -> list[Any]:
    if any(member is not str for member in members):
        faults.append(InvalidField("$.pattern", f"is for texts, and the field is {hints.show(hint)}"))
        return []
    if len(pattern) > MAX_PATTERN:
        faults.append(InvalidField("$.pattern", f"is longer than {MAX_PATTERN} characters"))
        return []
    try:
        return [attrs.validators.matches_re(pattern, func=re.fullmatch)]
    except (re.error, RecursionError, OverflowError) as error:
        faults.append(InvalidField("$.pattern", f"is no regular expression: {error}"))
        return []


def _contradictions(spec: FieldSpec) -> Iterator[InvalidField]:
    low = max(_or(spec.ge, -math.inf), _or(spec.gt, -math.inf))
    high = min(_or(spec.le, math.inf), _or(spec.lt, math.inf))
    is_open = spec.gt == low or spec.lt == high
    if low > high or (low == high and is_open):
        yield InvalidField("$", f"no number is both above {low:g} and below {high:g}")
    if spec.min_length is not None and spec.max_length is not None and spec.min_length > spec.max_length:
        yield InvalidField("$.max_length", f"is less than min_length, {spec.min_length}")


def _or(bound: float | None, default: float) -> float:
    return default if bound is None else bound
