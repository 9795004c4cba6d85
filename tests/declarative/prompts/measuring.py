"""How much work a call is: the time of its thread, and the memory that it takes at its peak."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

__all__ = ["peak_of", "seconds_of"]


def seconds_of(work: Callable[[], object], enough: float) -> float:
    """The time that a call takes on the processor, in seconds; the better of two if the first is not enough."""
    found = _seconds_of(work)
    return found if found < enough else min(found, _seconds_of(work))


def _seconds_of(work: Callable[[], object]) -> float:
    start = time.thread_time()
    work()
    return time.thread_time() - start


def peak_of(work: Callable[[], object]) -> int:
    """The most bytes that a call has in use at once."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
