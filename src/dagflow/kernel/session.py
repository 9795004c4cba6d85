"""Find and signal the processes of a session whose leader is a child of ours."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

__all__ = ["living", "send_signal"]


def living(session: int) -> list[int]:
    """List the processes of a session that are not zombies, leader included; group only without `/proc`."""
    try:
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except FileNotFoundError:  # not Linux. There, a group of nothing but zombies cannot be signalled (EPERM)
        try:
            os.killpg(session, 0)
        except OSError:
            return []
        return [session]
    return [number for number in numbers if session_of(number) == session and not is_zombie(number, session)]


def session_of(process: int) -> int | None:
    try:
        return os.getsid(process)
    except OSError:
        return None


def is_zombie(process: int, session: int) -> bool:
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            state = file.read().rpartition(b")")[2].split()[0]
    except OSError:
        return True
    if state not in (b"Z", b"X"):
        return False
    if process != session:
        # Where we are process 1 of a container its orphans come to us, and nobody else reaps them.
        with suppress(ChildProcessError):
            os.waitpid(process, os.WNOHANG)
    return True


def send_signal(session: int, number: signal.Signals) -> None:
    """Signal every process group of a session. The leader must not have been reaped."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(session, number)
    # `timeout` and shells with job control put what they run into groups of their own.
    for process in living(session):
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process) != session:
                os.kill(process, number)
