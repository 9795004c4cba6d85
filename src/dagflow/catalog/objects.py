"""Contents by their hash: each is kept once, and checked when it is given back."""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, Final

import attrs

from dagflow.catalog.folders import NotAFile, below, link, new_file, open_file

__all__ = [
    "Content",
    "Damaged",
    "Intake",
    "copy_content",
    "link_content",
    "read_content",
    "remove_abandoned",
    "taking_in",
]

CHUNK: Final = 1024 * 1024
"""How many bytes are copied at once; between two chunks a cancellation is seen."""

BATCH: Final = 512
"""How many contents are written to the disk together at most."""

SYNCS: Final = 16
"""How many files are written to the disk at once."""

ABANDONED: Final = 24 * 3600.0
"""Seconds after which a file that nobody finished belongs to a process that is gone."""

Check = Callable[[], None]
"""Called between two chunks; raises to stop."""


class Damaged(Exception):
    """Raised for a content that is no longer what its hash says, or is not there."""


@attrs.frozen
class Content:
    """A content that is kept."""

    sha256: str
    size: int


@attrs.define
class Intake:
    """Takes contents in, and writes them to the disk together, which takes far less time than one by one."""

    objects: int
    check: Check
    written: dict[Content, str] = attrs.field(factory=dict)
    """The temporary names of contents that have no place yet."""

    def add(self, source: BinaryIO) -> Content:
        """Keep what an open file holds from where it stands."""
        with new_file(self.objects, 0o600, keep=True) as (target, temporary):
            content = _copy(source, target, self.check)
            os.fchmod(target.fileno(), 0o444)  # a view of it is the file itself, under another name
        if content in self.written or self._is_kept(content):
            os.unlink(temporary, dir_fd=self.objects)
            return content
        self.written[content] = temporary
        if len(self.written) >= BATCH:
            self.settle()
        return content

    def settle(self) -> None:
        """Give all contents their places, and return when they are on the disk."""
        if not self.written:
            return
        _sync_all(self.written.values(), self.objects, self.check)
        folders = {content.sha256[:2] for content in self.written}
        for content, temporary in list(self.written.items()):
            with below(self.objects, [content.sha256[:2]], create=True) as folder:
                os.replace(temporary, content.sha256[2:], src_dir_fd=self.objects, dst_dir_fd=folder)
            del self.written[content]
        _sync_all(folders, self.objects, self.check)
        os.fsync(self.objects)

    def drop(self) -> None:
        """Remove what has no place."""
        for temporary in self.written.values():
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self.objects)

    def _is_kept(self, content: Content) -> bool:
        try:
            with below(self.objects, [content.sha256[:2]]) as folder:
                status = os.stat(content.sha256[2:], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return status.st_size == content.size


@contextmanager
def taking_in(root: int, check: Check) -> Iterator[Intake]:
    """Give the intake of a catalog, by its open folder; what it took is on the disk at the end of the block."""
    with below(root, ["objects"], create=True) as objects:
        intake = Intake(objects, check)
        try:
            yield intake
            intake.settle()
        finally:
            intake.drop()


def _sync_all(names: Collection[str], folder: int, check: Check) -> None:
    """Write files or folders to the disk, many at once: the file system then has one commit for several."""

    def sync(name: str) -> None:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    if len(names) == 1:
        sync(next(iter(names)))
        return
    with ThreadPoolExecutor(min(SYNCS, len(names)), thread_name_prefix="dagflow-sync") as pool:
        for _ in pool.map(sync, names):
            check()


def read_content(root: int, content: Content, check: Check) -> bytes:
    """Give what a content holds; raises `Damaged`."""
    found = io.BytesIO()
    with _kept(root, content) as source:
        if _copy(source, found, check) != content:
            raise Damaged(f"{_place(content)} is damaged: it is not what its hash says")
    return found.getvalue()


def copy_content(root: int, content: Content, folder: int, name: str, *, executable: bool, check: Check) -> None:
    """Copy a content into an open folder, where it takes its name only when it is whole and right.

    Raises `Damaged`, and `IsADirectoryError` where a folder has the name.
    """
    with _kept(root, content) as source, new_file(folder, 0o777 if executable else 0o666) as (written, temporary):
        if _copy(source, written, check) != content:
            raise Damaged(f"{_place(content)} is damaged: it is not what its hash says")
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)


def link_content(root: int, content: Content, folder: int, name: str, check: Check) -> None:
    """Show a content in a view: a hard link, or a copy where the file system has none."""
    with below(root, ["objects", content.sha256[:2]]) as kept, suppress(OSError):
        link(content.sha256[2:], kept, folder, name)
        return
    copy_content(root, content, folder, name, executable=False, check=check)


@contextmanager
def _kept(root: int, content: Content) -> Iterator[BinaryIO]:
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(below(root, ["objects", content.sha256[:2]]))
            source = stack.enter_context(open_file(folder, content.sha256[2:]))
        except (FileNotFoundError, NotAFile) as error:
            raise Damaged(f"{_place(content)} is not there") from error
        yield source


def _place(content: Content) -> str:
    return f"objects/{content.sha256[:2]}/{content.sha256[2:]}"


def _copy(source: BinaryIO, target: BinaryIO, check: Check) -> Content:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        check()
        digest.update(chunk)
        size += len(chunk)
        target.write(chunk)
    target.flush()
    return Content(digest.hexdigest(), size)


def remove_abandoned(root: int) -> None:
    """Remove what killed processes left half written, a day after."""
    oldest = time.time() - ABANDONED
    with suppress(OSError), below(root, ["objects"]) as objects, os.scandir(objects) as entries:
        for entry in entries:
            if entry.name.startswith(".dagflow-") and entry.stat(follow_symlinks=False).st_mtime < oldest:
                os.unlink(entry.name, dir_fd=objects)
