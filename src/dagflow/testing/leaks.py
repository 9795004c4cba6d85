"""Check that a block of code leaves nothing behind: tasks, threads, processes, descriptors, limiter tokens."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from types import FrameType

import anyio
import attrs
from anyio import CapacityLimiter
from anyio.to_thread import current_default_thread_limiter

from dagflow.testing.blocking.interception import beneath

__all__ = ["assert_no_leaks"]

SET_CHILD_SUBREAPER, GET_CHILD_SUBREAPER = 36, 37  # of prctl(2)


@attrs.frozen
class Census:
    """What there is at one moment, each thing by its identity, with a line that describes it."""

    tasks: dict[object, str]
    threads: dict[object, str]
    processes: dict[object, str]
    descriptors: dict[object, str]
    tokens: dict[object, str]

    def since(self, before: Census) -> list[str]:
        """List what is here and was not there before."""
        return [
            line
            for kind in ("tasks", "threads", "processes", "descriptors", "tokens")
            for key, line in getattr(self, kind).items()
            if key not in getattr(before, kind)
        ]


@asynccontextmanager
async def assert_no_leaks(*limiters: CapacityLimiter, timeout: float = 1.0) -> AsyncIterator[None]:
    """Check, as `async with assert_no_leaks():`, that the block leaves nothing behind.

    What is there when the block ends and was not when it began is a leak: tasks of the event loop, threads
    (but for worker threads of anyio and trio that wait for work), child processes and all that they started,
    even orphans and daemons (on Linux), zombies that nobody has waited for, open file descriptors (on Linux),
    and tokens of `limiters` and of the default thread limiter. What ends by itself within `timeout` seconds
    of real time is none.

    Raises `AssertionError` that lists each leak. A block that raises is not checked. Needs psutil, which the
    `testing` extra installs. On Linux our process is the "child subreaper" meanwhile: orphans become our
    children, so that they can be found.
    """
    limiters = (*limiters, current_default_thread_limiter())
    with adopting_orphans():
        before = take_census(limiters, ours_before=frozenset())
        known = frozenset(before.processes)

        def leaks() -> list[str]:
            return take_census(limiters, ours_before=known).since(before)

        yield
        if left := leaks():
            gc.collect()  # it closes what a reference cycle holds, but takes long
        deadline = time.monotonic() + timeout
        while left and time.monotonic() < deadline:
            await anyio.sleep(0.002)  # lets tasks go on; under a virtual clock it takes no real time, so:
            time.sleep(0.002)  # noqa: ASYNC251
            left = leaks()
    if left:
        raise AssertionError("\n".join(["the block left behind:", *(f"  - {line}" for line in left)]))


def take_census(limiters: Sequence[CapacityLimiter], *, ours_before: frozenset[object]) -> Census:
    return Census(
        tasks=dict(all_tasks()),
        threads=dict(threads()),
        processes=dict(processes(ours_before)),
        descriptors=dict(descriptors()),
        tokens=dict(tokens(limiters)),
    )


def all_tasks() -> Iterator[tuple[object, str]]:
    if (trio := sys.modules.get("trio")) is None or not trio.lowlevel.in_trio_task():
        import asyncio

        for task in asyncio.all_tasks():
            yield task, f"task {task.get_name()!r} ({task.get_coro()!r})"
        return
    pending = [trio.lowlevel.current_root_task()]
    while pending:
        task = pending.pop()
        yield task, f"task {task.name!r} ({task.coro!r})"
        pending.extend(child for nursery in task.child_nurseries for child in nursery.child_tasks)


def threads() -> Iterator[tuple[object, str]]:
    frames = sys._current_frames()
    for thread in threading.enumerate():
        frame = beneath(frames.get(thread.ident or 0))
        if not is_idle_worker(thread.name, frame):
            where = f" in {frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})" if frame else ""
            yield thread, f"thread {thread.name!r}{where}"


def is_idle_worker(name: str, frame: FrameType | None) -> bool:
    """Whether a thread that stands at `frame` is kept for later by the event loop, and waits for work.

    Neither loop says so in public, so it is told by the innermost frame of its pool.
    """
    if frame is not None and name.startswith("asyncio_") and is_in(frame, "concurrent/futures/thread.py"):
        return frame.f_code.co_name == "_worker"
    while frame is not None:
        if is_in(frame, "trio/_core/_thread_cache.py"):
            return frame.f_code.co_name == "_work"  # else it is `_handle_job`
        if is_in(frame, "anyio/_backends/_asyncio.py") and frame.f_code.co_qualname == "WorkerThread.run":
            return "func" not in frame.f_locals
        frame = frame.f_back
    return False


def is_in(frame: FrameType, file: str) -> bool:
    return frame.f_code.co_filename.endswith(file)


def processes(before: frozenset[object]) -> Iterator[tuple[object, str]]:
    """Find our descendants, but for those of children that were there before: they are none of the block's."""
    import psutil

    pending = [psutil.Process()]
    while pending:
        for process in pending.pop().children():
            key = (process.pid, process.create_time())
            if key in before:
                yield key, ""
                continue
            try:
                if process.status() != psutil.STATUS_ZOMBIE:
                    pending.append(process)
                    yield key, f"process {process.pid} ({' '.join(process.cmdline())}), {process.status()}"
                elif process.ppid() != os.getpid() or has_owner(process.pid):
                    yield key, f"process {process.pid} ({process.name()}), dead and not waited for"
                else:
                    reap(process.pid)
            except psutil.ZombieProcess:  # it ended between two questions; the next look reaps it, if it is ours
                yield key, f"process {process.pid}, dead and not waited for"
            except psutil.NoSuchProcess:  # it is gone
                continue


def has_owner(process: int) -> bool:
    """Whether a `Popen` of this process still has to wait for its child; else it is an orphan that we adopted."""
    return any(
        type(item).__name__ == "Popen" and getattr(item, "pid", None) == process and item.returncode is None
        for item in gc.get_objects()
    )


def reap(process: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(process, os.WNOHANG)


def descriptors() -> Iterator[tuple[object, str]]:
    try:
        numbers = os.listdir("/proc/self/fd")
    except FileNotFoundError:
        return
    for number in numbers:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except FileNotFoundError:  # the one that listed the folder
            continue
        yield (number, target), f"file descriptor {number} ({target})"


def tokens(limiters: Sequence[CapacityLimiter]) -> Iterator[tuple[object, str]]:
    for limiter in limiters:
        statistics = limiter.statistics()
        for borrower in statistics.borrowers:
            yield (id(limiter), id(borrower)), f"token of {limiter!r}, borrowed by {borrower!r}"


@contextmanager
def adopting_orphans() -> Iterator[None]:
    """Make orphans of our descendants our own children meanwhile (Linux; nothing elsewhere)."""
    if not sys.platform.startswith("linux"):
        yield
        return
    import ctypes

    prctl = ctypes.CDLL(None, use_errno=True).prctl
    was = ctypes.c_int()
    prctl(GET_CHILD_SUBREAPER, ctypes.byref(was), 0, 0, 0)
    prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SET_CHILD_SUBREAPER, was.value, 0, 0, 0)
