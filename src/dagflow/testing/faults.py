"""Faults on purpose: calls that fail or dawdle by plan, and runs that are cancelled at each of their steps."""

from __future__ import annotations

import functools
import inspect
import random
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Generic, ParamSpec, TypeVar, TypeVarTuple

import anyio
import attrs

__all__ = ["Fault", "FaultPlan", "Outcome", "cancel_at", "raise_at", "sweep_cancellations"]

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")


@attrs.frozen
class Fault:
    """What happens to one call: it takes `delay` seconds longer, then raises `error` if there is one.

    `name` is the callable's and `call` counts its calls from 1.
    """

    name: str
    call: int
    error: BaseException | type[BaseException] | None = None
    delay: float = 0.0


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    return tuple(faults)


@attrs.frozen
class FaultPlan:
    """A frozen plan of faults. Each function that it wraps counts its own calls."""

    faults: tuple[Fault, ...] = attrs.field(converter=in_order)

    @classmethod
    def random(
        cls,
        seed: int,
        names: Sequence[str],
        *,
        calls: int = 1,
        error_rate: float = 0.2,
        error: BaseException | type[BaseException] = RuntimeError,
        max_delay: float = 0.0,
    ) -> FaultPlan:
        """Draw a plan for the first `calls` calls of each name; equal arguments give equal plans.

        A call fails with probability `error_rate`, after a delay of up to `max_delay` seconds.
        """
        source = random.Random(seed)
        return cls(
            Fault(
                name,
                call,
                error=error if source.random() < error_rate else None,
                delay=source.uniform(0, max_delay),
            )
            for name in names
            for call in range(1, calls + 1)
        )

    def wrap(self, function: Callable[P, T], *, name: str | None = None) -> Callable[P, T]:
        """Return `function` with the faults of its name, `__name__` unless given, put before its calls.

        An async function stays async, and its delays are sleeps of the event loop's; a sync one blocks. The
        signature and the hints are those of `function`.
        """
        known_as: str = getattr(function, "__name__", type(function).__name__) if name is None else name
        faults = {fault.call: fault for fault in self.faults if fault.name == known_as}
        call = 0

        def next_fault() -> Fault:
            nonlocal call
            call += 1
            return faults.get(call, Fault(known_as, call))

        call_it: Callable[..., Any] = function
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):

            @functools.wraps(function)
            async def slow_or_failing(*args: P.args, **kwargs: P.kwargs) -> Any:
                fault = next_fault()
                if fault.delay:
                    await anyio.sleep(fault.delay)
                if fault.error is not None:
                    raise fault.error
                return await call_it(*args, **kwargs)

            return slow_or_failing  # type: ignore[return-value]  # T is an awaitable here

        @functools.wraps(function)
        def slow_or_failing_sync(*args: P.args, **kwargs: P.kwargs) -> T:
            fault = next_fault()
            if fault.delay:
                time.sleep(fault.delay)
            if fault.error is not None:
                raise fault.error
            return function(*args, **kwargs)

        return slow_or_failing_sync


@attrs.frozen
class Outcome(Generic[T]):
    """How a run ended in which something was done at its `step`-th step.

    `reached` says whether there was such a step, `completed` whether the function returned, with `value`,
    and `exception` what it raised instead, if that is no cancellation.
    """

    step: int
    reached: bool
    completed: bool = False
    value: T | None = None
    exception: BaseException | None = None


async def cancel_at(step: int, function: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts) -> Outcome[T]:
    """Run an async function, and cancel it when it has been suspended `step` times.

    The suspensions of the tasks that it starts count as well. A function that completes all the same, because
    it is shielded say, has an outcome that is both `reached` and `completed`.
    """
    scope = anyio.CancelScope()
    counter = Counter(step, scope.cancel)
    value: T | None = None
    completed = False
    with scope:
        try:
            with counting(counter):
                value = await function(*args) if counter.sees_this_task else await stepped(function(*args), counter)
            completed = True
        except Exception as error:
            return Outcome(step, counter.reached, exception=error)
    return Outcome(step, counter.reached, completed, value)


async def sweep_cancellations(
    function: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts, max_steps: int = 10_000
) -> list[Outcome[T]]:
    """Run an async function again and again, cancelled at its 1st, 2nd, 3rd step, until a run has no such step.

    Return the outcome of each run; the last one was not cancelled. Check what must hold in every run inside
    `function` or in the outcomes, and what must be left afterwards with `assert_no_leaks`.

    Raises `AssertionError` when runs still have more than `max_steps` steps.
    """
    outcomes: list[Outcome[T]] = []
    for step in range(1, max_steps + 1):
        outcomes.append(await cancel_at(step, function, *args))
        if not outcomes[-1].reached:
            return outcomes
    raise AssertionError(f"{function!r} still goes on after {max_steps} steps; raise max_steps if it should")


async def raise_at(
    step: int, error: BaseException, function: Callable[[*Ts], Coroutine[Any, Any, T]], *args: *Ts
) -> Outcome[T]:
    """Run an async function, and raise `error` in it at its `step`-th suspension, where it then waits.

    Only the suspensions of its own task count. One that cannot fail is passed over, and the error comes at the
    next: a mere checkpoint, and a wait for a thread; on asyncio also a wait for anyio's locks and task groups,
    which tidy up after a cancellation only.
    """
    counter = Counter(step, lambda: None)
    try:
        value = await stepped(function(*args), counter, error)
    except Exception as raised:
        return Outcome(step, counter.reached, exception=raised)
    return Outcome(step, counter.reached, completed=True, value=value)


class Counter:
    """Counts the steps of a run and acts, once, at the chosen one."""

    def __init__(self, step: int, act: Callable[[], object]) -> None:
        if step < 1:
            raise ValueError(f"steps count from 1, got {step}")
        self.left: int = step
        self.act = act
        self.sees_this_task = False

    @property
    def reached(self) -> bool:
        return self.left <= 0

    def count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self.act()


class stepped(Awaitable[T]):  # noqa: N801 (it reads as the verb that it is: `await stepped(coroutine, counter)`)
    """Drives a coroutine as `await` does, and counts each time that it is suspended."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], counter: Counter, error: BaseException | None = None):
        self.coroutine = coroutine
        self.counter = counter
        self.error = error

    def __await__(self) -> Generator[Any, Any, T]:
        resume: Callable[[], Any] = functools.partial(self.coroutine.send, None)
        while True:
            try:
                request = resume()
            except StopIteration as stop:
                result: T = stop.value
                return result
            self.counter.count()
            if self.counter.reached and self.error is not None and self._given_up(request, self.error):
                resume = functools.partial(self.coroutine.throw, self.error)
                self.error = None
                continue
            try:
                answer = yield request
            except BaseException as error:
                resume = functools.partial(self.coroutine.throw, error)
            else:
                resume = functools.partial(self.coroutine.send, answer)

    def _given_up(self, request: Any, error: BaseException) -> bool:
        """Take back what the coroutine waits for, as the event loop does for a cancellation, if it can be."""
        if hasattr(request, "_asyncio_future_blocking"):
            return not innermost_file(self.coroutine).endswith("anyio/_backends/_asyncio.py")
        abort = getattr(request, "abort_func", None)  # trio's; without one, here or there, it is a checkpoint

        def raise_error() -> None:
            raise error

        return abort is not None and abort(raise_error).name == "SUCCEEDED"


def innermost_file(coroutine: Any) -> str:
    file = ""
    while (frame := getattr(coroutine, "cr_frame", None)) is not None:
        file = frame.f_code.co_filename
        coroutine = coroutine.cr_await
    return file


def counting(counter: Counter) -> AbstractContextManager[None]:
    """Count the steps of tasks that this task starts meanwhile, directly or not."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        return counting_on_trio(counter)
    return counting_on_asyncio(counter)


@contextmanager
def counting_on_trio(counter: Counter) -> Iterator[None]:
    import trio

    root = trio.lowlevel.current_task()
    others = set(root.child_nurseries)  # whose tasks are our caller's
    counter.sees_this_task = True

    class Steps(trio.abc.Instrument):
        def after_task_step(self, task: trio.lowlevel.Task) -> None:
            while task is not root:
                nursery = task.parent_nursery
                if nursery is None or nursery in others:
                    return
                task = nursery.parent_task
            counter.count()

    steps = Steps()
    trio.lowlevel.add_instrument(steps)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(steps)


current: ContextVar[Counter | None] = ContextVar("current", default=None)


@contextmanager
def counting_on_asyncio(counter: Counter) -> Iterator[None]:
    import asyncio

    loop = asyncio.get_running_loop()
    factory = loop.get_task_factory()

    def make_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
        # A new task has a copy of its maker's context: a task that somebody else starts is not counted.
        ours = current.get() is counter
        run = as_coroutine(stepped(coroutine, counter)) if ours else coroutine
        task = asyncio.Task(run, loop=loop, **options) if factory is None else factory(loop, run, **options)
        if ours:  # a task that is cancelled before its first step leaves what it was to run
            task.add_done_callback(lambda _: coroutine.close())
        return task

    token = current.set(counter)
    loop.set_task_factory(make_task)
    try:
        yield
    finally:
        loop.set_task_factory(factory)
        current.reset(token)


async def as_coroutine(awaitable: Awaitable[T]) -> T:
    return await awaitable
