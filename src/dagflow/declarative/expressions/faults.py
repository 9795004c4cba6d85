"""Errors of expressions, and the places in a text that they are told at."""

from __future__ import annotations

import attrs

__all__ = ["ExpressionError", "Place", "excerpt", "listed"]

_BEFORE, _AFTER = 30, 30
_MOST_NAMES = 10
_LONGEST_NAME = 40


class ExpressionError(ValueError):
    """Raised for a text that is no expression or template, and for one that cannot be evaluated.

    `message` says what is wrong and what to do, without the place. `source` is the whole text, a template where the
    expression is part of one, and `column` the place in it: counted from 1 through the whole text, line ends
    included; 0 where it is not known. `path` holds the keys that lead to the text in a value with texts in it.
    """

    def __init__(self, message: str, source: str, column: int = 0, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message, source, column, path)
        self.message = message
        self.source = source
        self.column = column
        self.path = path

    @property
    def position(self) -> tuple[int, int]:
        """The line and the column in it, both counted from 1; zeros where the place is not known."""
        if not self.column:
            return 0, 0
        before = self.source[: self.column - 1]
        return before.count("\n") + 1, self.column - 1 - before.rfind("\n")

    def __str__(self) -> str:
        if not self.column:
            return f"{self.message} (in {excerpt(self.source)})"
        line, column = self.position
        text = self.source.split("\n", line)[line - 1]
        start, end = max(0, column - 1 - _BEFORE), column + _AFTER
        shown = ("..." if start else "") + text[start:end] + ("..." if end < len(text) else "")
        place = f"line {line}, column {column}" if "\n" in self.source else f"column {column}"
        return f"{self.message} ({place} of {shown!r})"


@attrs.frozen
class Place:
    """A place in a text, its first character at offset 0."""

    source: str
    offset: int

    def error(self, message: str) -> ExpressionError:
        """Make the error that is told at this place."""
        return ExpressionError(message, self.source, self.offset + 1)


def excerpt(text: str) -> str:
    """Quote a text, without its end where it is long."""
    return repr(text if len(text) <= _BEFORE + _AFTER else f"{text[: _BEFORE + _AFTER - 3]}...")


def listed(names: list[str]) -> str:
    """Name the first of several names, and how many more there are."""
    shown = ", ".join(repr(name if len(name) <= _LONGEST_NAME else name[:37] + "...") for name in names[:_MOST_NAMES])
    return f"{shown} and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else shown
