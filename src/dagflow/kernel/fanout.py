"""`map_concurrent`: a bounded fan-out over items, with backpressure and memory that does not grow with them.

**Theory of operation.** A window of `limit` places bounds everything: an item takes a place when it is pulled from
its source and gives it back when its result has been consumed. So a slow consumer stops the intake, and in order,
a slow first item does. Workers pull, work and deliver; each makes sure that another stands by before it starts an
item, so that an item that suspends does not hold up the next, and items that never suspend share one worker.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from contextvars import copy_context
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, cast, overload

import anyio
import attrs
from anyio.abc import TaskGroup

from dagflow.kernel.cancellation import is_cancellation, never_wrapped
from dagflow.kernel.isolation import run_isolated

__all__ = ["ConcurrentMap", "MapResult", "map_concurrent"]

Item = TypeVar("Item")
Value = TypeVar("Value")
Result = TypeVar("Result")


@attrs.frozen
class MapResult(Generic[Item, Value]):
    """What became of one item under `on_error="collect"`: its `value`, or its `error`."""

    index: int
    item: Item
    value: Value | None = None
    error: Exception | None = None

    def unwrap(self) -> Value:
        """The value; raises the error if there is one."""
        if self.error is not None:
            raise self.error
        return cast("Value", self.value)


@overload
def map_concurrent(
    fn: Callable[[Item], Awaitable[Value]],
    items: Iterable[Item] | AsyncIterable[Item],
    *,
    limit: int = 8,
    ordered: bool = True,
    on_error: Literal["raise"] = "raise",
) -> ConcurrentMap[Item, Value]: ...
@overload
def map_concurrent(
    fn: Callable[[Item], Awaitable[Value]],
    items: Iterable[Item] | AsyncIterable[Item],
    *,
    limit: int = 8,
    ordered: bool = True,
    on_error: Literal["collect"],
) -> ConcurrentMap[Item, MapResult[Item, Value]]: ...
def map_concurrent(
    fn: Callable[[Any], Awaitable[Any]],
    items: Iterable[Any] | AsyncIterable[Any],
    *,
    limit: int = 8,
    ordered: bool = True,
    on_error: Literal["raise", "collect"] = "raise",
) -> ConcurrentMap[Any, Any]:
    """Call an async function for each item, at most `limit` at once.

    Used as `async with map_concurrent(fn, items) as results: async for result in results: ...`, or awaited for the
    list of all results. Results come in the order of the items, or as they are ready with `ordered=False`. Items
    are pulled from a sync or async iterable only as there is room: never more than `limit` are under way or
    finished and not yet consumed.

    With `on_error="raise"` the first failure cancels the other items and the block, waits for their clean-up and
    is raised when the block is left: as it is, or in an `ExceptionGroup` with the others that had failed by then.
    With `on_error="collect"` every result is a `MapResult`, and failures are among them. An error of the iterable
    itself is raised after the results of the items before it. Leaving the block, however it happens, cancels
    what is under way, waits for its clean-up and closes the iterable if it is a generator. Each item has context
    variables of its own.

    Raises `TypeError` for a `fn` that cannot be called and `ValueError` for a `limit` below 1, at once.
    """
    if not callable(fn):
        raise TypeError(f"map_concurrent takes an async function, not {fn!r}")
    if not isinstance(items, (Iterable, AsyncIterable)):
        raise TypeError(f"map_concurrent takes an iterable or async iterable of items, not {items!r}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit!r}")
    if on_error not in ("raise", "collect"):
        raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    return ConcurrentMap(fn, items, limit, ordered=ordered, collect=on_error == "collect")


class ConcurrentMap(Generic[Item, Result]):
    """The results of a `map_concurrent`: an async context manager over them, or an awaitable of their list."""

    def __init__(
        self,
        fn: Callable[[Item], Awaitable[Any]],
        items: Iterable[Item] | AsyncIterable[Item],
        limit: int,
        *,
        ordered: bool,
        collect: bool,
    ) -> None:
        self._fn = fn
        self._items = items
        self._limit = limit
        self._collect = collect
        self._results: _InOrder | _AsReady = _InOrder() if ordered else _AsReady()
        self._group: TaskGroup | None = None
        self._base = copy_context()
        self._source: Iterator[Item] | None = None
        self._pulled: deque[Item] = deque()  # by the feeder, from an async source
        self._taken = 0
        self._places = 0
        self._workers = 0
        self._standby = False
        self._exhausted = False
        self._room = anyio.Event()
        self._food = anyio.Event()
        self._ready = anyio.Event()
        self._source_error: Exception | None = None
        self._errors: list[Exception] = []
        self._fatal: BaseException | None = None

    def __await__(self) -> Generator[Any, Any, list[Result]]:
        return self._all().__await__()

    async def _all(self) -> list[Result]:
        async with self as results:
            return [result async for result in results]
        raise AssertionError("unreachable")  # the block is left with a list or an error

    async def __aenter__(self) -> ConcurrentMap[Item, Result]:
        if self._group is not None:
            raise RuntimeError("a map runs once: call map_concurrent again for another")
        self._base = copy_context()
        self._group = await anyio.create_task_group().__aenter__()
        if isinstance(self._items, AsyncIterable):
            self._group.start_soon(self._feed, aiter(self._items))
        else:
            self._source = iter(self._items)
        self._hire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._group is not None
        self._group.cancel_scope.cancel()
        own = error is not None and (isinstance(error, Exception) or not is_cancellation(error))
        try:
            if own:  # the task group would put the block's error into a group of its own
                await self._group.__aexit__(None, None, None)
                swallowed: bool | None = None
            else:
                swallowed = await self._group.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            raise (never_wrapped(group) or group) from None
        finally:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        if self._fatal is not None:
            raise self._fatal
        errors = [*([error] if isinstance(error, Exception) else []), *self._errors]
        if self._errors and len(errors) == 1:
            raise errors[0]
        if self._errors:
            raise ExceptionGroup(f"{len(errors)} failures in map_concurrent", errors)
        return swallowed

    def __aiter__(self) -> ConcurrentMap[Item, Result]:
        if self._group is None:
            raise RuntimeError("a map runs inside a block: `async with map_concurrent(...) as results:`, or await it")
        return self

    async def __anext__(self) -> Result:
        while True:
            if self._results.has_next:
                result = self._results.take()
                self._places -= 1
                self._room.set()
                return cast("Result", result)
            if self._exhausted and not self._places and not self._pulled:
                if self._source_error is not None:
                    error, self._source_error = self._source_error, None
                    raise error
                raise StopAsyncIteration
            if self._ready.is_set():
                self._ready = anyio.Event()
            await self._ready.wait()

    def _hire(self) -> None:
        """Have a worker stand by, unless one does or there are enough."""
        more = bool(self._pulled) or not self._exhausted
        if more and not self._standby and self._workers < self._limit:
            assert self._group is not None
            self._standby = True
            self._workers += 1
            self._group.start_soon(self._work)

    async def _work(self) -> None:
        self._standby = False
        while await self._await_room():
            if not await self._await_food():
                break
            index, self._taken = self._taken, self._taken + 1
            self._places += 1
            try:
                item = self._pulled.popleft() if self._source is None else next(self._source)
            except StopIteration:
                self._end_of_source(None)
            except Exception as error:
                self._end_of_source(error)
            else:
                self._hire()
                await self._run_item(index, item)
                continue
            self._places -= 1
            break
        self._workers -= 1
        self._wake()

    async def _await_room(self) -> bool:
        """Wait for a place in the window; false when there is nothing more to take it for."""
        while self._places >= self._limit and not self._exhausted:
            if self._room.is_set():
                self._room = anyio.Event()
            await self._room.wait()
        return self._places < self._limit and (not self._exhausted or bool(self._pulled))

    async def _await_food(self) -> bool:
        """Wait until the feeder has pulled an item; false when its source is exhausted."""
        while self._source is None and not self._pulled:
            if self._exhausted:
                return False
            if self._food.is_set():
                self._food = anyio.Event()
            await self._food.wait()
        return self._places < self._limit

    async def _feed(self, source: AsyncIterator[Item]) -> None:
        """Pull from an async source, always in one task and inside one scope: generators may hold scopes of their own.

        The scope is there from the beginning, and shields only while the source is closed: a scope that is opened
        around the closing alone would not nest with one that a generator holds.
        """
        with anyio.CancelScope() as scope:
            try:
                while True:
                    await self._await_space()
                    self._pulled.append(await anext(source))
                    self._food.set()
                    self._hire()
            except StopAsyncIteration:
                self._end_of_source(None)
            except Exception as error:
                self._end_of_source(error)
            finally:
                close = getattr(source, "aclose", None)
                if close is not None:
                    scope.shield = True
                    await close()

    async def _await_space(self) -> None:
        """Wait until the window has room for what the feeder pulls."""
        while self._places + len(self._pulled) >= self._limit:
            if self._room.is_set():
                self._room = anyio.Event()
            await self._room.wait()

    def _end_of_source(self, error: Exception | None) -> None:
        self._exhausted = True
        self._source_error = error
        self._wake()

    def _wake(self) -> None:
        self._room.set()
        self._food.set()
        self._ready.set()

    async def _run_item(self, index: int, item: Item) -> None:
        try:
            value = await run_isolated(self._base.copy(), self._fn, item)
        except BaseException as error:
            if is_cancellation(error):
                raise
            if not isinstance(error, Exception):
                self._fatal = self._fatal or error
                self._stop()
                return
            if not self._collect:
                self._errors.append(error)
                self._stop()
                return
            self._results.put(index, MapResult(index, item, error=error))
        else:
            self._results.put(index, MapResult(index, item, value) if self._collect else value)
        self._ready.set()

    def _stop(self) -> None:
        assert self._group is not None
        self._exhausted = True
        self._group.cancel_scope.cancel()


class _InOrder:
    """Results by index, given in order."""

    def __init__(self) -> None:
        self._waiting: dict[int, Any] = {}
        self._next = 0

    @property
    def has_next(self) -> bool:
        return self._next in self._waiting

    def put(self, index: int, result: Any) -> None:
        self._waiting[index] = result

    def take(self) -> Any:
        result = self._waiting.pop(self._next)
        self._next += 1
        return result


class _AsReady:
    """Results in the order in which they came."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()

    @property
    def has_next(self) -> bool:
        return bool(self._waiting)

    def put(self, index: int, result: Any) -> None:
        self._waiting.append(result)

    def take(self) -> Any:
        return self._waiting.popleft()
