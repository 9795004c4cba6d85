"""Scalars: the types that are one value in JSON."""

from __future__ import annotations

import pathlib
import types
from typing import TYPE_CHECKING, Any

from dagflow.core.codec.json_values import (
    read_bool,
    read_float,
    read_int,
    read_none,
    read_str,
    write_bool,
    write_float,
    write_int,
    write_none,
    write_str,
)
from dagflow.core.codec.texts import TEXTS, text_reader, text_writer

if TYPE_CHECKING:
    from dagflow.core.codec.scope import Hook

__all__ = ["JSON_TYPES", "OWN_PATHS", "SCALARS", "scalar_reader", "scalar_writer"]

OWN_PATHS: dict[Any, Any] = {
    pathlib.Path: type(pathlib.Path()),
    pathlib.PurePath: type(pathlib.PurePath()),
}
"""What these classes make on this machine."""


_OF_JSON: dict[Any, tuple[Hook, Hook]] = {
    types.NoneType: (write_none, read_none),
    bool: (write_bool, read_bool),
    int: (write_int, read_int),
    float: (write_float, read_float),
    str: (write_str, read_str),
}

SCALARS: frozenset[Any] = frozenset([*_OF_JSON, *TEXTS, *OWN_PATHS])
"""The types that are written as one value of JSON."""

JSON_TYPES: dict[Any, frozenset[type]] = {
    types.NoneType: frozenset({types.NoneType}),
    bool: frozenset({bool}),
    int: frozenset({int, bool}),
    float: frozenset({float, int}),
    str: frozenset({str}),
}
"""What JSON itself tells apart: the types of the values of each of these, and of their data."""


def scalar_writer(hint: Any) -> Hook:
    """The writer of a scalar type."""
    if hint in _OF_JSON:
        return _OF_JSON[hint][0]
    cls: type = OWN_PATHS.get(hint, hint)
    return text_writer(hint, cls, TEXTS[cls])


def scalar_reader(hint: Any) -> Hook:
    """The reader of a scalar type."""
    if hint in _OF_JSON:
        return _OF_JSON[hint][1]
    return text_reader(hint, TEXTS[OWN_PATHS.get(hint, hint)])
