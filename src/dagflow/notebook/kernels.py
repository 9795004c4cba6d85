"""A Jupyter kernel as a child of ours, in a session of our own that ends with it.

Jupyter's own way to start a kernel puts it into a session that only Jupyter knows, and its client turns cancellation
into a dead kernel, leaves tasks behind and knows asyncio only. So the kernel is started as any program of ours is, and
spoken to by Jupyter's protocol. Its sockets are files in a folder that nobody else can enter: ports would be open to
every user of the machine, and could be taken by another between choosing and using them.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import anyio
import attrs
from anyio.to_thread import run_sync

from dagflow.core.structure import nearest
from dagflow.kernel.process import Child, open_child
from dagflow.notebook.channels import Channels, open_channels
from dagflow.notebook.library import Jupyter
from dagflow.notebook.problems import NotebookError
from dagflow.notebook.strays import MARK, end_strays

__all__ = ["Kernel", "KernelSpec", "find_spec", "open_kernel"]

CLOSING: Final = 10.0
"""Seconds that it may take to end what was left and to remove the folder."""

_CHANNELS: Final = ("shell", "iopub", "stdin", "control", "hb")
_LONGEST_FOLDER: Final = 70  # the path of a Unix socket has about a hundred characters
_NEEDED: Final = "pip install 'dagflow[notebook]'"


@attrs.frozen
class KernelSpec:
    """How a kernel is started, and the language that it speaks."""

    name: str
    language: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = attrs.field(repr=False)
    folder: str

    def command(self, connection_file: str) -> list[str]:
        """The program and its arguments."""
        values = {"connection_file": connection_file, "prefix": sys.prefix, "resource_dir": self.folder}
        words = [re.sub(r"\{(\w+)\}", lambda found: values.get(found[1], found[0]), word) for word in self.argv]
        if re.fullmatch(r"python(3(\.\d+)?)?", words[0]):  # the one that we run in need not be on the PATH
            words[0] = sys.executable
        if "ipykernel_launcher" in words:
            words.append("--HistoryManager.hist_file=:memory:")  # the history is the user's, and no place for this
        return words


@attrs.frozen(eq=False)
class Kernel:
    """A kernel that runs: its process, its channels, and a private folder to exchange files in."""

    child: Child
    channels: Channels
    folder: str


def find_spec(jupyter: Jupyter, name: str, notebook: str) -> KernelSpec:
    """Find a kernel by its name; blocks. Raises `NotebookError` with those that are there."""
    manager = jupyter.kernelspec.KernelSpecManager()
    try:
        spec = manager.get_kernel_spec(name)
    except jupyter.kernelspec.NoSuchKernel as error:
        known = sorted(manager.find_kernel_specs())
        if name in known:
            raise _refusal(notebook, name, "what starts it is not installed") from error
        told = f"there are {', '.join(known)}" if known else f"there is none at all; {_NEEDED}"
        raise NotebookError(
            f"{notebook} needs the kernel {name!r}, which is not installed{nearest(name, known)}; {told}",
            notebook=notebook,
        ) from error
    provisioner = (spec.metadata.get("kernel_provisioner") or {}).get("provisioner_name", "local-provisioner")
    if not spec.argv or provisioner != "local-provisioner":
        raise _refusal(notebook, name, f"it is no program of this machine ({provisioner})")
    return KernelSpec(name, spec.language.lower(), tuple(spec.argv), dict(spec.env), spec.resource_dir)


def _refusal(notebook: str, name: str, why: str) -> NotebookError:
    return NotebookError(
        f"{notebook} needs the kernel {name!r}, which cannot be used: {why}; choose another one with kernel=",
        notebook=notebook,
    )


@asynccontextmanager
async def open_kernel(
    jupyter: Jupyter, spec: KernelSpec, *, env: Mapping[str, str], cwd: str | os.PathLike[str] | None, grace: float
) -> AsyncIterator[Kernel]:
    """Start a kernel, and end it with everything that it started, however the block is left.

    `env` is its whole environment, to which what Jupyter and the kernel need is added. Ending it takes up to `grace`
    seconds, shielded from cancellation. Raises `ProcessError` where it cannot be started.
    """
    mark = secrets.token_hex(16)
    marked = {
        **spec.env,
        **env,
        MARK: mark,
        # The kernel looks whether we are still there, and ends itself where we were killed.
        "JPY_PARENT_PID": str(os.getpid()),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # or the debugger, which nobody uses, warns in every output
    }
    folder = ""
    with anyio.CancelScope(shield=True):  # a folder that was made is to be removed
        folder = await run_sync(_make_folder)
    try:
        connection = _connection(spec.name, folder)
        file = os.path.join(folder, "connection.json")
        await run_sync(_write, file, json.dumps(connection))
        async with open_child(spec.command(file), env=marked, cwd=cwd, grace=grace) as child:
            with open_channels(jupyter, connection) as channels:
                yield Kernel(child, channels, folder)
    finally:
        with anyio.move_on_after(CLOSING, shield=True):
            await run_sync(end_strays, mark, abandon_on_cancel=True)
            await run_sync(partial(shutil.rmtree, folder, ignore_errors=True), abandon_on_cancel=True)


def _connection(name: str, folder: str) -> dict[str, Any]:
    return {
        "transport": "ipc",
        "ip": os.path.join(folder, "socket"),
        "key": secrets.token_hex(32),
        "signature_scheme": "hmac-sha256",
        "kernel_name": name,
        **{f"{channel}_port": number for number, channel in enumerate(_CHANNELS, 1)},
    }


def _make_folder() -> str:
    folder = tempfile.mkdtemp(prefix="dagflow-notebook-")
    if len(folder) <= _LONGEST_FOLDER:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="dagflow-notebook-", dir="/tmp")


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
