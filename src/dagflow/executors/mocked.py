"""Results that were said before, in the place of the work of tasks: for tests of whole pipelines."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Protocol

import attrs

from dagflow.core.structure import nearest
from dagflow.errors import NodeError

__all__ = ["MockedExecutor"]


class Work(Protocol):
    """What an executor is given: the work of one attempt of a task."""

    @property
    def task(self) -> str:
        """The name of the task."""
        ...

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The parameters that it takes, by name."""
        ...

    @property
    def here(self) -> Callable[[], Any]:
        """Does the work in this process."""
        ...


@attrs.frozen(eq=False)
class MockedExecutor:
    """Gives results in the place of the work of tasks, so that a pipeline can be tested without what its tasks reach.

    `results` has what each task returns, by its name: a value; an exception, which is raised; or a quick function,
    sync or async, which is called with the task's arguments by name, and whose result it is. Parameters, returns,
    retries, `on_failure` and the run log are as ever. Tasks that are named in `real` do their work.

    A task that is named nowhere raises `NodeError` and does nothing: a slip of the pen sends no letters. `calls` has
    the name and the arguments of each attempt, in the order in which they began.
    """

    service_name: ClassVar[str] = "mocked"

    results: Mapping[str, Any] = attrs.field(factory=dict, repr=False)
    real: Collection[str] = attrs.field(default=(), kw_only=True)
    calls: list[tuple[str, Mapping[str, Any]]] = attrs.field(factory=list, init=False, repr=False)

    def refusal(self, function: Callable[..., Any]) -> str | None:
        """Any function will do."""
        return None

    async def execute(self, work: Work) -> Any:
        """Give the result of a task; raises what it is to raise, and `NodeError` for a task that has none."""
        self.calls.append((work.task, work.arguments))
        if work.task in self.real:
            return await work.here()
        if work.task not in self.results:
            raise NodeError(
                f"the mocked executor has no result for task {work.task!r}{nearest(work.task, list(self.results))}; "
                f"give it one, or name the task in real=[...] to have it do its work",
                node=work.task,
            )
        result = self.results[work.task]
        if isinstance(result, BaseException):
            raise result
        if inspect.isroutine(result):
            result = result(**work.arguments)
            return await result if inspect.isawaitable(result) else result
        return result
