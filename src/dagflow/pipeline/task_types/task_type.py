"""What a kind of task is: the parameters that it reads, and how its work is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol

import attrs

from dagflow.catalog.spec import CatalogFile
from dagflow.core.secrets import Secret
from dagflow.pipeline.ports import TaskOutput, TaskPlace
from dagflow.pipeline.steps import Outcome, Read, StepCall

__all__ = ["StubTaskType", "TaskCall", "TaskType"]


@attrs.frozen(eq=False, kw_only=True)
class TaskCall:
    """One attempt of a task: what it sees, its `secrets` by the names that it knows them by, and its output."""

    step: StepCall
    secrets: Mapping[str, Secret] = attrs.field(repr=False)
    output: TaskOutput
    place: TaskPlace
    put: list[CatalogFile] = attrs.field(factory=list)
    """Files that the task itself has kept in the catalog."""

    @property
    def task(self) -> str:
        """The name of the task."""
        return self.step.activation.node


class TaskType(Protocol):
    """A kind of task, compiled for one task of a pipeline.

    `task_type` is its name. `reads` and `reads_all` tell which parameters it takes, `types` are hints of its values,
    `returns` is what it declares to return. `signature` has a line for each thing that a run which goes on relies on.
    `function` is what an executor may call elsewhere, with the arguments by name.
    """

    task_type: ClassVar[str]

    @property
    def reads(self) -> tuple[Read, ...]:
        """The parameters that it takes."""
        ...

    @property
    def reads_all(self) -> bool:
        """Whether it takes all others as well."""
        ...

    @property
    def types(self) -> tuple[Any, ...]:
        """Hints of its values."""
        ...

    @property
    def returns(self) -> Any:
        """The hint of what it returns."""
        ...

    @property
    def signature(self) -> tuple[str, ...]:
        """What a run that goes on relies on, beside what all tasks have."""
        ...

    @property
    def function(self) -> Callable[..., Any] | None:
        """What an executor may call elsewhere."""
        ...

    async def arguments(self, call: TaskCall) -> Mapping[str, Any]:
        """Gather what the work needs; raises `NodeError` for a parameter that is missing or does not fit."""
        ...

    async def run(self, call: TaskCall, arguments: Mapping[str, Any]) -> Any:
        """Do the work in this process and give what it returns."""
        ...


class StubTaskType:
    """Does nothing."""

    task_type: ClassVar[str] = "stub"

    async def __call__(self, call: StepCall) -> Outcome:
        """Give nothing."""
        return Outcome()
