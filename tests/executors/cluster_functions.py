"""Functions that workers of a cluster import by name."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from dagflow.executors.dask_worker import cancelled


def add(x: int, y: int) -> int:
    return x + y


def where() -> int:
    return os.getpid()


def fail(x: int) -> int:
    raise LookupError(f"no {x}")


def late() -> None:
    raise TimeoutError("of its own")


def die() -> None:
    os._exit(3)


def unwritable() -> Any:
    return (number for number in range(3))


def until_unwanted(log: str) -> str:
    path = Path(log)
    path.write_text("began")
    for _ in range(400):
        if cancelled():
            path.write_text("ended")
            return "given up"
        time.sleep(0.02)
    return "nobody asked"


def deaf(log: str, seconds: float) -> None:
    Path(log).write_text("began")
    time.sleep(seconds)
    Path(log).write_text("ran on")


def double(x: int) -> int:
    assert not cancelled()
    return 2 * x


def fail_once(log: str) -> str:
    path = Path(log)
    if not path.exists():
        path.write_text("failed")
        raise OSError("a moment ago")
    return "at last"


def die_once(log: str) -> str:
    path = Path(log)
    if not path.exists():
        path.write_text("died")
        os._exit(3)
    return "at last"
