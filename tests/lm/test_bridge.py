"""The bridge to asyncio: what it carries over, and that it leaves nothing."""

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from dagflow import Graph, LMError, Node, dep
from dagflow.lm.bridge import asyncio_bridge, on_asyncio
from dagflow.testing import assert_no_leaks

word: ContextVar[str] = ContextVar("word", default="")


async def loop_and_thread() -> tuple[asyncio.AbstractEventLoop, int]:
    await asyncio.sleep(0)
    return asyncio.get_running_loop(), threading.get_ident()


async def test_it_runs_on_asyncio() -> None:
    """A coroutine that knows asyncio only is awaited on an asyncio loop, with its arguments and its result."""

    async def double(number: int) -> int:
        task = asyncio.create_task(asyncio.sleep(0, number))
        return 2 * await task

    async with assert_no_leaks():
        assert 42 == await on_asyncio(double, 21)


async def test_context_variables_are_carried() -> None:
    """The asyncio side sees the caller's context variables, and does not change them."""

    async def read_and_set() -> str:
        seen = word.get()
        word.set("changed")
        return seen

    word.set("set")
    async with asyncio_bridge() as bridge:
        assert "set" == await bridge.call(read_and_set)


async def test_exceptions_are_carried() -> None:
    """What the asyncio side raises is raised to the caller, as the same object."""
    error = LookupError("none")

    async def fail() -> None:
        raise error

    async with assert_no_leaks():
        with pytest.raises(LookupError) as caught:
            await on_asyncio(fail)
    assert error is caught.value


async def test_cancelling_the_caller_cancels_the_asyncio_side_and_waits_for_it() -> None:
    """A cancelled caller returns when the asyncio side has cleaned up, and not before."""
    started = threading.Event()
    steps: list[str] = []

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0.01)
            steps.append("cleaned up")
            raise

    async def cancel_when_started(scope: anyio.CancelScope) -> None:
        await anyio.to_thread.run_sync(started.wait)
        scope.cancel()

    async with assert_no_leaks():
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(cancel_when_started, scope)
                await on_asyncio(work)
    assert scope.cancelled_caught
    assert ["cleaned up"] == steps


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.one_backend("on asyncio the kernel tells a self-made cancellation from its own")
async def test_an_asyncio_side_that_cancels_itself_is_an_error() -> None:
    """A library that gives up its own work is no cancellation of the caller: it is an `LMError`."""

    async def give_up() -> None:
        raise asyncio.CancelledError

    async with assert_no_leaks():
        with pytest.raises(LMError, match="give_up was cancelled on its own"):
            await on_asyncio(give_up)


async def test_a_run_has_one_bridge() -> None:
    """All calls of a run share one asyncio loop, nested runs included; the run closes it."""
    seen: list[Any] = []

    async def ask() -> int:
        seen.append(await on_asyncio(loop_and_thread))
        return 1

    async def nested() -> int:
        result = await Graph(Inner).run(Inner())
        assert isinstance(result.node, Inner)
        return result.node.number

    class Inner(Node):
        number: int = dep(ask)

        async def __call__(self) -> None: ...

    class Outer(Node):
        first: int = dep(ask)
        second: int = dep(nested)

        async def __call__(self) -> None: ...

    async with assert_no_leaks():
        await Graph(Outer).run(Outer())
    assert 2 == len(seen)
    assert 1 == len(set(seen))


@pytest.mark.parametrize("anyio_backend", ["trio"])
@pytest.mark.one_backend("asyncio needs no thread")
async def test_it_does_not_block_trio() -> None:
    """While the asyncio side works, the trio loop goes on."""
    ticked = threading.Event()

    async def wait_for_tick() -> bool:
        return await asyncio.to_thread(ticked.wait, 5.0)

    async def tick() -> None:
        await anyio.lowlevel.checkpoint()
        ticked.set()

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        assert await on_asyncio(wait_for_tick)
