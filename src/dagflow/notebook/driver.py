"""Running a whole notebook: its file, its kernel, its cells, and what is left of them."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import attrs
from anyio.abc import ByteReceiveStream
from anyio.to_thread import run_sync

from dagflow.core.secrets import Secret, mask
from dagflow.kernel.process import describe_exit
from dagflow.notebook.documents import read_notebook, write_notebook
from dagflow.notebook.kernels import Kernel, KernelSpec, find_spec, open_kernel
from dagflow.notebook.library import Jupyter, load_jupyter
from dagflow.notebook.outputs import OnOutput, Outputs
from dagflow.notebook.parameters import inject
from dagflow.notebook.problems import NotebookError, NotebookTimeout
from dagflow.notebook.running import Cells, read_variables, shut_down, wait_until_ready

__all__ = ["JupyterDriver"]

_SAID: Final = 4000
"""Bytes of what a kernel itself writes that are kept for errors."""


@attrs.frozen(kw_only=True)
class JupyterDriver:
    """Runs notebooks, each in a real Jupyter kernel of its own that ends with it. Made without I/O.

    `kernel` is the name of the kernel; without it, it is the one that the notebook names, or `python3`. `cell_timeout`
    and `start_timeout` are in seconds. `grace` is how many seconds a kernel has to end before it is killed.
    `max_output` bounds what is kept of the outputs in the executed notebook, in bytes.
    """

    kernel: str | None = None
    cell_timeout: float | None = None
    start_timeout: float = 60.0
    grace: float = 5.0
    max_output: int = 16 * 1024 * 1024

    async def run(
        self,
        notebook: str | os.PathLike[str],
        *,
        parameters: Mapping[str, Any] | None = None,
        returns: Sequence[str] = (),
        secrets: Mapping[str, Secret] | None = None,
        environment: Mapping[str, str] | None = None,
        folder: str | os.PathLike[str] | None = None,
        on_output: OnOutput | None = None,
        hide: Callable[[str], str] | None = None,
        keep: Callable[[bytes], Awaitable[object]] | None = None,
    ) -> dict[str, Any]:
        """Run a notebook from its first cell to its last, and give the values of the variables in `returns`.

        The `parameters`, values of JSON, are set in a cell after the one tagged `parameters`. The kernel works in
        `folder` (that of the notebook, without it) with the `environment` (ours) and `secrets` as variables of it.
        `on_output(stream, data)` is awaited with what cells print, as it comes. `keep(data)` is awaited with the
        executed notebook, also where a cell failed, in which `hide`, or else the masking of `secrets`, has been over
        every text.

        The kernel and all that it started are gone when this ends, whatever way it does. Raises `NotebookError`,
        `NotebookTimeout`, and `ImportError` where Jupyter's libraries are missing. Cancelled, it ends the kernel first
        and keeps nothing.
        """
        path = Path(notebook)
        known = dict(secrets or {})
        hidden = hide if hide is not None else partial(mask, secrets=tuple(known.values()))
        env = {**(os.environ if environment is None else environment)}
        env.update((name, secret.reveal()) for name, secret in known.items())
        jupyter = await run_sync(load_jupyter)
        where = (os.path.dirname(path) or None) if folder is None else folder
        cells, spec = await run_sync(self._prepare, jupyter, path, dict(parameters or {}), returns, on_output)
        failure: NotebookError | None = None
        values: dict[str, Any] = {}
        try:
            async with open_kernel(jupyter, spec, env=env, cwd=where, grace=self.grace) as kernel:
                values = await _Attempt(cells, kernel, self, returns).run()
        except NotebookError as error:
            failure = error
        cells.outputs.finish(cells.notebook)
        if keep is not None:
            await keep(await run_sync(write_notebook, jupyter, cells.notebook, hidden))
        if failure is not None:
            raise _masked(failure, hidden)
        return values

    def _prepare(
        self,
        jupyter: Jupyter,
        path: Path,
        parameters: Mapping[str, Any],
        returns: Sequence[str],
        on_output: OnOutput | None,
    ) -> tuple[Cells, KernelSpec]:
        """Read the notebook and find its kernel; blocks."""
        shown = os.fspath(path)
        document = read_notebook(jupyter, path)
        named = document.metadata.get("kernelspec", {}).get("name")
        spec = find_spec(jupyter, self.kernel or named or "python3", shown)
        if spec.language != "python" and (parameters or returns):
            raise NotebookError(
                f"{shown} is in {spec.language}; parameters and returns are for notebooks in Python alone",
                notebook=shown,
            )
        try:
            injected = inject(document, parameters, jupyter.nbformat.v4.new_code_cell)
        except ValueError as error:
            raise NotebookError(f"{shown}: {error}", notebook=shown) from error
        outputs = Outputs(jupyter, document, self.max_output, on_output)
        return Cells(document, shown, injected, outputs, self.cell_timeout), spec


@attrs.define
class _Attempt:
    """One run of the cells in a kernel, which may die at any moment."""

    cells: Cells
    kernel: Kernel
    driver: JupyterDriver
    returns: Sequence[str]
    said: bytearray = attrs.field(factory=bytearray)
    values: dict[str, Any] = attrs.field(factory=dict)
    failure: Exception | None = None
    finished: bool = False

    async def run(self) -> dict[str, Any]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, tasks.cancel_scope)
            try:
                await self._work()
            except Exception as error:  # raised below, where no task group wraps it
                self.failure = error
            tasks.cancel_scope.cancel()
        if self.failure is not None:
            raise self.failure
        if not self.finished:
            raise self._died()
        return self.values

    async def _work(self) -> None:
        with anyio.move_on_after(self.driver.start_timeout) as scope:
            await wait_until_ready(self.kernel.channels)
        if scope.cancelled_caught:
            raise NotebookTimeout(
                f"the kernel of {self.cells.path} did not answer within {self.driver.start_timeout:g} s and was ended"
                f"{self._quoted()}",
                notebook=self.cells.path,
            )
        await self.cells.run(self.kernel.channels)
        if self.returns:
            self.values = await read_variables(self.kernel, self.returns, self.cells.path)
        self.finished = True
        await shut_down(self.kernel, self.driver.grace)

    async def _watch(self, scope: anyio.CancelScope) -> None:
        """Wait for the kernel to end, and read what it writes itself, which is little: cells print by messages."""
        child = self.kernel.child
        async with anyio.create_task_group() as readers:
            readers.start_soon(self._listen, child.stdout)
            if child.stderr is not None:
                readers.start_soon(self._listen, child.stderr)
            await child.finish()
        scope.cancel()

    async def _listen(self, stream: ByteReceiveStream) -> None:
        with suppress(anyio.EndOfStream):
            while True:
                self.said += await stream.receive()
                del self.said[:-_SAID]

    def _died(self) -> NotebookError:
        returncode = self.kernel.child.returncode
        how = "" if returncode is None else f": it {describe_exit(returncode)}"
        cell = self.cells
        return NotebookError(
            f"the kernel died while {cell.where}{how}{self._quoted()}", notebook=cell.path, cell=cell.number
        )

    def _quoted(self) -> str:
        said = self.said.decode(errors="replace").strip()
        return f"; the last that it wrote was:\n{said}" if said else ""


def _masked(error: NotebookError, hide: Callable[[str], str]) -> NotebookError:
    error.args = (hide(str(error)),)
    error.evalue, error.traceback = hide(error.evalue), hide(error.traceback)
    return error
