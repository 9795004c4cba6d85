"""Files that people write: what is no file, too large or no text is told, and nobody is waited for."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from dagflow.source.files import MAX_BYTES, UnreadableFile, read_text


def refused(path: Path | str) -> str:
    with pytest.raises(UnreadableFile) as caught:
        read_text(path)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_a_text_is_read(tmp_path: Path) -> None:
    """With a byte order mark or without, through a symlink, and up to the last byte that it may have."""
    path, link = tmp_path / "text", tmp_path / "link"
    link.symlink_to(path)
    path.write_bytes(b"\xef\xbb\xbfcaf\xc3\xa9")
    assert "café" == read_text(link)
    path.write_bytes(b"x" * MAX_BYTES)
    assert MAX_BYTES == len(read_text(path))


def test_what_is_no_file_is_told(tmp_path: Path) -> None:
    """With what is there instead, at once: a pipe without a writer does not make us wait."""
    assert "No such file or directory" == refused(tmp_path / "missing")
    assert "expected a file, this is a folder" == refused(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "expected a file, this is a named pipe" == refused(tmp_path / "pipe")
    assert "null" in refused("a\0")


def test_what_is_no_text_is_told(tmp_path: Path) -> None:
    """A file that is too large or binary is refused, and nothing of it is shown: it may hold secrets."""
    path = tmp_path / "file"
    path.write_bytes(b"A=canary\xff")
    assert "it is not UTF-8 at byte 8" == refused(path)
    path.write_bytes(b"canary".ljust(MAX_BYTES + 1))
    assert f"it has more than {MAX_BYTES} bytes" == refused(path)
