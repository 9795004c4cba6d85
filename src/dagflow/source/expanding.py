"""Putting environment variables in the place of `${NAME}` in the texts of a file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from dagflow.core.structure import nearest
from dagflow.errors import InvalidField

__all__ = ["MAX_DEPTH", "Expansion", "names_in"]

MAX_DEPTH: Final = 20
"""How deep the data may be nested."""

_VARIABLE: Final = re.compile(r"\$\{([^}]*)(\}?)")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@attrs.define
class Expansion:
    """Expands plain data, and remembers what it did where.

    What is put in is not looked at again, and is a text wherever it stands. An unset variable never stands for
    nothing: a run would go to another store than the one that was meant.
    """

    environment: Mapping[str, str] = attrs.field(repr=False)
    problems: list[InvalidField] = attrs.field(factory=list)
    variables: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    """The names of the variables that were put in, by path."""

    def expand(self, data: Any, path: str = "$", depth: int = 0) -> Any:
        """Give a copy of plain data with its texts expanded; what is wrong is added to `problems`."""
        if depth > MAX_DEPTH:
            self.problems.append(InvalidField(path, f"is nested more than {MAX_DEPTH} levels deep"))
            return None
        if isinstance(data, str):
            return self._text(data, path)
        if isinstance(data, Mapping):
            return {
                self._key(key, path): self.expand(value, below(path, key), depth + 1) for key, value in data.items()
            }
        if isinstance(data, Sequence) and not isinstance(data, (bytes, bytearray)):
            return [self.expand(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(data)]
        return data

    def variables_at(self, path: str) -> tuple[str, ...]:
        """Name the variables that stand at a path or below it."""
        return tuple(
            name
            for place, names in self.variables.items()
            if place == path or place.startswith((f"{path}.", f"{path}["))
            for name in names
        )

    def without_values(self, item: InvalidField) -> InvalidField:
        """Leave what came from the environment out of a problem: it may be a secret."""
        names = self.variables_at(item.path)
        if not names or " stands for" in item.problem:
            return item
        expected = item.problem.partition(", got ")[0] if item.problem.startswith("expected ") else "does not fit"
        told = " and ".join(f"${{{name}}}" for name in names)
        return InvalidField(item.path, f"{expected}, got what {told} stands for, a text")

    def _key(self, key: Any, path: str) -> str:
        if isinstance(key, str):
            return key
        self.problems.append(InvalidField(path, f"has the key {key!r}, which is no text"))
        return str(key)

    def _text(self, text: str, path: str) -> str:
        def value(found: re.Match[str]) -> str:
            name, closed = found.groups()
            if not closed or not _NAME.fullmatch(name):
                self.problems.append(InvalidField(path, f"{found[0][:40]} is malformed; write ${{NAME}}"))
                return ""
            if not self.environment.get(name):
                near = nearest(name, self.environment)
                self.problems.append(InvalidField(path, f"the environment has no value for ${{{name}}}{near}; set it"))
            return self.environment.get(name, "")

        names = names_in(text)
        if names:
            self.variables[path] = names
        return _VARIABLE.sub(value, text)


def names_in(text: str) -> tuple[str, ...]:
    """Name the variables of a text, in the order in which they stand there."""
    return tuple(name for name, closed in _VARIABLE.findall(text) if closed and _NAME.fullmatch(name))


def below(path: str, key: Any) -> str:
    """Extend a path by a key, as `core.structure` writes paths."""
    text = str(key)
    shown = text if len(text) <= 80 else f"{text[:80]}..."
    return f"{path}.{shown}" if shown.isidentifier() else f"{path}[{shown!r}]"
