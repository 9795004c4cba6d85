"""The detector finds each kind of call that blocks an event loop, and nothing where there is none."""

# ruff: noqa: ASYNC230, ASYNC251 (blocking is what is tested)

import fcntl
import hashlib
import importlib
import logging
import os
import queue
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.lowlevel import checkpoint

import blocking
from dagflow.testing.blocking import BlockingCall, EventLoopBlocked, blocking_detector
from dagflow.testing.blocking.stalls import activity
from dagflow.testing.leaks import assert_no_leaks


@contextmanager
def found(*calls: str) -> Iterator[None]:
    """Expect that the block makes these blocking calls and no others."""
    with pytest.raises(EventLoopBlocked) as caught, blocking_detector(__name__):
        yield
    assert sorted(calls) == sorted({found.call for found in caught.value.calls}), caught.value


def wait_for_event(folder: Path) -> None:
    threading.Event().wait(0.001)


def wait_for_lock(folder: Path) -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=0.001)


def wait_for_thread(folder: Path) -> None:
    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    thread.join(0.001)
    gate.set()


def wait_for_item(folder: Path) -> None:
    with suppress(queue.Empty):
        queue.SimpleQueue[int]().get(timeout=0.001)


def wait_for_child(folder: Path) -> None:
    child = os.fork()
    if child == 0:
        time.sleep(0.1)
        os._exit(0)
    os.waitpid(child, 0)


def read_socket(folder: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        theirs.send(b"hello")
        ours.recv(5)


def read_pipe(folder: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.write(writer, b"hello")
    os.read(reader, 5)
    os.close(reader)
    os.close(writer)


def lock_file(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    os.close(descriptor)


def query(folder: Path) -> None:
    sqlite3.connect(":memory:").execute("select 1").connection.close()


BLOCKING: dict[str, tuple[Callable[[Path], object], set[str]]] = {
    "sleep": (lambda folder: time.sleep(0.001), {"time.sleep"}),
    "open": (lambda folder: open(folder / "new", "w").close(), {"builtins.open"}),
    "write_text": (
        lambda folder: (folder / "new").write_text("text"),
        {"io.open", "io.TextIOWrapper.write"},
    ),
    "listdir": (lambda folder: os.listdir(folder), {"os.listdir"}),
    "scandir": (lambda folder: list(os.scandir(folder.parent)), {"os.scandir"}),
    "stat": (lambda folder: folder.exists(), {"os.stat"}),
    "remove": (lambda folder: shutil.rmtree(folder), {"os.lstat", "os.open", "os.rmdir"}),
    "flock": (lock_file, {"os.open", "fcntl.flock"}),
    "popen": (lambda folder: subprocess.Popen(["sleep", "0.1"]).wait(), {"subprocess.Popen", "os.waitpid"}),
    "waitpid": (wait_for_child, {"os.waitpid"}),
    "sqlite": (query, {"sqlite3.connect", "sqlite3.Connection.execute"}),
    "socket": (read_socket, {"socket.socket.recv"}),
    "name": (lambda folder: socket.getaddrinfo("localhost", 80), {"socket.getaddrinfo"}),
    "pipe": (read_pipe, {"os.read"}),
    "event": (wait_for_event, {"threading.Lock.acquire"}),
    "lock": (wait_for_lock, {"threading.Lock.acquire"}),
    "thread": (wait_for_thread, {"threading.Thread.join"}),
    "queue": (wait_for_item, {"queue.SimpleQueue.get"}),
}


@pytest.mark.parametrize("name", BLOCKING)
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
async def test_blocking_call_is_found(name: str, tmp_path: Path) -> None:
    """Each kind of call that waits is found in a task, by its name."""
    block, calls = BLOCKING[name]
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(EventLoopBlocked) as caught, blocking_detector(__name__):
        block(folder)
    told = {call.call for call in caught.value.calls}
    assert calls <= told
    # What these two call to their end depends on the version of Python.
    assert name in ("remove", "write_text") or calls == told, caught.value


async def test_error_says_what_where_and_what_to_do() -> None:
    """The error names the call, the line of our code with its callers, and what to do instead."""

    def inner() -> None:
        time.sleep(0.001)

    def outer() -> None:
        inner()

    with pytest.raises(EventLoopBlocked) as caught, blocking_detector(__name__):
        outer()
    [call] = caught.value.calls
    line = inner.__code__.co_firstlineno + 1
    assert f"tests/testing/test_blocking.py:{line})" in call.place.replace(os.sep, "/") or f":{line})" in call.place
    name = "test_error_says_what_where_and_what_to_do.<locals>"
    assert f"the event loop was blocked by:\n  - time.sleep in {name}.inner (" in str(caught.value)
    assert f", called by {name}.outer (" in str(caught.value)
    assert "await anyio.sleep" in str(caught.value)


async def test_callbacks_count() -> None:
    """A call in a callback of the event loop's, outside of any task, is found as well."""
    done = anyio.Event()

    def callback() -> None:
        time.sleep(0.001)
        done.set()

    with found("time.sleep"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.to_thread.run_sync, anyio.from_thread.run_sync, callback)
            await done.wait()


async def test_every_place_is_told_once() -> None:
    """A call in a loop is told once, calls at two places twice."""
    with pytest.raises(EventLoopBlocked) as caught, blocking_detector(__name__):
        for _ in range(3):
            time.sleep(0.001)
        time.sleep(0.001)
    assert 2 == len(caught.value.calls)


async def test_swallowing_does_not_help() -> None:
    """Nothing is raised where the call is made, so that no handler can swallow it and no clean-up breaks."""
    done = []
    with found("time.sleep"):
        try:
            time.sleep(0.001)
        except BaseException:
            pytest.fail("raised in the code under test")
        done.append(True)
    assert done


async def test_calls_so_far_are_given() -> None:
    """The block can look at what was found so far."""
    with pytest.raises(EventLoopBlocked), blocking_detector(__name__) as calls:
        assert [] == calls
        time.sleep(0.001)
        assert ["time.sleep"] == [call.call for call in calls]
        assert isinstance(calls[0], BlockingCall)


async def test_exception_of_the_block_comes_through() -> None:
    """An exception of the block's own is raised as it is, with a note of what was found."""
    with pytest.raises(LookupError) as caught, blocking_detector(__name__):
        time.sleep(0.001)
        raise LookupError
    assert "time.sleep" in caught.value.__notes__[0]


async def test_calls_of_libraries_count_as_their_callers() -> None:
    """What a library does is told at the line of ours that called it."""
    with pytest.raises(EventLoopBlocked) as caught, blocking_detector(__name__):
        shutil.which("no-such-program")
    assert all("test_calls_of_libraries" in call.place for call in caught.value.calls)


async def test_other_code_does_not_count() -> None:
    """Code of other modules, and of excluded ones, may block, though ours awaits it."""
    with blocking_detector("dagflow"):
        time.sleep(0.001)
    with blocking_detector("dagflow", exclude=["dagflow.testing"]):
        async with assert_no_leaks():  # reads /proc
            pass
    with blocking_detector(exclude=[__name__]):
        time.sleep(0.001)


async def test_without_modules_all_but_libraries_count() -> None:
    """Without modules, every module counts that is neither installed nor of the standard library."""
    with pytest.raises(EventLoopBlocked), blocking_detector():
        time.sleep(0.001)


async def test_worker_threads_are_free() -> None:
    """A worker thread may block."""
    with blocking_detector(__name__):
        await anyio.to_thread.run_sync(time.sleep, 0.001)


async def test_child_processes_are_free() -> None:
    """A child that is waited for with `await` may block, and starting it is no call of ours."""
    with blocking_detector(__name__, allow={f"{__name__}:start": "a vfork"}):
        await start()


async def start() -> None:
    await anyio.run_process([sys.executable, "-S", "-c", "import time; time.sleep(0.001)"])


async def test_imports_are_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing a module within a task is free, with all that the module does while it is imported."""
    (tmp_path / "imported_lazily.py").write_text("open(__file__).close()")
    monkeypatch.syspath_prepend(tmp_path)
    with blocking_detector():
        importlib.import_module("imported_lazily")


def test_outside_of_an_event_loop_all_is_free() -> None:
    """What runs before, after and beside an event loop may block."""
    with blocking_detector(__name__):
        time.sleep(0.001)
        anyio.run(anyio.sleep, 0)
        time.sleep(0.001)


async def test_calls_that_return_at_once_are_free(capfd: pytest.CaptureFixture[str]) -> None:
    """Calls that would not wait are none: sockets and pipes that do not block, free locks, queues with items."""
    with open(__file__) as file, blocking_detector(__name__):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            with suppress(BlockingIOError):
                ours.recv(1)
        lock = threading.Lock()
        assert lock.acquire()
        assert not lock.acquire(blocking=False)
        items = queue.SimpleQueue[int]()
        items.put(1)
        assert 1 == items.get()
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join(0)
        socket.getaddrinfo("127.0.0.1", 80, flags=socket.AI_NUMERICHOST)
        print("hello")
        logging.getLogger("x").warning("hello")


async def test_allowed_functions_are_free() -> None:
    """A function that is allowed may block, itself and in sync functions that it calls; nobody else may."""

    def inner() -> None:
        time.sleep(0.001)

    def outer() -> None:
        inner()

    async def awaiting() -> None:
        outer()

    name = f"{__name__}:test_allowed_functions_are_free"
    for allowed in ("inner", "outer", "awaiting"):
        with blocking_detector(__name__, allow={f"{name}.<locals>.{allowed}": "a test"}):
            await awaiting()
    with pytest.raises(EventLoopBlocked), blocking_detector(__name__, allow={name: "what it awaits is not sync"}):
        await awaiting()


@pytest.mark.parametrize("allow", [{"time.sleep": "no module"}, {"module:function": " "}])
def test_allowed_functions_need_a_reason(allow: dict[str, str]) -> None:
    """What is allowed is named by its module, and has a reason."""
    with pytest.raises(ValueError, match="and the reason"), blocking_detector(allow=allow):
        pass


def test_missing_module_is_told() -> None:
    """A module whose calls are to be looked at must be there."""
    with pytest.raises(ModuleNotFoundError, match="no module 'no_such_module'"), blocking_detector("no_such_module"):
        pass


async def test_detectors_nest() -> None:
    """Each detector looks at its own modules, whatever others are active."""
    with pytest.raises(EventLoopBlocked), blocking_detector(__name__):
        with blocking_detector("dagflow"):
            time.sleep(0.001)
        with pytest.raises(EventLoopBlocked), blocking_detector(__name__):
            time.sleep(0.001)


def compute(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def wait_unseen(seconds: float) -> None:
    """Wait in a way that nobody intercepts."""
    lock = threading.Lock()
    lock.acquire()
    timer = threading.Timer(seconds, lock.release)
    timer.start()
    with lock:
        timer.join()


async def test_computing_is_found() -> None:
    """A step that computes for longer than the limit is found, at the line where it was seen."""
    with pytest.raises(EventLoopBlocked) as caught, blocking_detector(__name__, limit=0.05):
        await checkpoint()
        compute(0.15)
    [call] = caught.value.calls
    assert "s of computing without a pause in compute (" in str(call)


async def test_computing_in_short_steps_is_free() -> None:
    """Computing that lets others run in between holds nobody up, however long it takes."""
    with blocking_detector(__name__, limit=0.1):
        for _ in range(15):
            compute(0.01)
            await checkpoint()


async def test_sleeping_unseen_is_found() -> None:
    """A step that waits in a call that is not intercepted is found."""
    with pytest.raises(EventLoopBlocked) as caught, blocking_detector(__name__, limit=0.05):
        await checkpoint()
        wait_unseen(0.15)
    assert "a call that slept for 0." in str(caught.value)
    assert "in wait_unseen (" in str(caught.value)


async def test_waiting_for_the_event_loop_is_free() -> None:
    """A task that sleeps or waits for a thread holds nobody up."""
    with blocking_detector(__name__, limit=0.05):
        await anyio.sleep(0.08)
        await anyio.to_thread.run_sync(compute, 0.08)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what threads do is told on Linux only")
def test_starved_thread_is_awake() -> None:
    """A thread that computes is not asleep, though it may not get to run and stands where it stood before."""
    stop = threading.Event()

    def hash_on() -> None:
        while not stop.is_set():
            hashlib.pbkdf2_hmac("sha256", b"", b"", 20_000)  # without the GIL, but for an instant in between

    asleep, awake = threading.Thread(target=stop.wait), threading.Thread(target=hash_on)
    asleep.start()
    awake.start()
    time.sleep(0.01)
    seen = [(activity(asleep.ident or 0)[0], activity(awake.ident or 0)[0]) for _ in range(20)]
    stop.set()
    awake.join()
    asleep.join()
    assert sum(sleeps for sleeps, _ in seen) > 10
    assert sum(sleeps for _, sleeps in seen) < 10


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.slow
def test_stopped_process_is_none(backend: str) -> None:
    """A step that takes long because the process did not get to run is no stall."""
    source = f"""
        import anyio, time
        from dagflow.testing.blocking import blocking_detector

        def compute_until_stopped():
            last = time.monotonic()
            print("started", flush=True)
            while (now := time.monotonic()) - last < 0.5:
                last = now

        async def main():
            await anyio.sleep(0)
            compute_until_stopped()

        with blocking_detector(limit=0.5):
            anyio.run(main, backend={backend!r})
        """
    command = [sys.executable, "-c", textwrap.dedent(source)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"started\n" == process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.7)
        process.send_signal(signal.SIGCONT)
        assert b"" == process.stderr.read()
    assert 0 == process.returncode


@pytest.mark.slow
def test_everything_is_put_back() -> None:
    """After the last detector every function is the one that it was, and no thread is left."""
    source = """
        import asyncio, builtins, io, os, socket, sqlite3, subprocess, threading, time, trio
        from dagflow.testing.blocking import blocking_detector, intercepting

        def functions():
            return (
                time.sleep, os.read, builtins.open, io.open, subprocess.Popen.__init__, socket.socket.send,
                vars(threading.Lock().__class__)["acquire"], sqlite3.Cursor.execute, io.TextIOWrapper.read,
                asyncio.Handle._run, trio.run, trio.lowlevel.start_guest_run, "send" in vars(socket.socket),
            )

        before, threads = functions(), threading.active_count()
        with intercepting():
            inside = functions()
            with blocking_detector():
                pass
            assert inside == functions()
        assert all(mine is not theirs for mine, theirs in zip(before[:-1], inside[:-1]))
        assert before == functions()
        assert threads == threading.active_count()
        with blocking_detector():
            assert before != functions()
        assert before == functions()
        """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(source)], check=True)


@pytest.mark.slow
def test_missing_library_is_named() -> None:
    """Without blockbuster the error names the extra that installs it."""
    source = """
        import sys
        sys.modules["blockbuster"] = None
        from dagflow.testing.blocking import blocking_detector
        with blocking_detector():
            pass
        """
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], capture_output=True, text=True)
    assert "pip install 'dagflow[testing]'" in told.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", blocking.ALLOWED)
def test_what_dagflow_allows_itself_is_there(name: str) -> None:
    """Every function that our own suite allows to block exists, so that no entry outlives its reason."""
    module, _, path = name.partition(":")
    target: object = importlib.import_module(module)
    for part in path.split("."):
        target = getattr(target, part)
    assert callable(target)
