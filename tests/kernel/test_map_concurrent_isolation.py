"""`run_isolated`, which items of a map run in: it is `await fn(...)` in every way but for the context variables."""

from __future__ import annotations

import gc
import traceback
import types
import warnings
from collections.abc import Generator
from contextvars import ContextVar, copy_context
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from dagflow.kernel.isolation import NotAsync, coroutine_function, run_isolated

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="outside")


async def set_and_read(value: str, *, pauses: int = 0) -> list[str]:
    seen = [VARIABLE.get()]
    VARIABLE.set(value)
    for _ in range(pauses):
        await anyio.lowlevel.checkpoint()
        seen.append(VARIABLE.get())
    return seen


@pytest.mark.parametrize("pauses", [0, 1, 3])
async def test_every_step_is_in_the_context(pauses: int) -> None:
    """What is set before a suspension is seen after it, and never outside."""
    context = copy_context()
    assert ["outside"] + ["inside"] * pauses == await run_isolated(context, set_and_read, "inside", pauses=pauses)
    assert "outside" == VARIABLE.get()
    assert "inside" == context[VARIABLE]


async def test_an_exception_comes_through_as_it_is() -> None:
    """The exception is the same object, with the line that raised it in its traceback."""
    error = LookupError("here")

    async def fails(pauses: int) -> None:
        for _ in range(pauses):
            await anyio.lowlevel.checkpoint()
        raise error

    for pauses in range(3):
        with pytest.raises(LookupError) as caught:
            await run_isolated(copy_context(), fails, pauses)
        assert error is caught.value
        assert "raise error" == traceback.extract_tb(error.__traceback__)[-1].line


async def test_an_interrupt_comes_through_as_it_is() -> None:
    """`KeyboardInterrupt` is no different from other exceptions."""

    async def interrupted() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await run_isolated(copy_context(), interrupted)


async def test_cancellation_reaches_the_work_and_its_clean_up_is_awaited() -> None:
    """A cancelled call sees the cancellation where it waits, in its context, and may clean up under a shield."""
    steps: list[str] = []

    async def work() -> None:
        VARIABLE.set("inside")
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
                steps.append(VARIABLE.get())

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(run_isolated, copy_context(), work)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert ["inside"] == steps


async def test_scopes_groups_and_threads_work_inside() -> None:
    """Deadlines, task groups and worker threads behave as ever, and inherit the context."""

    async def child(seen: list[str]) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(VARIABLE.get())

    async def work() -> list[str]:
        VARIABLE.set("inside")
        seen: list[str] = []
        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(child, seen)
        seen.append(await anyio.to_thread.run_sync(VARIABLE.get))
        return seen

    assert ["inside"] * 2 == await run_isolated(copy_context(), work)


async def test_isolated_calls_nest() -> None:
    """A call inside a call has its own context, and leaves that of the outer one alone."""

    async def outer() -> str:
        VARIABLE.set("outer")
        assert ["outer", "inner"] == await run_isolated(copy_context(), set_and_read, "inner", pauses=1)
        return VARIABLE.get()

    assert "outer" == await run_isolated(copy_context(), outer)


class Awaitable:
    def __await__(self) -> Generator[Any, Any, str]:
        yield from anyio.lowlevel.checkpoint().__await__()
        return VARIABLE.get()


@types.coroutine
def old_style() -> Generator[Any, Any, str]:
    yield from anyio.lowlevel.checkpoint().__await__()
    return VARIABLE.get()


async def test_any_awaitable_will_do() -> None:
    """An awaitable that is no coroutine is awaited in the context too."""
    context = copy_context()
    context.run(VARIABLE.set, "inside")
    assert "inside" == await run_isolated(context, Awaitable)
    assert "inside" == await run_isolated(context, old_style)
    assert "outside" == await coroutine_function(Awaitable)()


async def test_what_cannot_be_awaited_is_named() -> None:
    """A sync function is refused by name, once what it returned is known."""
    with pytest.raises(NotAsync, match="len returned 2, which cannot be awaited"):
        await run_isolated(copy_context(), len, "ab")  # type: ignore[arg-type]  # the mistake


def test_closing_closes_the_work_in_its_context() -> None:
    """A call that is thrown away runs its clean-up at once, in its context, without a warning."""
    steps: list[str] = []

    @types.coroutine
    def pause() -> Generator[None, None, None]:
        yield

    async def work() -> None:
        VARIABLE.set("inside")
        try:
            await pause()
        finally:
            steps.append(VARIABLE.get())

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call = run_isolated(copy_context(), work)
        call.send(None)
        call.close()
        del call
        gc.collect()
    assert ["inside"] == steps


def test_what_is_sent_and_thrown_arrives() -> None:
    """The call and the event loop see exactly what the other side passes."""

    @types.coroutine
    def pause(value: str) -> Generator[str, str, str]:
        return (yield value)

    async def work() -> list[str]:
        answers = [await pause("first")]
        try:
            await pause("second")
        except LookupError as error:
            answers.append(str(error))
        answers.append(await pause("third"))
        return answers

    call = run_isolated(copy_context(), work)
    assert "first" == call.send(None)
    assert "second" == call.send("one")
    assert "third" == call.throw(LookupError("two"))
    with pytest.raises(StopIteration) as done:
        call.send("three")
    assert ["one", "two", "three"] == done.value.value
