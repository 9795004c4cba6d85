"""The project that a graph belongs to, and paths that files name: relative, and never out of the project."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from dagflow.core.structure import nearest
from dagflow.source.files import kind_of

__all__ = ["MAX_PATH", "PathError", "confined", "find_root"]

MAX_PATH: Final = 1000
"""How many characters a path in a file may have."""

MARKERS: Final = ("pyproject.toml", ".git")

_UNWANTED: Final = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_MOST_SUGGESTED_FROM: Final = 500


class PathError(ValueError):
    """Raised for a path that is refused, or leads to nothing; `path` is the text, `problem` says what is wrong."""

    def __init__(self, what: str, path: str, problem: str) -> None:
        self.path = path
        self.problem = problem
        shown = path if len(path) <= 80 else f"{path[:77]}..."
        super().__init__(f"{what} {shown!r} {problem}")


def find_root(start: Path) -> Path:
    """Find the project that a folder is in: the nearest folder above it, or itself, with a `pyproject.toml` or `.git`.

    Where there is none, the folder itself is all of its project.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if any(os.path.exists(folder / marker) for marker in MARKERS):
            return folder
    return start


def confined(
    text: str,
    *,
    base: Path,
    root: Path,
    suffixes: tuple[str, ...] = (),
    what: str = "path",
    kind: Literal["file", "folder"] = "file",
) -> Path:
    """Resolve a path that a file names: relative to the folder `base`, symlinks followed, inside of the folder `root`.

    `suffixes` are the endings that it may have (any, if none are given), `what` says what it leads to, for errors.
    Nothing is opened. `..` is fine where it stays inside of the project.

    Raises `PathError` for what is absolute, leads out of the project (by a symlink, too), is no file (or no folder,
    for `kind="folder"`), is not there, or is written in a way that means something else elsewhere: `~`, backslashes,
    drives, addresses, control characters.
    """
    problem = _written_wrong(text)
    if problem is not None:
        raise PathError(what, text, problem)
    if kind == "file" and text.endswith("/"):
        raise PathError(what, text, "ends in /, as a folder does; name a file")
    if suffixes and not text.endswith(suffixes):
        raise PathError(what, text, f"must end in {' or '.join(suffixes)}")
    root, written = root.resolve(), base.resolve() / text
    # Before the disk is asked for anything outside: what is there is nobody's business.
    if not Path(os.path.normpath(written)).is_relative_to(root):
        raise PathError(what, text, f"leads out of the project, {root}; move it inside")
    try:
        found = written.resolve()
        if not found.is_relative_to(root):
            raise PathError(what, text, f"leads out of the project, {root}, through a symlink; move it inside")
        mode = found.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PathError(what, text, _what_is_missing(written, root)) from error
    except (OSError, RuntimeError) as error:  # a circle of symlinks is a RuntimeError before Python 3.13
        told = error.strerror if isinstance(error, OSError) and error.strerror else "it is a circle of symlinks"
        raise PathError(what, text, f"cannot be reached: {told}") from error
    actual = kind_of(mode)
    if actual != f"a {kind}":
        raise PathError(what, text, f"is {actual}, and not a {kind}")
    return found


def _written_wrong(text: str) -> str | None:
    """Say what is wrong with how a path is written."""
    if not text.strip():
        return "is empty"
    if len(text) > MAX_PATH:
        return f"is longer than {MAX_PATH} characters"
    unwanted = _UNWANTED.search(text)
    if unwanted is not None:
        return f"holds the control character U+{ord(unwanted[0]):04X}"
    if "\\" in text:
        return "holds a backslash; folders are separated by /"
    if _SCHEME.match(text):
        return "is an address; name a file of the project"
    if text.startswith("/") or _DRIVE.match(text):
        return "is absolute; write it relative to the file that names it"
    if text.startswith("~"):
        return "begins with ~, which stands for no folder here; write ./~ if it is a name"
    return None


def _what_is_missing(path: Path, root: Path) -> str:
    """Say that a path is not there, with the nearest name for the first part of it that is not."""
    if os.path.islink(path):
        return "is a symlink to what is not there"
    path = Path(os.path.normpath(path))
    while not os.path.lexists(path.parent):
        path = path.parent
    folder = path.parent.resolve()
    if not folder.is_relative_to(root) or not folder.is_dir():
        return "is not there"
    return f"is not there{nearest(path.name, _entries(folder)) or f': there is no {path.name!r} in {folder}'}"


def _entries(folder: Path) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in islice(entries, _MOST_SUGGESTED_FROM))
    except OSError:
        return []
