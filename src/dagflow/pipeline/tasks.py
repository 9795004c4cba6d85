"""The tasks of a pipeline, as values: functions, shell commands, notebooks and stubs."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from dagflow.catalog.spec import Catalog
from dagflow.core.functions import Offload
from dagflow.errors import GraphError, name_of
from dagflow.pipeline.generators import is_async
from dagflow.pipeline.returns import Return, as_returns
from dagflow.pipeline.steps import CompileContext, CompiledStep, Step
from dagflow.pipeline.task_types.functions import AsyncPythonTaskType, PythonTaskType
from dagflow.pipeline.task_types.programs import NotebookTaskType, ShellTaskType
from dagflow.pipeline.task_types.task_type import StubTaskType, TaskType
from dagflow.types import Retry

__all__ = ["AsyncPythonTask", "NotebookTask", "PythonTask", "ShellTask", "Stub", "Task"]

Returns = str | Return | Iterable[str | Return]


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _secrets(given: str | Iterable[str] | Mapping[str, str]) -> Mapping[str, str]:
    return dict(given) if isinstance(given, Mapping) else {name: name for name in _names(given)}


@attrs.frozen(kw_only=True)
class Task(Step):
    """Base of the steps that do work themselves.

    `returns` names the parameters that it gives: strings, `Json`, `Object` or `Metric`. `catalog` are its files.
    `secrets` are the names of secrets that it is given: a list, or a mapping from the name that the task knows a secret
    by. `overrides` are options for an executor, by its name. `retry` says how often it is tried, `timeout` (seconds)
    bounds each attempt, and `max_concurrency` the attempts that are under way at once in a run, in all branches and
    items together.
    """

    returns: tuple[Return, ...] = attrs.field(default=(), converter=as_returns)
    catalog: Catalog | None = None
    secrets: Mapping[str, str] = attrs.field(factory=dict, converter=_secrets)
    overrides: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    retry: Retry | None = None
    timeout: float | None = None
    max_concurrency: int | None = None

    @property
    def folder(self) -> Path:
        """The folder that it works in, where the files of its `catalog` are: the one that this process is in."""
        return Path()

    def task_type(self, context: CompileContext) -> TaskType:
        """Check the task and give what does its work; raises `GraphError` with every fault."""
        raise NotImplementedError(f"{type(self).__name__} is no kind of task: it has no `task_type`")

    def compile(self, context: CompileContext) -> CompiledStep:
        """Check the task and make it ready to run."""
        from dagflow.pipeline.task_body import compile_task

        return compile_task(self, self.task_type(context))


@attrs.frozen
class PythonTask(Task):
    """A function: sync or async, or an async generator, whose items are streamed.

    Its parameters are those of the pipeline, by name, in the types that its hints declare. A sync function runs in a
    thread; `offload` says where else: `"inline"`, on the event loop, or `"process"`, where a timeout can stop it.
    """

    function: Callable[..., Any]
    offload: Offload | None = attrs.field(default=None, kw_only=True)

    def default_name(self) -> str:
        """The function's name."""
        return name_of(self.function)

    def task_type(self, context: CompileContext) -> TaskType:
        """Look at the function."""
        return PythonTaskType.of(self.function, **self._options(context))

    def _options(self, context: CompileContext) -> dict[str, Any]:
        return {
            "offload": self.offload,
            "timeout": self.timeout,
            "declared": tuple(item.name for item in self.returns),
            "secrets": self.secrets,
            "namespace": context.namespace,
        }


@attrs.frozen
class AsyncPythonTask(PythonTask):
    """An async function or async generator; a sync function is refused with a `ValueError`."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if not is_async(self.function):
            raise ValueError(
                f"the function of AsyncPythonTask {self.name} must be an async function, and {name_of(self.function)} "
                f"is none; write `async def`, or use PythonTask, which takes both"
            )

    def task_type(self, context: CompileContext) -> TaskType:
        """Look at the function."""
        return AsyncPythonTaskType.of(self.function, **self._options(context))


@attrs.frozen
class ShellTask(Task):
    """A program with its arguments: a list, or a string that is split as a shell would, without one.

    With `shell=True` the string is run by `sh -c`. Parameters reach the program through its environment, as
    `DAGFLOW_INPUT_name`: those in `takes`, or all that have a text or JSON form and are not too long for it. It returns
    values through the file that `DAGFLOW_OUTPUTS` names: a JSON object, or lines of the form `name=value`. `cwd` is the
    folder that it works in.
    """

    command: str | Sequence[str]
    shell: bool = attrs.field(default=False, kw_only=True)
    takes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=attrs.converters.optional(_names))
    cwd: str | os.PathLike[str] | None = attrs.field(default=None, kw_only=True)

    @property
    def folder(self) -> Path:
        """Its `cwd`, or the folder that this process is in."""
        return Path(self.cwd or ".")

    def default_name(self) -> str:
        """The program's name."""
        words = self.command.split(maxsplit=1) if isinstance(self.command, str) else list(self.command)
        return os.path.basename(words[0]) if words and isinstance(words[0], str) else "shell"

    def task_type(self, context: CompileContext) -> TaskType:
        """Split the command."""
        return ShellTaskType(
            command=self._words(),
            takes=self.takes,
            declared=tuple(item.name for item in self.returns),
            cwd=None if self.cwd is None else Path(self.cwd),
        )

    def _words(self) -> tuple[str, ...]:
        command = self.command
        if self.shell:
            if not isinstance(command, str) or not command.strip():
                raise GraphError(["shell=True takes the command as one string, which `sh -c` reads"], subject=self.name)
            return ("sh", "-c", command)
        try:
            words = tuple(shlex.split(command)) if isinstance(command, str) else tuple(command)
        except ValueError as error:
            raise GraphError([f"its command {command!r} cannot be split: {error}"], subject=self.name) from error
        if not words or not all(isinstance(word, str) for word in words) or not words[0]:
            fault = f"its command is {command!r}; write a program and its arguments, all strings"
            raise GraphError([fault], subject=self.name)
        return words


@attrs.frozen
class NotebookTask(Task):
    """A Jupyter notebook: parameters are injected into it, and the names in `returns` are read back at its end.

    It is given the parameters in `takes`, or all that have a form in JSON. It works in the folder `cwd`, without it in
    the one that the notebook is in.
    """

    notebook: str | os.PathLike[str]
    takes: tuple[str, ...] | None = attrs.field(default=None, kw_only=True, converter=attrs.converters.optional(_names))
    cwd: str | os.PathLike[str] | None = attrs.field(default=None, kw_only=True)

    @property
    def folder(self) -> Path:
        """Its `cwd`, or the folder that the notebook is in."""
        return Path(self.notebook).parent if self.cwd is None else Path(self.cwd)

    def default_name(self) -> str:
        """The notebook's file name without its suffix."""
        return Path(self.notebook).stem

    def task_type(self, context: CompileContext) -> TaskType:
        """Check the path."""
        path = Path(self.notebook)
        if path.suffix != ".ipynb":
            raise GraphError([f"its notebook {os.fspath(path)!r} is no .ipynb file"], subject=self.name)
        return NotebookTaskType(
            notebook=path, takes=self.takes, declared=tuple(item.name for item in self.returns), folder=self.folder
        )


@attrs.frozen(kw_only=True)
class Stub(Step):
    """A step that does nothing: a place to fill later, or one for branches that need no work."""

    def compile(self, context: CompileContext) -> CompiledStep:
        """There is nothing to check."""
        return CompiledStep(name=self.name, kind=StubTaskType.task_type, body=StubTaskType())
