"""Where runs of many processes take place: on each store, on each event loop."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import attrs

__all__ = ["STORES", "Place", "Places", "StoreName"]

StoreName = Literal["sqlite", "redis"]
STORES: tuple[StoreName, ...] = get_args(StoreName)


@attrs.frozen
class Place:
    """The store and the event loop of some runs, and a folder for their ledgers.

    `address` is where the store is; see `durable.killed.stores`. `name` begins the names of the runs' threads, because
    a store has more than one place.
    """

    store: StoreName
    address: str
    backend: str
    folder: Path

    @property
    def name(self) -> str:
        """The name of the place."""
        return self.folder.name

    def ledger(self, thread: str) -> Path:
        """Give the ledger of a thread."""
        return self.folder / thread.replace("/", "-")


class Places:
    """The places of a test run."""

    def __init__(self, folder: Path, redis: str) -> None:
        self._folder = folder
        self._addresses: dict[StoreName, str] = {"sqlite": str(folder / "runs.db"), "redis": redis}

    def at(self, store: StoreName, backend: str, name: str) -> Place:
        """Give a place of its own to a test, whose `name` no other has."""
        folder = self._folder / f"{name} {store} {backend}"
        folder.mkdir()
        return Place(store, self._addresses[store], backend, folder)
