"""Reading JSON that the user gives, as an argument, a file or on standard input; the start of a run from it."""

from __future__ import annotations

import json
import sys
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from dagflow.cli.problems import UsageProblem
from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.hints import show
from dagflow.core.inputs import inputs
from dagflow.core.node import Node
from dagflow.core.strict_json import read_json
from dagflow.declarative.state import StateError, StateSchema

__all__ = ["Source", "open_source", "parse_json", "read_parameters", "read_start", "read_state"]

WIDEST = 100
"""Columns of an offending line that are shown."""


@attrs.frozen
class Source:
    """A JSON text, and the name of the place that it comes from."""

    name: str
    text: str


def read_start(start: type[Node], given: str | None) -> Node:
    """Make the start node from the JSON object of its plain fields: a text, `@file` or `@-` (standard input).

    Without any, it is made from the defaults of its fields. Raises `UsageProblem` with the line and column
    where the JSON is broken, or with the path of every field that is wrong.
    """
    source = Source("", "{}") if given is None else open_source(given, "-i")
    values = parse_json(source)
    if not isinstance(values, dict):
        raise UsageProblem(f"{source.name}: expected a JSON object with the fields of {start.__name__}{_wanted(start)}")
    from dagflow.core.structure import structure

    try:
        return structure(values, start)
    except InvalidAnswer as error:
        problems = "\n".join(f"  - {item}" for item in error.invalid)
        what = f"{source.name} is no valid {start.__name__}" if given is not None else "no input is given with -i"
        raise UsageProblem(f"{what}:\n{problems}\n{start.__name__} takes{_wanted(start)}") from None


def read_state(schema: StateSchema, given: str | None, variables: Sequence[str]) -> dict[str, Any]:
    """Make the state of a YAML graph from a JSON object, and from `KEY=VALUE` for single keys.

    A value is JSON, or a text that needs no quotes where the key holds a text or what is given is no JSON; `@file` and
    `@-` are read. Raises `UsageProblem` with every key that is unknown or does not fit.
    """
    state = {} if given is None else _read_object(open_source(given, "-i"))
    for key, source in _variables(variables, dict(state)):
        state[key] = _read_variable(schema.hint(key), source)
    try:
        schema.read(state)
    except StateError as error:
        problems = "\n".join(f"  - {item}" for item in error.invalid)
        keys = ", ".join(f"{key}: {show(schema.hint(key))}" for key in schema.known) or "any"
        raise UsageProblem(f"the state does not fit the graph:\n{problems}\nits keys are {keys}") from None
    return state


def read_parameters(given: str | None, variables: Sequence[str]) -> dict[str, Any]:
    """Make the parameters of a pipeline from a JSON object, and from `NAME=VALUE` for single ones.

    A value is JSON, or else the text as it is; `@file` and `@-` are read. Raises `UsageProblem` for what is no JSON
    object, and for a parameter that is given twice; whether they fit, the pipeline tells.
    """
    parameters = {} if given is None else _read_object(open_source(given, "-i"))
    for name, source in _variables(variables, parameters):
        parameters[name] = _read_variable(Any, source)
    return parameters


def _variables(variables: Sequence[str], given: Container[str]) -> Iterator[tuple[str, Source]]:
    """Take `KEY=VALUE` apart; raises `UsageProblem` for one that is none, and for a key that is given twice."""
    seen: set[str] = set()
    for variable in variables:
        key, equals, text = variable.partition("=")
        if not equals or not key:
            raise UsageProblem(f"-v {variable} does not say what it is for; write -v KEY=VALUE")
        if key in given or key in seen:
            raise UsageProblem(f"{key} is given twice; give it once")
        seen.add(key)
        yield key, open_source(text, f"-v {key}")


def _read_object(source: Source) -> dict[str, Any]:
    values = parse_json(source)
    if not isinstance(values, dict):
        raise UsageProblem(f"{source.name}: expected a JSON object")
    return values


def _read_variable(hint: Any, source: Source) -> Any:
    if hint is str:
        return source.text
    try:
        return parse_json(source)
    except UsageProblem:
        if hint is Any or hints.is_assignable(str, hint):
            return source.text
        raise


def open_source(given: str, option: str) -> Source:
    """Take the text that was given with an option, or read the file that it names as `@file`, or `@-`.

    Raises `UsageProblem` for what cannot be read.
    """
    if not given.startswith("@"):
        return Source(option, given)
    name = given[1:]
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageProblem(f"{option} {given}: cannot read {name}: {error.strerror}") from None
    place = "<stdin>" if name == "-" else name
    try:
        return Source(place, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UsageProblem(f"{place}: not UTF-8 at byte {error.start}; JSON must be") from None


def parse_json(source: Source) -> Any:
    """Parse JSON; raises `UsageProblem` with the place and line of what is none, and for a key that is there twice."""
    try:
        return read_json(source.text)
    except json.JSONDecodeError as error:
        place = f"{source.name}:{error.lineno}:{error.colno}"
        line = (source.text.split("\n")[error.lineno - 1 :] or [""])[0]
        raise UsageProblem(f"{place}: {error.msg}\n{_pointed(line, error.colno - 1)}") from None
    except ValueError as error:
        raise UsageProblem(f"{source.name}: {error}") from None


def _pointed(line: str, column: int) -> str:
    """Show a line with a caret below a column (from 0); of a long line, the part around it."""
    line = line.replace("\t", " ").rstrip("\r")
    first = max(0, min(column - WIDEST // 2, len(line) - WIDEST))
    return f"    {line[first : first + WIDEST]}\n    {' ' * (column - first)}^"


def _wanted(start: type[Node]) -> str:
    plain = [item for item in inputs(start) if item.kind == "plain"]
    fields = ", ".join(f"{item.alias}: {show(item.type)}" + ("" if item.required else " (optional)") for item in plain)
    return f": {fields}" if fields else " (it has none)"
