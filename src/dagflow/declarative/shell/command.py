"""The command of a shell node: checked when the graph is compiled, filled with values when the node starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal

import attrs

from dagflow.core.answers import InvalidAnswer
from dagflow.declarative.expressions import ExpressionError, Scope, Template, parse_template
from dagflow.declarative.expressions.faults import Place, excerpt
from dagflow.declarative.model import ShellNode
from dagflow.declarative.shell.arguments import argument_text, input_text, looks_like_option, no_unicode, unfit
from dagflow.declarative.shell.environment import name_problem, value_problem
from dagflow.declarative.shell.scripts import code_in, script_ends
from dagflow.declarative.shell.splitting import split_command
from dagflow.errors import InvalidField, ProcessError

__all__ = ["ReadyCommand", "ShellCommand"]

_NOTHING = Scope({})


@attrs.frozen
class ReadyCommand:
    """A command whose values are filled in: what is started, and what becomes of its output.

    `env` has the variables that the program gets beside those that it inherits, `input` what it reads.
    """

    arguments: tuple[str, ...]
    env: Mapping[str, str]
    input: bytes | None
    parse: Literal["text", "lines", "json"]
    success: frozenset[int]


@attrs.frozen
class ShellCommand:
    """A command as a graph has it, each argument, variable and its input a template of its own."""

    arguments: tuple[Template, ...]
    env: Mapping[str, Template]
    stdin: Template | None
    parse: Literal["text", "lines", "json"]
    success: frozenset[int]
    _first_free: int = attrs.field(repr=False)
    """The place from which on a value may look like an option: after `--`, and after the script of an interpreter."""

    @classmethod
    def of(cls, node: ShellNode) -> ShellCommand:
        """Split and check the command of a node.

        Raises `InvalidAnswer` with everything that is wrong, each at its path in the node: texts that cannot be split
        or filled, values where they would be code, names that are none, literal arguments that no kernel takes.
        """
        faults: list[InvalidField] = []
        arguments = _arguments_of(node, faults)
        env = _environment_of(node, faults)
        stdin = None if node.stdin is None else _template("$.stdin", node.stdin, faults)
        if faults:
            raise InvalidAnswer(faults)
        return cls(arguments, env, stdin, node.parse, frozenset(node.success), _first_free(arguments))

    @property
    def templates(self) -> tuple[Template, ...]:
        """All that is filled: arguments, variables and input."""
        return (*self.arguments, *self.env.values(), *(() if self.stdin is None else (self.stdin,)))

    def fill(self, scope: Scope) -> ReadyCommand:
        """Put the values in. What a value holds stays part of its one argument, variable or input.

        Raises `ExpressionError` where an expression has no value, or one that is no text (null, an array, an object,
        as an argument of its own); `ProcessError` for a text that no kernel takes, or that would pass for an option.
        """
        return ReadyCommand(
            arguments=tuple(self._argument(place, template, scope) for place, template in enumerate(self.arguments)),
            env={name: self._variable(name, template, scope) for name, template in self.env.items()},
            input=None if self.stdin is None else self._input(self.stdin, scope),
            parse=self.parse,
            success=self.success,
        )

    def _argument(self, place: int, template: Template, scope: Scope) -> str:
        value = template.evaluate(scope)
        text = argument_text(value, f"argument {place}", Place(template.source, 0))
        where = f"argument {place}, {excerpt(template.source)}"
        if problem := unfit(text):
            raise self._refusal(f"{where}, {problem}")
        if place < self._first_free and _begins_with_value(template) and looks_like_option(value, text):
            raise self._refusal(
                f"{where}, is {excerpt(text)}, which the program would take for an option; write '--' before it if "
                f"the program knows that, join it to its option (--name={template.source}), or use stdin"
            )
        return text

    def _variable(self, name: str, template: Template, scope: Scope) -> str:
        text = argument_text(template.evaluate(scope), f"the variable {name}", Place(template.source, 0))
        if problem := unfit(text, name):
            raise self._refusal(f"the variable {name}, {excerpt(template.source)}, {problem}")
        return text

    def _input(self, template: Template, scope: Scope) -> bytes:
        text = input_text(template.evaluate(scope), Place(template.source, 0))
        if problem := no_unicode(text):
            raise self._refusal(f"the input, {excerpt(template.source)}, {problem}")
        return text.encode()

    def _refusal(self, problem: str) -> ProcessError:
        sources = [template.source for template in self.arguments]
        return ProcessError(f"{sources[0]} is not started: {problem}", command=sources)


def _arguments_of(node: ShellNode, faults: list[InvalidField]) -> tuple[Template, ...]:
    whole = isinstance(node.command, str)
    try:
        sources = split_command(node.command)
    except ExpressionError as error:
        faults.append(InvalidField("$.command", str(error)))
        return ()

    def path(place: int) -> str:
        return "$.command" if whole else f"$.command[{place}]"

    found = [_template(path(place), source, faults) for place, source in enumerate(sources)]
    arguments = tuple(template for template in found if template is not None)
    if not sources:
        faults.append(InvalidField("$.command", "it is empty; name a program"))
    elif len(arguments) == len(found):
        faults += _placed(path, code_in(arguments))
        faults += _placed(path, _unfit(arguments))
    return arguments


def _environment_of(node: ShellNode, faults: list[InvalidField]) -> dict[str, Template]:
    found: dict[str, Template] = {}
    for name, source in node.env.items():
        path = f"$.env.{name}" if name.isidentifier() else f"$.env[{name!r}]"
        if problem := name_problem(name):
            faults.append(InvalidField(path, problem))
            continue
        template = _template(path, source, faults)
        if template is None:
            continue
        found[name] = template
        problem = value_problem(name, template.is_literal) or next((text for _, text in _unfit([template], name)), "")
        if problem:
            faults.append(InvalidField(path, problem))
    return found


def _template(path: str, source: str, faults: list[InvalidField]) -> Template | None:
    try:
        return parse_template(source)
    except ExpressionError as error:
        faults.append(InvalidField(path, str(error)))
        return None


def _placed(path: Callable[[int], str], problems: Iterable[tuple[int, str]]) -> list[InvalidField]:
    return [InvalidField(path(place), problem) for place, problem in problems]


def _unfit(arguments: Iterable[Template], name: str = "") -> Iterator[tuple[int, str]]:
    for place, template in enumerate(arguments):
        problem = unfit(template.evaluate(_NOTHING), name) if template.is_literal else ""
        if problem:
            yield place, f"{excerpt(template.source)} {problem}"


def _first_free(arguments: tuple[Template, ...]) -> int:
    ends = [place for place, template in enumerate(arguments) if place and template.source == "--"]
    return min([*ends, script_ends(arguments)])


def _begins_with_value(template: Template) -> bool:
    return not template.is_literal and template.source.startswith("{") and not template.source.startswith("{{")
