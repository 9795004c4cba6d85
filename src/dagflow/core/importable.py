"""Telling whether another process could import a callable, and how to name it there."""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable
from typing import Any

from dagflow.errors import name_of

__all__ = ["refusal"]


def refusal(fn: Callable[..., Any]) -> str | None:
    """Say why `fn` cannot be run in another process, or `None` if it can.

    A function travels by the name that it can be imported under, so that lambdas, functions inside functions
    and what was typed into a REPL cannot go.
    """
    if isinstance(fn, functools.partial):
        return refusal(fn.func)
    if isinstance(fn, types.MethodType):
        return refusal(fn.__self__ if isinstance(fn.__self__, type) else type(fn.__self__))
    name, qualified = name_of(fn), getattr(fn, "__qualname__", None)
    module = sys.modules.get(getattr(fn, "__module__", None) or "")
    if qualified is None:
        return refusal(type(fn))
    if "<lambda>" in qualified:
        return f"{name} is a lambda, which no other process can import; make it a function of a module"
    if "<locals>" in qualified:
        return f"{name} is defined inside a function, where no other process finds it; move it to a module"
    if module is None:
        return f"{name} belongs to no module that another process could import; move it to one"
    if module.__name__ == "__main__" and getattr(module, "__file__", None) is None:
        return f"{name} was typed into a REPL or notebook, which no other process can import; move it to a module"
    if _find(module, qualified) is not fn:
        return f"{module.__name__}.{qualified} is not {name} itself (a decorator hides it?), so it cannot be imported"
    return None


def _find(module: object, qualified: str) -> object:
    found: object = module
    for part in qualified.split("."):
        found = getattr(found, part, None)
    return found
