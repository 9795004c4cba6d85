"""What a task on Dask costs beside a bare `Client.submit`, on a cluster of two processes on this machine."""

from __future__ import annotations

from functools import partial
from statistics import median
from time import perf_counter

import anyio
from distributed import Client, LocalCluster

from dagflow import Pipeline, PythonTask
from dagflow.executors.dask import DaskExecutor


def add(item: int) -> int:
    return item + 1


def measure(*, count: int, repeats: int) -> dict[str, float]:
    """Milliseconds a task, one after another: bare, and as a pipeline on asyncio and on trio."""
    pipeline = Pipeline([PythonTask(add, name=f"t{number}", returns=["item"]) for number in range(count)])
    taken: dict[str, list[float]] = {"Client.submit": [], "asyncio": [], "trio": []}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, Client(cluster) as client:
        for _ in range(repeats + 1):  # the first round warms up
            began = perf_counter()
            for number in range(count):
                assert client.submit(add, number, pure=False).result() == number + 1
            taken["Client.submit"].append(perf_counter() - began)
            for backend in ("asyncio", "trio"):
                began = perf_counter()
                anyio.run(partial(run, pipeline, client, count), backend=backend)
                taken[backend].append(perf_counter() - began)
    return {name: median(times[1:]) / count * 1000 for name, times in taken.items()}


async def run(pipeline: Pipeline, client: Client, count: int) -> None:
    result = await pipeline.execute(parameters={"item": 0}, executor=DaskExecutor(client))
    assert result.parameters["item"] == count
