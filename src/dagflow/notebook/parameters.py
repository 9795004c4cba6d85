"""Parameters of a notebook: values of JSON, written as Python, in a cell of their own."""

from __future__ import annotations

import json
import keyword
import math
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["INJECTED", "PARAMETERS", "inject", "parameters_source"]

PARAMETERS: Final = "parameters"
"""The tag of the cell with the defaults; papermill's word."""

INJECTED: Final = "injected-parameters"
"""The tag of the cell that sets the parameters; papermill's word, too."""

_DEEPEST: Final = 40  # Python's own parser takes about a hundred brackets


def parameters_source(parameters: Mapping[Any, Any]) -> str:
    """Write the cell that sets parameters; raises `ValueError` for a name or a value that cannot be.

    Values are written as Python literals, never as parts of code: nothing in them can become code.
    """
    lines = ["# Parameters"]
    for name, value in parameters.items():
        if not isinstance(name, str) or not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"the parameter {name!r} cannot be a variable of a notebook; give it a Python name")
        problem = _problem(value, "")
        if problem is not None:
            raise ValueError(f"the parameter {name!r} cannot be given to a notebook: {problem}")
        lines.append(f"{name} = {_literal(value)}")
    return "\n".join(lines)


def _literal(value: Any) -> str:
    if _depth(value) > _DEEPEST:
        return f'__import__("json").loads({json.dumps(value)!r})'
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key!r}: {_literal(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return repr(value)


def _problem(value: Any, path: str) -> str | None:
    """Say what is no value of JSON; NaN and the infinities are fine, they are Python's."""
    waiting: list[tuple[Any, str]] = [(value, path)]
    while waiting:
        item, place = waiting.pop()
        at = f" at {place}" if place else ""
        if type(item) is dict:
            if any(type(key) is not str for key in item):
                return f"it has a key{at} that is no text"
            waiting += [(inner, f"{place}.{key}") for key, inner in item.items()]
        elif type(item) is list:
            waiting += [(inner, f"{place}[{index}]") for index, inner in enumerate(item)]
        elif item is not None and type(item) not in (str, int, float, bool):
            return f"it has a {type(item).__name__}{at}, which is no value of JSON"
        elif type(item) is int and item.bit_length() > 10_000:
            return f"it has a number of thousands of digits{at}"
    return None


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level:
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        depth += 1
    return depth


def _id_for(notebook: Any) -> str:
    taken = {cell.get("id") for cell in notebook.cells}
    return next(
        name for name in (INJECTED, *(f"{INJECTED}-{number}" for number in range(len(taken) + 1))) if name not in taken
    )


def inject(notebook: Any, parameters: Mapping[Any, Any], make_cell: Any) -> int | None:
    """Put a cell that sets parameters into a notebook, and give its place; `None` if there is nothing to set.

    It follows the cell that is tagged `parameters`, takes the place of one that an earlier run has put there, or is
    the first. `make_cell` makes a code cell of a source.
    """
    tags = [set(cell.metadata.get("tags", ())) for cell in notebook.cells]
    earlier = next((place for place, found in enumerate(tags) if INJECTED in found), None)
    if earlier is not None:
        del notebook.cells[earlier], tags[earlier]
    if not parameters:
        return None
    defaults = next((place for place, found in enumerate(tags) if PARAMETERS in found), -1)
    cell = make_cell(parameters_source(parameters), metadata={"tags": [INJECTED]})
    cell.pop("id", None)
    if notebook.nbformat_minor >= 5:  # earlier formats have no ids; this one is the same in every run
        cell["id"] = _id_for(notebook)
    notebook.cells.insert(defaults + 1, cell)
    return int(defaults + 1)
