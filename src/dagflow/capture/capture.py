"""Capturing the output of the tasks of runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack
from pathlib import Path
from types import TracebackType
from typing import Protocol

import anyio
from anyio.to_thread import run_sync

from dagflow.capture.channel import Channel, Pump, Tell
from dagflow.capture.current import set_output
from dagflow.capture.logs import capturing_logs
from dagflow.capture.masking import Masker
from dagflow.capture.naming import file_of
from dagflow.capture.output import TaskOutput
from dagflow.capture.output_file import OutputFile
from dagflow.capture.prints import routing_prints
from dagflow.core.secrets import Secret
from dagflow.errors import DagflowError
from dagflow.kernel.context import run_resource

__all__ = ["Capture", "CaptureError", "Place"]

CLOSING = 10.0
"""Seconds that a cancelled task's output has to get into its file."""


KEPT_MASKERS = 16
"""How many sets of secrets are remembered."""


class Place(Protocol):
    """One attempt of a task."""

    @property
    def run_id(self) -> str:
        """The id of the run."""
        ...

    @property
    def path(self) -> Sequence[str]:
        """The names that lead to the task from the outermost pipeline."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt it is."""
        ...


class CaptureError(DagflowError):
    """Raised when what a task printed cannot be kept in its file. `task` is the path of the task, with slashes."""

    def __init__(self, message: str, *, task: str) -> None:
        super().__init__(message)
        self.task = task


class Capture:
    """Captures what tasks log, what they write to their output, and with `prints` what they print.

    `folder_of` gives, for the id of a run, the folder that outputs are kept in, a file for each attempt that has any;
    without it nothing is kept but the end, in memory. With `prints` `sys.stdout` and `sys.stderr` are replaced while a
    task is captured, and only then; `dagflow.capture.prints` says what is not caught.

    Made without I/O; any number of runs may share one, on either event loop.
    """

    def __init__(
        self, folder_of: Callable[[str], str | os.PathLike[str]] | None = None, *, prints: bool = False
    ) -> None:
        self._folder_of = folder_of
        self._prints = prints
        self._maskers: dict[frozenset[str | Secret], Masker] = {}

    def kept_in(self, folder_of: Callable[[str], str | os.PathLike[str]] | None) -> Capture:
        """Give a capture that keeps outputs in these folders, where this one keeps them nowhere."""
        return self if self._folder_of is not None else Capture(folder_of, prints=self._prints)

    def file(self, place: Place) -> Path | None:
        """Name the file that keeps the output of an attempt, if it has any; `None` without `folder_of`."""
        if self._folder_of is None:
            return None
        return Path(os.path.abspath(self._folder_of(place.run_id)), file_of(place.path, place.attempt))

    def open(
        self, place: Place, *, secrets: Iterable[str | Secret] = (), tell: Tell | None = None
    ) -> AbstractAsyncContextManager[TaskOutput]:
        """Capture what the current task prints inside the block, and what is written to the output that it gives.

        `secrets` are masked in all of it. `tell(stream, line)` is awaited for each line, in order, by another task;
        the block ends when every line is told, unless it is cancelled. Enter and leave it in one task.

        Raises what `tell` raises, and `CaptureError` where the file cannot be written, both at the end of the block
        and only if nothing else is raised.
        """
        return _Opened(self, place, self._masker(frozenset(secrets)), tell)

    def _masker(self, secrets: frozenset[str | Secret]) -> Masker:
        """Give the masker of a set of secrets; the tasks of a run have the same."""
        found = self._maskers.get(secrets)
        if found is None:
            if len(self._maskers) >= KEPT_MASKERS:
                self._maskers.clear()
            found = self._maskers[secrets] = Masker(secrets)
        return found


class _Opened(AbstractAsyncContextManager[TaskOutput]):
    """The capture of one attempt. A class, because it may hold a task group."""

    def __init__(self, capture: Capture, place: Place, masker: Masker, tell: Tell | None) -> None:
        self._place = place
        self._tell = tell
        self._prints = capture._prints
        path = capture.file(place)
        self._file = None if path is None else OutputFile(os.fspath(path))
        self._masker = masker
        self._before: TaskOutput | None = None
        self._hooks = ExitStack()
        self._pumps = AsyncExitStack()

    async def __aenter__(self) -> TaskOutput:
        self._channel = await self._open_channel()
        self._output = TaskOutput(self._masker, self._file, self._channel, takes_prints=self._prints)
        self._hooks.enter_context(capturing_logs())
        if self._prints:
            self._hooks.enter_context(routing_prints())
        self._before = set_output(self._output)
        return self._output

    async def _open_channel(self) -> Channel | None:
        if self._file is None and self._tell is None:
            return None
        # One pump tells the lines of a whole run; outside of runs each capture has its own.
        self._pump = await run_resource(("dagflow.capture", Pump), Pump)
        if self._pump is None:
            self._pump = await self._pumps.enter_async_context(Pump())
        return self._pump.open(self._file, self._tell)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        set_output(self._before)
        self._hooks.close()
        self._output.finish()
        try:
            async with self._pumps:
                if self._channel is not None and (error is None or isinstance(error, Exception)):
                    await self._channel.drained()
        finally:
            await self._close()
        self._report(error)

    async def _close(self) -> None:
        if self._channel is not None and self._pump is not None:
            self._pump.forget(self._channel)
        if self._file is not None and not self._file.untouched:
            with anyio.move_on_after(CLOSING, shield=True):
                await run_sync(self._file.close, abandon_on_cancel=True)

    def _report(self, error: BaseException | None) -> None:
        told = None if self._channel is None else self._channel.failure
        kept = None if self._file is None else self._file.failure
        if error is not None:
            for failure in (told, kept):
                if failure is not None:
                    error.add_note(f"its output was not kept or told in full: {failure}")
            return
        if told is not None:
            raise told
        if kept is not None and self._file is not None:
            task = "/".join(self._place.path)
            raise CaptureError(
                f"the output of task {task} cannot be kept in {self._file.path}: {kept.strerror or kept}", task=task
            ) from kept
