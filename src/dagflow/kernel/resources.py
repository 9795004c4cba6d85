"""Resources of a run: async context managers that stay open until it ends, each in a task of its own."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup

from dagflow.errors import DepError, Failure, RunError, describe
from dagflow.kernel.cancellation import is_cancellation, never_wrapped

__all__ = ["Resources"]


class Resources:
    """An async context manager that exits, in reverse order, every context manager entered through it.

    Each is entered and exited in one task, because one that holds a task group or a cancel scope breaks
    otherwise. That task is shielded, so that a cancellation does not tear all of them down at once: the owner
    lets them go one by one. One that is let go by a failing run sees the run's error at its `yield` (a
    transaction can roll back), one of a cancelled run sees the cancellation.
    """

    def __init__(self) -> None:
        self._group: TaskGroup = anyio.create_task_group()
        self._holds: list[_Hold] = []
        self._failures: list[Failure] = []
        self._shared: dict[Hashable, _Hold] = {}

    async def __aenter__(self) -> Resources:
        await self._group.__aenter__()
        return self

    async def enter(self, open_manager: Callable[[], AbstractAsyncContextManager[Any]], source: Failure) -> Any:
        """Enter the manager that `open_manager()` gives, and return its value.

        Whatever entering raises is raised here. `source` tells where the manager came from, for errors on
        exit. Cancelled while entering, it waits until the manager has cleaned up.
        """
        hold = _Hold(source)
        self._group.start_soon(hold.run, open_manager)
        try:
            await hold.entered.wait()
        except BaseException:
            hold.scope.cancel()
            with anyio.CancelScope(shield=True):
                await hold.finished.wait()
            raise
        if hold.error is not None:
            raise hold.error
        self._holds.append(hold)
        return hold.value

    async def share(self, key: Hashable, open_manager: Callable[[], AbstractAsyncContextManager[Any]]) -> Any:
        """Enter a manager once for all who ask for its `key`, and return its value to each.

        Nobody who asks can cancel the entering for the others. What it raises is raised to all who wait.
        """
        hold = self._shared.get(key)
        if hold is None:
            hold = self._shared[key] = _Hold(Failure(RuntimeError(), callable=open_manager))
            self._holds.append(hold)
            self._group.start_soon(hold.run, open_manager)
        await hold.entered.wait()
        if hold.error is not None:
            if self._shared.get(key) is hold:
                del self._shared[key]
                self._holds.remove(hold)
            raise hold.error
        return hold.value

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        try:
            await self._close(error)
        finally:
            await self._group.__aexit__(None, None, None)
        self._report(error)
        return None

    async def _close(self, error: BaseException | None) -> None:
        interrupted: BaseException | None = None
        cancelled = error is not None and not isinstance(error, Exception)
        for hold in reversed(self._holds):
            if not cancelled:
                hold.release(error)
                try:
                    await hold.finished.wait()
                except BaseException as interruption:
                    interrupted, cancelled = interruption, True
            if cancelled:
                hold.scope.cancel()
                with anyio.CancelScope(shield=True):
                    await hold.finished.wait()
            if hold.error is not None and hold.error is not error:
                self._failures.append(attrs.evolve(hold.source, exception=hold.error))
        if interrupted is not None:
            raise interrupted

    def _report(self, error: BaseException | None) -> None:
        """Tell what went wrong on exit: by an error of its own, or with the error that the run has already."""
        if not self._failures:
            return
        for failure in self._failures:
            fatal = never_wrapped(failure.exception)
            if fatal is not None:
                raise fatal
        if error is None:
            raise DepError(self._failures) from self._failures[0].exception
        if isinstance(error, RunError):
            error.failures += tuple(self._failures)
        for failure in self._failures:
            error.add_note(f"while closing {failure.where}: {describe(failure.exception)}")


class _Hold:
    """One context manager, kept open by the task that runs `run`."""

    def __init__(self, source: Failure) -> None:
        self.source = source
        self.value: Any = None
        self.error: BaseException | None = None
        self.entered = anyio.Event()
        self.finished = anyio.Event()
        self.scope = anyio.CancelScope(shield=True)
        self._released = anyio.Event()
        self._reason: BaseException | None = None

    def release(self, reason: BaseException | None) -> None:
        """Let the manager exit; it sees `reason` at its `yield` if the run failed."""
        self._reason = reason
        self._released.set()

    async def run(self, open_manager: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        with self.scope:
            try:
                async with open_manager() as self.value:
                    self.entered.set()
                    await self._released.wait()
                    if self._reason is not None:
                        raise self._reason
            except BaseException as error:
                if is_cancellation(error):
                    raise
                if error is not self._reason:
                    self.error = error
            finally:
                self.finished.set()
                self.entered.set()
