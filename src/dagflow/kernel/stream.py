"""The event stream of a run: the run lives inside the block that reads it."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup

from dagflow.errors import describe
from dagflow.events import Event
from dagflow.kernel.cancellation import is_cancellation
from dagflow.kernel.journal import Journal, Subscription
from dagflow.kernel.prepared import PreparedRun

__all__ = ["RunStream"]

R = TypeVar("R")
S = TypeVar("S", bound="RunStream[Any]")


class RunStream(Generic[R]):
    """An async context manager over the events of a run; see `Graph.stream`.

    It is a class, and no async generator, because a generator that yields inside a task group leaves its run
    behind when its consumer stops early (PEP 789).
    """

    def __init__(self, prepare: Callable[[], PreparedRun[R]], buffer: int, *, after: int | None = None) -> None:
        self._prepare = prepare
        self._buffer = buffer
        self._after = after
        self._group: TaskGroup | None = None
        self._events: Subscription | None = None
        self._result: R | None = None
        self._error: BaseException | None = None
        self._journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """The run's journal, during the run and after it; raises `RuntimeError` before."""
        if self._journal is None:
            raise RuntimeError("the run has not begun")
        return self._journal

    async def __aenter__(self: S) -> S:
        if self._group is not None:
            raise RuntimeError("a stream is one run: call graph.stream(...) again for another")
        prepared = self._prepare()
        run = prepared.run
        journal = self._journal = run.journal
        # Everything in the journal of an outermost run is its own; its id is known once it goes on from a record.
        self._events = journal.follow(run.id if run.is_nested else "", after=self._after, capacity=self._buffer)
        self._events.__enter__()
        self._group = await anyio.create_task_group().__aenter__()
        self._group.start_soon(self._execute, prepared, self._events)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        assert self._events is not None
        # First of all, or a run that waits for room in the buffer would never notice.
        self._events.__exit__(None, None, None)
        self._group.cancel_scope.cancel()
        try:
            if isinstance(error, Exception):
                await self._group.__aexit__(None, None, None)  # it would put the consumer's error into a group
            else:
                await self._group.__aexit__(kind, error, trace)
        finally:
            self._tell_undelivered(error)
        return None

    def _tell_undelivered(self, error: BaseException | None) -> None:
        """A failure that the consumer left without reading must not be lost."""
        failure, self._error = self._error, None
        if failure is None:
            return
        if error is None or not isinstance(failure, Exception):
            raise failure
        error.add_note(f"the run had failed: {describe(failure)}")

    async def _execute(self, prepared: PreparedRun[R], events: Subscription) -> None:
        try:
            self._result = await prepared.execute()
        except BaseException as error:
            # What is no `Exception` is kept as well: raised from a task, asyncio would end its loop at once with it.
            if is_cancellation(error):
                raise
            self._error = error
        finally:
            events.finish()

    @property
    def result(self) -> R:
        """The run's result; raises `RuntimeError` while there is none."""
        if self._result is None:
            raise RuntimeError("the run has no result: read its events to the end first")
        return self._result

    def __aiter__(self: S) -> S:
        if self._events is None:
            raise RuntimeError("a stream runs inside a block: `async with graph.stream(...) as events:`")
        return self

    async def __anext__(self) -> Event:
        assert self._events is not None
        event = self._events.take()
        if event is not None:
            return event
        try:
            return await self._events.__anext__()
        except StopAsyncIteration:
            if self._error is not None:
                error, self._error = self._error, None
                raise error from None
            raise
