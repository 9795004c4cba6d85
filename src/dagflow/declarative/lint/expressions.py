"""What an expression reads, and how its syntax compares with that of another."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any, Final

import attrs

from dagflow.declarative.expressions import Expression, ExpressionError, Scope, parse_expression
from dagflow.declarative.expressions.functions import PATH_FUNCTIONS
from dagflow.declarative.expressions.parser import Parser
from dagflow.declarative.expressions.syntax import (
    Array,
    Call,
    Comparison,
    Constant,
    Logic,
    Not,
    Path,
    Syntax,
)

__all__ = [
    "KeyRead",
    "are_opposite",
    "constant_of",
    "enumerated",
    "implies",
    "keys_read",
    "same",
    "shape",
    "syntax_of",
]


@attrs.frozen
class KeyRead:
    """A state key that an expression reads; `None` stands for the whole state.

    `guarded` tells that the expression can do without it: it stands in `default` or `exists`.
    """

    key: str | None
    guarded: bool = False


def syntax_of(source: str) -> Syntax | None:
    """Parse an expression; `None` where it is none, which the compiler tells."""
    try:
        return Parser(source).whole("")
    except ExpressionError:
        return None


def keys_read(source: str, names: frozenset[str] = frozenset()) -> Iterator[KeyRead]:
    """The state keys that an expression reads, where `names` stand for something else."""
    syntax = syntax_of(source)
    if syntax is None:
        return
    found = [read for read in _reads(syntax, guarded=False) if read.key is None or read.key not in names]
    guarded = {read.key for read in found if read.guarded}
    yield from dict.fromkeys(KeyRead(read.key, read.key in guarded) for read in found)


def _reads(syntax: Any, *, guarded: bool) -> Iterator[KeyRead]:
    if isinstance(syntax, Path):
        yield from _path_reads(syntax, guarded)
    elif isinstance(syntax, Call) and syntax.function in PATH_FUNCTIONS:
        path, *others = syntax.arguments
        yield from _reads(path, guarded=True)
        for other in others:
            yield from _reads(other, guarded=guarded)
    else:
        for part in _parts(syntax):
            yield from _reads(part, guarded=guarded)


def _path_reads(path: Path, guarded: bool) -> Iterator[KeyRead]:
    keys = [step.key for step in path.steps]
    if path.root == "state":
        first = keys[0] if keys else None
        yield KeyRead(first if isinstance(first, str) else None, guarded)
    elif isinstance(path.root, str):
        yield KeyRead(path.root, guarded)
    else:
        yield from _reads(path.root, guarded=guarded)
    for key in keys:
        if not isinstance(key, (str, int)):
            yield from _reads(key, guarded=False)


def _parts(syntax: Any) -> Iterator[Any]:
    """The parts of a syntax tree that are trees themselves."""
    if not attrs.has(type(syntax)):
        return
    for field in attrs.fields(type(syntax)):
        value = getattr(syntax, field.name)
        for part in value if isinstance(value, tuple) else (value,):
            if attrs.has(type(part)):
                yield part


# --- Comparing conditions


def constant_of(source: str) -> bool | None:
    """Whether a condition that reads nothing holds; `None` for one that reads something, or cannot be evaluated."""
    try:
        expression: Expression = parse_expression(source)
        return None if expression.paths else bool(expression.evaluate(Scope({})))
    except ExpressionError:
        return None


_OPPOSITE: Final = {"<": ">=", ">": "<=", ">=": "<", "<=": ">", "==": "!=", "!=": "==", "in": "not in", "not in": "in"}
_MIRRORED: Final = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "==": "==", "!=": "!="}


def same(one: Any, other: Any) -> bool:
    """Whether two trees mean the same, wherever they stand; `state.x` is `x`."""
    return bool(shape(one) == shape(other))


def are_opposite(one: Syntax, other: Syntax) -> bool:
    """Whether always exactly one of two conditions holds, as far as their forms tell."""
    if isinstance(one, Not):
        return same(one.operand, other)
    if isinstance(other, Not):
        return same(other.operand, one)
    first, second = _simple(one), _simple(other)
    if first is None or second is None:
        return False
    return bool(_OPPOSITE.get(first[1]) == second[1] and first[0] == second[0] and shape(first[2]) == shape(second[2]))


def implies(one: Syntax, other: Syntax) -> bool:
    """Whether `other` holds wherever `one` does, as far as their forms tell."""
    if same(one, other):
        return True
    if isinstance(one, Logic) and one.word == "and" and any(implies(part, other) for part in one.operands):
        return True
    if isinstance(one, Logic) and one.word == "or":
        return all(implies(part, other) for part in one.operands)
    if isinstance(other, Logic):
        found = (implies(one, part) for part in other.operands)
        return any(found) if other.word == "or" else all(found)
    first, second = _simple(one), _simple(other)
    if first is None or second is None or first[0] != second[0]:
        return False
    return _implies_simple(first[1], first[2], second[1], second[2])


def _implies_simple(one: str, low: Any, other: str, high: Any) -> bool:
    """Whether `x one low` implies `x other high`."""
    if one == "==" and other == "in":
        return isinstance(high, tuple) and shape(low) in shape(high)[1:]
    if _kind(low) is None or _kind(low) != _kind(high):
        return False
    if one == "==":
        return other in _HOLDS and bool(_HOLDS[other](low, high))
    if _kind(low) != "number":
        return False
    if one in (">", ">="):
        one, low, other, high = _MIRRORED[one], -low, _MIRRORED.get(other, other), -high
    if one not in ("<", "<=") or other not in ("<", "<=", "!="):
        return False
    return bool(low < high if one == "<=" and other != "<=" else low <= high)


_HOLDS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _kind(value: Any) -> str | None:
    if isinstance(value, (bool, tuple)) or value is None:
        return None
    return "text" if isinstance(value, str) else "number"


def _simple(syntax: Syntax) -> tuple[Any, str, Any] | None:
    """A comparison of a path with a constant, or with a list of them: the path's shape, the operator, the value."""
    if not isinstance(syntax, Comparison) or len(syntax.rest) != 1:
        return None
    left, sign, right = syntax.first, syntax.rest[0].operator, syntax.rest[0].value
    if isinstance(left, Constant) and sign in _MIRRORED:
        left, sign, right = right, _MIRRORED[sign], left
    if isinstance(left, Constant):
        return None
    value = _value(right)
    return None if value is _NO_VALUE else (shape(left), sign, value)


_NO_VALUE: Final[Any] = object()


def _value(syntax: Syntax) -> Any:
    if isinstance(syntax, Constant):
        return syntax.value
    if isinstance(syntax, Array) and all(isinstance(item, Constant) for item in syntax.items):
        return ("items", *(item.value for item in syntax.items if isinstance(item, Constant)))
    return _NO_VALUE


def shape(part: Any) -> Any:
    """A tree, or a value in one, without its offsets, to be compared; `true` and `1` differ."""
    if isinstance(part, Path) and part.root == "state" and part.steps and isinstance(part.steps[0].key, str):
        return (Path, part.steps[0].key, tuple(shape(step.key) for step in part.steps[1:]))
    if isinstance(part, Path):
        return (Path, shape(part.root), tuple(shape(step.key) for step in part.steps))
    if isinstance(part, tuple):
        return tuple(map(shape, part))
    if attrs.has(type(part)):
        fields = (field.name for field in attrs.fields(type(part)) if field.name not in ("offset", "end"))
        return (type(part), *(shape(getattr(part, name)) for name in fields))
    return (type(part), part) if isinstance(part, bool) else part


def enumerated(source: str) -> tuple[Any, tuple[Any, ...]] | None:
    """The path of a condition that compares it with one value, or with several, and the shapes of these values."""
    syntax = syntax_of(source)
    found = None if syntax is None else _simple(syntax)
    if found is None or found[1] not in ("==", "in"):
        return None
    path, sign, value = found
    if sign == "==":
        return path, (shape(value),)
    return (path, shape(value)[1:]) if isinstance(value, tuple) else None
