"""Running the cells of a notebook in a kernel, and reading values back from it."""

from __future__ import annotations

import inspect
import json
import os
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import anyio
import attrs
from anyio.to_thread import run_sync

from dagflow.core.structure import nearest
from dagflow.notebook import kernel_side
from dagflow.notebook.channels import Channels, Message
from dagflow.notebook.kernels import Kernel
from dagflow.notebook.outputs import Outputs
from dagflow.notebook.problems import NotebookError, NotebookTimeout

__all__ = ["Cells", "read_variables", "shut_down", "wait_until_ready"]

MAX_RETURNED: Final = 64 * 1024 * 1024
"""How many bytes of values may be read back."""

_WRITING: Final = inspect.getsource(kernel_side.write_variables)
_ANSI: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_IOPUB_PATIENCE: Final = 0.2
_LONGEST_TRACEBACK: Final = 20_000


async def wait_until_ready(channels: Channels) -> None:
    """Wait until a kernel answers, and what it shows reaches us."""
    while True:
        request = channels.shell.send("kernel_info_request", {})
        await channels.shell.answer(request, "kernel_info_reply")
        # What it showed before our subscription had reached it is lost; so ask again until we see that it has.
        with anyio.move_on_after(_IOPUB_PATIENCE):
            await channels.iopub.answer(request, "status")
            return


@attrs.define
class Cells:
    """The cells of a notebook as they are run. `injected` is the place of the one that the file does not have."""

    notebook: Any
    path: str
    injected: int | None
    outputs: Outputs
    timeout: float | None
    """Seconds that one cell may take."""
    current: int | None = None
    """The place of the cell that runs."""

    @property
    def number(self) -> int | None:
        """The number of the cell that runs, as in the file; `None` for none, or the injected one."""
        place = self.current
        if place is None or place == self.injected:
            return None
        return place + 1 if self.injected is None or place < self.injected else place

    @property
    def where(self) -> str:
        """The cell that runs, in words."""
        if self.current is None:
            return f"{self.path} began"
        return f"cell {self.number} of {self.path} ran" if self.number else f"the parameters of {self.path} were set"

    async def run(self, channels: Channels) -> None:
        """Run every code cell in order; raises `NotebookError` for the first that raises."""
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                self.outputs.begin(cell)
        for place, cell in enumerate(self.notebook.cells):
            if cell.cell_type != "code" or not cell.source.strip():
                continue
            self.current = place
            reply: Message | None = None
            with anyio.move_on_after(self.timeout):
                reply = await self._execute(channels, cell, place)
            if reply is None:
                raise NotebookTimeout(
                    f"cell {self.number} of {self.path} passed its timeout of {self.timeout:g} s and was ended",
                    notebook=self.path,
                    cell=self.number,
                )
            self._check(reply.content, cell)
        self.current = None

    async def _execute(self, channels: Channels, cell: Any, place: int) -> Message:
        request = channels.shell.send("execute_request", _execution(cell.source))
        while True:
            message = await channels.iopub.receive()
            if message.answers == request and await self.outputs.add(message, cell, place):
                return await channels.shell.answer(request, "execute_reply")

    def _check(self, reply: dict[str, Any], cell: Any) -> None:
        if reply["status"] == "ok" or "raises-exception" in cell.metadata.get("tags", ()):
            return
        ename, evalue = str(reply.get("ename", "Error")), str(reply.get("evalue", ""))
        trace = _ANSI.sub("", "\n".join(map(str, reply.get("traceback") or ())))
        if len(trace) > _LONGEST_TRACEBACK:
            trace = f"{trace[: _LONGEST_TRACEBACK // 2]}\n...\n{trace[-_LONGEST_TRACEBACK // 2 :]}"
        what = f"cell {self.number}" if self.number else "the cell of the parameters"
        raise NotebookError(
            f"{what} of {self.path} raised {ename}: {_ANSI.sub('', evalue)}\n{trace}".rstrip(),
            notebook=self.path,
            cell=self.number,
            ename=ename,
            evalue=evalue,
            traceback=trace,
        )


async def read_variables(kernel: Kernel, names: Sequence[str], path: str) -> dict[str, Any]:
    """Give the values of variables of a notebook, which must be JSON; raises `NotebookError` for all that are not."""
    file = os.path.join(kernel.folder, "returns.json")
    # In names of its own: it neither sees what cells have put in the place of builtins, nor leaves anything.
    code = (
        f"__import__('builtins').exec({_WRITING!r} + {f'write_variables(variables, {list(names)!r}, {file!r})'!r}, "
        f"{{'variables': globals()}})"
    )
    request = kernel.channels.shell.send("execute_request", _execution(code, silent=True))
    reply = (await kernel.channels.shell.answer(request, "execute_reply")).content
    if reply["status"] != "ok":
        raise NotebookError(
            f"the values of {', '.join(names)} cannot be read back from {path}: "
            f"{reply.get('ename')}: {reply.get('evalue')}",
            notebook=path,
        )
    written = await run_sync(partial(_read, file, path))
    problems = [
        f"{name!r}: {problem}{nearest(name, written['known']) if name not in written['known'] else ''}"
        for name, problem in written["problems"].items()
    ]
    if problems:
        raise NotebookError(f"{path} does not give what it returns: {'; '.join(problems)}", notebook=path)
    found: dict[str, Any] = written["found"]
    return found


def _read(file: str, path: str) -> dict[str, Any]:
    with open(file, "rb") as opened:
        data = opened.read(MAX_RETURNED + 1)
    if len(data) > MAX_RETURNED:
        raise NotebookError(
            f"{path} returns more than {MAX_RETURNED} bytes; let it write files to the catalog instead", notebook=path
        )
    written: dict[str, Any] = json.loads(data)
    return written


async def shut_down(kernel: Kernel, seconds: float) -> None:
    """Ask a kernel to end, and wait for it a while: what its cells want done at the end is done."""
    kernel.channels.control.send("shutdown_request", {"restart": False})
    with anyio.move_on_after(seconds):
        await kernel.child.wait()


def _execution(code: str, *, silent: bool = False) -> dict[str, Any]:
    return {
        "code": code,
        "silent": silent,
        "store_history": not silent,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": True,
    }
