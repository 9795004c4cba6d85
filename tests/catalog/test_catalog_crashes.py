"""A catalog that is cancelled, killed, or used by several processes at once stays whole."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from catalog.places import At
from dagflow.catalog import FileCatalog
from dagflow.testing.faults import sweep_cancellations
from dagflow.testing.leaks import assert_no_leaks

PROGRAM = """
import sys
from pathlib import Path
import anyio
from catalog.places import At
from dagflow.catalog import FileCatalog

async def main():
    catalog, work, name = FileCatalog(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    work.mkdir(exist_ok=True)
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(int(sys.argv[4])):
        (work / name).write_text(f"{number % 7}" * 100_000)
        (work / f"{name}-{number}").write_text(f"{number}")
        await catalog.put([name, f"{name}-{number}"], work, At(path=(name,)))
        print(number, flush=True)

anyio.run(main)
"""


def program(catalog: FileCatalog, work: Path, name: str, times: int) -> subprocess.Popen[str]:
    tests = str(Path(__file__).parent.parent)
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(catalog.root), str(work), name, str(times)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": tests},
    )


def start(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    process.stdin.write("\n")
    process.stdin.flush()


async def check(catalog: FileCatalog) -> None:
    """Every object is what its name says, and every file of the run can be read."""
    for path in catalog.root.glob("objects/*/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name + path.name
    for file in await FileCatalog(catalog.root).files("run"):
        data = await catalog.read("run", file.path)
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.slow
@pytest.mark.one_backend("other processes do the work")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_processes_share_a_catalog(tmp_path: Path) -> None:
    """Processes that put equal contents into one run at the same time lose nothing."""
    catalog = FileCatalog(tmp_path / "catalog")
    processes = [program(catalog, tmp_path / f"work{name}", f"n{name}", 10) for name in range(3)]
    for process in processes:
        start(process)
    for process in processes:
        await anyio.to_thread.run_sync(process.communicate)
        assert 0 == process.returncode
    assert 33 == len(await catalog.files("run"))
    await check(catalog)
    assert [] == list(catalog.root.glob("**/.dagflow-*"))


@pytest.mark.slow
@pytest.mark.one_backend("other processes do the work")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_killed_process_leaves_a_whole_catalog(tmp_path: Path) -> None:
    """Whenever a process is killed, what it had put is there, nothing is half there, and the next goes on."""
    catalog = FileCatalog(tmp_path / "catalog")
    for turn in range(6):
        process = program(catalog, tmp_path / "work", f"t{turn}", 1000)
        start(process)
        assert process.stdout is not None
        process.stdout.readline()
        await anyio.sleep(0.003 * turn)
        process.kill()
        told = len(process.communicate()[0].splitlines()) + 1
        put = [file for file in await FileCatalog(catalog.root).files("run") if file.path.startswith(f"t{turn}-")]
        assert told <= len(put) <= told + 1
        await check(catalog)
    (tmp_path / "work" / "last").write_text("1")
    await catalog.put(["last"], tmp_path / "work", At())
    await check(catalog)


@pytest.mark.slow
async def test_a_cancelled_put_keeps_nothing_that_is_seen(tmp_path: Path) -> None:
    """However far a put has come when it is cancelled, the run has all of its files or none, and nothing leaks."""
    (tmp_path / "work").mkdir()
    for name in "abc":
        (tmp_path / "work" / name).write_text(name)
    turn = 0

    async def put() -> None:
        nonlocal turn
        turn += 1
        catalog = FileCatalog(tmp_path / f"catalog{turn}")
        try:
            await catalog.put(["*"], tmp_path / "work", At())
        finally:
            with anyio.CancelScope(shield=True):
                assert len(await catalog.files("run")) in (0, 3)
                assert [] == list(catalog.root.glob("**/.dagflow-*"))

    async with assert_no_leaks():
        outcomes = await sweep_cancellations(put)
    assert outcomes[-1].completed


@pytest.mark.slow
async def test_a_large_file_is_given_up_soon(tmp_path: Path) -> None:
    """A cancellation does not wait for the whole of a large file."""
    catalog = FileCatalog(tmp_path / "catalog")
    (tmp_path / "work").mkdir()
    with (tmp_path / "work" / "large").open("wb") as file:
        file.truncate(8 << 30)
    async with assert_no_leaks():
        with anyio.move_on_after(0.05) as scope:
            await catalog.put(["large"], tmp_path / "work", At())
    assert scope.cancelled_caught
    assert [] == [path for path in catalog.root.rglob("*") if path.is_file()]


async def test_a_held_index_is_waited_for_and_given_up(tmp_path: Path) -> None:
    """A put waits while another process holds the index, and can be cancelled meanwhile."""
    import fcntl

    catalog = FileCatalog(tmp_path / "catalog")
    await catalog.put_bytes("a", b"1", At())
    with (catalog.run_folder("run") / "index.jsonl").open() as index:
        fcntl.flock(index, fcntl.LOCK_EX)
        with anyio.move_on_after(0.05) as scope:
            await catalog.put_bytes("b", b"2", At())
        assert scope.cancelled_caught
        async with anyio.create_task_group() as group:
            group.start_soon(catalog.put_bytes, "c", b"3", At())
            await anyio.sleep(0.02)
            fcntl.flock(index, fcntl.LOCK_UN)
    assert ["a", "c"] == [file.path for file in await catalog.files("run")]


async def test_what_nobody_finished_is_removed_a_day_later(tmp_path: Path) -> None:
    """Files that a killed process left half written are removed, those of others that still write are not."""
    catalog = FileCatalog(tmp_path / "catalog")
    objects = catalog.root / "objects"
    objects.mkdir(parents=True)
    for name, age in (("old", 25), ("new", 1)):
        (objects / f".dagflow-{name}").write_text("")
        os.utime(objects / f".dagflow-{name}", (0, time.time() - age * 3600))
    await catalog.put_bytes("a", b"1", At())
    assert [".dagflow-new"] == [path.name for path in objects.glob(".dagflow-*")]
