"""Paths into a document: as tuples of keys and indexes, as `core.structure` writes them, and as people read them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import Final, TypeAlias

__all__ = ["LONGEST_KEY", "Path", "parse_path", "show_path"]

Path: TypeAlias = tuple[str | int, ...]

LONGEST_KEY: Final = 80
"""Characters of a key that a path shows; `core.structure` cuts them there too, and puts three dots behind."""

_STEP = re.compile(
    r"""\.(?P<name>[^.\[]+)
      | \[(?P<index>[0-9]+)\]
      | \[(?P<key>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""",
    re.VERBOSE,
)


def parse_path(text: str) -> Path:
    """Read a path such as `$.nodes.sort.routes`, `$.edges[0].to` or `$['odd key']`; the `$` may be left out.

    What cannot be read ends the path, so that it leads to what is around it.
    """
    rest = text.removeprefix("$")
    if rest and rest[0] not in ".[":
        rest = f".{rest}"
    found: list[str | int] = []
    place = 0
    while step := _STEP.match(rest, place):
        place = step.end()
        if step["name"] is not None:
            found.append(step["name"])
        elif step["index"] is not None:
            found.append(int(step["index"]))
        else:
            found.append(ast.literal_eval(step["key"]))
    return tuple(found)


def show_path(path: Iterable[str | int]) -> str:
    """Write a path for people, without a `$`: `nodes.sort.routes`, `edges[0].to`, `['odd key']`."""
    return "".join(map(_show_step, path)).removeprefix(".")


def _show_step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if len(step) > LONGEST_KEY:
        step = f"{step[:LONGEST_KEY]}..."
    return f".{step}" if step.isidentifier() else f"[{step!r}]"
