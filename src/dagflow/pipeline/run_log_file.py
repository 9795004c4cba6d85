"""Writing the run log as a file while the run goes on, so that anybody can read how it stands."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio
from anyio.to_thread import run_sync

from dagflow.errors import CheckpointError
from dagflow.kernel.cancellation import is_cancellation
from dagflow.kernel.journal import Cursor, Journal
from dagflow.pipeline.run_log_fold import RunLogFold

__all__ = ["RUN_LOG", "RunLogWriter", "with_run_log"]

T = TypeVar("T")

RUN_LOG = "run_log.json"

PERIOD = 0.2
"""Seconds between two writes; more where one takes long, so that a large log does not slow its run down."""

FAREWELL = 10.0
"""Seconds that the last write may take."""


async def with_run_log(
    folder: Path,
    journal: Journal,
    outlines: Mapping[str, Mapping[str, str]],
    heading: Callable[[], Mapping[str, Any]],
    work: Callable[[], Awaitable[T]],
) -> T:
    """Await `work()` while `run_log.json` is written into a folder, and once more when it is over, however it ends.

    Raises what `work` does, and `CheckpointError` where the folder or the last log cannot be written.
    """
    writer = RunLogWriter(folder, journal, outlines, heading)
    await writer.open()
    failure: BaseException | None = None
    result: Any = None
    async with anyio.create_task_group() as group:
        group.start_soon(writer.write_now_and_then)
        try:
            result = await work()
        except BaseException as error:
            if is_cancellation(error):
                with anyio.CancelScope(shield=True), anyio.move_on_after(FAREWELL):
                    await writer.finish(error)
                raise
            failure = error  # the task group would put it into a group
        finally:
            group.cancel_scope.cancel()
    with anyio.CancelScope(shield=True), anyio.move_on_after(FAREWELL):
        await writer.finish(failure)
    if failure is not None:
        raise failure
    found: T = result
    return found


class RunLogWriter:
    """Folds a journal as it grows, and writes what it comes to."""

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        outlines: Mapping[str, Mapping[str, str]],
        heading: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._path = folder / RUN_LOG
        self._journal = journal
        self._outlines = outlines
        self._heading = heading
        self._fold: RunLogFold | None = None
        self._cursor = Cursor()
        self._written = 0
        self._turn = anyio.Lock()

    async def open(self) -> None:
        """Make the folder."""
        try:
            await run_sync(lambda: self._path.parent.mkdir(parents=True, exist_ok=True))
        except OSError as error:
            raise self._error(error) from error
        self._journal.hold(self._cursor)

    async def write_now_and_then(self) -> None:
        """Write, for ever, whatever has changed; a failure is left to the last write."""
        while True:
            began = anyio.current_time()
            with suppress(OSError):
                await self._write(self._journal.visible)
            await anyio.sleep(max(PERIOD, 10 * (anyio.current_time() - began)))

    async def finish(self, failure: BaseException | None) -> None:
        """Write the whole log; where that fails it is told, beside what the run itself failed with."""
        try:
            await self._write(self._journal.events.newest)
        except OSError as error:
            problem = self._error(error)
            if failure is None:
                raise problem from error
            failure.add_note(str(problem))

    async def _write(self, upto: int) -> None:
        # A write that a cancelled run is in the midst of goes on in its thread, and the last one waits for it.
        async with self._turn:
            if upto <= self._written:
                return
            if self._fold is None:
                self._fold = RunLogFold(self._outlines, self._heading())
            for event in self._journal.events.after(self._cursor.position, upto):
                self._fold.feed(event)
            self._cursor.position = max(upto, self._cursor.position)
            await run_sync(self._replace, self._fold)
            self._written = upto

    def _replace(self, fold: RunLogFold) -> None:
        """Whoever reads the file sees the one log or the other, never a part. The text of a large one takes long."""
        temporary = self._path.with_name(f".{RUN_LOG}.{os.getpid()}")
        temporary.write_text(fold.finish().to_json(), encoding="utf-8")
        temporary.replace(self._path)

    def _error(self, error: OSError) -> CheckpointError:
        return CheckpointError(f"the run log {self._path} cannot be written: {error.strerror or error}")
