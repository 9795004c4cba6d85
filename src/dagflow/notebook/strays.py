"""Ending what a notebook's cells started and the end of the kernel's session did not reach.

IPython gives every `!command` a terminal, and so a session of its own, and cells start daemons. All of them have the
kernel's environment, in which there is a mark that no other process has: by it they are found, whoever they belong to
now. Only on Linux; elsewhere what leaves the session escapes, as it does from any process of ours.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

__all__ = ["MARK", "end_strays"]

MARK: Final = "DAGFLOW_NOTEBOOK"
"""The environment variable that marks the processes of one notebook."""

_PATIENCE: Final = 2.0


def end_strays(mark: str) -> None:
    """Kill the processes that are marked, until there are none; blocks, for two seconds at most."""
    entry = f"{MARK}={mark}".encode()
    deadline = time.monotonic() + _PATIENCE
    # Again: a process can fork while others are looked at.
    while sum(_kill(process, entry) for process in _marked(entry)) and time.monotonic() < deadline:
        time.sleep(0.001)


def _marked(entry: bytes) -> Iterator[int]:
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return
    for name in names:
        if name.isdigit() and _has(int(name), entry):
            yield int(name)


def _has(process: int, entry: bytes) -> bool:
    try:
        with open(f"/proc/{process}/environ", "rb") as file:
            return entry in file.read().split(b"\0")
    except OSError:  # it is somebody else's, or has ended; a zombie has no environment
        return False


def _kill(process: int, entry: bytes) -> bool:
    """Kill a process that is still the marked one, and tell whether it was."""
    with suppress(OSError):
        descriptor = os.pidfd_open(process)
        try:
            if _has(process, entry):  # the number can have gone to a stranger before we had hold of it
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return True
        finally:
            os.close(descriptor)
    return False
