"""Binding parameters to the function of a task, by name, in the types that its hints declare."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer
from dagflow.core.fitting import fit
from dagflow.core.functions import Function, FunctionParameter
from dagflow.core.secrets import Secret
from dagflow.core.shapes import UnsupportedType
from dagflow.core.structure import nearest
from dagflow.errors import InvalidField, NodeError

__all__ = ["bind", "missing", "own_copy", "read_as", "unfit"]


def bind(
    task: str,
    function: Function,
    scope: Mapping[str, Any],
    secrets: Mapping[str, Secret],
    by_reference: Collection[str],
) -> dict[str, Any]:
    """Give the arguments of a function: from its secrets, then from the scope; a default stands for what is not there.

    Lists and objects of JSON are copied, so that what a task does to them no other sees, but for the parameters that
    are passed `by_reference`. Raises `NodeError` with every parameter that is missing or does not fit.
    """
    arguments: dict[str, Any] = {}
    problems: list[str] = []
    for parameter in function.parameters:
        name = parameter.name
        if name in secrets:
            arguments[name] = _revealed(secrets[name], parameter)
        elif name in scope:
            try:
                arguments[name] = read_as(scope[name], parameter.type, by_reference=name in by_reference)
            except (InvalidAnswer, UnsupportedType) as error:
                problems += map(str, unfit(name, scope[name], parameter.type, error))
        elif parameter.required:
            problems.append(missing(name, scope))
    if problems:
        raise NodeError(f"task {task}: {'; '.join(problems)}", node=task)
    if function.open:
        known = {parameter.name for parameter in function.parameters}
        names = [name for name in scope if name not in known]
        arguments.update((name, scope[name] if name in by_reference else own_copy(scope[name])) for name in names)
        arguments.update((name, secret) for name, secret in secrets.items() if name not in known)
    return arguments


def _revealed(secret: Secret, parameter: FunctionParameter) -> Any:
    """A secret as the parameter takes it: as itself, unless only text is declared."""
    if hints.is_assignable(Secret, parameter.type) or not hints.is_assignable(str, parameter.type):
        return secret
    return secret.reveal()


def missing(name: str, known: Iterable[str]) -> str:
    """Say that a parameter has no value."""
    names = list(known)
    near = nearest(name, names)
    there = f"; the parameters are {', '.join(names)}" if names else "; there are no parameters"
    return f"parameter {name!r} has no value{near or there}"


def read_as(value: Any, hint: Any, *, by_reference: bool = False) -> Any:
    """Give a value as one of the declared type, and apart from where it came from unless it is passed `by_reference`.

    Raises `InvalidAnswer` or `UnsupportedType` for one that does not fit; `unfit` says it in words.
    """
    if hint is Any or hint is object:
        return value if by_reference else own_copy(value)
    if by_reference and hints.is_instance(value, hint, deep=True):
        return value
    found = fit(value, hint)
    return own_copy(found) if found is value else found


def own_copy(value: Any) -> Any:
    """Copy lists and dicts, to any depth; what else is in them is shared."""
    if type(value) is list:
        return [own_copy(item) for item in value]
    if type(value) is dict:
        return {key: own_copy(item) for key, item in value.items()}
    return value


def unfit(name: str, value: Any, hint: Any, error: InvalidAnswer | UnsupportedType) -> list[InvalidField]:
    """Say what `read_as` found wrong with the value of a parameter."""
    if isinstance(error, InvalidAnswer):
        return [InvalidField(name + one.path.removeprefix("$"), one.problem) for one in error.invalid]
    return [InvalidField(name, f"expected {hints.show(hint)}, got a value of type {type(value).__name__}")]
