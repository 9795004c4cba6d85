"""From the statements of Jinja2's syntax tree to functions that render them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import attrs

from dagflow.declarative.prompts.jinja_expressions import Expression, ExpressionReader, Loop
from dagflow.declarative.prompts.operations import iterate
from dagflow.declarative.prompts.rendering import Refused, Rendering

__all__ = ["Reader", "Statement"]

Statement = Callable[[Rendering], None]

_REFUSED: Final = {
    "Assign": "`{% set %}` is not available in prompts; give the value as a variable",
    "AssignBlock": "`{% set %}` is not available in prompts; give the value as a variable",
    "Include": "`{% include %}` is not available in prompts: a prompt is one file",
    "Import": "`{% import %}` is not available in prompts: a prompt is one file",
    "FromImport": "`{% from %}` is not available in prompts: a prompt is one file",
    "Extends": "`{% extends %}` is not available in prompts: a prompt is one file",
    "Block": "`{% block %}` is not available in prompts: a prompt is one file",
    "Macro": "`{% macro %}` is not available in prompts",
    "CallBlock": "`{% call %}` is not available in prompts",
    "FilterBlock": "`{% filter %}` is not available in prompts; use filters on values",
    "With": "`{% with %}` is not available in prompts; give the value as a variable",
    "Scope": "`{% autoescape %}` is not available in prompts: nothing is escaped in them",
}


class Reader(ExpressionReader):
    """Reads one text: its statements, and the expressions in them."""

    def statements(self, nodes: Sequence[Any]) -> Statement:
        """Read statements that follow each other."""
        found = [statement for node in nodes for statement in self._statement(node)]

        def run(rendering: Rendering) -> None:
            for statement in found:
                statement(rendering)

        return run

    def _statement(self, node: Any) -> list[Statement]:
        kind = type(node).__name__
        with self.deeper(node) as is_too_deep:
            if is_too_deep:
                return []
            if kind == "Output":
                return [self._output(child) for child in node.nodes]
            if kind == "If":
                return [self._if(node)]
            if kind == "For":
                return [self._for(node)]
            self.refuse(node, _REFUSED.get(kind, f"{kind} is not available in prompts"))
            return []

    def _output(self, node: Any) -> Statement:
        if type(node).__name__ == "TemplateData":
            return self._data(node.data)
        line, (value, steps) = node.lineno, self.counted(node)

        def write(rendering: Rendering) -> None:
            rendering.line = line
            rendering.spend(steps)
            rendering.write(rendering.text_of(value(rendering)))

        return write

    def _data(self, text: str) -> Statement:
        def write(rendering: Rendering) -> None:
            rendering.spend(1)
            rendering.write(text)

        return write

    def _if(self, node: Any) -> Statement:
        branches = [
            (branch.lineno, *self.counted(branch.test), self.statements(branch.body)) for branch in (node, *node.elif_)
        ]
        otherwise = self.statements(node.else_)

        def choose(rendering: Rendering) -> None:
            for line, test, steps, body in branches:
                rendering.line = line
                rendering.spend(steps)
                if test(rendering):
                    return body(rendering)
            return otherwise(rendering)

        return choose

    def _for(self, node: Any) -> Statement:
        if node.recursive:
            self.refuse(node, "a loop cannot be recursive in a prompt")
        line, (items, steps) = node.lineno, self.counted(node.iter)
        targets, bind = self._targets(node.target)
        if "loop" in targets:
            self.refuse(node, "a loop cannot give a value to `loop`, which tells where it is")
        self.loops.append(Loop(targets))
        test = self.counted(node.test) if node.test is not None else None
        if self.loops[-1].reads_loop:
            self.refuse(node, "`loop` cannot be used in the condition of its own loop")
        body = self.statements(node.body)
        with_loop = self.loops.pop().reads_loop
        return _For(line, items, steps, bind, test, body, self.statements(node.else_), with_loop)

    def _targets(self, node: Any) -> tuple[frozenset[str], Callable[[dict[str, Any], Any], None]]:
        """The names that a loop gives values to, and how it does."""
        if type(node).__name__ == "Name":
            name = node.name
            return frozenset([name]), lambda names, one: names.__setitem__(name, one)
        if any(type(child).__name__ != "Name" for child in node.items):
            self.refuse(node, "a loop takes items apart into names, and no further")
            return frozenset(), lambda names, one: None
        targets = [child.name for child in node.items]

        def bind(names: dict[str, Any], one: Any) -> None:
            if type(one) is not list or len(one) != len(targets):
                raise Refused(f"an item is not a list of {len(targets)}, for {', '.join(targets)}")
            names.update(zip(targets, one, strict=True))

        return frozenset(targets), bind


@attrs.frozen
class _For:
    """A loop: the items that it goes through, those that it takes of them, and what it does with each."""

    line: int
    items: Expression
    steps: int
    bind: Callable[[dict[str, Any], Any], None]
    test: tuple[Expression, int] | None
    body: Statement
    otherwise: Statement
    with_loop: bool

    def __call__(self, rendering: Rendering) -> None:
        """Render the body for each item, or what stands behind `else` where there is none."""
        rendering.line = self.line
        rendering.spend(self.steps)
        names = rendering.names
        rendering.names = dict(names)
        found = self._chosen(rendering)
        for place, item in enumerate(found):
            rendering.line = self.line
            rendering.spend(1)
            self.bind(rendering.names, item)
            if self.with_loop:
                rendering.names["loop"] = _loop(place, len(found))
            self.body(rendering)
        rendering.names = names
        if not found:
            self.otherwise(rendering)

    def _chosen(self, rendering: Rendering) -> list[Any]:
        found = iterate(rendering, self.items(rendering))
        if self.test is None:
            return found
        test, steps = self.test
        chosen = []
        for item in found:
            rendering.spend(steps)
            self.bind(rendering.names, item)
            if test(rendering):
                chosen.append(item)
        return chosen


def _loop(place: int, length: int) -> dict[str, Any]:
    return {
        "index": place + 1,
        "index0": place,
        "revindex": length - place,
        "revindex0": length - place - 1,
        "first": place == 0,
        "last": place == length - 1,
        "length": length,
    }
