"""Paths that lead where no file of a project may, or to nothing that can be read; with the things they lead to."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

import attrs

__all__ = ["PATHS", "Hostile", "lay_out"]

OUT = "leads out of the project, [^,]*; move it inside"
THROUGH = "through a symlink"
CONTROL = "holds the control character"
ABSOLUTE = "is absolute"
MISSING = "is not there"


@attrs.frozen
class Hostile:
    """A path, and what is said of it."""

    path: str
    told: str


def lay_out(folder: Path) -> Path:
    """Make a project with a graph's folder in it, traps in both, and secrets around it; gives the graph's folder."""
    root = folder / "project"
    base = root / "graphs"
    (base / "prompts").mkdir(parents=True)
    (root / "pyproject.toml").touch()
    for path in (base / "prompts" / "ask.yaml", root / "shared.yaml", base / "odd name.yaml", base / "~.yaml"):
        path.write_text("user: hello\n")
    (folder / "project-of-others").mkdir()
    for path in (folder / "secret.yaml", folder / "project-of-others" / "secret.yaml"):
        path.write_text("user: secret\n")
    links: dict[str, str | Path] = {
        "file_outside.yaml": folder / "secret.yaml",
        "relative_outside.yaml": "../../secret.yaml",
        "folder_outside": folder,
        "relative_folder": "../..",
        "etc": "/etc",
        "passwd.yaml": "/etc/passwd",
        "memory.yaml": "/proc/self/mem",
        "environment.yaml": "/proc/self/environ",
        "zero.yaml": "/dev/zero",
        "circle.yaml": "circle.yaml",
        "here": ".",
        "first": "second",
        "second": "first",
        "dangling.yaml": "nothing.yaml",
        "dangling_outside.yaml": "../../nothing.yaml",
        "twice.yaml": "file_outside.yaml",
        "../../back": "project/graphs/prompts",
        "inside.yaml": "prompts/ask.yaml",
        "to_root.yaml": "../shared.yaml",
    }
    for name, target in links.items():
        os.symlink(target, base / name)
    for step in range(60):
        os.symlink(f"chain{step + 1}" if step < 59 else folder / "secret.yaml", base / f"chain{step}")
    os.mkfifo(base / "fifo.yaml")
    (base / "folder.yaml").mkdir()
    # The path of a socket has about a hundred characters: it is made where the path is short, and moved.
    with socket.socket(socket.AF_UNIX) as listening:
        place = Path(f"/tmp/dagflow-{os.getpid()}.sock")
        listening.bind(str(place))
        place.rename(base / "socket.yaml")
    return base


PATHS: Final = (
    # Out of the project, in so many words
    Hostile("../../secret.yaml", OUT),
    Hostile("prompts/../../../secret.yaml", OUT),
    Hostile("./././../../secret.yaml", OUT),
    Hostile("../../project-of-others/secret.yaml", OUT),
    Hostile("../../../../../../../../../../etc/passwd", OUT),
    Hostile("../" * 300 + "etc/passwd", OUT),
    Hostile("..//..//secret.yaml", OUT),
    Hostile("..", "is a folder"),
    Hostile("../..", OUT),
    Hostile("../../nothing-at-all.yaml", OUT),
    Hostile("nothing/../../../secret.yaml", OUT),
    # Out of it by symlinks
    Hostile("file_outside.yaml", THROUGH),
    Hostile("relative_outside.yaml", THROUGH),
    Hostile("folder_outside/secret.yaml", THROUGH),
    Hostile("relative_folder/secret.yaml", THROUGH),
    Hostile("folder_outside/nothing.yaml", THROUGH),
    Hostile("here/here/here/file_outside.yaml", THROUGH),
    Hostile("twice.yaml", THROUGH),
    Hostile("etc/passwd", THROUGH),
    Hostile("passwd.yaml", THROUGH),
    Hostile("memory.yaml", THROUGH),
    Hostile("environment.yaml", THROUGH),
    Hostile("zero.yaml", THROUGH),
    Hostile("dangling_outside.yaml", THROUGH),
    Hostile("relative_folder/../secret.yaml", THROUGH),
    Hostile("folder_outside/back/../sercet.yaml", MISSING + "$"),
    Hostile("chain0", THROUGH + "|cannot be reached"),
    # Absolute, or so elsewhere
    Hostile("/etc/passwd", ABSOLUTE),
    Hostile("//etc/passwd", ABSOLUTE),
    Hostile("///etc/passwd", ABSOLUTE),
    Hostile("//server/share/file.yaml", ABSOLUTE),
    Hostile("C:/Windows/win.ini", ABSOLUTE),
    Hostile("c:secret.yaml", ABSOLUTE),
    Hostile("C:\\Windows\\win.ini", "backslash"),
    Hostile("\\\\server\\share", "backslash"),
    Hostile("\\\\?\\C:\\secret", "backslash"),
    Hostile("..\\..\\secret.yaml", "backslash"),
    Hostile("prompts\\ask.yaml", "backslash"),
    Hostile("file:///etc/passwd", "is an address"),
    Hostile("https://example.org/prompt.yaml", "is an address"),
    Hostile("~/secret.yaml", "begins with ~"),
    Hostile("~root/secret.yaml", "begins with ~"),
    Hostile("~.yaml", "begins with ~"),
    # What a shell or a browser would make of it stays as it is
    Hostile("$HOME/secret.yaml", MISSING),
    Hostile("${HOME}/secret.yaml", MISSING),
    Hostile("$(id).yaml", MISSING),
    Hostile("%2e%2e/%2e%2e/secret.yaml", MISSING),
    Hostile("..%2f..%2fsecret.yaml", MISSING),
    Hostile("..%00/secret.yaml", MISSING),
    Hostile("\u2025/secret.yaml", MISSING),
    Hostile("\uff0e\uff0e/secret.yaml", MISSING),
    Hostile("..\u2215..\u2215secret.yaml", MISSING),
    Hostile("*.yaml", MISSING),
    Hostile("prompts/ask.yaml:stream", MISSING),
    Hostile(" ../../secret.yaml", OUT + "|" + MISSING),
    # Characters that hide something
    Hostile("prompts/ask.yaml\0", CONTROL),
    Hostile("\0", CONTROL),
    Hostile("prompts/ask.yaml\n", CONTROL),
    Hostile("a\tb.yaml", CONTROL),
    Hostile("a\x1b[31mb.yaml", CONTROL),
    Hostile("a\x7fb.yaml", CONTROL),
    Hostile("a\x85b.yaml", CONTROL),
    Hostile("a\u2028b.yaml", CONTROL),
    Hostile("\u202elmay.ksa", CONTROL),
    Hostile("a\u2066b.yaml", CONTROL),
    Hostile("a\ud800b.yaml", CONTROL),
    # Nothing, or too much
    Hostile("", "is empty"),
    Hostile("   ", "is empty"),
    Hostile("a" * 1001, "longer than 1000 characters"),
    Hostile("a" * 10_000_000, "longer than 1000 characters"),
    Hostile("a" * 300, "cannot be reached: File name too long"),
    Hostile("a/" * 490 + "a", MISSING),
    Hostile("here/" * 190 + "x.yaml", MISSING + "|cannot be reached"),
    # No file
    Hostile(".", "is a folder, and not a file"),
    Hostile("./", "ends in /"),
    Hostile("prompts", "is a folder, and not a file"),
    Hostile("prompts/", "ends in /"),
    Hostile("prompts/ask.yaml/", "ends in /"),
    Hostile("prompts/ask.yaml/..", "is a folder|" + MISSING),
    Hostile("prompts/ask.yaml/more.yaml", MISSING),
    Hostile("folder.yaml", "is a folder, and not a file"),
    Hostile("fifo.yaml", "is a named pipe, and not a file"),
    Hostile("socket.yaml", "is a socket, and not a file"),
    Hostile("circle.yaml", "cannot be reached|circle"),
    Hostile("first", "cannot be reached|circle"),
    Hostile("first/more.yaml", "cannot be reached|circle"),
    Hostile("dangling.yaml", "is a symlink to what is not there"),
    Hostile("nothing.yaml", MISSING),
)
"""Each is refused where it is relative to the folder that `lay_out` gives, in the project around it."""
