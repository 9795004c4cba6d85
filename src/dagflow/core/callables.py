"""Looking at a callable: how it must be called, what it needs, and what it gives."""

from __future__ import annotations

import collections.abc
import contextlib
import functools
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, get_args, get_origin

import attrs

from dagflow.core import hints
from dagflow.core.markers import Dep, Gate, Recall
from dagflow.errors import name_of

__all__ = ["MISSING", "Callee", "Kind", "Parameter", "evaluated_signature", "look_at"]

Kind = Literal["sync", "async", "context"]

MISSING: Final = inspect.Signature.empty


@attrs.frozen
class Parameter:
    """A parameter that is a dependency; `positional` ones cannot be passed by name."""

    name: str
    type: Any
    marker: Dep
    positional: bool = False


@attrs.frozen
class Callee:
    """What introspection found out about a callable; `faults` are one sentence each.

    `kind` is `"context"` for an async context manager, whose `returns` is then the type of what it yields.
    `returns` is `MISSING` where nothing is declared.
    """

    kind: Kind
    returns: Any
    parameters: tuple[Parameter, ...] = ()
    faults: tuple[str, ...] = ()


def look_at(fn: Callable[..., Any], namespace: Mapping[str, Any]) -> Callee:
    """Find out how to call `fn`, what its parameters depend on and what it returns.

    `namespace` resolves names that the module of `fn` does not have. Nothing is raised for a callable that
    is wrong: its `faults` say what and where.
    """
    name = name_of(fn)
    function = _underlying_function(fn)
    try:
        signature = inspect.signature(fn)
    except (ValueError, TypeError):
        return Callee("sync", MISSING, faults=(f"{name} has no signature that can be read; wrap it in a function",))
    faults: list[str] = []
    hints_of = functools.partial(_evaluate, function=function, namespace=namespace, name=name, faults=faults)
    parameters = tuple(_dependency_parameters(signature, hints_of, name, faults))
    called = _without_partials(fn)
    if isinstance(called, type):
        return Callee("sync", called, parameters, tuple(faults))
    returns = hints_of(signature.return_annotation, "return annotation")
    kind, returns = _kind_and_result(fn, function, returns, name, faults)
    if returns is MISSING and not faults:
        faults.append(f"{name} has no return annotation; say what it returns, as `def {name}(...) -> T`")
    return Callee(kind, returns, parameters, tuple(faults))


def evaluated_signature(
    fn: Callable[..., Any], namespace: Mapping[str, Any], faults: list[str]
) -> tuple[Kind, inspect.Signature]:
    """Find out how to call `fn`, and its signature with hints in place of their text; faults are added."""
    name = name_of(fn)
    function = _underlying_function(fn)
    try:
        signature = inspect.signature(fn)
    except (ValueError, TypeError):
        faults.append(f"{name} has no signature that can be read; wrap it in a function")
        return "sync", inspect.Signature()
    hints_of = functools.partial(_evaluate, function=function, namespace=namespace, name=name, faults=faults)
    parameters = [
        parameter.replace(annotation=hints_of(parameter.annotation, f"annotation of {parameter.name!r}"))
        for parameter in signature.parameters.values()
    ]
    returns = hints_of(signature.return_annotation, "return annotation")
    kind, returns = _kind_and_result(fn, function, returns, name, faults)
    return kind, signature.replace(parameters=parameters, return_annotation=returns)


def _without_partials(fn: Any) -> Any:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return fn


def _underlying_function(fn: Any) -> Any:
    """The function whose module and code tell the truth about `fn`."""
    fn = _without_partials(fn)
    if isinstance(fn, type):
        return fn.__init__  # type: ignore[misc]  # read, never called
    if not isinstance(fn, (types.FunctionType, types.MethodType, types.BuiltinFunctionType)):
        fn = getattr(type(fn), "__call__", fn)
    return inspect.unwrap(getattr(fn, "__func__", fn))


def _evaluate(
    annotation: Any, place: str, *, function: Any, namespace: Mapping[str, Any], name: str, faults: list[str]
) -> Any:
    if annotation is MISSING:
        return MISSING
    own = getattr(function, "__globals__", None) or hints.module_namespace(function)
    closure = _closure(function)
    return hints.evaluate_or_tell(annotation, [closure, own, namespace], owner=name, what=place, faults=faults)


def _closure(function: Any) -> dict[str, Any]:
    cells = getattr(function, "__closure__", None) or ()
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        with contextlib.suppress(ValueError):  # a name that has no value yet
            found[name] = cell.cell_contents
    return found


def _dependency_parameters(
    signature: inspect.Signature, evaluate: Callable[[Any, str], Any], name: str, faults: list[str]
) -> list[Parameter]:
    found: list[Parameter] = []
    for parameter in signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        known = len(faults)
        hint = evaluate(parameter.annotation, f"annotation of {parameter.name!r}")
        plain, metadata = hints.split_annotated(hint)
        markers = [item for item in metadata if isinstance(item, Dep)]
        if len(markers) > 1:
            faults.append(f"{name}: parameter {parameter.name!r} has {len(markers)} Dep markers; keep one")
        for item in metadata:
            if isinstance(item, (Recall, Gate)):
                kind = type(item).__name__
                faults.append(f"{name}: parameter {parameter.name!r} is marked {kind}, which only node fields can be")
        if Dep in metadata:
            faults.append(f"{name}: parameter {parameter.name!r} is marked Dep without a callable; write Dep(fn)")
        if markers:
            positional = parameter.kind is parameter.POSITIONAL_ONLY
            if positional and len(found) < list(signature.parameters).index(parameter.name):
                faults.append(f"{name}: positional-only parameter {parameter.name!r} follows one that has no Dep")
            found.append(Parameter(parameter.name, plain, markers[0], positional))
        elif parameter.default is MISSING and len(faults) == known:
            faults.append(
                f"{name}: parameter {parameter.name!r} has no default and no Dep; "
                f"annotate it as `{parameter.name}: Annotated[T, Dep(fn)]`, or bind it with functools.partial"
            )
    return found


def _kind_and_result(fn: Any, function: Any, returns: Any, name: str, faults: list[str]) -> tuple[Kind, Any]:
    if inspect.isasyncgenfunction(function):
        decorated = not inspect.isasyncgenfunction(_direct_function(fn))
        if not decorated:
            faults.append(f"{name} is an async generator; decorate it with contextlib.asynccontextmanager")
        return "context", _yielded(returns)
    if inspect.isgeneratorfunction(function):
        faults.append(f"{name} is a generator; make it an async one under contextlib.asynccontextmanager")
        return "sync", returns
    if get_origin(returns) in (
        contextlib.AbstractAsyncContextManager,
        contextlib.AbstractAsyncContextManager,
    ):
        return "context", get_args(returns)[0]
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(_direct_function(fn)):
        return "async", returns
    if get_origin(returns) in (collections.abc.Awaitable, collections.abc.Coroutine):
        return "async", get_args(returns)[-1]
    return "sync", returns


def _direct_function(fn: Any) -> Any:
    """The function that a call of `fn` enters first, with its decorators."""
    fn = _without_partials(fn)
    if not isinstance(fn, (types.FunctionType, types.MethodType)):
        fn = getattr(type(fn), "__call__", fn)
    return fn


def _yielded(returns: Any) -> Any:
    """The item type of the `AsyncIterator[T]` or `AsyncGenerator[T, None]` that a context function returns."""
    if returns is MISSING or not isinstance(get_origin(returns), type):
        return returns
    if issubclass(get_origin(returns), collections.abc.AsyncIterable):
        return get_args(returns)[0]
    return returns
