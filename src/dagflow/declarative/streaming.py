"""The events of a run as an async iterator, with a block and without one."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Generic, TypeVar

from dagflow.declarative.hosting import HostedStream
from dagflow.events import Event
from dagflow.kernel.stream import RunStream

__all__ = ["EventStream"]

R = TypeVar("R")


class EventStream(Generic[R]):
    """The events of one run, as `stream_graph_async` gives them.

    Under `async with` the run belongs to the block, and nothing of it is left when the block is. A plain `async for`
    works too: the run begins with the first event, and ends when the iterator is exhausted, closed (`aclose`) or
    collected, or the task that waits for an event is cancelled.
    """

    def __init__(self, stream: RunStream[R]) -> None:
        self._stream = stream
        self._hosted: HostedStream[R] | None = None
        self._entered = False

    async def __aenter__(self) -> EventStream[R]:
        if self._hosted is not None:
            raise RuntimeError("this stream is iterated without a block already; make another for `async with`")
        await self._stream.__aenter__()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return await self._stream.__aexit__(kind, error, trace)

    def __aiter__(self) -> EventStream[R]:
        return self

    async def __anext__(self) -> Event:
        if self._entered:
            return await self._stream.__anext__()
        if self._hosted is None:
            self._hosted = HostedStream(self._stream)
        return await self._hosted.next()

    async def aclose(self) -> None:
        """End a run that is iterated without a block, and wait until nothing of it is left."""
        if self._hosted is not None:
            await self._hosted.aclose()

    @property
    def result(self) -> Any:
        """The run's result as a dict, as `run_until_interrupt_async` gives it; raises `RuntimeError` before the end."""
        result: Any = self._stream.result
        return result.to_dict() if hasattr(result, "to_dict") else result
