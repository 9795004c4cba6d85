"""The syntax tree of an expression. An offset is that of a part's operator, or of its first character."""

from __future__ import annotations

from typing import Any, Literal, Union

import attrs

__all__ = [
    "Arithmetic",
    "Array",
    "Call",
    "Comparison",
    "Conditional",
    "Constant",
    "Logic",
    "Negative",
    "Not",
    "Operand",
    "Path",
    "Step",
    "Syntax",
]


@attrs.frozen
class Constant:
    """A literal: a number, a string, true, false or null."""

    value: Any
    offset: int


@attrs.frozen
class Array:
    """`[a, b]`."""

    items: tuple[Syntax, ...]
    offset: int


@attrs.frozen
class Step:
    """A step of a path: `.key`, or `[key]`, where the key may be computed. The path so far ends at `end`."""

    key: str | int | Syntax
    offset: int
    end: int


@attrs.frozen
class Path:
    """What is read: a name, or the value of an expression, and the steps from there to one of its parts.

    The root stands in the source from `offset` to `end`.
    """

    root: str | Syntax
    steps: tuple[Step, ...]
    offset: int
    end: int


@attrs.frozen
class Call:
    """A call of one of the functions."""

    function: str
    arguments: tuple[Syntax, ...]
    offset: int


@attrs.frozen
class Not:
    """`not a`."""

    operand: Syntax
    offset: int


@attrs.frozen
class Negative:
    """`-a`."""

    operand: Syntax
    offset: int


@attrs.frozen
class Operand:
    """A binary operator and what follows it."""

    operator: str
    value: Syntax
    offset: int


@attrs.frozen
class Arithmetic:
    """A chain of operators that bind alike, `a + b - c`; a chain, so that a long sum is not a deep tree."""

    first: Syntax
    rest: tuple[Operand, ...]
    offset: int


@attrs.frozen
class Comparison:
    """A chain of comparisons: `a < b <= c` holds where `a < b` and `b <= c` do, and computes `b` once."""

    first: Syntax
    rest: tuple[Operand, ...]
    offset: int


@attrs.frozen
class Logic:
    """`a and b and c`, or `a or b or c`."""

    word: Literal["and", "or"]
    operands: tuple[Syntax, ...]
    offset: int


@attrs.frozen
class Conditional:
    """`a if test else b`."""

    test: Syntax
    chosen: Syntax
    otherwise: Syntax
    offset: int


Syntax = Union[Constant, Array, Path, Call, Not, Negative, Arithmetic, Comparison, Logic, Conditional]  # noqa: UP007
