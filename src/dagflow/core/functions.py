"""A user's function as the work of a node: how it is called, what it takes, and what it depends on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from dagflow.core import hints
from dagflow.core.callables import MISSING, Kind, evaluated_signature
from dagflow.core.dependencies import DependencyPlan, Request, plan_dependencies
from dagflow.core.importable import refusal
from dagflow.core.markers import Dep
from dagflow.errors import GraphError, name_of

__all__ = ["Function", "FunctionParameter", "Offload"]

Offload = Literal["thread", "inline", "process"]


@attrs.frozen
class FunctionParameter:
    """A parameter that whoever calls the function gives a value for."""

    name: str
    type: Any
    required: bool
    default: Any = None


@attrs.frozen(eq=False)
class Function:
    """A function that was looked at once, to be called any number of times.

    `parameters` are those that are no dependencies, `open` tells that it takes any others by name (`**kwargs`).
    `dependencies` resolves the ones marked `Dep`; it is `None` where there are none. `returns` is `MISSING` where
    nothing is declared.
    """

    fn: Callable[..., Any]
    name: str
    kind: Kind
    parameters: tuple[FunctionParameter, ...]
    open: bool
    returns: Any
    dependencies: DependencyPlan | None
    offload: Offload

    @classmethod
    def of(
        cls,
        fn: Callable[..., Any],
        *,
        offload: Offload | None = None,
        timeout: float | None = None,
        namespace: Mapping[str, Any] | None = None,
    ) -> Function:
        """Look at a function. `timeout` is what will bound its calls, in seconds; a thread cannot be stopped.

        Raises `GraphError` with every fault: what cannot be called by name, hints that cannot be evaluated, faulty
        dependencies, an `offload` that cannot work.
        """
        faults: list[str] = []
        name = name_of(fn)
        if not callable(fn):
            raise GraphError([f"{name} is a {type(fn).__name__}, and cannot be called"], subject=name)
        kind, signature = evaluated_signature(fn, namespace or {}, faults)
        marked = {p.name: _marker(p) for p in signature.parameters.values()}
        faults += _signature_faults(name, kind, signature)
        faults += _offload_faults(fn, name, kind, offload, timeout)
        requests = [
            Request(parameter, marker, hints.split_annotated(signature.parameters[parameter].annotation)[0])
            for parameter, marker in marked.items()
            if marker is not None
        ]
        dependencies = None
        if requests and not faults:
            dependencies = plan_dependencies(requests, owner=name, namespace=namespace)
        if faults:
            raise GraphError(faults, subject=name)
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        return cls(
            fn=fn,
            name=name,
            kind=kind,
            parameters=tuple(
                _parameter(p)
                for p in signature.parameters.values()
                if marked[p.name] is None and p.kind not in variadic
            ),
            open=any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()),
            returns=signature.return_annotation,
            dependencies=dependencies,
            offload=offload or "thread",
        )


def _marker(parameter: inspect.Parameter) -> Dep | None:
    markers = [item for item in hints.split_annotated(parameter.annotation)[1] if isinstance(item, Dep)]
    return markers[0] if markers else None


def _parameter(parameter: inspect.Parameter) -> FunctionParameter:
    hint = Any if parameter.annotation is MISSING else hints.split_annotated(parameter.annotation)[0]
    required = parameter.default is MISSING
    return FunctionParameter(parameter.name, hint, required, None if required else parameter.default)


def _signature_faults(name: str, kind: Kind, signature: inspect.Signature) -> list[str]:
    faults = [
        f"{name}: parameter {parameter.name!r} is positional-only, and arguments are given by name; take the `/` away"
        for parameter in signature.parameters.values()
        if parameter.kind is parameter.POSITIONAL_ONLY
    ]
    if kind == "context":
        faults.append(f"{name} gives an async context manager; make it a dependency of a function that uses it")
    return faults


def _offload_faults(
    fn: Callable[..., Any], name: str, kind: Kind, offload: Offload | None, timeout: float | None
) -> list[str]:
    if kind != "sync":
        if offload is not None:
            return [f"{name} is async, so offload: {offload} does not apply to it; leave it out"]
        return []
    if offload == "process":
        reason = refusal(fn)
        return [f"{name} cannot have offload: process: {reason}"] if reason is not None else []
    if timeout is not None and offload != "inline":
        return [
            f"{name} is a sync function with a timeout, but a thread cannot be stopped; "
            f"give it offload: process, or make it async"
        ]
    return []
