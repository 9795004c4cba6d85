"""`assert_no_leaks` finds each kind of leak, and nothing where there is none."""

# ruff: noqa: ASYNC220, ASYNC221, ASYNC222, ASYNC230 (what does not block leaves nothing behind)

import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import psutil
import pytest

from dagflow.testing.clock import virtual_backend
from dagflow.testing.leaks import assert_no_leaks

SOON = 0.02  # seconds to wait for what is a leak


@asynccontextmanager
async def leak_of(pattern: str) -> AsyncIterator[None]:
    with pytest.raises(AssertionError, match=rf"the block left behind:\n  - {pattern}") as caught:
        async with assert_no_leaks(timeout=SOON):
            yield
    assert 1 == str(caught.value).count("\n"), caught.value


async def test_nothing_is_no_leak() -> None:
    """A block that cleans up after itself passes, whatever it used meanwhile."""
    async with assert_no_leaks(), anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.sleep, 0)
        await anyio.to_thread.run_sync(os.getpid)
        with open("/dev/null"):
            subprocess.run(["true"], check=True)


async def test_what_was_there_is_no_leak() -> None:
    """Tasks, threads, processes and files from before the block are none of its own, though they work on."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    script = "read line; sleep 100 & echo started; wait"
    with (
        open("/dev/null"),
        subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            async with assert_no_leaks():
                process.stdin.write(b"go\n")
                process.stdin.flush()
                assert b"started\n" == process.stdout.readline()
            tasks.cancel_scope.cancel()
        for child in psutil.Process(process.pid).children():
            child.kill()
        process.kill()
    stop.set()
    thread.join()


async def test_task_is_found() -> None:
    """A task that goes on after the block is a leak."""
    async with anyio.create_task_group() as tasks:
        async with leak_of("task .*sleep_forever"):
            tasks.start_soon(anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


async def test_task_that_ends_soon_is_no_leak() -> None:
    """A task that ends by itself within the time allowed is none."""
    async with anyio.create_task_group() as tasks, assert_no_leaks():
        tasks.start_soon(anyio.sleep, 0.02)


@pytest.mark.parametrize("anyio_backend", [virtual_backend("asyncio"), virtual_backend("trio")])
async def test_virtual_time_passes_for_what_ends_soon(anyio_backend: object) -> None:
    """Under a virtual clock the time allowed is real, and virtual time passes meanwhile."""
    async with anyio.create_task_group() as tasks, assert_no_leaks():
        tasks.start_soon(anyio.sleep, 0.02)


async def test_thread_is_found() -> None:
    """A thread that the block started and that still runs is a leak."""
    stop = threading.Event()
    async with leak_of("thread 'mine' in .*wait"):
        thread = threading.Thread(target=stop.wait, name="mine")
        thread.start()
    stop.set()
    thread.join()


async def test_busy_worker_thread_is_found() -> None:
    """A worker thread of the event loop's is a leak while it works, with the token that it holds."""
    stop = threading.Event()
    entered = anyio.Event()

    def work() -> None:
        anyio.from_thread.run_sync(entered.set)
        stop.wait()

    async def call() -> None:
        await anyio.to_thread.run_sync(work)

    async with anyio.create_task_group() as tasks:
        with pytest.raises(AssertionError) as caught:
            async with assert_no_leaks(timeout=SOON):
                tasks.start_soon(call)
                await entered.wait()
        stop.set()
    lines = str(caught.value).splitlines()[1:]
    assert ["task", "thread", "token"] == [line.split()[1] for line in lines]


async def test_idle_worker_thread_is_no_leak() -> None:
    """A worker thread that waits for more work is kept by the event loop, and no leak."""
    async with assert_no_leaks():
        worker = await anyio.to_thread.run_sync(threading.current_thread)
        assert worker in threading.enumerate()


async def test_child_process_is_found() -> None:
    """A child that still runs is a leak."""
    async with leak_of(r"process \d+ \(sleep 100\), "):
        process = subprocess.Popen(["sleep", "100"])
    process.kill()
    process.wait()


async def test_zombie_is_found() -> None:
    """A child that nobody waited for is a leak, though it is dead."""
    async with leak_of(r"process \d+ \(true\), dead and not waited for"):
        process = subprocess.Popen(["true"])
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    process.wait()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="orphans are found on Linux only")
@pytest.mark.parametrize("how", ["", "setsid"])
async def test_orphan_is_found(how: str) -> None:
    """A grandchild whose parent has gone is a leak, in a session of its own too."""
    script = f"{how} sleep 100 >/dev/null & echo $!"
    async with leak_of(r"process \d+ \(sleep 100\), "):
        orphan = int(subprocess.run(["sh", "-c", script], check=True, stdout=subprocess.PIPE).stdout)
        while psutil.Process(orphan).name() != "sleep":
            await anyio.lowlevel.checkpoint()
    os.kill(orphan, signal.SIGKILL)
    os.waitpid(orphan, 0)  # it came to us


async def test_dead_orphan_is_no_leak() -> None:
    """An orphan that ends within the block is none, and is reaped: it would not be ours otherwise."""
    async with assert_no_leaks():
        found = subprocess.run(["sh", "-c", "sleep 0.01 >/dev/null & echo $!"], check=True, stdout=subprocess.PIPE)
    assert not psutil.pid_exists(int(found.stdout))


async def test_orphan_that_dies_while_it_is_looked_at_is_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ends between two questions about it is not passed over: the next look finds it dead."""
    status = psutil.Process.status
    asked: set[int] = set()

    def late(process: psutil.Process) -> str:
        if process.pid in asked:
            return status(process)
        asked.add(process.pid)
        return psutil.STATUS_RUNNING

    monkeypatch.setattr(psutil.Process, "status", late)
    async with assert_no_leaks():
        found = subprocess.run(["sh", "-c", "sleep 0.02 >/dev/null & echo $!"], check=True, stdout=subprocess.PIPE)
        orphan = int(found.stdout)
        while status(psutil.Process(orphan)) != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110  # nothing tells
            await anyio.sleep(0.001)
    assert orphan in asked
    assert not psutil.pid_exists(orphan)


def leak_file(path: Path) -> Callable[[], None]:
    number = os.open(path, os.O_RDONLY)
    return lambda: os.close(number)


def leak_pipe(path: Path) -> Callable[[], None]:
    reader, writer = os.pipe()
    os.close(writer)
    return lambda: os.close(reader)


@pytest.mark.parametrize(("leak", "target"), [(leak_file, "test_leaks.py"), (leak_pipe, r"pipe:\[\d+\]")])
async def test_descriptor_is_found(leak: Callable[[Path], Callable[[], None]], target: str) -> None:
    """A descriptor that is still open is a leak, named by what it leads to."""
    async with leak_of(rf"file descriptor \d+ \(.*{target}\)"):
        close = leak(Path(__file__))
    close()


async def test_what_the_collector_closes_is_no_leak() -> None:
    """A descriptor that only a reference cycle holds is closed by the collector, and no leak."""

    class Holder:
        def __init__(self) -> None:
            self.cycle = self
            self.descriptor = os.open(__file__, os.O_RDONLY)

        def __del__(self) -> None:
            os.close(self.descriptor)

    async with assert_no_leaks():
        Holder()


async def test_token_is_found() -> None:
    """A token of a limiter that is given is a leak while it is borrowed."""
    limiter = anyio.CapacityLimiter(2)
    await limiter.acquire_on_behalf_of("before")
    with pytest.raises(AssertionError, match="token of .*borrowed by 'job'"):
        async with assert_no_leaks(limiter, timeout=SOON):
            limiter.acquire_on_behalf_of_nowait("job")


async def test_failing_block_is_not_checked() -> None:
    """An exception of the block comes through, whatever the block left."""
    with pytest.raises(LookupError):
        async with assert_no_leaks(timeout=SOON):
            descriptor = os.open("/dev/null", os.O_RDONLY)
            raise LookupError
    os.close(descriptor)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a flag of Linux")
async def test_parent_of_orphans_is_put_back() -> None:
    """Orphans go where they went before, once the block is left."""
    async with assert_no_leaks():
        pass
    found = subprocess.run(["sh", "-c", "sleep 100 >/dev/null & echo $!"], check=True, stdout=subprocess.PIPE)
    orphan = psutil.Process(int(found.stdout))
    assert os.getpid() != orphan.ppid()
    orphan.kill()
