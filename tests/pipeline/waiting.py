"""A function that a process of its own can import, and that starts a process itself."""

from __future__ import annotations

import os
import subprocess


def wait_long(seconds: float = 60.0) -> int:
    child = subprocess.Popen(["sleep", str(seconds)])
    child.wait()
    return os.getpid()
