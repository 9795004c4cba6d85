"""Values and the JSON that stands for them: taken from people and files, and given to programs."""

from __future__ import annotations

from typing import Any

from dagflow.core import hints
from dagflow.core.structure import structure
from dagflow.core.unstructure import unstructure

__all__ = ["as_json", "fit", "is_json"]


def fit(value: Any, hint: Any) -> Any:
    """Give `value` as a value of the declared type: itself where it is one, else what its JSON stands for.

    Raises `InvalidAnswer` with every problem.
    """
    if hint is Any or (not is_json(value) and hints.is_instance(value, hint, deep=True)):
        return value
    return structure(value, hint)


def is_json(value: Any) -> bool:
    """Whether a value is JSON through and through; there `true` is no integer, and 3 may be a float."""
    if type(value) is list:
        return all(map(is_json, value))
    if type(value) is dict:
        return all(type(key) is str and is_json(item) for key, item in value.items())
    return value is None or type(value) in (str, int, float, bool)


def as_json(value: Any) -> Any:
    """Give a value as JSON: itself where it is JSON, else what stands for it, as for a date or an attrs class.

    Raises `TypeError` for a value that has no form in JSON.
    """
    try:
        return value if is_json(value) else unstructure(value)
    except (ValueError, RecursionError) as error:
        raise TypeError(f"a {type(value).__name__} has no form in JSON: {error}") from error
