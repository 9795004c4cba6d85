"""Tools: typed Python functions that a language model may call, with a schema made from their hints."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from dagflow.core import hints
from dagflow.core.answers import InvalidAnswer, parse_json
from dagflow.core.callables import Kind, evaluated_signature
from dagflow.core.markers import DESCRIPTION, Dep
from dagflow.core.schema import json_schema
from dagflow.core.shapes import UnsupportedType
from dagflow.core.structure import structure
from dagflow.core.unstructure import unstructure
from dagflow.errors import GraphError, name_of

__all__ = ["Tool", "ToolResult", "invalid_call", "to_tools", "unknown_tool"]

Fn = Callable[..., Any]


@attrs.frozen
class ToolResult:
    """What a call of a tool gave, as text for the model; `failed` tells that it is an error."""

    text: str
    failed: bool = False


@attrs.frozen(eq=False)
class Tool:
    """A function that a language model may call while it works on an answer.

    `schema` is the JSON Schema of its arguments, `description` what the model is told about it. `Tool.of` makes
    one from a function; a plain function does wherever tools are given.
    """

    name: str
    description: str
    schema: Mapping[str, Any] = attrs.field(repr=False)
    function: Fn = attrs.field(repr=False)
    errors: tuple[type[Exception], ...] = ()
    kind: Kind = attrs.field(repr=False, kw_only=True)
    arguments_type: type[Any] = attrs.field(repr=False, kw_only=True)
    dependencies: inspect.Signature = attrs.field(repr=False, kw_only=True)

    @classmethod
    def of(
        cls,
        function: Fn,
        *,
        name: str | None = None,
        description: str | None = None,
        errors: Sequence[type[Exception]] = (),
        namespace: Mapping[str, Any] | None = None,
    ) -> Tool:
        """Make a tool of a sync or async function whose parameters are annotated.

        The model gives the parameters; those marked `Dep` are resolved, and it never hears of them. The
        function's docstring is the description unless one is given; a parameter gets one as a string in its
        hint, `Annotated[int, "in cents"]`. An exception of a type in `errors` is told to the model, which may
        try something else; any other ends the run. `namespace` resolves names in hints that the function's
        module does not have.

        Raises `GraphError` with every fault: a parameter without a hint or whose type has no form in JSON,
        `*args` or `**kwargs`, a generator or context manager.
        """
        known_as: str = name or getattr(function, "__name__", "") or name_of(function)
        faults: list[str] = []
        kind, signature = evaluated_signature(function, namespace or {}, faults)
        if not known_as.isidentifier() or len(known_as) > 64:
            faults.append(f"a tool's name is an identifier of at most 64 characters, not {known_as!r}; pass name=")
        if kind == "context":
            faults.append(f"{known_as} gives an async context manager; a tool returns its result")
        given = [parameter for parameter in signature.parameters.values() if not _is_dependency(parameter)]
        faults += [fault for parameter in given for fault in _parameter_faults(known_as, parameter)]
        arguments = attrs.make_class(known_as, {p.name: _attribute(p) for p in given}, frozen=True, kw_only=True)
        schema: dict[str, Any] = {}
        if not faults:
            try:
                schema = json_schema(arguments)
            except UnsupportedType as error:
                faults.append(f"tool {error}")
        if faults:
            raise GraphError(faults, subject=f"tool {known_as}")
        rest = [p.replace(kind=p.KEYWORD_ONLY) for p in signature.parameters.values() if _is_dependency(p)]
        return cls(
            name=known_as,
            description=inspect.getdoc(function) or "" if description is None else description,
            schema=schema,
            function=function,
            errors=tuple(errors),
            kind=kind,
            arguments_type=arguments,
            dependencies=inspect.Signature(rest, return_annotation=Any),
        )

    def read(self, arguments: str) -> dict[str, Any]:
        """Read the arguments that a model wrote as JSON; raises `InvalidAnswer` where they do not fit."""
        data = parse_json(arguments) if arguments.strip() else {}
        value: Any = structure(data, self.arguments_type)
        return {field.name: getattr(value, field.name) for field in attrs.fields(self.arguments_type)}

    def told(self, value: Any) -> ToolResult:
        """Write what the function returned: a string as it is, anything else as JSON."""
        if isinstance(value, str):
            return ToolResult(value)
        try:
            return ToolResult(json.dumps(unstructure(value), ensure_ascii=False))
        except (TypeError, ValueError) as error:
            raise TypeError(f"tool {self.name} returned a {type(value).__name__}, which has no JSON form") from error


def to_tools(tools: Iterable[Tool | Fn]) -> tuple[Tool, ...]:
    """Make tools of functions; raises `GraphError` where two have one name."""
    made = tuple(tool if isinstance(tool, Tool) else _tool_of(tool) for tool in tools)
    names = [tool.name for tool in made]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise GraphError([f"two tools are called {name}; give one another name=" for name in twice], subject="tools")
    return made


# Reading a function's hints takes longer than a request to write; what it gives never changes.
_tool_of = functools.lru_cache(maxsize=512)(Tool.of)


def invalid_call(error: InvalidAnswer) -> ToolResult:
    """Tell the model what is wrong with the arguments that it wrote."""
    problems = "\n".join(f"- {item}" for item in error.invalid)
    return ToolResult(f"These arguments are not valid:\n{problems}", failed=True)


def unknown_tool(name: str, tools: Sequence[Tool]) -> ToolResult:
    """Tell the model that there is no such tool."""
    return ToolResult(f"There is no tool {name!r}; there is {', '.join(tool.name for tool in tools)}.", failed=True)


def _is_dependency(parameter: inspect.Parameter) -> bool:
    return any(isinstance(item, Dep) for item in hints.split_annotated(parameter.annotation)[1])


def _parameter_faults(tool: str, parameter: inspect.Parameter) -> list[str]:
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
        return [f"{tool}: parameter {parameter} cannot be given by name; a model gives arguments by name"]
    if parameter.annotation is parameter.empty:
        return [f"{tool}: parameter {parameter.name!r} has no hint; the model is told its type"]
    return []


def _attribute(parameter: inspect.Parameter) -> Any:
    plain, metadata = hints.split_annotated(parameter.annotation)
    words = [item for item in metadata if isinstance(item, str)]
    default = attrs.NOTHING if parameter.default is parameter.empty else parameter.default
    described = {DESCRIPTION: " ".join(words)} if words else {}
    return attrs.field(default=default, type=plain, metadata=described, alias=parameter.name)
