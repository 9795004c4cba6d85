"""Runs in the kernel, as text: writes variables of the notebook to a file, as JSON. It must need nothing of ours."""

from __future__ import annotations

__all__ = ["write_variables"]


def write_variables(variables: dict[str, object], names: list[str], path: str) -> None:
    """Write the variables, or why one cannot be written."""
    import json
    import math

    def problem(value: object, place: str) -> "str | None":  # noqa: UP037 (as text it has no import from __future__)
        waiting = [(value, place, 0)]
        while waiting:
            item, place, depth = waiting.pop()
            if depth > 500:
                return f"{place[:100]} is nested too deeply"
            if type(item) is dict:
                for key, inner in item.items():
                    if type(key) is not str:
                        return f"{place} has the key {repr(key)[:100]}, which is no text"
                    waiting.append((inner, f"{place}[{key!r}]", depth + 1))
            elif isinstance(item, (list, tuple)):
                waiting.extend((inner, f"{place}[{index}]", depth + 1) for index, inner in enumerate(item))
            elif type(item) is float and not math.isfinite(item):
                return f"{place} is {item}, which is no JSON"
            elif item is not None and type(item) not in (str, int, float, bool):
                return f"{place} is a {type(item).__name__}, which is no JSON"
        return None

    found = {}
    problems = {}
    for name in names:
        if name not in variables:
            problems[name] = "no cell has set it"
            continue
        wrong = problem(variables[name], name)
        if wrong is None:
            found[name] = variables[name]
        else:
            problems[name] = wrong
    known = [name for name in variables if not name.startswith("_")]
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"found": found, "problems": problems, "known": known}, file)
