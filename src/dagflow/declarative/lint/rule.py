"""What a rule is: a pure function over what is known of a graph file, with what people read about it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from importlib.resources import files
from typing import Final

import attrs

from dagflow.declarative.lint.finding import Level
from dagflow.declarative.lint.subject import LintSubject
from dagflow.source import Document

__all__ = ["Check", "Example", "Hit", "Rule", "listed"]

MOST_NAMES: Final = 5


@attrs.frozen
class Hit:
    """A place that a rule is about, as `core.structure` writes paths, and what is to be said of it.

    `document` is that of a prompt file, where the place is in one.
    """

    place: str
    message: str
    document: Document | None = None


def listed(names: Sequence[str]) -> str:
    """Name the first of several names, and how many more there are."""
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


Check = Callable[[LintSubject], Iterator[Hit]]


@attrs.frozen
class Example:
    """Two graph files: in one the rule finds something, in the other it does not."""

    failing: str
    passing: str


@attrs.frozen(slots=False)
class Rule:
    """A rule: its code, which never changes its meaning, its level, and its check, whose docstring is what it says."""

    code: str
    level: Level
    check: Check = attrs.field(repr=False)

    @property
    def title(self) -> str:
        """What it finds, in a few words."""
        return inspect.cleandoc(self.check.__doc__ or "").partition("\n")[0].rstrip(".")

    @property
    def why(self) -> str:
        """Why that matters, and what to do."""
        return " ".join(inspect.cleandoc(self.check.__doc__ or "").partition("\n")[2].split())

    @cached_property
    def example(self) -> Example:
        """What it finds, and what it does not: two documents of a file in this package."""
        text = (files("dagflow.declarative.lint") / "examples" / f"{self.code}.yaml").read_text(encoding="utf-8")
        failing, passing = text.split("\n---\n")
        return Example(f"{failing}\n", passing)
