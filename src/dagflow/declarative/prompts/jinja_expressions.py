"""From the expressions of Jinja2's syntax tree to functions: what is not known here is refused, nothing is compiled.

No code is made from a template, and no attribute of any object is ever read: names, keys and items of JSON are all
that a template can reach. Jinja2's own sandbox lets methods through and bounds neither time nor memory.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from dagflow.core.encodable import is_encodable
from dagflow.core.structure import nearest
from dagflow.declarative.prompts.filters import FILTERS, TESTS
from dagflow.declarative.prompts.operations import COMPARISONS, compute, item, key, negate, number, part
from dagflow.declarative.prompts.rendering import MAX_INTEGER, Refused, Rendering, Undefined
from dagflow.errors import InvalidField

__all__ = ["MAX_DEPTH", "Expression", "ExpressionReader", "Loop"]

Expression = Callable[[Rendering], Any]

MAX_DEPTH: Final = 64
MAX_FAULTS: Final = 20

_REFUSED: Final = {
    "Call": "nothing can be called in a prompt; there are filters instead, as in `{{ names|join(', ') }}`",
    "Concat": "`~` is not available in prompts; write the values one behind the other",
    "Dict": "objects cannot be made in a prompt; give the value as a variable",
    "Pow": "`**` is not available in prompts",
}

_SIGNS: Final = {"Add": "+", "Sub": "-", "Mul": "*", "Div": "/", "FloorDiv": "//", "Mod": "%"}


@attrs.define
class Loop:
    """A loop that is being read: the names that it gives values to, and whether its body reads `loop`."""

    names: frozenset[str]
    reads_loop: bool = False


class ExpressionReader:
    """Reads expressions of one text; afterwards `used` and `guarded` have its variables, `faults` its faults.

    A variable is guarded where the text tests whether it is defined, or has a default for it. `path` is that of the
    text, for the faults.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.used: set[str] = set()
        self.guarded: set[str] = set()
        self.faults: list[InvalidField] = []
        self.loops: list[Loop] = []
        self._depth = 0
        self._steps = 0  # of the expression that is being read

    def counted(self, node: Any) -> tuple[Expression, int]:
        """Read an expression, with the steps that it takes."""
        self._steps = 0
        return self.value(node), self._steps

    def value(self, node: Any) -> Expression:
        """Read an expression whose value is used, so that it must be defined."""
        found = self._maybe(node)
        if type(node).__name__ not in _MAYBE_UNDEFINED:
            return found

        def defined(rendering: Rendering) -> Any:
            value = found(rendering)
            if type(value) is Undefined:
                raise Refused(value.problem)
            return value

        return defined

    def _maybe(self, node: Any) -> Expression:
        """Read an expression whose value may be undefined."""
        self._steps += 1
        kind = type(node).__name__
        with self.deeper(node) as is_too_deep:
            if is_too_deep:
                return _nothing
            if kind in _SIGNS:
                return self._binary(node, _SIGNS[kind])
            read = _EXPRESSIONS.get(kind)
            if read is None:
                return self.refuse(node, _REFUSED.get(kind, f"{kind} is not available in prompts"))
            return read(self, node)

    @contextmanager
    def deeper(self, node: Any) -> Iterator[bool]:
        """Go one level further in; gives whether that is too far, which is a fault."""
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self.refuse(node, f"more than {MAX_DEPTH} levels deep")
        try:
            yield self._depth > MAX_DEPTH
        finally:
            self._depth -= 1

    def refuse(self, node: Any, problem: str) -> Expression:
        """Note a fault; what is given stands for the expression that was to be read."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(InvalidField(self.path, f"line {node.lineno}: {problem}"))
        return _nothing

    def _const(self, node: Any) -> Expression:
        value = node.value
        if type(value) is str and not is_encodable(value):
            return self.refuse(node, "a text holds a lone surrogate")
        if (type(value) is int and abs(value) > MAX_INTEGER) or (type(value) is float and not math.isfinite(value)):
            return self.refuse(node, "a number is too large")
        return lambda rendering: value

    def _name(self, node: Any) -> Expression:
        name = node.name
        if not self._is_bound(name):
            self.used.add(name)
        absent = Undefined(f"{name} is not defined")
        return lambda rendering: rendering.names.get(name, absent)

    def _is_bound(self, name: str) -> bool:
        if name == "loop" and self.loops:
            self.loops[-1].reads_loop = True
            return True
        return any(name in loop.names for loop in self.loops)

    def _getattr(self, node: Any) -> Expression:
        name, shown = node.attr, _show(node)
        if name.startswith("_"):
            return self.refuse(node, f"{shown}: no name that begins with `_` can be read")
        value = self.value(node.node)
        return lambda rendering: key(rendering, value(rendering), name, shown)

    def _getitem(self, node: Any) -> Expression:
        value, shown = self.value(node.node), _show(node)
        if type(node.arg).__name__ == "Slice":
            bounds = [
                self.value(bound) if bound is not None else _nothing
                for bound in (node.arg.start, node.arg.stop, node.arg.step)
            ]
            return lambda rendering: part(
                rendering, value(rendering), (bounds[0](rendering), bounds[1](rendering), bounds[2](rendering)), shown
            )
        index = self.value(node.arg)
        return lambda rendering: item(rendering, value(rendering), index(rendering), shown)

    def _list(self, node: Any) -> Expression:
        items = [self.value(child) for child in node.items]

        def make(rendering: Rendering) -> list[Any]:
            made = [one(rendering) for one in items]
            rendering.weigh(made)
            return made

        return make

    def _binary(self, node: Any, sign: str) -> Expression:
        left, right = self.value(node.left), self.value(node.right)
        return lambda rendering: compute(rendering, sign, left(rendering), right(rendering))

    def _and(self, node: Any) -> Expression:
        left, right = self.value(node.left), self.value(node.right)
        return lambda rendering: left(rendering) and right(rendering)

    def _or(self, node: Any) -> Expression:
        left, right = self.value(node.left), self.value(node.right)
        return lambda rendering: left(rendering) or right(rendering)

    def _not(self, node: Any) -> Expression:
        value = self.value(node.node)
        return lambda rendering: not value(rendering)

    def _negate(self, node: Any) -> Expression:
        value = self.value(node.node)
        return lambda rendering: negate(rendering, value(rendering))

    def _plus(self, node: Any) -> Expression:
        value = self.value(node.node)
        return lambda rendering: number(value(rendering), "`+`")

    def _compare(self, node: Any) -> Expression:
        first = self.value(node.expr)
        rest = [(COMPARISONS[operand.op], self.value(operand.expr)) for operand in node.ops]

        def compare(rendering: Rendering) -> bool:
            left = first(rendering)
            for holds, read in rest:
                right = read(rendering)
                if not holds(rendering, left, right):
                    return False
                left = right
            return True

        return compare

    def _condition(self, node: Any) -> Expression:
        test, then = self.value(node.test), self._maybe(node.expr1)
        if node.expr2 is not None:
            otherwise = self._maybe(node.expr2)
        else:
            absent = Undefined("a value is given only `if` something holds, with no `else`")
            otherwise = lambda rendering: absent  # noqa: E731  # as the other branch has it
        return lambda rendering: then(rendering) if test(rendering) else otherwise(rendering)

    def _filter(self, node: Any) -> Expression:
        function = FILTERS.get(node.name)
        if function is None:
            near = nearest(node.name, FILTERS) or f"; there are {', '.join(FILTERS)}"
            return self.refuse(node, f"no filter is called {node.name!r} in prompts{near}")
        value = self._guarded(node.node) if node.name == "default" else self.value(node.node)
        positional, named = self._arguments(node, function)
        return lambda rendering: function(
            rendering,
            value(rendering),
            *[argument(rendering) for argument in positional],
            **{name: argument(rendering) for name, argument in named.items()},
        )

    def _arguments(self, node: Any, function: Callable[..., Any]) -> tuple[list[Expression], dict[str, Expression]]:
        named = {pair.key: pair.value for pair in node.kwargs}
        fits = node.dyn_args is None and node.dyn_kwargs is None
        try:
            inspect.signature(function).bind(None, None, *node.args, **named)
        except TypeError:
            fits = False
        if not fits:
            taken = ", ".join(list(inspect.signature(function).parameters)[2:]) or "nothing"
            self.refuse(node, f"the arguments of `{node.name}` do not fit; it takes {taken}")
            return [], {}
        return [self.value(one) for one in node.args], {name: self.value(one) for name, one in named.items()}

    def _test(self, node: Any) -> Expression:
        holds = TESTS.get(node.name)
        if holds is None:
            near = nearest(node.name, TESTS) or f"; there are {', '.join(TESTS)}"
            return self.refuse(node, f"no test is called {node.name!r} in prompts{near}")
        if node.args or node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            return self.refuse(node, f"the test `{node.name}` takes no arguments")
        is_about_being_defined = node.name in ("defined", "undefined")
        value = self._guarded(node.node) if is_about_being_defined else self.value(node.node)
        return lambda rendering: holds(value(rendering))

    def _guarded(self, node: Any) -> Expression:
        if type(node).__name__ == "Name" and not self._is_bound(node.name):
            self.guarded.add(node.name)
        return self._maybe(node)


_EXPRESSIONS: Final[dict[str, Callable[[ExpressionReader, Any], Expression]]] = {
    "And": ExpressionReader._and,
    "Compare": ExpressionReader._compare,
    "CondExpr": ExpressionReader._condition,
    "Const": ExpressionReader._const,
    "Filter": ExpressionReader._filter,
    "Getattr": ExpressionReader._getattr,
    "Getitem": ExpressionReader._getitem,
    "List": ExpressionReader._list,
    "Name": ExpressionReader._name,
    "Neg": ExpressionReader._negate,
    "Not": ExpressionReader._not,
    "Or": ExpressionReader._or,
    "Pos": ExpressionReader._plus,
    "Test": ExpressionReader._test,
    "Tuple": ExpressionReader._list,
}
_MAYBE_UNDEFINED: Final = {"CondExpr", "Filter", "Getattr", "Getitem", "Name"}


def _nothing(rendering: Rendering) -> None:
    return None


def _show(node: Any, depth: int = 4) -> str:
    """Write an expression as the template has it, as far as that names what is looked up."""
    kind = type(node).__name__
    if kind == "Name":
        return str(node.name)
    if kind == "Getattr" and depth:
        return f"{_show(node.node, depth - 1)}.{node.attr}"
    if kind == "Getitem" and depth:
        return f"{_show(node.node, depth - 1)}[{_show(node.arg, 0)}]"
    return repr(node.value)[:40] if kind == "Const" else "..."
