"""What stays open for a run, and what is streamed to those who follow it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import pytest

from dagflow import Graph, Node, NodeError, dep
from dagflow.events import Token
from dagflow.kernel.context import run_resource, token_stream
from dagflow.testing import assert_no_leaks, sweep_cancellations

log: list[str] = []


@asynccontextmanager
async def line() -> AsyncIterator[str]:
    log.append("open")
    await anyio.lowlevel.checkpoint()
    try:
        yield "line"
    finally:
        await anyio.lowlevel.cancel_shielded_checkpoint()
        log.append("close")


async def use() -> str:
    line_of_run = await run_resource("line", line)
    log.append(f"use {line_of_run}")
    return str(line_of_run)


async def also_use() -> str:
    return await use()


class Inner(Node):
    got: str = dep(use)

    async def __call__(self) -> None: ...


inner = Graph(start=Inner)


class Outer(Node):
    got: str = dep(use)
    too: str = dep(also_use)

    async def __call__(self) -> None:
        await inner.run(Inner())
        log.append("inner ended")


outer = Graph(start=Outer)


@pytest.fixture(autouse=True)
def _empty_log() -> None:
    log.clear()


async def test_a_resource_is_opened_once_a_run_and_closed_at_its_end() -> None:
    """All who ask for one key share what the first opened, nested runs too; it is closed when the outermost ends."""
    async with assert_no_leaks():
        await outer.run(Outer())
    assert ["open", "use line", "use line", "use line", "inner ended", "close"] == log


async def test_two_runs_have_two_resources() -> None:
    """Runs share nothing."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(inner.run, Inner())
        tasks.start_soon(inner.run, Inner())
    assert 2 == log.count("open") == log.count("close")


async def test_outside_of_a_run_nothing_is_opened() -> None:
    """There is nobody to close it."""
    assert "None" == await use()
    assert ["use None"] == log


async def test_a_resource_that_cannot_be_opened_is_told_and_tried_again() -> None:
    """What opening raises reaches all who waited, and the next who asks tries anew."""
    attempts = 0

    @asynccontextmanager
    async def broken() -> AsyncIterator[str]:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise OSError("no dial tone")
        yield "second"

    class Stubborn(Node):
        async def __call__(self) -> None:
            with pytest.raises(OSError, match="no dial tone"):
                await run_resource("broken", broken)
            assert "second" == await run_resource("broken", broken)

    await Graph(start=Stubborn).run(Stubborn())
    assert 2 == attempts


async def test_a_resource_is_closed_when_its_run_fails() -> None:
    """A failing run closes its resources, and its error is the run's own."""

    class Failing(Node):
        got: str = dep(use)

        async def __call__(self) -> None:
            raise ValueError("no")

    async with assert_no_leaks():
        with pytest.raises(NodeError, match="no"):
            await Graph(start=Failing).run(Failing())
    assert ["open", "use line", "close"] == log


async def test_a_run_that_is_cancelled_anywhere_closes_its_resources() -> None:
    """Cancelled at each of its steps, a run leaves no resource open."""

    async def one_run() -> None:
        await outer.run(Outer())

    async with assert_no_leaks():
        await sweep_cancellations(one_run)
    assert log.count("open") == log.count("close")


class Speaking(Node):
    async def __call__(self) -> None:
        tokens = token_stream()
        log.append("nobody follows" if tokens is None else "followed")
        if tokens is not None:
            for word in ("a", "b"):
                await tokens.send(word)
            again = token_stream()
            assert again is not None
            await again.send("c")


async def test_tokens_are_streamed_to_those_who_follow() -> None:
    """The pieces of one answer share a number, and no other answer of the run has it."""
    graph = Graph(start=Speaking)
    async with graph.stream(Speaking()) as events:
        tokens = [event async for event in events if isinstance(event, Token)]
    assert ["a", "b", "c"] == [token.text for token in tokens]
    first, second, third = (token.request for token in tokens)
    assert first == second != third


async def test_nobody_is_streamed_to_where_nobody_follows() -> None:
    """Outside of a stream there are no tokens, so that a model need not be asked for them."""
    assert token_stream() is None
    await Graph(start=Speaking).run(Speaking())
    assert ["nobody follows"] == log
