"""Globs over relative paths: strict about what they may be, and matched without ever trying twice.

A glob is a small automaton over the parts of a path. Walking a tree carries the states that are still alive, so that
each folder is read once however many globs there are, and only where something below it can match.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, TypeAlias

import attrs

__all__ = ["MAX_LENGTH", "Pattern", "check_path", "parse_pattern"]

MAX_LENGTH: Final = 1000
"""How many characters a glob or a path may have."""

_UNWANTED: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_WILD: Final = re.compile(r"[*?[]")


Part: TypeAlias = "str | re.Pattern[str] | None"


@attrs.frozen
class Pattern:
    """A glob. `parts` are names, expressions for names, and `None` for any number of folders."""

    text: str
    parts: tuple[Part, ...] = attrs.field(repr=False)
    is_plain: bool
    """Whether it is the path of one file."""

    @property
    def start(self) -> frozenset[int]:
        """The states at the top of a tree."""
        return self._closed([0])

    def step(self, states: Iterable[int], name: str) -> frozenset[int]:
        """The states one name further down."""
        reached = []
        for state in states:
            if state == len(self.parts):
                continue
            part = self.parts[state]
            if part is None:
                if not name.startswith("."):
                    reached.append(state)
            elif part == name if isinstance(part, str) else part.match(name):
                reached.append(state + 1)
        return self._closed(reached)

    def accepts(self, states: frozenset[int]) -> bool:
        """Tell whether a path that leads to these states is matched."""
        return len(self.parts) in states

    def goes_on(self, states: frozenset[int]) -> bool:
        """Tell whether a path that leads to these states can be gone on with."""
        return any(state < len(self.parts) for state in states)

    def names(self, states: Iterable[int]) -> set[str] | None:
        """The only names that lead further from these states; `None` where there may be others."""
        parts = [self.parts[state] for state in states if state < len(self.parts)]
        return (
            {part for part in parts if isinstance(part, str)} if all(isinstance(part, str) for part in parts) else None
        )

    def matches(self, path: str) -> bool:
        """Tell whether a path is matched."""
        if self.is_plain:
            return path == self.text
        states = self.start
        for name in path.split("/"):
            states = self.step(states, name)
            if not states:
                return False
        return self.accepts(states)

    def _closed(self, states: Iterable[int]) -> frozenset[int]:
        found: set[int] = set()
        for state in states:
            found.add(state)
            while state < len(self.parts) and self.parts[state] is None:  # any number of folders: none, too
                state += 1
                found.add(state)
        return frozenset(found)


@lru_cache(maxsize=1024)
def parse_pattern(text: str) -> Pattern:
    """Read a glob; raises `ValueError` that says what is wrong with it."""
    problem = _problem(text)
    names = [] if problem is not None else [name for name in text.split("/") if name != "."]
    if problem is None:
        problem = _glob_problem(text, names)
    if problem is not None:
        raise ValueError(f"the glob {_shown(text)} {problem}")
    if names[-1] == "**":
        names.append("*")
    parts: list[Part] = []
    for name in names:
        if name != "**":
            parts.append(_expression(name))
        elif not parts or parts[-1] is not None:
            parts.append(None)
    return Pattern("/".join(names), tuple(parts), is_plain=not _WILD.search(text))


def _glob_problem(text: str, names: list[str]) -> str | None:
    if text.endswith("/"):
        return f"ends in /, as a folder does; write {text}** for the files in it"
    if any("**" in name and name != "**" for name in names):
        return "has ** beside other characters; it stands for whole folders, as in **/*.csv"
    return None if names and all(names) else "names no file, or has an empty part"


def _expression(name: str) -> str | re.Pattern[str]:
    if not _WILD.search(name):
        return name
    hidden = "" if name.startswith(".") else r"(?!\.)"
    return re.compile(hidden + fnmatch.translate(name))


def check_path(path: str) -> str | None:
    """Say what is wrong with the path of a file; `None` if it stays where it is meant to be, in a form for all."""
    problem = _problem(path)
    if problem is None and any(name in ("", ".") for name in path.split("/")):
        problem = "has an empty part"
    if problem is None and any(len(name.encode()) > 255 for name in path.split("/")):
        problem = "has a name of more than 255 bytes"
    return problem


def _problem(text: str) -> str | None:
    if not isinstance(text, str):
        return f"is no text but {type(text).__name__}"
    if not text.strip():
        return "is empty"
    if len(text) > MAX_LENGTH:
        return f"is longer than {MAX_LENGTH} characters"
    unwanted = _UNWANTED.search(text)
    if unwanted is not None:
        return f"holds the character U+{ord(unwanted[0]):04X}, which names of files here may not have"
    if "\\" in text:
        return "holds a backslash; folders are separated by /"
    if text.startswith("/"):
        return "is absolute; write it relative to the working folder"
    if text.startswith("~"):
        return "begins with ~, which stands for no folder here; write ./~ if it is a name"
    if ".." in text.split("/"):
        return "leads upwards with ..; files stay below the working folder"
    return None


def _shown(text: object) -> str:
    shown = repr(text)
    return shown if len(shown) <= 100 else f"{shown[:100]}..."
