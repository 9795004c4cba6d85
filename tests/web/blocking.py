"""A detector of blocking calls in an event loop, for asyncio and trio alike."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import blockbuster.blockbuster as detector
import pytest

__all__ = ["detecting_blocking_calls"]


class Loops:
    """Stands for `asyncio` in the detector, which asks it for one thing: whether a loop runs here."""

    @staticmethod
    def get_running_loop() -> object:
        trio = getattr(sys.modules.get("trio"), "lowlevel", None)  # it may just be being imported
        if trio is not None and trio.in_trio_run():
            return trio
        return asyncio.get_running_loop()


@contextmanager
def detecting_blocking_calls() -> Iterator[None]:
    """Raise `BlockingError` from whatever blocks in an event loop below code of dagflow's, but for its test support."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(detector, "asyncio", Loops)
        with detector.blockbuster_ctx("dagflow", excluded_modules=["dagflow.testing"]) as found:
            for harmless in ("os.path.abspath", "os.getcwd"):  # they ask the kernel, and no disk
                found.functions[harmless].deactivate()
            yield
