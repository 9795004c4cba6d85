"""Where the work of tasks is done: the protocol of executors, and the two that work in this process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar, NoReturn, Protocol

import attrs

__all__ = ["AsyncLocalExecutor", "Executor", "LocalExecutor", "TaskWork"]


@attrs.frozen(eq=False, kw_only=True)
class TaskWork:
    """The work of one attempt of a task.

    `function` is what is called with `arguments`, by name, where the task is one function; it is `None` for a
    command, a notebook and a generator. `options` are the task's `overrides` for the executor. `here` does the work
    in this process.
    """

    task: str
    task_type: str
    function: Callable[..., Any] | None
    arguments: Mapping[str, Any] = attrs.field(repr=False)
    options: Mapping[str, Any] = attrs.field(factory=dict)
    here: Callable[[], Awaitable[Any]] = attrs.field(repr=False)


class Executor(Protocol):
    """Does the work of tasks. Made without I/O, shared by any number of runs at once, on either event loop."""

    service_name: ClassVar[str]
    """The name that configuration files and `overrides` know it by."""

    def refusal(self, function: Callable[..., Any]) -> str | None:
        """Say why a function cannot be given to this executor, in a sentence; `None` if it can.

        Asked before anything runs.
        """
        ...

    async def execute(self, work: TaskWork) -> Any:
        """Do the work and give what it returns; raises what it raises. Cancelled, it ends the work first."""
        ...


class LocalExecutor:
    """Works in this process: async functions on the event loop, sync ones in threads or processes of their own."""

    service_name: ClassVar[str] = "local"

    def refusal(self, function: Callable[..., Any]) -> str | None:
        """Any function will do."""
        return None

    async def execute(self, work: TaskWork) -> Any:
        """Do the work here."""
        return await work.here()


class AsyncLocalExecutor(LocalExecutor):
    """The local executor by the name that asynchronous pipelines know it by; it does the same."""

    service_name: ClassVar[str] = "async-local"

    def execute_node(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse to block: raises `RuntimeError`."""
        raise RuntimeError(
            "the async-local executor works on the event loop and cannot execute a node synchronously; "
            "use the async one: `await executor.execute(work)`, or `await pipeline.execute()`"
        )
