"""How a catalog lies in its folder, and the work on it, which blocks: it is called in worker threads.

::

    objects/ab/cdef...        a content, by the sha256 of what is in it; read-only
    runs/RUN/index.jsonl      which task put which file, a line each
    runs/RUN/files/...        the files of the run by their paths, hard links to the contents

A view is made of hard links, so that it costs nothing; what a task gets is a copy, which it may change. A run's files
are those that it put itself: one that goes on under its id finds them again.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from dagflow.catalog.folders import Escapes, NotAFile, below, open_file, open_folder
from dagflow.catalog.index import Indexes
from dagflow.catalog.objects import (
    Content,
    Damaged,
    Intake,
    copy_content,
    link_content,
    read_content,
    remove_abandoned,
    taking_in,
)
from dagflow.catalog.patterns import Pattern, check_path, parse_pattern
from dagflow.catalog.spec import CatalogError, CatalogFile, Place, task_name
from dagflow.catalog.walking import find
from dagflow.core.folder_names import folder_name
from dagflow.core.structure import nearest

__all__ = ["Layout", "run_folder"]

_MOST_SUGGESTED_FROM: Final = 500


class Layout:
    """The folder of a catalog at `path`. `check` is called between pieces of work, and raises to end it."""

    def __init__(self, path: str, check: Callable[[], None]) -> None:
        self.path: str = path
        self._check = check
        self._indexes = Indexes()
        self._is_swept = False

    def put(self, globs: Sequence[str], folder: str, place: Place) -> tuple[CatalogFile, ...]:
        """Keep files of a working folder."""
        task = task_name(place)
        patterns = _parsed(globs, task)
        with self._opened(task) as root, _translated(task, f"the working folder {folder}"):
            status = os.fstat(root)
            with open_folder(folder) as working:
                found = find(working, patterns, without=(status.st_dev, status.st_ino), check=self._check)
                if found.problems:
                    raise CatalogError(f"task {task} cannot put files: {'; '.join(found.problems)}", task=task)
                with taking_in(root, self._check) as intake:
                    files = [self._keep(intake, working, path, task) for path in found.paths]
            self._record(root, files, place.run_id, task)
        return tuple(files)

    def _keep(self, intake: Intake, working: int, path: str, task: str) -> CatalogFile:
        self._check()
        *parents, name = path.split("/")
        with _translated(task, f"the file {path}"), below(working, parents) as parent, open_file(parent, name) as file:
            executable = bool(os.fstat(file.fileno()).st_mode & 0o100)
            content = intake.add(file)
        return CatalogFile(path, content.sha256, content.size, task, executable)

    def put_bytes(self, path: str, data: bytes, place: Place) -> CatalogFile:
        """Keep a file that is in no folder."""
        task = task_name(place)
        problem = check_path(path)
        if problem is not None:
            raise CatalogError(f"task {task} cannot put a file: the path {path!r} {problem}", task=task)
        with self._opened(task) as root, _translated(task, f"the file {path}"):
            with taking_in(root, self._check) as intake:
                content = intake.add(io.BytesIO(data))
            file = CatalogFile(path, content.sha256, content.size, task)
            self._record(root, [file], place.run_id, task)
        return file

    def _record(self, root: int, files: Sequence[CatalogFile], run_id: str, task: str) -> None:
        """Add files to the view and the index of a run."""
        with (
            _translated(task, f"the index of run {run_id}"),
            below(root, ["runs", run_folder(run_id)], create=True) as run,
            self._indexes.locked(run, run_id, self._check) as index,
        ):
            if index.is_new:
                with below(root, ["runs"]) as runs:
                    os.fsync(runs)
                os.fsync(root)
            for file in files:
                self._show(root, run, file, task)
            index.write(files)

    def _show(self, root: int, run: int, file: CatalogFile, task: str) -> None:
        *parents, name = file.path.split("/")
        with _translated(task, f"{file.path} in the view of the run"):
            try:
                with below(run, ["files", *parents], create=True) as view:
                    link_content(root, Content(file.sha256, file.size), view, name, self._check)
            except (IsADirectoryError, NotADirectoryError) as error:
                raise CatalogError(
                    f"task {task} cannot put {file.path}: the run has another file for which a part of this path is a "
                    f"file, or for which it is a folder; give one of them another name",
                    task=task,
                ) from error

    def get(self, globs: Sequence[str], folder: str, place: Place) -> tuple[CatalogFile, ...]:
        """Copy files of a run into a working folder."""
        task = task_name(place)
        files = _matching(_parsed(globs, task), self._known(place.run_id, task), task)
        if files:
            where = f"the working folder {folder}"
            with self._opened(task) as root, _translated(task, where), open_folder(folder) as working:
                for file in files:
                    self._give(root, working, file, task)
        return tuple(files)

    def _give(self, root: int, working: int, file: CatalogFile, task: str) -> None:
        self._check()
        *parents, name = file.path.split("/")
        content = Content(file.sha256, file.size)
        with _translated(task, f"the file {file.path}"), below(working, parents, create=True) as parent:
            copy_content(root, content, parent, name, executable=file.executable, check=self._check)

    def read(self, run_id: str, path: str) -> bytes:
        """Give what a file of a run holds."""
        known = self._known(run_id)
        file = known.get(path)
        if file is None:
            raise CatalogError(f"run {run_id} has no file {path!r} in the catalog{_near(path, known)}")
        with self._opened() as root, _translated("", f"the file {path}"):
            return read_content(root, Content(file.sha256, file.size), self._check)

    def files(self, run_id: str) -> tuple[CatalogFile, ...]:
        """List the files of a run."""
        return tuple(sorted(self._known(run_id).values(), key=lambda file: file.path))

    def _known(self, run_id: str, task: str = "") -> Mapping[str, CatalogFile]:
        with _translated(task, f"the index of run {run_id}"):
            try:
                with open_folder(self.path) as root, below(root, ["runs", run_folder(run_id)]) as run:
                    return self._indexes.read(run, run_id)
            except FileNotFoundError:
                return {}

    @contextmanager
    def _opened(self, task: str = "") -> Iterator[int]:
        with _translated(task, f"the catalog {self.path}"), open_folder(self.path, create=True) as root:
            if not self._is_swept:
                self._is_swept = True
                remove_abandoned(root)
            yield root


def run_folder(run_id: str) -> str:
    """Name the folder of a run; two runs never have the same."""
    if not run_id:
        raise CatalogError("the id of a run is empty, so no files can be kept for it")
    return folder_name(run_id)


def _parsed(globs: Iterable[str], task: str) -> list[Pattern]:
    try:
        return [parse_pattern(glob) for glob in globs]
    except ValueError as error:
        raise CatalogError(f"task {task}: {error}", task=task) from error


def _matching(patterns: Sequence[Pattern], known: Mapping[str, CatalogFile], task: str) -> list[CatalogFile]:
    found: dict[str, CatalogFile] = {}
    problems: list[str] = []
    for pattern in patterns:
        if pattern.is_plain:
            file = known.get(pattern.text)
            matched = [] if file is None else [file]
        else:
            matched = [file for file in list(known.values()) if pattern.matches(file.path)]
        found.update((file.path, file) for file in matched)
        if not matched:
            near = _near(pattern.text, known) if pattern.is_plain else ""
            problems.append(f"the glob {pattern.text!r} matches no file that the run has put{near}")
    if problems:
        raise CatalogError(f"task {task} cannot get files: {'; '.join(problems)}", task=task)
    return [found[path] for path in sorted(found)]


def _near(path: str, known: Mapping[str, CatalogFile]) -> str:
    return nearest(path, list(known)) if len(known) <= _MOST_SUGGESTED_FROM else ""


@contextmanager
def _translated(task: str, what: str) -> Iterator[None]:
    try:
        yield
    except Escapes as error:
        raise CatalogError(f"{_by(task)}{what}: {error}; it would lead out of the folder", task=task) from error
    except NotAFile as error:
        raise CatalogError(f"{_by(task)}{what} is {error}, and no file", task=task) from error
    except Damaged as error:
        raise CatalogError(
            f"{_by(task)}{what}: {error}; remove it, and run the task that made it again", task=task
        ) from error
    except OSError as error:
        raise CatalogError(f"{_by(task)}{what}: {error.strerror or error}", task=task) from error


def _by(task: str) -> str:
    return f"task {task}: " if task else ""
