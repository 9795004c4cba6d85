"""Templates: text with `{expressions}` in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final

import attrs

from dagflow.declarative.expressions.expression import Expression, compile_expression
from dagflow.declarative.expressions.faults import ExpressionError, Place
from dagflow.declarative.expressions.limits import MAX_EXPRESSIONS, MAX_FILLED, MAX_TEMPLATE
from dagflow.declarative.expressions.parser import Parser
from dagflow.declarative.expressions.scope import Scope
from dagflow.declarative.expressions.text import to_text

__all__ = ["Template", "parse_template"]

_BRACE: Final = re.compile(r"\{\{|\}\}|[{}]")


@attrs.frozen
class _Slot:
    """An expression in a template, and the place of its brace."""

    expression: Expression
    place: Place


@attrs.frozen
class Template:
    """A compiled template: text, the expressions in it, or one expression and nothing else.

    `is_literal` says that there is no expression in it, `is_single` that the whole text is one `{expression}`.
    """

    source: str
    expressions: tuple[Expression, ...]
    is_single: bool
    _parts: tuple[str | _Slot, ...] = attrs.field(repr=False, eq=False)

    @property
    def is_literal(self) -> bool:
        """Whether there is no expression in it."""
        return not self.expressions

    @property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        """The paths that its expressions read, each once."""
        return tuple(dict.fromkeys(path for expression in self.expressions for path in expression.paths))

    def evaluate(self, scope: Scope) -> Any:
        """Fill the template: the value of a single expression with its own type, otherwise a text.

        A value is put into a text as it is where it is a string, else as compact JSON: `true`, `null`, `0.5`,
        `["a"]`, an object with fields as `{"score":0.5}`. Values are never read as templates.

        Raises `ExpressionError` as an expression does, and for a value that has no form in JSON.
        """
        if self.is_single:
            return self.expressions[0].evaluate(scope)
        texts: list[str] = []
        left = MAX_FILLED
        for part in self._parts:
            if isinstance(part, str):
                texts.append(part)
                continue
            text = to_text(part.expression.evaluate(scope), part.place, MAX_FILLED)
            left -= len(text)
            if left < 0:
                raise part.place.error(f"the text becomes too long: it may have {MAX_FILLED} characters")
            texts.append(text)
        return "".join(texts)


def parse_template(source: str) -> Template:
    """Parse a text in which `{expression}` stands for a value, `{{` for an opening and `}}` for a closing brace.

    Raises `ExpressionError` for a brace that is neither, at its place.
    """
    if len(source) > MAX_TEMPLATE:
        raise ExpressionError(f"the text has {len(source)} characters; {MAX_TEMPLATE} are allowed", source, 1)
    parts: list[str | _Slot] = []
    for is_text, pieces in groupby(_pieces(source), key=lambda piece: isinstance(piece, str)):
        alike: list[Any] = list(pieces)
        parts += ["".join(alike)] if is_text else alike
    parts = [part for part in parts if part != ""]
    expressions = tuple(part.expression for part in parts if isinstance(part, _Slot))
    return Template(source, expressions, len(parts) == len(expressions) == 1, tuple(parts))


def _pieces(source: str) -> Iterator[str | _Slot]:
    """The texts and expressions of a template in their order; texts may be empty, or in several pieces."""
    position = count = 0
    while brace := _BRACE.search(source, position):
        yield source[position : brace.start()]
        position = brace.end()
        place = Place(source, brace.start())
        if brace[0] == "}":
            raise place.error("unexpected `}`; write }} for a brace that is text")
        if brace[0] != "{":
            yield brace[0][0]
            continue
        count += 1
        if count > MAX_EXPRESSIONS:
            raise place.error(f"the text has more than {MAX_EXPRESSIONS} expressions")
        expression, position = _read_expression(source, position)
        yield _Slot(expression, place)
    yield source[position:]


def _read_expression(source: str, start: int) -> tuple[Expression, int]:
    """Read the expression that begins after an opening brace; the offset after its closing one comes with it."""
    try:
        parser = Parser(source, start)
        expression = compile_expression(parser, "}")
    except ExpressionError as error:
        hint = "; write {{ for a brace that is text"
        raise ExpressionError(error.message + hint, error.source, error.column) from None
    return expression, parser.tokens.end
