"""The one place that imports DSPy: late, because that takes seconds."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["load_dspy"]


def load_dspy(wanted_by: str) -> Any:
    """Import DSPy for the class or function `wanted_by`; its types are known to no type checker.

    Raises `ImportError` that names the extra to install.
    """
    try:
        return import_module("dspy")
    except ModuleNotFoundError as error:
        if error.name != "dspy":
            raise
        raise ImportError(f"{wanted_by} needs dspy: pip install 'dagflow[dspy]'", name="dspy") from error
