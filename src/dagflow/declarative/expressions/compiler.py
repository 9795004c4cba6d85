"""The compiler: from a syntax tree to nested closures, so that an evaluation walks no tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dagflow.declarative.expressions.faults import Place
from dagflow.declarative.expressions.functions import FUNCTIONS, PATH_FUNCTIONS
from dagflow.declarative.expressions.limits import MAX_DEPTH
from dagflow.declarative.expressions.operators import BINARY, Operator, negative
from dagflow.declarative.expressions.paths import MISSING, Key, Run, Span, read_of, root_of, walk_of
from dagflow.declarative.expressions.scope import Scope
from dagflow.declarative.expressions.syntax import (
    Arithmetic,
    Array,
    Call,
    Comparison,
    Conditional,
    Constant,
    Logic,
    Negative,
    Not,
    Operand,
    Path,
    Syntax,
)

__all__ = ["Compiler"]


class Compiler:
    """Compiles one expression; `paths` are the static paths that it reads, each once, in the order of the text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.paths: dict[tuple[str, ...], None] = {}

    def compile(self, syntax: Syntax, depth: int = 0) -> Run:
        """Make the closure that evaluates a part of the expression."""
        if depth > MAX_DEPTH:
            raise self._place(syntax).error(f"the expression is nested more than {MAX_DEPTH} deep")
        return _COMPILE[syntax.__class__](self, syntax, depth + 1)

    def _place(self, syntax: Syntax | Operand) -> Place:
        return Place(self.source, syntax.offset)

    def _constant(self, syntax: Constant, _depth: int) -> Run:
        value = syntax.value
        return lambda _: value

    def _array(self, syntax: Array, depth: int) -> Run:
        items = tuple(self.compile(item, depth) for item in syntax.items)
        return lambda scope: [item(scope) for item in items]

    def _path(self, syntax: Path, depth: int) -> Run:
        root, keys, span = self._path_parts(syntax, depth)
        walk = walk_of(root, keys, span, or_missing=False)
        static = [key for key, _, _ in keys if not callable(key)]
        return read_of(root, static, walk) if len(static) == len(keys) else walk

    def _path_parts(self, syntax: Path, depth: int) -> tuple[Run, list[Key], Span]:
        if isinstance(syntax.root, str):
            static = [syntax.root]
            for step in syntax.steps:
                if not isinstance(step.key, str):
                    break
                static.append(step.key)
            self.paths[tuple(static)] = None
            root = root_of(syntax.root)
        else:
            root = self.compile(syntax.root, depth)
        keys: list[Key] = [
            (step.key if isinstance(step.key, (str, int)) else self.compile(step.key, depth), step.offset, step.end)
            for step in syntax.steps
        ]
        return root, keys, Span(self.source, syntax.offset, syntax.end)

    def _call(self, syntax: Call, depth: int) -> Run:
        if syntax.function in PATH_FUNCTIONS:
            return self._path_call(syntax, depth)
        call: Any = FUNCTIONS[syntax.function].call
        place = self._place(syntax)
        arguments = tuple(self.compile(argument, depth) for argument in syntax.arguments)
        if len(arguments) == 1:
            (only,) = arguments
            return lambda scope: call(place, only(scope))
        return lambda scope: call(place, *[argument(scope) for argument in arguments])

    def _path_call(self, syntax: Call, depth: int) -> Run:
        path: Any = syntax.arguments[0]
        root, keys, span = self._path_parts(path, depth)
        walk = walk_of(root, keys, span, or_missing=True)
        if syntax.function == "exists":

            def exists(scope: Scope) -> bool:
                value = walk(scope)
                return value is not MISSING and value is not None

            return exists
        otherwise = self.compile(syntax.arguments[1], depth)

        def default(scope: Scope) -> Any:
            value = walk(scope)
            return otherwise(scope) if value is MISSING or value is None else value

        return default

    def _not(self, syntax: Not, depth: int) -> Run:
        operand = self.compile(syntax.operand, depth)
        return lambda scope: not operand(scope)

    def _negative(self, syntax: Negative, depth: int) -> Run:
        operand = self.compile(syntax.operand, depth)
        place = self._place(syntax)
        return lambda scope: negative(operand(scope), place)

    def _arithmetic(self, syntax: Arithmetic, depth: int) -> Run:
        first, rest = self._chain(syntax, depth)
        if len(rest) == 1:
            return _binary(first, *rest[0])

        def run(scope: Scope) -> Any:
            value = first(scope)
            for operate, operand, place in rest:
                value = operate(value, operand(scope), place)
            return value

        return run

    def _comparison(self, syntax: Comparison, depth: int) -> Run:
        first, rest = self._chain(syntax, depth)
        if len(rest) == 1:
            return _binary(first, *rest[0])

        def run(scope: Scope) -> bool:
            left = first(scope)
            for operate, operand, place in rest:
                right = operand(scope)
                if not operate(left, right, place):
                    return False
                left = right
            return True

        return run

    def _chain(self, syntax: Arithmetic | Comparison, depth: int) -> tuple[Run, list[tuple[Operator, Run, Place]]]:
        first = self.compile(syntax.first, depth)
        return first, [
            (BINARY[operand.operator], self.compile(operand.value, depth), self._place(operand))
            for operand in syntax.rest
        ]

    def _logic(self, syntax: Logic, depth: int) -> Run:
        *first, last = (self.compile(operand, depth) for operand in syntax.operands)
        stops_at = syntax.word == "or"

        def run(scope: Scope) -> Any:
            for operand in first:
                value = operand(scope)
                if bool(value) is stops_at:
                    return value
            return last(scope)

        return run

    def _conditional(self, syntax: Conditional, depth: int) -> Run:
        test, chosen, otherwise = (self.compile(part, depth) for part in (syntax.test, syntax.chosen, syntax.otherwise))
        return lambda scope: chosen(scope) if test(scope) else otherwise(scope)


def _binary(left: Run, operate: Operator, right: Run, place: Place) -> Run:
    return lambda scope: operate(left(scope), right(scope), place)


_COMPILE: Final[dict[type, Callable[[Compiler, Any, int], Run]]] = {
    Constant: Compiler._constant,
    Array: Compiler._array,
    Path: Compiler._path,
    Call: Compiler._call,
    Not: Compiler._not,
    Negative: Compiler._negative,
    Arithmetic: Compiler._arithmetic,
    Comparison: Compiler._comparison,
    Logic: Compiler._logic,
    Conditional: Compiler._conditional,
}
