"""Typed graphs for the tests of the web front, and what of their work has begun and not ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import anyio.lowlevel

from dagflow import Graph, Node, dep, progress


class Work:
    """Counts work that goes on, whose clean-up takes a moment."""

    def __init__(self) -> None:
        self.begun = 0
        self.open = 0

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        self.begun += 1
        self.open += 1
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.01)
            self.open -= 1


work = Work()


class Counting(Node):
    """Goes from 1 to `last`."""

    number: int = 1
    last: int = 3

    async def __call__(self) -> Counting | None:
        return Counting(number=self.number + 1, last=self.last) if self.number < self.last else None


class Failing(Node):
    message: str = "no"

    async def __call__(self) -> None:
        raise ValueError(self.message)


async def waits_below(seconds: float = 60) -> int:
    async with work.going_on():
        await anyio.sleep(seconds)
    return 1


class Inner(Node):
    value: int = dep(waits_below)

    async def __call__(self) -> None: ...


inner = Graph(start=Inner)


async def nested() -> int:
    async with work.going_on():
        result = await inner.run(Inner())
        return int(result.trace[0].value)  # type: ignore[attr-defined]  # the trace holds nodes of any type


class Waiting(Node):
    """Waits in a nested run, until it is cancelled."""

    value: int = dep(nested)

    async def __call__(self) -> None: ...


class Flooding(Node):
    """Tells more and more, as fast as it is read."""

    size: int = 10_000

    async def __call__(self) -> None:
        async with work.going_on():
            while True:
                work.begun += 1
                await progress("x" * self.size)
                await anyio.lowlevel.checkpoint()


counting = Graph(start=Counting, max_steps=None)
failing = Graph(start=Failing)
waiting = Graph(start=Waiting)
flooding = Graph(start=Flooding)
