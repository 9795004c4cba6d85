"""Files are read only if they are files, never beyond the limit, and only if they are UTF-8."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from dagflow.source import Limits, Mark, SourceError, read_document, read_file
from source.reading import budget, seconds_of


def refused(path: Any, **options: Any) -> str:
    with pytest.raises(SourceError) as error:
        read_file(path, **options)
    (fault,) = error.value.found
    return str(fault)


def test_a_file_is_read(tmp_path: Path) -> None:
    """Its marks carry its path, or the name that is given."""
    path = tmp_path / "graph.yaml"
    path.write_bytes("\ufeffname: caf\u00e9\n".encode())
    assert {"name": "caf\u00e9"} == read_file(path).data
    assert Mark(str(path), 1, 7) == read_file(str(path)).mark("name")
    assert Mark("graph.yaml", 1, 7) == read_file(path, file="graph.yaml").mark("name")
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    assert {"name": "caf\u00e9"} == read_file(link).data


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """As any other fault, with what the system says."""
    path = tmp_path / "graph.yaml"
    assert f"{path}:1:1: the file cannot be read: No such file or directory" == refused(path)
    assert "graph.yaml:1:1: the file cannot be read: Not a directory" == refused("/dev/null/x", file="graph.yaml")
    assert "the file cannot be read: " in refused("a\0b")


def test_a_file_that_cannot_be_read_is_told() -> None:
    """With what the system says; nothing is at the address that the file of our own memory begins with."""
    assert "/proc/self/mem:1:1: the file cannot be read: Input/output error" == refused("/proc/self/mem")


def test_only_files_are_read(tmp_path: Path) -> None:
    """A pipe without a writer does not make us wait, and a device that never ends is not read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "socket"))
    with listening:
        assert f"{pipe}:1:1: the file cannot be read: expected a file, this is a named pipe" == refused(pipe)
        assert f"{tmp_path}:1:1: the file cannot be read: expected a file, this is a folder" == refused(tmp_path)
        assert "/dev/zero:1:1: the file cannot be read: expected a file, this is a device" == refused("/dev/zero")
        assert "/dev/tty:1:1: " in refused("/dev/tty")
        assert "the file cannot be read: No such device or address" in refused(tmp_path / "socket")


def test_no_file_is_left_open(tmp_path: Path) -> None:
    """Whether it was read or refused."""
    path = tmp_path / "graph.yaml"
    path.write_text("a: b")
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        read_file(path)
        refused(tmp_path)
        refused("/dev/zero")
        refused(path, limits=Limits(max_bytes=1))
    assert before == len(os.listdir("/dev/fd"))


def test_no_more_than_the_limit_is_read(tmp_path: Path) -> None:
    """A file of gigabytes is refused as fast as a small one."""
    path = tmp_path / "graph.yaml"
    with path.open("wb") as file:
        file.truncate(8 << 30)  # has no blocks on the disk
    told = f"{path}:1:1: the file has more than 1048576 bytes, the limit set by max_bytes"
    assert told == refused(path)
    assert seconds_of(lambda: refused(path)) < budget(0.05)


def test_text_and_bytes_are_the_same() -> None:
    """The bytes are UTF-8."""
    for text in ("a: \u00e9", b"a: \xc3\xa9"):
        assert {"a": "\u00e9"} == read_document(text, file="x").data
    with pytest.raises(SourceError, match="x:1:4: the byte 0xe9 is not UTF-8 here; save the file as UTF-8"):
        read_document(b"a: \xe9", file="x")


def test_what_is_wrong_is_raised_without_the_errors_of_the_library() -> None:
    """Nobody has to read those of PyYAML."""
    with pytest.raises(SourceError) as error:
        read_document("a: [", file="x")
    assert error.value.__cause__ is None
    assert error.value.__context__ is None
