"""Where runs of many processes take place: on each store, on each event loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal, get_args

import pytest

from dagflow.testing.redis_server import RedisServer
from durable.killed.processes import scratch
from durable.killed.sweep import Place

__all__ = ["STORES", "StoreName", "Stores", "begin_stores"]

StoreName = Literal["sqlite", "redis"]
STORES: tuple[StoreName, ...] = get_args(StoreName)


class Stores:
    """The stores of a module's tests, by name."""

    def __init__(self, folder: Path, addresses: Mapping[StoreName, str]) -> None:
        self._folder = folder
        self._addresses = addresses

    def place(self, store: StoreName, backend: str, *, name: str) -> Place:
        """Give a place for the runs of one test, with ledgers of its own by a `name`."""
        folder = self._folder / f"{store}-{backend}-{name}"
        folder.mkdir()
        return Place(self._addresses[store], backend, folder)


@contextmanager
def begin_stores(*names: StoreName) -> Iterator[Stores]:
    """Make stores; the Redis one with a server that writes each append to its disk."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch())
        addresses: dict[StoreName, str] = {"sqlite": str(folder / "runs.db")}
        if "redis" in names:
            if reason := RedisServer.missing():
                pytest.skip(reason)
            addresses["redis"] = stack.enter_context(RedisServer(folder)).url
        yield Stores(folder, addresses)
