"""What a pipeline needs from adapters, as protocols over plain values, and the services that a run is given."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal, Protocol

import attrs

from dagflow.catalog.spec import CatalogFile
from dagflow.core.secrets import Secret
from dagflow.core.storage import Store
from dagflow.pipeline.executors import Executor, LocalExecutor
from dagflow.secret_stores.provider import SecretProvider

__all__ = ["Capture", "FileCatalog", "NotebookDriver", "Services", "Stream", "TaskOutput", "TaskPlace", "Tell"]

Stream = Literal["stdout", "stderr", "log"]

Tell = Callable[[Stream, str], Awaitable[object]]
"""Tells a line that a task printed or logged."""


@attrs.frozen
class TaskPlace:
    """One attempt of a task, for those who keep files and output of it.

    `path` leads to the task from the outermost pipeline, by the names of steps, branches and items, and is unique in
    the run: `("clean", "[3]", "parse")`. A loop's iterations are in it as items are.
    """

    run_id: str
    path: tuple[str, ...]
    attempt: int


class TaskOutput(Protocol):
    """Takes what one attempt of a task prints."""

    @property
    def tail(self) -> str:
        """The end of what came."""
        ...

    @property
    def path(self) -> str | None:
        """The file that it is kept in, once something came; `None` if there is to be none."""
        ...

    @property
    def takes_prints(self) -> bool:
        """Whether what functions print is output, too."""
        ...

    async def write(self, stream: Stream, chunk: bytes) -> None:
        """Take a piece of output as it comes; whoever prints waits meanwhile."""
        ...


class Capture(Protocol):
    """Captures what tasks print and log: `dagflow.capture.Capture`."""

    def open(
        self, place: TaskPlace, *, secrets: Iterable[str | Secret] = (), tell: Tell | None = None
    ) -> AbstractAsyncContextManager[TaskOutput]:
        """Capture what the attempt prints inside the block, without `secrets`, and `tell` each line."""
        ...


class FileCatalog(Protocol):
    """Keeps the files of runs: `dagflow.catalog.FileCatalog`. Patterns are globs of paths in a folder."""

    async def get(self, patterns: Sequence[str], folder: Path, place: TaskPlace) -> Sequence[CatalogFile]:
        """Copy files of the run into a folder; raises for a pattern that matches nothing."""
        ...

    async def put(self, patterns: Sequence[str], folder: Path, place: TaskPlace) -> Sequence[CatalogFile]:
        """Keep files of a folder; raises for a pattern that matches nothing."""
        ...

    async def put_bytes(self, path: str, data: bytes, place: TaskPlace) -> CatalogFile:
        """Keep a file that is in no folder."""
        ...


class NotebookDriver(Protocol):
    """Runs notebooks: `dagflow.notebook.JupyterDriver`."""

    async def run(
        self,
        notebook: Path,
        *,
        parameters: Mapping[str, Any],
        returns: Sequence[str],
        secrets: Mapping[str, Secret],
        environment: Mapping[str, str],
        folder: Path,
        on_output: Callable[[Literal["stdout", "stderr"], bytes], Awaitable[object]],
        hide: Callable[[str], str],
        keep: Callable[[bytes], Awaitable[object]] | None,
    ) -> Mapping[str, Any]:
        """Run a notebook to its end with `parameters` of JSON, and give the values of the names in `returns`.

        Its kernel works in `folder`, has `secrets` and `environment`, and is gone when this ends, whatever way it does.
        `on_output` takes what cells print, and `keep` the executed notebook, after `hide` has been over its texts.
        """
        ...


@attrs.frozen(kw_only=True, eq=False)
class Services:
    """What the tasks of a run work with. A run inside another has those of the outer one, unless it is given its own.

    `max_concurrency` bounds the tasks that work at once, beside what the pipeline says. `run_folder` is where
    `run_log.json` is written while the run goes on.
    """

    executor: Executor = attrs.field(factory=LocalExecutor)
    max_concurrency: int | None = None
    store: Store | None = None
    catalog: FileCatalog | None = None
    secrets: SecretProvider | None = None
    capture: Capture | None = None
    notebooks: NotebookDriver | None = None
    run_folder: Path | None = None
