"""The parser: from the text of an expression to its syntax tree, by operator precedence.

Operators bind as in Python, from loose to tight: `if else`, `or`, `and`, `not`, comparisons and `in`, `+ -`,
`* / // %`, `-` before a value, then `.name`, `[index]` and calls. Operators of one level make one chain, so that only
brackets and operands nest.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from dagflow.core.structure import nearest
from dagflow.declarative.expressions.faults import Place
from dagflow.declarative.expressions.functions import FUNCTIONS, PATH_FUNCTIONS
from dagflow.declarative.expressions.limits import MAX_DEPTH
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
    Step,
    Syntax,
)
from dagflow.declarative.expressions.tokens import Tokens

__all__ = ["Parser"]

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _NEGATIVE = range(1, 8)
_POWERS: Final = {
    "or": _OR,
    "and": _AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "not"), _COMPARISON),
    **dict.fromkeys("+-", _SUM),
    **dict.fromkeys(("*", "/", "//", "%"), _PRODUCT),
}
_CONSTANTS: Final[dict[str, Any]] = {
    "true": True,
    "True": True,
    "false": False,
    "False": False,
    "null": None,
    "None": None,
}
_HINTS: Final = {
    "for": "; there are no comprehensions",
    "is": "; write `==`",
}


class Parser:
    """Reads one expression, which begins at an offset of the source and ends at its end or at a closing brace."""

    def __init__(self, source: str, start: int = 0) -> None:
        self.source: str = source
        self.tokens: Tokens = Tokens(source, start)

    def whole(self, end: str) -> Syntax:
        """Read all of the expression, up to `end`: a closing brace, or nothing."""
        tokens = self.tokens
        if tokens.kind == "end" and tokens.text == end:
            tokens.fault("the expression is empty")
        parsed = self._conditional(0)
        if tokens.kind != "end" or tokens.text != end:
            self._refuse(f"an operator or {'`}`' if end else 'the end'}")
        return parsed

    def _conditional(self, depth: int) -> Syntax:
        chosen = self._operation(_OR, depth)
        tokens = self.tokens
        if tokens.text != "if":
            return chosen
        offset = tokens.offset
        tokens.advance()
        test = self._operation(_OR, depth + 1)
        if tokens.text != "else":
            self._refuse("`else`")
        tokens.advance()
        return Conditional(test, chosen, self._conditional(depth + 1), offset)

    def _operation(self, power: int, depth: int) -> Syntax:
        """Read operators that bind at least as tightly as `power`, and what is between them."""
        if depth > MAX_DEPTH:
            self.tokens.fault(f"the expression is nested more than {MAX_DEPTH} deep")
        left = self._prefix(power, depth)
        while True:
            found = _POWERS.get(self.tokens.text, 0)
            if found < power or not found:
                return left
            left = self._logic(left, found, depth) if found <= _AND else self._chain(left, found, depth)

    def _logic(self, left: Syntax, power: int, depth: int) -> Syntax:
        tokens = self.tokens
        offset = tokens.offset
        operands = [left]
        while _POWERS.get(tokens.text) == power:
            tokens.advance()
            operands.append(self._operation(power + 1, depth + 1))
        return Logic("or" if power == _OR else "and", tuple(operands), offset)

    def _chain(self, left: Syntax, power: int, depth: int) -> Syntax:
        tokens = self.tokens
        offset = tokens.offset
        rest: list[Operand] = []
        while _POWERS.get(tokens.text) == power:
            operator, place = tokens.text, tokens.offset
            tokens.advance()
            if operator == "not":
                if tokens.text != "in":
                    self._refuse("`in`")
                operator = "not in"
                tokens.advance()
            rest.append(Operand(operator, self._operation(power + 1, depth + 1), place))
        chain = Comparison if power == _COMPARISON else Arithmetic
        return chain(left, tuple(rest), offset)

    def _prefix(self, power: int, depth: int) -> Syntax:
        tokens = self.tokens
        offset = tokens.offset
        if tokens.text == "not":
            if power > _NOT:
                tokens.fault("put brackets around the `not`: it binds looser than the operator before it")
            tokens.advance()
            return Not(self._operation(_NOT, depth + 1), offset)
        if tokens.text == "-":
            tokens.advance()
            is_number = tokens.kind == "number"
            operand = self._operation(_NEGATIVE, depth + 1)
            if is_number and isinstance(operand, Constant):
                return Constant(-operand.value, offset)
            return Negative(operand, offset)
        return self._steps(self._primary(depth), offset, depth)

    def _primary(self, depth: int) -> Syntax | str:
        """Read a value without operators, or the name of one."""
        tokens = self.tokens
        kind, text, offset = tokens.kind, tokens.text, tokens.offset
        if kind == "name":
            _check_name(tokens)
            tokens.advance()
            return self._call(text, offset, depth) if tokens.text == "(" else text
        if kind == "number" or kind == "string":
            value = tokens.number() if kind == "number" else tokens.string()
            tokens.advance()
            return Constant(value, offset)
        if text in _CONSTANTS:
            tokens.advance()
            return Constant(_CONSTANTS[text], offset)
        if text == "(":
            tokens.advance()
            inner = self._conditional(depth + 1)
            self._close(")", offset)
            return inner
        if text == "[":
            tokens.advance()
            return Array(self._items("]", offset, depth), offset)
        return self._refuse("a value")

    def _steps(self, root: Syntax | str, offset: int, depth: int) -> Syntax:
        tokens = self.tokens
        root_end = tokens.previous
        steps: list[Step] = []
        while True:
            text, place = tokens.text, tokens.offset
            if text == ".":
                tokens.advance()
                if tokens.kind not in ("name", "keyword"):
                    self._refuse("a name after the dot")
                _check_name(tokens)
                steps.append(Step(tokens.text, place, tokens.end))
                tokens.advance()
            elif text == "[":
                tokens.advance()
                index = self._conditional(depth + 1)
                end = tokens.end
                self._close("]", place)
                key = index.value if isinstance(index, Constant) and type(index.value) in (int, str) else index
                steps.append(Step(key, place, end))
            elif text == "(":
                self._refuse_call(steps)
            elif steps or isinstance(root, str):
                return Path(root, tuple(steps), offset, root_end)
            else:
                return root

    def _call(self, name: str, offset: int, depth: int) -> Syntax:
        function = FUNCTIONS.get(name)
        if function is None:
            near = nearest(name, FUNCTIONS) or f"; the functions are {', '.join(FUNCTIONS)}"
            raise Place(self.source, offset).error(f"there is no function `{name[:40]}`{near}")
        opened = self.tokens.offset
        self.tokens.advance()
        arguments = self._items(")", opened, depth)
        problem = function.refuses(len(arguments))
        if problem:
            raise Place(self.source, offset).error(problem)
        if name in PATH_FUNCTIONS and not (isinstance(arguments[0], Path) and isinstance(arguments[0].root, str)):
            raise Place(self.source, offset).error(f"`{name}` takes a path first, such as `grade.score`")
        return Call(name, arguments, offset)

    def _items(self, bracket: str, opened: int, depth: int) -> tuple[Syntax, ...]:
        """Read values with commas between them, and the bracket after them."""
        tokens = self.tokens
        items: list[Syntax] = []
        if tokens.text != bracket:
            items.append(self._conditional(depth + 1))
            while tokens.text == ",":
                tokens.advance()
                items.append(self._conditional(depth + 1))
        self._close(bracket, opened, "`,` or ")
        return tuple(items)

    def _close(self, bracket: str, opened: int, other: str = "") -> None:
        if self.tokens.text != bracket:
            self._refuse(f"{other}`{bracket}` for the `{self.source[opened]}` at column {opened + 1}")
        self.tokens.advance()

    def _refuse(self, expected: str) -> NoReturn:
        tokens = self.tokens
        hint = _HINTS.get(tokens.text, "")
        tokens.fault(f"expected {expected}, got {tokens.shown()}{hint}")

    def _refuse_call(self, steps: list[Step]) -> NoReturn:
        if not steps or not isinstance(steps[-1].key, str):
            self.tokens.fault("only functions are called, by their names")
        name = steps[-1].key
        instead = f"write `{name}(...)`" if name in FUNCTIONS else f"the functions are {', '.join(FUNCTIONS)}"
        raise Place(self.source, steps[-1].offset).error(f"values have no methods; {instead}")


def _check_name(tokens: Tokens) -> None:
    if tokens.text.startswith("__"):
        tokens.fault(f"{tokens.shown()} is no name: none begins with two underscores")
