"""PyYAML, which only this package imports: its parsers give the events of a text, one at a time.

libyaml's parser is ten times as fast as the one in Python, and is taken where PyYAML was built with it. Both give
the same events, see `pure`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

__all__ = ["MakeParser", "Parser", "best_parser", "libyaml_parser", "python_parser", "yaml_library"]


class Parser(Protocol):
    """What gives the events of one text."""

    def get_event(self) -> Any:
        """Give the next event, `None` after the last; raises `YAMLError` of the library."""


MakeParser: TypeAlias = Callable[[str], Parser]


@lru_cache(maxsize=1)
def yaml_library() -> Any:
    """Import PyYAML; raises `ImportError` that names the extra where it is missing."""
    try:
        return importlib.import_module("yaml")
    except ImportError as error:
        raise ImportError("YAML graphs need PyYAML: pip install 'dagflow[yaml]'", name="yaml") from error


def libyaml_parser() -> MakeParser | None:
    """Give libyaml's parser; `None` where PyYAML was built without it."""
    yaml_library()
    try:
        from yaml.cyaml import CParser  # type: ignore[attr-defined,unused-ignore]  # the stubs do not re-export it
    except ImportError:
        return None
    make: MakeParser = CParser
    return make


def python_parser() -> MakeParser:
    """Give the parser in Python."""
    yaml_library()
    from dagflow.source.scan.pure import PythonParser

    return PythonParser


@lru_cache(maxsize=1)
def best_parser() -> MakeParser:
    """Give the faster one of those that are there."""
    return libyaml_parser() or python_parser()
