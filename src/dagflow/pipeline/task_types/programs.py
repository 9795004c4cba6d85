"""Tasks that run a program: a command, or a notebook in its kernel."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import attrs

from dagflow.core.fitting import as_json
from dagflow.core.folder_names import folder_name
from dagflow.errors import NodeError
from dagflow.pipeline.binding import missing, own_copy
from dagflow.pipeline.ports import FileCatalog
from dagflow.pipeline.returns import match_names
from dagflow.pipeline.shell import run_command
from dagflow.pipeline.signature import taken
from dagflow.pipeline.steps import Read
from dagflow.pipeline.task_types.task_type import TaskCall
from dagflow.pipeline.wiring import notebook_driver

__all__ = ["NotebookTaskType", "ShellTaskType"]


@attrs.frozen(eq=False, kw_only=True)
class ProgramTaskType:
    """What commands and notebooks have in common. They are given the parameters in `takes`, or all without it."""

    takes: tuple[str, ...] | None
    declared: tuple[str, ...]

    types: tuple[Any, ...] = attrs.field(default=(), init=False)
    returns: Any = attrs.field(default=Any, init=False)
    function: None = attrs.field(default=None, init=False)

    @property
    def reads(self) -> tuple[Read, ...]:
        """The parameters that it says it takes."""
        return tuple(map(Read, self.takes or ()))

    @property
    def reads_all(self) -> bool:
        """Whether it says nothing, and gets all."""
        return self.takes is None

    @property
    def signature(self) -> tuple[str, ...]:
        """The parameters that it takes."""
        return taken(self.reads)

    def picked(self, call: TaskCall) -> dict[str, Any]:
        """The parameters that it takes; raises `NodeError` for those that are missing."""
        scope = call.step.scope
        if self.takes is None:
            return dict(scope)
        problems = [missing(name, scope) for name in self.takes if name not in scope]
        if problems:
            raise NodeError(f"task {call.task}: {'; '.join(problems)}", node=call.task)
        return {name: scope[name] for name in self.takes}

    def exactly(self, call: TaskCall, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values that it declares that it returns; raises `NodeError` for any other."""
        try:
            return match_names(self.declared, values)
        except ValueError as error:
            raise NodeError(f"task {call.task} {error}", node=call.task) from error


@attrs.frozen(eq=False, kw_only=True)
class ShellTaskType(ProgramTaskType):
    """Runs a program in a session of its own, which ends with the task."""

    task_type: ClassVar[str] = "shell"

    command: tuple[str, ...]
    cwd: Path | None

    async def arguments(self, call: TaskCall) -> Mapping[str, Any]:
        """The values for the program's environment."""
        return self.picked(call)

    async def run(self, call: TaskCall, arguments: Mapping[str, Any]) -> Any:
        """Run the program, and give what it wrote for us."""
        values = await run_command(
            self.command,
            task=call.task,
            inputs=arguments,
            inputs_named=self.takes is not None,
            returns=self.declared,
            secrets=call.secrets,
            cwd=self.cwd,
            environ=call.step.front.shared.environ,
            output=call.output,
        )
        return None if values is None else self.exactly(call, values)


@attrs.frozen(eq=False, kw_only=True)
class NotebookTaskType(ProgramTaskType):
    """Runs a notebook by the driver among the services of the run."""

    task_type: ClassVar[str] = "notebook"

    notebook: Path
    folder: Path

    async def arguments(self, call: TaskCall) -> Mapping[str, Any]:
        """The parameters as JSON; one that has no such form is left out, or an error where it is in `takes`."""
        found: dict[str, Any] = {}
        for name, value in self.picked(call).items():
            try:
                found[name] = own_copy(as_json(value))
            except TypeError as error:
                if self.takes is not None:
                    message = f"task {call.task}: parameter {name!r} cannot be given to a notebook: {error}"
                    raise NodeError(message, node=call.task) from error
        return found

    async def run(self, call: TaskCall, arguments: Mapping[str, Any]) -> Any:
        """Run the notebook, and give the values that it is read back."""
        shared = call.step.front.shared
        driver, catalog = notebook_driver(shared.services), shared.services.catalog
        keep = None
        if catalog is not None:
            name = f"notebooks/{'/'.join(map(folder_name, call.place.path))}.ipynb"
            keep = partial(self._keep, catalog, name, call)
        values = await driver.run(
            self.notebook,
            parameters=arguments,
            returns=self.declared,
            secrets=call.secrets,
            environment=shared.environ,
            folder=self.folder,
            on_output=call.output.write,
            hide=shared.masking.text,
            keep=keep,
        )
        return self.exactly(call, values)

    async def _keep(self, catalog: FileCatalog, name: str, call: TaskCall, data: bytes) -> None:
        call.put.append(await catalog.put_bytes(name, data, call.place))
