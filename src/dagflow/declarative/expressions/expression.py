"""Expressions: a text is parsed and compiled once, then evaluated over many scopes."""

from __future__ import annotations

from typing import Any

import attrs

from dagflow.declarative.expressions.compiler import Compiler
from dagflow.declarative.expressions.faults import ExpressionError, Place
from dagflow.declarative.expressions.limits import MAX_SOURCE
from dagflow.declarative.expressions.parser import Parser
from dagflow.declarative.expressions.paths import Run
from dagflow.declarative.expressions.scope import Scope
from dagflow.errors import describe

__all__ = ["Expression", "compile_expression", "parse_expression"]


@attrs.frozen
class Expression:
    """A compiled expression.

    `paths` are the paths that it reads as far as they are static, for linters: `("state", "grade", "score")`, or
    `("grade", "score")` where a bare name is meant; those inside of `default` and `exists` are among them.
    """

    source: str
    paths: tuple[tuple[str, ...], ...]
    _place: Place = attrs.field(repr=False, eq=False)
    _run: Run = attrs.field(repr=False, eq=False)

    def evaluate(self, scope: Scope) -> Any:
        """Compute the value; nothing is changed, and no code runs but that which compares and shows values.

        Raises `ExpressionError` for a missing path, for values of kinds that do not fit, and for a result that is
        too large; and, with it as the cause, for whatever a value itself raises.
        """
        try:
            return self._run(scope)
        except ExpressionError:
            raise
        except Exception as error:
            raise self._place.error(f"the expression cannot be evaluated: {describe(error)}") from error


def parse_expression(source: str) -> Expression:
    """Parse and compile an expression, such as `grade.score < 0.8 and not done`.

    Raises `ExpressionError` where it is none, or passes a limit (`limits`).
    """
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"the expression has {len(source)} characters; {MAX_SOURCE} are allowed", source, 1)
    parser = Parser(source)
    return compile_expression(parser, "", source)


def compile_expression(parser: Parser, end: str, text: str | None = None) -> Expression:
    """Read what is left for a parser up to `end`, and compile it. Its source is `text`, or what was read."""
    start = parser.tokens.start
    syntax = parser.whole(end)
    compiler = Compiler(parser.source)
    run = compiler.compile(syntax)
    source = parser.source[start : parser.tokens.offset].strip() if text is None else text
    return Expression(source, tuple(compiler.paths), Place(parser.source, parser.tokens.first), run)
