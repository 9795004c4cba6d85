"""Executions of one pipeline side by side, and the process around them, which stays as it is."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from dagflow.capture import Capture
from dagflow.catalog import Catalog, FileCatalog
from dagflow.errors import NodeError
from dagflow.events import Printed
from dagflow.kernel.thread import Thread
from dagflow.pipeline.asynchronous import AsyncPipeline, AsyncPipelineContext
from dagflow.pipeline.composites import Map, Parallel
from dagflow.pipeline.executors import AsyncLocalExecutor, LocalExecutor, TaskWork
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.run_log_fold import read_run_log
from dagflow.pipeline.task_types import AsyncPythonTaskType
from dagflow.pipeline.tasks import AsyncPythonTask, NotebookTask, PythonTask, ShellTask
from dagflow.secret_stores import MappingSecrets
from dagflow.store.memory import MemoryStore


class Meeting:
    """Lets those who come wait until all are there, so that they are known to be under way at once."""

    def __init__(self, size: int) -> None:
        self._missing = size
        self._complete = anyio.Event()

    async def come(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._complete.set()
        with anyio.fail_after(20):
            await self._complete.wait()


async def test_three_executions_at_once_never_mix(tmp_path: Path) -> None:
    """Parameters, results, logs, records and output of three executions of one pipeline are their own."""
    meeting, logger = Meeting(9), logging.getLogger("work")

    async def mark(item: int, who: str) -> str:
        await meeting.come()
        print(f"{who} prints {item}")
        logger.warning("%s logs %d", who, item)
        return f"{who} {item}"

    def gather(marked: list[str], who: str) -> str:
        print(f"{who} gathers")
        return f"{who}: {', '.join(marked)}"

    pipeline = Pipeline(
        [Map("items", PythonTask(mark, returns=["marked"])), Parallel({"a": PythonTask(gather, returns=["all"])})]
    )
    store, results = MemoryStore(), {}
    told: dict[str, list[str]] = {}

    async def run(who: str) -> None:
        async with pipeline.stream(
            parameters={"items": [1, 2, 3], "who": who},
            store=store,
            run_id=who,
            run_folder=tmp_path / who,
            capture=Capture(prints=True),
        ) as events:
            told[who] = sorted([event.text async for event in events if isinstance(event, Printed)])
        results[who] = events.result

    async with anyio.create_task_group() as group:
        for who in ("a", "b", "c"):
            group.start_soon(run, who)
    for who, result in results.items():
        assert f"{who}: {who} 1, {who} 2, {who} 3" == result.parameters["all"]
        assert who == result.log.run_id == (await read_run_log(store, who)).parameters["who"]
        logged = [f"WARNING work: {who} logs {n}" for n in (1, 2, 3)]
        assert sorted([*(f"{who} prints {n}" for n in (1, 2, 3)), *logged, f"{who} gathers"]) == told[who]
        kept = "".join(path.read_text() for path in (tmp_path / who / "output").rglob("*") if path.is_file())
        assert told[who] == sorted(kept.splitlines())
        record = repr(await Thread(who, store).events()) + (tmp_path / who / "run_log.json").read_text()
        assert f"{who} 1" in record
        assert not any(f"{other} 1" in record for other in {"a", "b", "c"} - {who})


@pytest.mark.slow
async def test_the_process_stays_as_it_is(tmp_path: Path) -> None:
    """Environment, path, working folder and standard output are the same during a run and after it, however it ends."""

    def look() -> Any:
        return dict(os.environ), list(sys.path), os.getcwd(), sys.stdout, sys.stderr

    before, during = look(), []

    def task(**all: Any) -> None:
        during.append(look())

    async def generator(**all: Any) -> AsyncIterator[int]:
        during.append(look())
        yield 1

    programs_are_over = anyio.Event()

    async def watch(**all: Any) -> None:
        while not programs_are_over.is_set():
            during.append(look())
            await anyio.sleep(0.05)

    async def end() -> None:
        programs_are_over.set()

    async def fail() -> None:
        raise ValueError("the end")

    (tmp_path / "notes.ipynb").write_text(
        json.dumps(
            {
                "cells": [{"cell_type": "code", "id": "a", "metadata": {}, "outputs": [], "execution_count": None,
                           "source": "import os, sys\nos.chdir('/')\nos.environ['x'] = 'changed'\nsys.path.clear()"}],
                "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
                "nbformat": 4,
                "nbformat_minor": 5,
            }
        )
    )  # fmt: skip
    programs = [
        NotebookTask(tmp_path / "notes.ipynb", secrets=["TOKEN"]),
        ShellTask("cd /; export x=changed", shell=True, cwd=tmp_path, secrets=["TOKEN"], name="change"),
        ShellTask("true", cwd=tmp_path, catalog=Catalog(put=["*.ipynb"])),
        PythonTask(end),
    ]
    steps = [
        PythonTask(task),
        PythonTask(generator),
        Parallel({"watch": PythonTask(watch), "programs": Pipeline(programs)}),
        PythonTask(fail),
    ]
    with pytest.raises(NodeError, match="the end"):
        await Pipeline(steps).execute(
            parameters={"x": 1},
            store=MemoryStore(),
            run_folder=tmp_path / "run",
            catalog=FileCatalog(tmp_path / "catalog"),
            secrets=MappingSecrets({"TOKEN": "open sesame"}),
            capture=Capture(),
        )
    assert 2 < len(during)
    assert all(before == seen for seen in during)
    assert before == look()


# The asynchronous names


async def test_an_async_task_refuses_a_sync_function() -> None:
    """`AsyncPythonTask` takes async functions and generators, however they are wrapped, and nothing else."""

    def sync() -> None: ...
    async def plain() -> int:
        return 1

    async def generator() -> Any:
        yield 1

    class Callable:
        async def __call__(self) -> None: ...

    with pytest.raises(ValueError, match="AsyncPythonTask sync must be an async function, and sync is none"):
        AsyncPythonTask(function=sync)
    import functools

    for function in (plain, generator, functools.partial(plain), Callable()):
        assert AsyncPythonTask(function=function, name="x").name == "x"
    result = await AsyncPipeline([AsyncPythonTask(function=plain, returns=["one"])]).execute()
    assert {"one": 1} == result.parameters
    assert "async-python" == result.log.steps[0].kind == AsyncPythonTaskType.task_type


async def test_the_execution_of_an_async_pipeline_is_a_coroutine() -> None:
    """`AsyncPipeline.execute` is a coroutine function; a context is one execution that has not begun."""
    import inspect

    assert inspect.iscoroutinefunction(AsyncPipeline.execute)

    async def take(x: int) -> int:
        return x + 1

    pipeline = AsyncPipeline(name="n", description="d", steps=[AsyncPythonTask(take, returns=["y"])])
    context = AsyncPipelineContext(pipeline, {"parameters": {"x": 1}})
    assert 2 == (await context.execute()).parameters["y"]
    assert ("n", "d") == (pipeline.name, pipeline.description)


async def test_the_async_executor_does_not_block() -> None:
    """Its sync `execute_node` raises and names the async way; it does what the local one does."""
    executor = AsyncLocalExecutor()
    assert "async-local" == executor.service_name
    with pytest.raises(RuntimeError, match="use the async one"):
        executor.execute_node("any")
    result = await Pipeline([PythonTask(lambda: 1, name="one", returns=["x"])]).execute(executor=executor)
    assert {"x": 1} == result.parameters


class Recording(LocalExecutor):
    """Calls functions itself, and says what it was given."""

    service_name = "recording"

    def __init__(self) -> None:
        self.work: list[TaskWork] = []

    def refusal(self, function: Any) -> str | None:
        return "it is unwanted" if function is unwanted else None

    async def execute(self, work: TaskWork) -> Any:
        self.work.append(work)
        return await work.here() if work.function is None else work.function(**work.arguments)


def unwanted() -> None: ...


async def test_an_executor_is_given_functions_with_their_arguments() -> None:
    """An executor can call the function elsewhere, by its arguments and the task's options for it."""
    executor = Recording()
    add = PythonTask(lambda x, y=1: x + y, name="add", returns=["z"], overrides={"recording": {"cpus": 2}, "dask": {}})
    result = await Pipeline([add, ShellTask("true")]).execute(parameters={"x": 1}, executor=executor)
    assert 2 == result.parameters["z"]
    first, second = executor.work
    assert ("add", "python", {"x": 1}, {"cpus": 2}) == (first.task, first.task_type, first.arguments, first.options)
    assert ("shell", None) == (second.task_type, second.function)
    with pytest.raises(Exception, match="task 'unwanted' cannot run on the executor recording: it is unwanted"):
        await Pipeline([PythonTask(unwanted)]).execute(executor=executor)


async def test_a_nested_pipeline_has_the_services_of_the_outer_one() -> None:
    """A pipeline that a task executes uses the same executor, unless it is given its own."""
    executor = Recording()

    async def outer() -> Any:
        return (await Pipeline([PythonTask(lambda: 7, name="inner", returns=["x"])]).execute()).parameters["x"]

    class Here(Recording):
        async def execute(self, work: TaskWork) -> Any:
            self.work.append(work)
            return await work.here()

    executor = Here()
    await Pipeline([PythonTask(outer, returns=["x"])]).execute(executor=executor)
    assert ["outer", "inner"] == [work.task for work in executor.work]
