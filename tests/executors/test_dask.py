"""Functions on a real cluster of Dask, whose worker is a process: results, errors, cancellation and lost workers."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import dask
import pytest
from distributed import Client, LocalCluster

from dagflow import Secret
from dagflow.errors import NodeError
from dagflow.executors.dask import DaskError, DaskExecutor, cancelled, run_on_dask
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.tasks import PythonTask
from dagflow.types import Retry
from executors import cluster_functions

pytestmark = pytest.mark.slow

WORKER = Path(__file__).parents[1]
SETTINGS = {"distributed.scheduler.allowed-failures": 0, "distributed.worker.daemon": True}


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One cluster for all tests of this module; its worker imports our functions by name."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(WORKER)  # a worker is a new interpreter
    try:
        with dask.config.set(SETTINGS):
            cluster: LocalCluster = LocalCluster(  # type: ignore[no-untyped-call]  # Dask has few types
                n_workers=1, threads_per_worker=2, processes=True, dashboard_address=":0", silence_logs=logging.CRITICAL
            )
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before
    with cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Client]:
    """A synchronous client, as users have one."""
    with Client(cluster, set_as_default=False) as client:  # type: ignore[no-untyped-call]  # Dask has few types
        yield client


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


async def begun(log: Path) -> None:
    with anyio.fail_after(20):
        while not log.exists():  # noqa: ASYNC110 - another process writes it
            await anyio.sleep(0.01)


async def test_a_function_runs_in_another_process(client: Client) -> None:
    """What it returns comes back, and it ran on the worker, however many run at once."""
    assert 3 == await run_on_dask(client, cluster_functions.add, {"x": 1, "y": 2})
    assert os.getpid() != await run_on_dask(client, cluster_functions.where)
    results: list[int] = []

    async def one(number: int) -> None:
        results.append(await run_on_dask(client, cluster_functions.add, {"x": number, "y": 0}))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(one, number)
    assert list(range(20)) == sorted(results)


async def test_an_address_is_enough(cluster: LocalCluster) -> None:
    """A client that is made for an address is closed again."""
    before = set(Client._instances)
    assert 3 == await run_on_dask(cluster.scheduler_address, cluster_functions.add, {"x": 1, "y": 2})
    assert all("closed" == made.status for made in set(Client._instances) - before)


async def test_an_error_comes_with_its_traceback(client: Client) -> None:
    """What the function raises is raised, and a note says where on the worker; a timeout of its own is no other."""
    with pytest.raises(LookupError, match="no 7") as caught:
        await run_on_dask(client, cluster_functions.fail, {"x": 7})
    note = caught.value.__notes__[0]
    assert note.startswith("on a worker of Dask:\n")
    assert "cluster_functions.py" in note
    with pytest.raises(TimeoutError, match="of its own"):
        await run_on_dask(client, cluster_functions.late)


def local_function() -> Callable[[], int]:
    def inner() -> int:
        return 1

    return inner


@pytest.mark.parametrize(
    ("function", "arguments", "problem"),
    [
        (local_function(), {}, "inner is defined inside a function"),
        (lambda: 1, {}, "it is a lambda"),
        (cluster_functions.add, {"x": Secret("open sesame"), "y": 1}, "cannot be sent to Dask"),
    ],
    ids=["local", "lambda", "secret"],
)
async def test_what_cannot_be_sent_is_told(
    client: Client, function: Callable[..., Any], arguments: dict[str, Any], problem: str
) -> None:
    """A function that workers could not import, and arguments that cannot be pickled, are an error at once."""
    with pytest.raises(DaskError, match=problem) as caught:
        await run_on_dask(client, function, arguments)
    assert "sesame" not in str(caught.value)


async def test_a_scheduler_that_is_not_there_is_told() -> None:
    """An address that nobody listens at is an error that names it."""
    with pytest.raises(DaskError, match="no scheduler of Dask at tcp://127.0.0.1:"):
        await run_on_dask(f"tcp://127.0.0.1:{free_port()}", cluster_functions.where)


async def test_running_work_is_cancelled_by_cooperation(client: Client, tmp_path: Path) -> None:
    """A function that asks ends when its caller is cancelled, before the caller goes on."""
    log = tmp_path / "log"
    async with anyio.create_task_group() as group:
        group.start_soon(run_on_dask, client, cluster_functions.until_unwanted, {"log": str(log)})
        await begun(log)
        group.cancel_scope.cancel()
    assert "ended" == log.read_text()
    assert not cancelled()  # outside of Dask nothing is


async def test_a_timeout_gives_work_up_that_does_not_listen(client: Client, tmp_path: Path) -> None:
    """A function that never asks is waited for no longer than the grace; its result is thrown away."""
    log = tmp_path / "log"
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"deaf passed its timeout of 0\.3 s on Dask"):
        await run_on_dask(client, cluster_functions.deaf, {"log": str(log), "seconds": 4.0}, timeout=0.3, grace=0.1)
    assert 3 > time.monotonic() - began
    assert 3 == await run_on_dask(client, cluster_functions.add, {"x": 1, "y": 2})  # on the other thread


async def test_a_pipeline_runs_its_functions_on_the_cluster(cluster: LocalCluster, client: Client) -> None:
    """Sync functions run there and async ones here, with one client for a run that is given an address."""

    async def here(pid: int) -> tuple[int, int]:
        return pid, os.getpid()

    pipeline = Pipeline(
        [
            PythonTask(cluster_functions.double, returns=["x"]),
            PythonTask(cluster_functions.where, returns=["pid"]),
            PythonTask(here, name="here", returns=["there", "here"]),
        ]
    )
    for given in (client, cluster.scheduler_address):
        result = await pipeline.execute(parameters={"x": 4}, executor=DaskExecutor(given))
        assert (8, os.getpid()) == (result.parameters["x"], result.parameters["here"])
        assert os.getpid() != result.parameters["there"]


async def test_a_task_on_the_cluster_is_tried_again(client: Client, tmp_path: Path) -> None:
    """Retries are the pipeline's: the run log has both attempts, the first with its traceback on the worker."""
    task = PythonTask(cluster_functions.fail_once, returns=["said"], retry=Retry(attempts=2, delay=0))
    result = await Pipeline([task]).execute(parameters={"log": str(tmp_path / "log")}, executor=DaskExecutor(client))
    assert "at last" == result.parameters["said"]
    first, second = result.log.steps[0].attempts
    assert ("failed", "OSError: a moment ago", "succeeded") == (first.status, first.error, second.status)
    assert "on a worker of Dask" in first.traceback
    assert "in fail_once" in first.traceback


async def test_overrides_reach_the_scheduler(client: Client, tmp_path: Path) -> None:
    """What a task says to the executor is passed on, as it is to try again by itself; what there is not is told."""
    task = PythonTask(cluster_functions.fail_once, returns=["said"], overrides={"dask": {"retries": 1, "priority": 5}})
    result = await Pipeline([task]).execute(parameters={"log": str(tmp_path / "log")}, executor=DaskExecutor(client))
    assert "at last" == result.parameters["said"]
    assert 1 == len(result.log.steps[0].attempts)
    task = PythonTask(cluster_functions.where, overrides={"dask": {"resource": {"GPU": 1}}})
    with pytest.raises(DaskError, match="the option 'resource', which there is not; did you mean 'resources'?"):
        await Pipeline([task]).execute(executor=DaskExecutor(client))


async def test_a_pipeline_that_is_left_ends_its_function_on_the_cluster(client: Client, tmp_path: Path) -> None:
    """Leaving the stream of a run gives up what runs on the cluster, which has ended once the block is left."""
    log = tmp_path / "log"
    pipeline = Pipeline([PythonTask(cluster_functions.until_unwanted, returns=["said"])])
    async with pipeline.stream(parameters={"log": str(log)}, executor=DaskExecutor(client, grace=20)) as events:
        async for _ in events:
            await begun(log)
            break
    assert "ended" == log.read_text()


async def test_a_timeout_of_a_task_holds_on_the_cluster(client: Client, tmp_path: Path) -> None:
    """A sync function with a timeout may run there if it may run in a process: it is given up in time."""
    log = tmp_path / "log"
    task = PythonTask(cluster_functions.until_unwanted, timeout=1, offload="process")
    with pytest.raises(NodeError, match="it passed its timeout of 1 s"):
        await Pipeline([task]).execute(parameters={"log": str(log)}, executor=DaskExecutor(client, grace=20))
    assert "ended" == log.read_text()


@pytest.mark.filterwarnings("ignore")  # of Dask's own, in its threads, about the worker that died
async def test_a_lost_worker_is_a_failed_attempt(client: Client, tmp_path: Path) -> None:
    """A task whose worker died is tried again as its policy says, on the next worker."""
    task = PythonTask(cluster_functions.die_once, returns=["said"], retry=Retry(attempts=2, delay=0))
    with anyio.fail_after(60):
        result = await Pipeline([task]).execute(
            parameters={"log": str(tmp_path / "log")}, executor=DaskExecutor(client)
        )
    first, second = result.log.steps[0].attempts
    assert ("failed", "succeeded", "at last") == (first.status, second.status, result.parameters["said"])
    assert "was lost with its workers" in first.error


@pytest.mark.filterwarnings("ignore")  # of Dask's own, in its threads, about the worker that died
async def test_a_lost_worker_is_told_and_the_cluster_goes_on(client: Client) -> None:
    """A function that takes its worker down is an error that says so, and the next one runs on a new worker."""
    with pytest.raises(DaskError, match="die was lost with its workers"):
        await run_on_dask(client, cluster_functions.die)
    with anyio.fail_after(60):
        assert 3 == await run_on_dask(client, cluster_functions.add, {"x": 1, "y": 2})
