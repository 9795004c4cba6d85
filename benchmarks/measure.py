"""Take medians of variants that are measured in turn, so that noise hits them all alike."""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

Call = Callable[[], Awaitable[Any]]


@contextmanager
def without_old_garbage() -> Iterator[None]:
    """Take what exists now out of the collector's sight: the heap of one engine must not slow down another."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def seconds_each(variants: Mapping[str, Call], *, repeats: int, inner: int = 1) -> dict[str, float]:
    """Give the median seconds of a call of each variant: `repeats` rounds, in each `inner` calls of every one."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    with without_old_garbage():
        for _ in range(repeats):
            for name, call in variants.items():
                gc.collect()
                began = perf_counter()
                for _ in range(inner):
                    await call()
                taken[name].append((perf_counter() - began) / inner)
    return {name: median(times) for name, times in taken.items()}


def milliseconds(make: Callable[[], Callable[[], object]], *, repeats: int) -> float:
    """Give the median milliseconds of what `make` prepares; it prepares afresh for each repetition."""
    times = []
    for _ in range(repeats):
        call = make()
        with without_old_garbage():
            began = perf_counter()
            call()
            times.append((perf_counter() - began) * 1000)
    return median(times)
