"""`map_concurrent`: a bounded fan-out over items, with backpressure and memory that does not grow with them.

**Theory of operation.** A window of `limit` places bounds everything: an item takes a place when it is pulled from
its source and gives it back when the consumer takes its result. So a slow consumer stops the intake, and in order,
a slow first item does. Results wait under the number at which the consumer will ask for them; an ordered map and an
unordered one differ only in who chooses that number.

Workers are tasks, at most `limit` of them, spawned when they are first needed; one that has nothing to do parks. An
item that never suspends leaves its worker free for the next, so one worker runs them all. The moment an item
suspends, another worker is called, so that it holds up none. A place that becomes free calls one worker, never all
that are parked: with a slow consumer that would cost `limit` wake-ups a result.

An async source is pulled by a task of its own, the feeder, from beginning to end: a generator may hold scopes that
must be left in the task that entered them.
"""

from __future__ import annotations

import math
import types
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from contextvars import copy_context
from typing import Any, Final, Generic, Literal, TypeVar, cast, overload

import anyio
import attrs
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from dagflow.errors import describe, name_of
from dagflow.kernel.cancellation import is_cancellation, never_wrapped
from dagflow.kernel.isolation import NotAsync, coroutine_function, resume

__all__ = ["ConcurrentMap", "MapResult", "map_concurrent"]

Item = TypeVar("Item")
Value = TypeVar("Value")
Result = TypeVar("Result")

CLOSE_WAIT = 5.0  # seconds that an async generator has for its clean-up before it is cancelled in it
NOTHING: Final[Any] = object()  # no item; an item may be None


@attrs.frozen
class MapResult(Generic[Item, Value]):
    """What became of one item under `on_error="collect"`: its `value`, or its `error`.

    `index` is the place of the item in its source, counted from 0.
    """

    index: int
    item: Item
    value: Value | None = None
    error: Exception | None = None

    def unwrap(self) -> Value:
        """Return the value, or raise the error if there is one."""
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
    finished and not yet consumed. Each call sees the context variables as they are when the block is entered, and
    nothing that other calls set.

    With `on_error="raise"` the first failure cancels the other items and the block, waits for their clean-up and
    is raised when the block is left: as it is, or in an `ExceptionGroup` with the others that had failed by then,
    in the order in which they did, one that the block itself raised first. Results that were not yet consumed are
    dropped. With `on_error="collect"` every result is a `MapResult`, and failures are among them.
    `KeyboardInterrupt`, `SystemExit` and their like end the map in both modes, and are raised as they are.

    An error of the iterable itself is raised, in both modes, after the results of the items before it. Leaving the
    block, however it happens, cancels what is under way, waits for its clean-up and closes the iterable if it is a
    generator; an async one has 5 seconds for that. What fails in clean-up is raised, after a cancellation too.

    Raises, at once, `TypeError` for a `fn` that cannot be called or is seen not to be async, for `items` that cannot
    be iterated and a `limit` that is no integer; `ValueError` for a `limit` below 1. A sync `fn` that is known only
    by its result is a `TypeError` when it is first called, also with `on_error="collect"`. Raises `RuntimeError`
    when results are asked for outside the block or by two tasks at once, and when the block is left in another task
    than the one that entered it.
    """
    if not callable(fn):
        raise TypeError(f"map_concurrent takes an async function, not {fn!r}")
    if not isinstance(items, (Iterable, AsyncIterable)):
        raise TypeError(f"map_concurrent takes an iterable or async iterable of items, not {items!r}")
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"limit must be an integer, not {limit!r}")
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit!r}")
    if on_error not in ("raise", "collect"):
        raise ValueError(f"on_error must be 'raise' or 'collect', not {on_error!r}")
    call = coroutine_function(fn)
    return ConcurrentMap(call, items, limit, ordered=ordered, collect=on_error == "collect", name=name_of(fn))


class ConcurrentMap(Generic[Item, Result]):
    """The results of a `map_concurrent`: an async context manager over them, or an awaitable of their list.

    Failures get a note of their item, unless they are not `noted` because they tell it themselves.
    """

    def __init__(
        self,
        call: Callable[[Item], Coroutine[Any, Any, Any]],
        items: Iterable[Item] | AsyncIterable[Item],
        limit: int,
        *,
        ordered: bool,
        collect: bool,
        name: str,
        noted: bool = True,
    ) -> None:
        self._call = call
        self._items = items
        self._limit = limit
        self._ordered = ordered
        self._collect = collect
        self._name = name
        self._noted = noted
        self._group: TaskGroup
        self._entered = False
        self._owner = 0  # the task that entered the block
        self._left = False
        self._ended = False  # no more items are begun
        self._failures: list[BaseException] = []
        self._source_error: Exception | None = None
        self._stray: BaseException | None = None  # the cancellation of one of our tasks by a stranger

        # Places in the window are taken by `pulled` and given back by `consumed`.
        self._pulled = self._begun = self._finished = self._consumed = 0
        self._exhausted = False
        self._lazy = isinstance(items, AsyncIterable)
        self._fed: deque[Item] = deque()  # what the feeder of an async source has pulled
        self._results: dict[int, Any] = {}

        self._pulling = 0  # workers that pull, or have been called to
        self._suspending = False  # whether the item that was begun last suspended
        self._parked: list[anyio.Event] = []
        self._room: anyio.Event | None = None  # the feeder waits for it
        self._news: anyio.Event | None = None  # the consumer waits for it

    def __await__(self) -> Generator[Any, Any, list[Result]]:
        return self._all().__await__()

    async def _all(self) -> list[Result]:
        async with self as results:
            return [result async for result in results]
        raise AssertionError("unreachable")  # the block is left with a list or an error

    async def __aenter__(self) -> ConcurrentMap[Item, Result]:
        if self._entered:
            raise RuntimeError("a map runs once: call map_concurrent again for another")
        self._owner = anyio.get_current_task().id
        self._context = copy_context()  # each item gets a copy
        self._source_context = copy_context()  # a generator keeps what it sets, whichever worker pulls
        if not self._lazy:
            self._source: Iterator[Item] = self._source_context.run(iter, cast("Iterable[Item]", self._items))
        self._group = await anyio.create_task_group().__aenter__()
        self._entered = True
        if self._lazy:
            self._group.start_soon(self._feed)
        else:
            self._call_worker()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> bool | None:
        self._left = self._ended = True
        self._group.cancel_scope.cancel()
        if anyio.get_current_task().id != self._owner:
            raise RuntimeError("a map must be left in the task that entered it; what it ran has been cancelled")
        own = error if error is not None and not is_cancellation(error) else None
        swallowed: bool | None = None
        cancellation: BaseException | None = None
        try:
            if own is not None:  # the task group would put the block's error into a group of its own
                await self._group.__aexit__(None, None, None)
            else:
                swallowed = await self._group.__aexit__(kind, error, trace)
        except anyio.get_cancelled_exc_class() as late:
            cancellation = late
        self._close_source()
        if self._failures:
            raise self._failure(own)
        if cancellation is not None and cancellation is not error and own is None:
            raise cancellation
        if self._stray is not None and cancellation is None and (error is None or swallowed):
            raise RuntimeError(f"a task of map_concurrent({self._name}) was cancelled from outside") from self._stray
        return swallowed

    def _failure(self, own: BaseException | None) -> BaseException:
        """The one exception that tells of everything that failed, the block's own exception first."""
        failures = self._failures if own is None else [own, *self._failures]
        fatal = next(filter(None, map(never_wrapped, failures)), None)
        if fatal is not None:
            for failure in failures:
                if never_wrapped(failure) is None:
                    fatal.add_note(f"beside it, in map_concurrent({self._name}): {describe(failure)}")
            return fatal
        if len(failures) == 1:
            return failures[0]
        exceptions = [failure for failure in failures if isinstance(failure, Exception)]
        return ExceptionGroup(f"{len(failures)} failures in map_concurrent({self._name})", exceptions)

    # Consuming

    def __aiter__(self) -> ConcurrentMap[Item, Result]:
        self._require_block()
        return self

    async def __anext__(self) -> Result:
        while self._ended or self._consumed not in self._results:
            await self._await_news()
        result: Result = self._results.pop(self._consumed)
        self._consumed += 1
        if self._room is not None:
            self._room.set()
            self._room = None
        self._call_worker()
        return result

    async def _await_news(self) -> None:
        self._require_block()
        if self._news is not None:
            raise RuntimeError("two tasks ask one map for results; let one ask and hand them on")
        if self._ended:
            await checkpoint()  # ends here, for the map's scope is cancelled
            raise StopAsyncIteration  # except under a shield: leaving the block tells why it ended
        if self._exhausted and self._consumed == self._pulled:
            if self._source_error is not None:
                error, self._source_error = self._source_error, None
                raise error
            raise StopAsyncIteration
        self._news = news = anyio.Event()
        try:
            await news.wait()
        finally:
            self._news = None

    def _require_block(self) -> None:
        if not self._entered:
            raise RuntimeError("a map runs inside a block: `async with map_concurrent(...) as results:`, or await it")
        if self._left:
            raise RuntimeError("the block of this map has been left, and what it ran has ended")

    def _tell_consumer(self) -> None:
        if self._news is not None:
            self._news.set()

    # Working

    def _call_worker(self) -> None:
        """Have one more worker pull an item, if there is one for it.

        While items do not suspend, one worker is enough. There is always one that is parked or may still be
        spawned: each of the others holds a place in the window, and the window has one left.
        """
        if self._pulling and not self._suspending:
            return
        if self._ended or self._at_hand() <= self._pulling:
            return
        self._pulling += 1
        if self._parked:
            self._parked.pop().set()
        else:
            self._group.start_soon(self._work)

    def _at_hand(self) -> int:
        """How many items may be pulled now."""
        if self._lazy:
            return len(self._fed)
        return 0 if self._exhausted else self._limit - self._pulled + self._consumed

    async def _work(self) -> None:
        try:
            while True:
                await self._run_items()
                parked = anyio.Event()
                self._parked.append(parked)
                await parked.wait()
        except BaseException as error:
            self._end(error)
            if is_cancellation(error):
                raise

    async def _run_items(self) -> None:
        """Pull items and run them, for as long as there are any that no other worker has been called for."""
        while self._at_hand() > 0 and not self._ended:
            item = self._pull()
            if item is NOTHING:
                break
            index, self._begun = self._begun, self._begun + 1
            suspended: Any = NOTHING
            try:
                # Written out, because only here is it seen whether an item suspends.
                context = self._context.copy()
                coroutine = self._call(item)
                try:
                    suspended = context.run(coroutine.send, None)
                except StopIteration as stop:
                    value = stop.value
                    self._suspending = False
                else:
                    self._suspending = True
                    self._pulling -= 1
                    self._call_worker()
                    value = await resume(context, coroutine, suspended)
            except BaseException as error:
                value = self._collected(index, item, error)
            else:
                if self._collect:
                    value = MapResult(index, item, value)
            self._deliver(index, value)
            if suspended is not NOTHING:
                if self._at_hand() <= self._pulling:
                    return
                self._pulling += 1
        self._pulling -= 1

    def _deliver(self, index: int, result: Any) -> None:
        place = index if self._ordered else self._finished
        self._finished += 1
        self._results[place] = result
        if place == self._consumed:
            self._tell_consumer()

    def _collected(self, index: int, item: Item, error: BaseException) -> MapResult[Any, Any]:
        """Make a failure a result, or raise it with a note of where it came from."""
        if is_cancellation(error):
            raise error
        error = _no_look_alike(error, self._name)
        if self._collect and isinstance(error, Exception) and not isinstance(error, NotAsync):
            return MapResult(index, item, error=error)
        if self._noted:
            error.add_note(f"item {index} of map_concurrent({self._name})")
        raise error

    def _end(self, error: BaseException) -> None:
        """Begin no more items, and cancel the others and the block if it is a failure that has ended the map."""
        self._ended = True
        if isinstance(error, BaseExceptionGroup):  # trio mixes cancellations and failures in one group
            error = error.split(anyio.get_cancelled_exc_class())[1] or error
        if not is_cancellation(error):
            self._failures.append(_no_look_alike(error, "the source of items"))
            self._group.cancel_scope.cancel()
        elif anyio.current_effective_deadline() != -math.inf:  # on asyncio, anyone may cancel any task
            self._stray = error
            self._group.cancel_scope.cancel()
        self._tell_consumer()

    # The source

    def _pull(self) -> Any:
        if self._lazy:
            return self._fed.popleft()
        try:
            item = self._source_context.run(next, self._source, NOTHING)
        except Exception as error:
            self._exhaust(error)
            return NOTHING
        if item is NOTHING:
            self._exhaust(None)
        else:
            self._pulled += 1
        return item

    async def _feed(self) -> None:
        """Pull from an async source while there is room, and close it.

        The scope that shields the closing is there from the beginning: one that is opened around the closing alone
        would not nest with one that a generator holds.
        """
        source = aiter(cast("AsyncIterable[Item]", self._items))
        try:
            with anyio.CancelScope() as scope:
                try:
                    await self._pull_while_room(source)
                except Exception as error:
                    self._exhaust(error)
                finally:
                    if isinstance(source, AsyncGenerator):
                        scope.deadline = anyio.current_time() + CLOSE_WAIT
                        scope.shield = True
                        await source.aclose()
        except BaseException as error:
            self._end(error)
            if is_cancellation(error):
                raise

    async def _pull_while_room(self, source: AsyncIterator[Item]) -> None:
        async for item in source:
            self._pulled += 1
            self._fed.append(item)
            self._call_worker()
            while self._pulled - self._consumed >= self._limit:
                self._room = room = anyio.Event()
                await room.wait()
        self._exhaust(None)

    def _exhaust(self, error: Exception | None) -> None:
        self._exhausted = True
        self._source_error = error
        self._tell_consumer()

    def _close_source(self) -> None:
        """Close a sync generator, and keep the error of a source that nobody has been told of."""
        if not self._lazy and isinstance(self._source, Generator):
            try:
                self._source_context.run(self._source.close)
            except Exception as error:
                self._failures.append(error)
        if self._source_error is not None:
            self._failures.append(self._source_error)


def _no_look_alike(error: BaseException, awaiting: str) -> BaseException:
    """Stand in for a cancellation that was not the task's own: raised, it would vanish in the caller's task group."""
    if not isinstance(error, anyio.get_cancelled_exc_class()):
        return error
    failure = RuntimeError(f"something that {awaiting} awaited was cancelled")
    failure.__cause__ = error
    return failure
