"""Folders by open descriptors: what is reached below one stays below it, whatever becomes a symlink meanwhile."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO, Final

from dagflow.source.files import kind_of

__all__ = [
    "Escapes",
    "NotAFile",
    "below",
    "link",
    "new_file",
    "open_file",
    "open_folder",
    "temporary_name",
]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Escapes(Exception):
    """Raised for a path that leads through a symlink, and so to anywhere."""


class NotAFile(Exception):
    """Raised for what is no regular file; its text says what it is."""


@contextmanager
def open_folder(path: str, *, create: bool = False) -> Iterator[int]:
    """Open a folder by its path, which may lead through symlinks: it is what the user said."""
    if create:
        os.makedirs(path, exist_ok=True)
    descriptor = os.open(path, _FOLDER)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def below(folder: int, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
    """Open a folder below an open one, never through a symlink; make it where it is missing, if `create` says so.

    Raises `Escapes` for a symlink on the way, and `NotADirectoryError` for a file.
    """
    current = os.dup(folder)
    try:
        for part in parts:
            if create:
                with suppress(FileExistsError):
                    os.mkdir(part, dir_fd=current)
            try:
                deeper = os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=current)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR) and _is_symlink(part, current):
                    raise Escapes(f"{'/'.join(parts)} leads through the symlink {part!r}") from error
                raise
            os.close(current)
            current = deeper
        yield current
    finally:
        os.close(current)


def _is_symlink(name: str, folder: int) -> bool:
    return stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)


@contextmanager
def open_file(folder: int, name: str) -> Iterator[BinaryIO]:
    """Open a regular file of a folder for reading, whatever takes its place meanwhile; nobody is waited for.

    Raises `NotAFile` for anything else.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotAFile("a symlink") from error
        if error.errno == errno.ENXIO:  # what a socket answers
            raise NotAFile("a socket or a device") from error
        raise
    with open(descriptor, "rb", buffering=0) as file:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise NotAFile(kind_of(mode))
        yield file


@contextmanager
def new_file(folder: int, mode: int, *, keep: bool = False) -> Iterator[tuple[BinaryIO, str]]:
    """Make a new file under a name of its own, and remove it afterwards unless it was renamed.

    With `keep` it is removed only where the block fails.
    """
    name = temporary_name()
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
    try:
        with open(descriptor, "wb") as file:
            yield file, name
    except BaseException:
        keep = False
        raise
    finally:
        if not keep:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=folder)


def link(source: str, source_folder: int, folder: int, name: str) -> None:
    """Give a file a name in another folder too, in the place of what has it; raises `OSError` where that cannot be."""
    temporary = temporary_name()
    os.link(source, temporary, src_dir_fd=source_folder, dst_dir_fd=folder, follow_symlinks=False)
    try:
        os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with suppress(FileNotFoundError):  # two links to one file are not replaced, and both stay
            os.unlink(temporary, dir_fd=folder)


def temporary_name() -> str:
    """Make up a name that nothing has, and that no glob but one with a dot matches."""
    return f".dagflow-{secrets.token_hex(8)}"
