"""The catalog of files in a folder, for any number of runs at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from anyio.from_thread import check_cancelled
from anyio.to_thread import run_sync

from dagflow.catalog.layout import Layout, run_folder
from dagflow.catalog.spec import CatalogFile, Place

__all__ = ["FileCatalog"]

Folder = str | os.PathLike[str]


class FileCatalog:
    """Keeps files of runs below the folder `root`, which is made when the first file is kept.

    Made without I/O. Any number of runs, threads and processes on one machine may share a folder. Everything is read
    and written in worker threads; a cancelled call ends between two files, or two pieces of a large one, and keeps
    nothing that a run would see. Files are on the disk when `put` returns.
    """

    def __init__(self, root: Folder) -> None:
        self._layout = Layout(os.path.abspath(os.fspath(root)), check_cancelled)

    def __repr__(self) -> str:
        return f"FileCatalog({self._layout.path!r})"

    @property
    def root(self) -> Path:
        """The folder of the catalog."""
        return Path(self._layout.path)

    def run_folder(self, run_id: str) -> Path:
        """Name the folder of a run, which holds its view; other files about the run may be kept there, too."""
        return self.root / "runs" / run_folder(run_id)

    async def put(self, patterns: Sequence[str], folder: Folder, place: Place) -> tuple[CatalogFile, ...]:
        """Keep the files of a working folder that globs match; a file of the run with the same path is replaced.

        Raises `CatalogError`, and keeps nothing, when a glob matches nothing, or something that is no regular file: a
        symlink, wherever it leads, a pipe, a device. Raises it also when a file cannot be read or kept.
        """
        return await run_sync(partial(self._layout.put, patterns, os.fspath(folder), place))

    async def get(self, patterns: Sequence[str], folder: Folder, place: Place) -> tuple[CatalogFile, ...]:
        """Copy the files of a run that globs match into a working folder, in the place of what is there.

        Raises `CatalogError` when a glob matches nothing, a symlink leads out of the folder, or a file is damaged.
        Those that were copied before it are left there.
        """
        return await run_sync(partial(self._layout.get, patterns, os.fspath(folder), place))

    async def put_bytes(self, path: str, data: bytes, place: Place) -> CatalogFile:
        """Keep a file of the run that is in no folder. Raises `CatalogError`."""
        return await run_sync(partial(self._layout.put_bytes, path, data, place))

    async def read(self, run_id: str, path: str) -> bytes:
        """Give what a file of a run holds. Raises `CatalogError` where there is none, or it is damaged."""
        return await run_sync(partial(self._layout.read, run_id, path))

    async def files(self, run_id: str) -> tuple[CatalogFile, ...]:
        """List the files of a run, by path; nothing for a run that has none."""
        return await run_sync(partial(self._layout.files, run_id))
