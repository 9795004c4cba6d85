"""Programs that use an SQLite store in a process of their own, and what the tests write into stores."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dagflow.core.storage import Head, Record, Session

RUNNING = Head("G", "running")

PRELUDE = """
import os, signal, subprocess, sys, warnings
import anyio
from dagflow.core.storage import Head, Lease, Record
from dagflow.errors import CheckpointError, RunLocked
from dagflow.kernel.fault_points import armed
from dagflow.store.sqlite import SQLiteStore

def say(*words):
    print(*words, flush=True)

def die(point="", what=""):
    os.kill(os.getpid(), signal.SIGKILL)

store = SQLiteStore(sys.argv[1])
"""


def records(*numbers: int) -> list[Record]:
    """Make records whose texts tell their numbers."""
    return [Record(number, f'{{"number": {number}}}') for number in numbers]


async def begin(session: Session, thread_id: str, *numbers: int) -> None:
    """Write records to a new thread."""
    lease = await session.acquire(thread_id)
    await session.append(lease, records(*numbers or (1,)), values={}, head=RUNNING)
    await session.release(lease)


@contextmanager
def program(body: str, path: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program that has `store`, and kill it in the end."""
    command = [sys.executable, "-W", "error", "-c", PRELUDE + body, str(path), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: subprocess.Popen[str]) -> str:
    """Wait for the next line that a program says."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Say a line to a program."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()
