"""Turning values into arguments, environment variables and input, each of which a kernel can take."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from dagflow.declarative.expressions.faults import Place
from dagflow.declarative.expressions.kinds import a_kind, settle
from dagflow.declarative.expressions.limits import MAX_FILLED
from dagflow.declarative.expressions.text import to_text

__all__ = ["MAX_ARGUMENT", "argument_text", "input_text", "looks_like_option", "too_much", "unfit"]

MAX_ARGUMENT: Final = 131_071
"""Bytes of one argument or variable: Linux takes no more (`MAX_ARG_STRLEN`, with the byte that ends it)."""

_MOST_BYTES: Final = 6 * 1024 * 1024  # Linux takes no more, whatever the limit of the stack is
_ROOM: Final = 4096  # for what the kernel adds
_POINTER: Final = 8
_OPTION: Final = re.compile(r"-\S")


def argument_text(value: Any, what: str, place: Place) -> str:
    """Make the text of an argument or variable: a string as it is, a number or boolean as JSON, a date in ISO 8601.

    `what` names it in errors. Raises `ExpressionError` for null, arrays and objects: they are no single text.
    """
    plain = settle(value)
    if isinstance(plain, str):
        return plain
    if plain is None:
        raise place.error(f"{what} is null, and no text; give it a default: default(path, ...)")
    if is_compound(plain):
        raise place.error(
            f"{what} is {a_kind(value)}, and no text; take one part of it, join(...) its parts into one text, or "
            f"write it as JSON: str(...)"
        )
    return to_text(plain, place, MAX_ARGUMENT)


def input_text(value: Any, place: Place) -> str:
    """Make the text that a program reads: a string as it is, everything else as JSON.

    Raises `ExpressionError` for null.
    """
    if value is None:
        raise place.error("the input is null, and no text; give it a default: default(path, ...)")
    return to_text(settle(value), place, MAX_FILLED)


def is_compound(value: Any) -> bool:
    kinds = (Mapping, list, tuple, set, frozenset)
    return isinstance(value, kinds) or attrs.has(type(value)) or dataclasses.is_dataclass(value)


def unfit(text: str, name: str = "") -> str:
    """Say why the kernel takes no such text as an argument, or as the variable `name`; nothing where it does."""
    if "\0" in text:
        return f"holds a NUL character at position {text.index(chr(0)) + 1}, which ends a text for the kernel"
    if problem := no_unicode(text):
        return problem
    most = MAX_ARGUMENT - len(f"{name}=" if name else "")
    size = len(text) if len(text) > most else len(text.encode())
    if size <= most:
        return ""
    least = "at least " if size == len(text) else ""
    return (
        f"is too long, with {least}{size:,} bytes; the kernel takes {most:,}. Let the program read it from standard "
        f"input: stdin"
    )


def no_unicode(text: str) -> str:
    """Say where a text holds half of a character, or nothing."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"holds half of a character (a lone surrogate) at position {error.start + 1}, which is no Unicode"
    return ""


def looks_like_option(value: Any, text: str) -> bool:
    """Tell whether programs take a text for an option: a dash and something behind it that is no space.

    A number with its sign is none: nobody can smuggle anything in with one.
    """
    return _OPTION.match(text) is not None and not isinstance(settle(value), (int, float))


def too_much(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """Say why the kernel takes no such command as a whole, or nothing where it does."""
    given = sum(size_of(argument) + 1 + _POINTER for argument in arguments)
    inherited = sum(size_of(name) + size_of(value) + 2 + _POINTER for name, value in environment.items())
    most = min(os.sysconf("SC_ARG_MAX"), _MOST_BYTES) - _ROOM
    if given + inherited <= most:
        return ""
    return (
        f"its arguments take {given:,} bytes and its environment {inherited:,}, and the kernel takes {most:,} in all; "
        f"let the program read what is long from standard input: stdin"
    )


def size_of(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))  # what we inherit may hold bytes that are no Unicode
