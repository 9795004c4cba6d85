"""What a person would write without an engine: one group of tasks for each level."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import trio

from benchmarks.measure import Call
from benchmarks.shapes import Functions

Function = Callable[..., Coroutine[Any, Any, Any]]
Step = tuple[int, Function, tuple[int, ...]]


def steps(functions: Functions) -> list[list[Step]]:
    shape = functions.shape
    return [[(number, functions.each[number], shape.sources[number]) for number in level] for level in shape.levels]


def by_asyncio(functions: Functions) -> Call:
    levels, last, size = steps(functions), functions.shape.last, functions.shape.size

    async def run() -> Any:
        values: list[Any] = [None] * size
        for level in levels:
            async with asyncio.TaskGroup() as group:
                tasks = [
                    (number, group.create_task(function(*[values[source] for source in sources])))
                    for number, function, sources in level
                ]
            for number, task in tasks:
                values[number] = task.result()
        return await functions.target(*[values[source] for source in last])

    return run


def by_anyio(functions: Functions) -> Call:
    return by_groups(functions, anyio.create_task_group)


def by_trio(functions: Functions) -> Call:
    return by_groups(functions, trio.open_nursery)


def by_groups(functions: Functions, open_group: Callable[[], Any]) -> Call:
    levels, last, size = steps(functions), functions.shape.last, functions.shape.size

    async def run() -> Any:
        values: list[Any] = [None] * size

        async def put(number: int, function: Function, sources: tuple[int, ...]) -> None:
            values[number] = await function(*[values[source] for source in sources])

        for level in levels:
            async with open_group() as group:
                for step in level:
                    group.start_soon(put, *step)
        return await functions.target(*[values[source] for source in last])

    return run


def by_awaiting(functions: Functions) -> Call:
    """One after another without any group: the least that a chain can cost."""
    flat, last, size = (
        [step for level in steps(functions) for step in level],
        functions.shape.last,
        functions.shape.size,
    )

    async def run() -> Any:
        values: list[Any] = [None] * size
        for number, function, sources in flat:
            values[number] = await function(*[values[source] for source in sources])
        return await functions.target(*[values[source] for source in last])

    return run
