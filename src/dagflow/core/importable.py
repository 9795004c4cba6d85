"""Telling whether another process could import a callable, and where our own main module comes from."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import MethodType
from typing import Any

__all__ = ["is_async", "main_origin", "refusal", "unreachable"]

REFERENCE = "another process finds a function by the name of its module and its own"


def refusal(function: Callable[..., Any]) -> str | None:
    """Say why another process cannot be given a function, and what to do; `None` if it can.

    It looks at the function alone and starts nothing, so that a graph can ask while it is built. Arguments
    and the state of bound objects are only seen when they are sent.
    """
    if is_async(function):
        return "it is async; a process of its own is for sync functions, await this one where it is"
    if isinstance(function, functools.partial):
        return refusal(function.func)
    if isinstance(function, MethodType):
        owner = function.__self__
        return unreachable(owner if isinstance(owner, type) else type(owner))
    if hasattr(function, "__qualname__"):
        return unreachable(function)
    return unreachable(type(function))


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling a function gives a coroutine or an async generator, of callable objects too."""
    call = getattr(function, "__call__", None)
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in (function, call)
    )


def unreachable(thing: Any) -> str | None:
    """Say why a function or class cannot be found by name in another process."""
    module, name = getattr(thing, "__module__", None), thing.__qualname__
    if name.endswith("<lambda>"):
        return f"it is a lambda, and {REFERENCE}; use `def` at the top level of a module"
    if "<locals>" in name:
        return f"{name} is defined inside a function, and {REFERENCE}; move it to the top level of a module"
    if module is None:  # a method of a builtin type: pickle knows how
        return None
    if module == "__main__" and main_origin() == (None, None):
        return f"it was typed into an interactive session, and {REFERENCE}; put it into a module"
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not thing:
        return f"{module}.{name} is not this object, and {REFERENCE}; give it a name of its own there"
    return None


def main_origin() -> tuple[str | None, str | None]:
    """Return the name under which `python -m` found the main module, or the path of its file."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return spec.name, None
    path = getattr(main, "__file__", None)
    return None, None if path is None else str(path)
