"""The resolver alone: what it calls, how often, in which order, and what it does when a call fails."""

import contextvars
import functools
import threading
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

import anyio
import anyio.lowlevel
import pytest

from dagflow import Dep, DepError, Node, Recall, RecallError, Retry, dep, field, resolve_dep, resolve_fields


@pytest.fixture(params=["levels", "eager"])
def schedule(request: pytest.FixtureRequest) -> Any:
    return request.param


class Log(list[str]):
    """What happened, in order."""


async def test_a_chain_is_called_in_order(schedule: Any) -> None:
    """A dependency has finished before anything that reads it starts."""
    log = Log()

    async def first() -> int:
        log.append("first begins")
        await anyio.lowlevel.checkpoint()
        log.append("first ends")
        return 20

    async def second(value: Annotated[int, Dep(first)]) -> int:
        log.append("second")
        return value + 1

    async def third(one: Annotated[int, Dep(first)], two: Annotated[int, Dep(second)]) -> int:
        return one + two + 1

    assert 42 == await resolve_dep(third, schedule=schedule)
    assert ["first begins", "first ends", "second"] == log


async def test_a_diamond_calls_its_top_once(schedule: Any) -> None:
    """A dependency that several others read is called once, and all of them get the same object."""
    calls = 0

    async def top() -> list[int]:
        nonlocal calls
        calls += 1
        await anyio.lowlevel.checkpoint()
        return []

    async def left(top: Annotated[list[int], Dep(top)]) -> list[int]:
        return top

    async def right(top: Annotated[list[int], Dep(top)]) -> list[int]:
        return top

    async def bottom(one: Annotated[list[int], Dep(left)], two: Annotated[list[int], Dep(right)]) -> bool:
        return one is two

    assert True is await resolve_dep(bottom, schedule=schedule)
    assert 1 == calls


async def test_independent_dependencies_run_at_once(schedule: Any) -> None:
    """Dependencies of one level are under way at the same time: each waits here for the other."""
    here, there = anyio.Event(), anyio.Event()

    async def one() -> int:
        here.set()
        await there.wait()
        return 1

    async def two() -> int:
        there.set()
        await here.wait()
        return 2

    async def both(a: Annotated[int, Dep(one)], b: Annotated[int, Dep(two)]) -> int:
        return a + b

    with anyio.fail_after(5):
        assert 3 == await resolve_dep(both, schedule=schedule)


@pytest.mark.parametrize(("schedule", "expected"), [("eager", True), ("levels", False)])
async def test_eager_starts_what_is_ready_and_levels_wait(schedule: Any, expected: bool) -> None:
    """Under "eager" a dependency starts when its own inputs are there; under "levels" with its level."""
    started_early = False
    started, slow_is_over = anyio.Event(), False

    async def fast() -> int:
        return 1

    async def after_fast(value: Annotated[int, Dep(fast)]) -> int:
        nonlocal started_early
        started_early = not slow_is_over
        started.set()
        return value

    async def slow() -> int:
        nonlocal slow_is_over
        with anyio.move_on_after(5 if expected else 0.02):
            await started.wait()
        slow_is_over = True
        return 1

    async def end(a: Annotated[int, Dep(after_fast)], b: Annotated[int, Dep(slow)]) -> int:
        return a + b

    assert 2 == await resolve_dep(end, schedule=schedule)
    assert expected is started_early


class Adder:
    def __init__(self, amount: int) -> None:
        self.amount = amount

    async def __call__(self) -> int:
        return self.amount

    def method(self) -> int:
        return self.amount * 10


async def sum_of(one: int, two: int) -> int:
    return one + two


adder = Adder(3)


async def make_adder() -> Adder:
    return Adder(9)


class Kinds(Node):
    partial: Annotated[int, Dep(functools.partial(sum_of, 1, two=2))]
    obj: Annotated[int, Dep(adder)]
    method: int = dep(adder.method)
    inline: int = dep(Adder(4).method, offload="inline")
    made: Adder = dep(make_adder)
    constructed: Adder = dep(functools.partial(Adder, 9))
    plain: str = field(default="x")


async def test_results_come_in_the_order_of_declaration(schedule: Any) -> None:
    """`resolve_fields` gives the dependency fields in the order of their declaration, and no others."""
    values = await resolve_fields(Kinds, schedule=schedule)
    assert ["partial", "obj", "method", "inline", "made", "constructed"] == list(values)
    assert (3, 3, 30, 40, 9) == (*list(values.values())[:4], values["made"].amount)


class PlainOnly(Node):
    text: str


async def test_a_node_with_plain_fields_only_resolves_to_nothing() -> None:
    """A node without dependencies gives an empty mapping."""
    assert {} == await resolve_fields(PlainOnly)


class Recalls(Node):
    text: Annotated[str, Recall()]


async def test_a_recall_alone_says_that_there_is_no_trace() -> None:
    """Outside a run there is nothing to recall from."""
    with pytest.raises(RecallError, match="Recalls.text recalls str"):
        await resolve_fields(Recalls)


async def test_sync_dependencies_run_in_worker_threads() -> None:
    """A sync dependency does not stall the event loop, unless it is inline."""

    def where() -> int:
        return threading.get_ident()

    def here() -> int:
        return threading.get_ident()

    async def both(off: Annotated[int, Dep(where)], on: Annotated[int, Dep(here, offload="inline")]) -> tuple[int, int]:
        return off, on

    off, on = await resolve_dep(both)
    assert on == threading.get_ident()
    assert off != on


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="caller")


async def test_context_variables_are_isolated(schedule: Any) -> None:
    """What a dependency sets in its context is seen neither by its siblings, nor later, nor by the caller."""
    seen: list[str] = []

    async def sets() -> int:
        seen.append(VARIABLE.get())
        VARIABLE.set("changed")
        await anyio.lowlevel.checkpoint()
        seen.append(VARIABLE.get())
        return 1

    async def sets_too() -> int:
        seen.append(VARIABLE.get())
        VARIABLE.set("changed too")
        return 1

    async def later(a: Annotated[int, Dep(sets)], b: Annotated[int, Dep(sets_too)]) -> str:
        return VARIABLE.get()

    assert "caller" == await resolve_dep(later, schedule=schedule)
    assert ["caller", "caller", "changed"] == sorted(seen)
    assert "caller" == VARIABLE.get()


async def test_both_of_two_failures_are_in_the_error(schedule: Any) -> None:
    """The first failure cancels its siblings; all that had failed by then, in clean-up too, is in the error."""
    ready = anyio.Event()

    async def fails() -> int:
        await ready.wait()
        raise ValueError("first")

    async def fails_too() -> int:
        try:
            ready.set()
            await anyio.sleep_forever()
        finally:
            raise KeyError("second")

    async def root(a: Annotated[int, Dep(fails)], b: Annotated[int, Dep(fails_too)]) -> int:
        raise AssertionError("never called")

    with pytest.raises(DepError) as caught:
        await resolve_dep(root, schedule=schedule)
    first, second = caught.value.failures
    assert ("a", fails, "first") == (first.field, first.callable, str(first.exception))
    assert ("b", fails_too) == (second.field, second.callable)
    assert first.exception is caught.value.__cause__
    assert isinstance(second.exception, KeyError)
    assert "2 dependencies failed" in str(caught.value)


async def test_a_cancelled_sibling_finishes_its_clean_up(schedule: Any) -> None:
    """A failure cancels the slow sibling, whose shielded clean-up completes, and no later level starts."""
    cleaned = started_later = False
    ready = anyio.Event()

    async def fails() -> int:
        await ready.wait()
        raise ValueError("no")

    async def slow() -> int:
        nonlocal cleaned
        try:
            ready.set()
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
                cleaned = True
        return 1

    async def later(value: Annotated[int, Dep(slow)]) -> int:
        nonlocal started_later
        started_later = True
        return value

    async def root(a: Annotated[int, Dep(fails)], b: Annotated[int, Dep(later)]) -> int:
        return a + b

    with pytest.raises(DepError, match="a \\(.*fails\\): ValueError: no"):
        await resolve_dep(root, schedule=schedule)
    assert cleaned
    assert not started_later


async def test_the_path_of_a_nested_dependency_is_told() -> None:
    """A failing dependency of a dependency is named by the path that leads to it."""

    async def deep() -> int:
        raise ValueError("deep down")

    async def middle(inner: Annotated[int, Dep(deep)]) -> int:
        return inner

    class Asks(Node):
        outer: Annotated[int, Dep(middle)]

    with pytest.raises(DepError) as caught:
        await resolve_fields(Asks)
    assert ("Asks", "outer.inner", "Asks") == (
        caught.value.failures[0].node,
        caught.value.failures[0].field,
        caught.value.node,
    )


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
async def test_base_exceptions_are_never_wrapped(kind: type[BaseException], schedule: Any) -> None:
    """An exception that is no `Exception` reaches the caller as it is, after the siblings' clean-up."""
    cleaned = False
    ready = anyio.Event()

    async def quits() -> int:
        await ready.wait()
        raise kind("out")

    async def slow() -> int:
        nonlocal cleaned
        try:
            ready.set()
            await anyio.sleep_forever()
        finally:
            cleaned = True
        return 1

    async def root(a: Annotated[int, Dep(quits)], b: Annotated[int, Dep(slow)]) -> int:
        return a + b

    with pytest.raises(kind, match="out"):
        await resolve_dep(root, schedule=schedule)
    assert cleaned


async def test_a_value_of_another_type_is_refused() -> None:
    """A dependency that gives a value of another type than it declares fails, and says both."""

    async def lies() -> int:
        return "seven"  # type: ignore[return-value]  # the lie that is tested

    with pytest.raises(DepError, match="it returned 'seven', a str, not int"):
        await resolve_dep(lies)


async def test_a_forgotten_await_is_named() -> None:
    """A coroutine in place of a value is an error that asks for the missing `await`."""

    async def number() -> int:
        return 7

    async def forgets() -> int:
        return number()  # type: ignore[return-value]  # the mistake that is tested

    with pytest.raises(DepError, match="was an `await` forgotten"):
        await resolve_dep(forgets)


async def test_a_timeout_is_a_failure_of_its_dependency() -> None:
    """A dependency that hangs past its timeout fails with a TimeoutError, even if it swallows cancellation."""

    async def hangs() -> int:
        await anyio.sleep_forever()
        return 1

    async def stubborn() -> int:
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            pass
        return 1

    async def root(
        a: Annotated[int, Dep(hangs, timeout=0.01)],
    ) -> int:
        return a

    async def root_too(a: Annotated[int, Dep(stubborn, timeout=0.01)]) -> int:
        return a

    for fn in (root, root_too):
        with pytest.raises(DepError) as caught:
            await resolve_dep(fn)
        assert isinstance(caught.value.failures[0].exception, TimeoutError)
        assert "0.01 s" in str(caught.value)


async def test_retries_until_it_succeeds() -> None:
    """A dependency with a retry is called again after a failure; the last error is kept when all fail."""
    attempts = 0

    async def flaky() -> int:
        nonlocal attempts
        attempts += 1
        if attempts % 3:
            raise OSError(f"attempt {attempts}")
        return attempts

    policy = Retry(attempts=3, delay=0)

    async def root(value: Annotated[int, Dep(flaky, retry=policy)]) -> int:
        return value

    async def twice(value: Annotated[int, Dep(flaky, retry=Retry(attempts=2, delay=0))]) -> int:
        return value

    assert 3 == await resolve_dep(root)
    with pytest.raises(DepError, match="OSError: attempt 5"):
        await resolve_dep(twice)


async def test_overrides_stand_for_their_callables() -> None:
    """An override is used instead of the call, and what only the overridden callable needs is not called."""

    async def expensive() -> int:
        raise AssertionError("not called")

    async def client(value: Annotated[int, Dep(expensive)]) -> str:
        raise AssertionError("not called")

    async def root(client: Annotated[str, Dep(client)]) -> str:
        return client.upper()

    assert "FAKE" == await resolve_dep(root, deps={client: "fake"})


async def test_context_managers_close_in_reverse_order() -> None:
    """Async context managers are entered once and exited in reverse order, in the task that entered them."""
    log = Log()

    @asynccontextmanager
    async def first() -> AsyncIterator[str]:
        log.append("enter first")
        async with anyio.create_task_group():  # breaks if exited in another task
            yield "first"
        log.append("exit first")

    @asynccontextmanager
    async def second(one: Annotated[str, Dep(first)]) -> AsyncIterator[str]:
        log.append(f"enter second with {one}")
        yield "second"
        log.append("exit second")

    async def root(a: Annotated[str, Dep(first)], b: Annotated[str, Dep(second)]) -> str:
        log.append("use")
        return a + b

    assert "firstsecond" == await resolve_dep(root)
    assert ["enter first", "enter second with first", "use", "exit second", "exit first"] == log


class Hinted:
    def __init__(self, log: Log) -> None:
        self.log = log

    async def __aenter__(self) -> int:
        self.log.append("in")
        return 5

    async def __aexit__(self, *_: object) -> None:
        self.log.append("out")


async def test_what_merely_has_aenter_is_passed_on() -> None:
    """A function hinted as an async context manager is entered; an object that has `__aenter__` is not."""
    log = Log()

    def hinted() -> AbstractAsyncContextManager[int]:
        return Hinted(log)

    async def client() -> Hinted:
        return Hinted(log)

    async def root(number: Annotated[int, Dep(hinted)], client: Annotated[Hinted, Dep(client)]) -> int:
        assert isinstance(client, Hinted)
        return number

    assert 5 == await resolve_dep(root)
    assert ["in", "out"] == log


async def test_a_context_manager_sees_the_failure() -> None:
    """An open context manager sees the failure at its `yield`, and the failure is raised all the same."""
    seen: list[BaseException] = []

    @asynccontextmanager
    async def transaction() -> AsyncIterator[int]:
        try:
            yield 1
        except BaseException as error:
            seen.append(error)
            raise

    async def fails(value: Annotated[int, Dep(transaction)]) -> int:
        raise ValueError("roll back")

    with pytest.raises(DepError, match="roll back") as caught:
        await resolve_dep(fails)
    assert [caught.value] == seen


async def test_failures_on_exit_are_told() -> None:
    """A context manager that fails on exit fails the resolution, with all of them in the error."""

    @asynccontextmanager
    async def one() -> AsyncIterator[int]:
        yield 1
        raise OSError("exit one")

    @asynccontextmanager
    async def two(one: Annotated[int, Dep(one)]) -> AsyncIterator[int]:
        yield 2
        raise OSError("exit two")

    with pytest.raises(DepError) as caught:
        await resolve_dep(two)
    assert ["exit two", "exit one"] == [str(failure.exception) for failure in caught.value.failures]


async def test_a_failing_enter_is_a_failure_of_its_dependency() -> None:
    """A context manager that cannot be entered fails as any dependency does, and those before it are closed."""
    log = Log()

    @asynccontextmanager
    async def first() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            log.append("closed")

    @asynccontextmanager
    async def second(value: Annotated[int, Dep(first)]) -> AsyncIterator[int]:
        raise OSError("refused")
        yield 2

    with pytest.raises(DepError, match="refused"):
        await resolve_dep(second)
    assert ["closed"] == log


async def test_cancellation_closes_context_managers_in_reverse_order() -> None:
    """A cancelled resolution cancels its context managers one by one, last first, and passes it on."""
    log = Log()
    opened = anyio.Event()

    @asynccontextmanager
    async def first() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                log.append("first")

    @asynccontextmanager
    async def second(value: Annotated[int, Dep(first)]) -> AsyncIterator[int]:
        try:
            yield 2
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
                log.append("second")

    async def waits(value: Annotated[int, Dep(second)]) -> int:
        opened.set()
        await anyio.sleep_forever()
        return value

    async with anyio.create_task_group() as group:
        group.start_soon(resolve_dep, waits)
        await opened.wait()
        group.cancel_scope.cancel()
    assert ["second", "first"] == log


@pytest.mark.blocking_ok("it plans ten thousand calls at once")
async def test_a_hundred_levels_deep_and_ten_thousand_calls_long() -> None:
    """Long chains need no recursion."""

    def link(before: Any) -> Any:
        async def step(value: Annotated[int, Dep(before)]) -> int:
            return value + 1

        return step

    async def zero() -> int:
        return 0

    last: Any = zero
    for _ in range(3000):
        last = link(last)
    assert 3000 == await resolve_dep(last)
