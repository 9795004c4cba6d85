"""Finding the files of a folder that globs match, without ever leaving it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Final

import attrs

from dagflow.catalog.patterns import Pattern, check_path
from dagflow.source.files import FILE, kind_of

__all__ = ["Found", "find"]

MAX_DEPTH: Final = 64
"""How deep the folders may be nested that are looked into; each level keeps a descriptor open."""

States = tuple[frozenset[int], ...]


@attrs.define
class Found:
    """What was found: the paths of files, in order, and what is wrong, one sentence each."""

    paths: list[str] = attrs.field(factory=list)
    problems: list[str] = attrs.field(factory=list)


def find(folder: int, patterns: Sequence[Pattern], *, without: tuple[int, int], check: Callable[[], None]) -> Found:
    """Find the regular files below an open folder that a glob matches, each once.

    A glob that matches nothing is a problem, and so is one that matches what is no file, or what has a name that a
    catalog cannot keep. Symlinks are not followed. `without` is the device and number of a folder that is left out.
    `check` is called for each folder; it raises to stop.
    """
    walk = _Walk(patterns, without, check)
    walk.enter(folder, "", tuple(pattern.start for pattern in patterns), 0)
    return walk.finish()


@attrs.define
class _Walk:
    patterns: Sequence[Pattern]
    without: tuple[int, int]
    check: Callable[[], None]
    found: Found = attrs.field(factory=Found)
    matched: set[int] = attrs.field(factory=set)
    """The numbers of the globs that have matched something, be it something wrong."""
    hints: dict[int, str] = attrs.field(factory=dict)
    """Why a glob may have matched nothing, by its number."""

    def enter(self, folder: int, path: str, states: States, depth: int) -> None:
        self.check()
        status = os.fstat(folder)
        if (status.st_dev, status.st_ino) == self.without:
            return
        for name in self._names(folder, states):
            below = tuple(pattern.step(reached, name) for pattern, reached in zip(self.patterns, states, strict=True))
            if any(below):
                self._look(folder, name, f"{path}/{name}" if path else name, below, depth)

    def _names(self, folder: int, states: States) -> list[str]:
        """The names of a folder that are to be looked at; all of them only where that is needed."""
        wanted: set[str] = set()
        for pattern, reached in zip(self.patterns, states, strict=True):
            names = pattern.names(reached)
            if names is None:
                return sorted(os.listdir(folder))
            wanted |= names
        return sorted(wanted)

    def _look(self, folder: int, name: str, path: str, states: States, depth: int) -> None:
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        kind = kind_of(mode)
        matching = self._which(states, Pattern.accepts)
        if kind == "a folder":
            self._hint(matching, f"{path} is a folder; write {path}/** for the files in it")
            if self._which(states, Pattern.goes_on):
                self._descend(folder, name, path, states, depth)
            return
        if not matching:
            if kind == "a symlink":
                self._hint(self._which(states, Pattern.goes_on), f"{path} is a symlink, and is not followed")
            return
        self.matched |= matching
        problem = check_path(path)
        if kind != FILE:
            self.found.problems.append(f"{path!r} is {kind}, and no file")
        elif problem is not None:
            self.found.problems.append(f"the path {path!r} {problem}")
        else:
            self.found.paths.append(path)

    def _descend(self, folder: int, name: str, path: str, states: States, depth: int) -> None:
        if depth == MAX_DEPTH:
            self.found.problems.append(f"{path!r} is more than {MAX_DEPTH} folders deep")
            return
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            deeper = os.open(name, flags, dir_fd=folder)
        except OSError as error:
            self.found.problems.append(f"the folder {path!r} cannot be read: {error.strerror}")
            return
        try:
            self.enter(deeper, path, states, depth + 1)
        finally:
            os.close(deeper)

    def _which(self, states: States, tell: Callable[[Pattern, frozenset[int]], bool]) -> set[int]:
        """The numbers of the globs of whose states something is true."""
        numbered = enumerate(zip(self.patterns, states, strict=True))
        return {number for number, (pattern, reached) in numbered if tell(pattern, reached)}

    def _hint(self, numbers: set[int], hint: str) -> None:
        for number in numbers:
            self.hints.setdefault(number, hint)

    def finish(self) -> Found:
        for number, pattern in enumerate(self.patterns):
            if number not in self.matched:
                why = f" ({self.hints[number]})" if number in self.hints else ""
                self.found.problems.append(f"the glob {pattern.text!r} matches no file{why}")
        return self.found
