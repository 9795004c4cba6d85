"""One attempt of a task, from its parameters to what it gives: its limits, files, secrets, output and executor."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import attrs

from dagflow.catalog.spec import Catalog, CatalogFile
from dagflow.core.codec import Unwritable
from dagflow.core.fitting import is_json
from dagflow.errors import GraphError, NodeError
from dagflow.events import Printed
from dagflow.kernel.calling import under_permit
from dagflow.kernel.context import ActivationContext
from dagflow.pipeline.executors import TaskWork
from dagflow.pipeline.ports import Stream, TaskPlace
from dagflow.pipeline.raising import told_by
from dagflow.pipeline.returns import match_returns, returns_faults
from dagflow.pipeline.signature import returned
from dagflow.pipeline.steps import CompiledStep, Outcome, StepCall
from dagflow.pipeline.task_types.task_type import TaskCall, TaskType
from dagflow.types import Retry

if TYPE_CHECKING:
    from dagflow.pipeline.tasks import Task

__all__ = ["TaskBody", "compile_task"]


def compile_task(task: Task, task_type: TaskType) -> CompiledStep:
    """Make a task ready to run; raises `GraphError` with what is wrong with it, beside its function or command."""
    faults = returns_faults(task.returns, task_type.returns)
    if task.timeout is not None and not task.timeout > 0:
        faults.append(f"timeout must be a number of seconds above 0, not {task.timeout}")
    if task.retry is not None and not isinstance(task.retry, Retry):
        faults.append(f"retry is {task.retry!r}; write Retry(attempts=...)")
    if task.catalog is not None and not isinstance(task.catalog, Catalog):
        faults.append(f"catalog is {task.catalog!r}; write Catalog(get=[...], put=[...])")
    if task.max_concurrency is not None and task.max_concurrency < 1:
        faults.append(f"max_concurrency must be at least 1, not {task.max_concurrency}")
    if faults:
        raise GraphError(faults, subject=task.name)
    names = tuple(item.name for item in task.returns)
    function = task_type.function
    return CompiledStep(
        name=task.name,
        kind=task_type.task_type,
        body=TaskBody(task, task_type),
        reads=task_type.reads,
        reads_all=task_type.reads_all,
        gives=names,
        surely=frozenset(names),
        metrics=frozenset(item.name for item in task.returns if item.kind == "metric"),
        objects=frozenset(item.name for item in task.returns if item.kind == "object"),
        secrets=tuple(task.secrets.values()),
        signature=(*task_type.signature, *returned(task.returns)),
        types=task_type.types,
        functions=() if function is None else ((task.name, function),),
        keeps_files=task.catalog is not None,
        retry=task.retry,
    )


@attrs.frozen(eq=False)
class TaskBody:
    """Does the work of a task, once for each attempt."""

    task: Task
    type: TaskType

    async def __call__(self, call: StepCall) -> Outcome:
        """Do the work; what it raises is recorded with its traceback, and told without the secrets of the run."""
        limit = call.front.shared.limit_of(self.task)
        if limit is None:
            return await self._telling(call)
        await limit.acquire()
        try:
            return await self._telling(call)
        finally:
            limit.release()

    async def _telling(self, call: StepCall) -> Outcome:
        try:
            return await self._in_time(call)
        except Exception as error:
            told = told_by(call, error)
            if told is error:
                raise
        raise told

    async def _in_time(self, call: StepCall) -> Outcome:
        timeout = self.task.timeout
        if timeout is None:
            return await self._attempt(call)
        with anyio.CancelScope(deadline=anyio.current_time() + timeout) as scope:
            outcome = await self._attempt(call)
            if not scope.cancel_called:  # it is where the body swallowed its cancellation
                return outcome
        raise TimeoutError(f"it passed its timeout of {timeout:g} s")

    async def _attempt(self, call: StepCall) -> Outcome:
        shared = call.front.shared
        place = TaskPlace(shared.run_id, call.path, call.context.attempt)
        secrets = {name: shared.secrets[secret] for name, secret in self.task.secrets.items()}
        got = await self._get_files(call, place)
        assert shared.services.capture is not None
        tell = partial(_tell, call.context) if call.context.run.journal.is_followed else None
        async with shared.services.capture.open(place, secrets=shared.hidden, tell=tell) as output:
            task = TaskCall(step=call, secrets=secrets, output=output, place=place)
            value = await self._work(task)
        writes = self._writes(call, value)
        put = [*task.put, *await self._put_files(call, place)]
        log: dict[str, Any] = {} if not output.tail or output.path is None else {"output": output.path}
        for word, files in (("got", got), ("put", put)):
            if files:
                log[word] = [attrs.asdict(file) for file in files]
        return Outcome(writes=writes, log=log or None)

    async def _work(self, call: TaskCall) -> Any:
        executor = call.step.front.shared.services.executor
        arguments = await self.type.arguments(call)
        work = TaskWork(
            task=call.task,
            task_type=self.type.task_type,
            function=self.type.function,
            arguments=arguments,
            options=self.task.overrides.get(executor.service_name, {}),
            here=partial(self.type.run, call, arguments),
        )
        value = await under_permit(call.step.context, partial(executor.execute, work))
        if inspect.iscoroutine(value):
            value.close()
            raise NodeError(
                f"task {call.task} returned a coroutine that nobody has awaited: its function is sync, and calls an "
                f"async one; make it `async def`, and await that",
                node=call.task,
            )
        return value

    def _writes(self, call: StepCall, value: Any) -> dict[str, Any]:
        try:
            found = match_returns(self.task.returns, value)
        except ValueError as error:
            raise NodeError(f"task {self.task.name} {error}", node=self.task.name) from error
        shared = call.front.shared
        for item in self.task.returns:
            found[item.name] = written = shared.masking.value(found[item.name])
            if item.kind == "metric":
                self._check_metric(item.name, written)
            elif item.kind == "json" and not shared.is_recorded and not is_json(written):
                self._check_writable(call, item.name, written)
        return found

    def _check_metric(self, name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            text = repr(value) if isinstance(value, (bool, int, float)) else f"a {type(value).__name__}"
            message = f"task {self.task.name} returned {text} as the metric {name!r}; a metric is a finite number"
            raise NodeError(message, node=self.task.name)

    def _check_writable(self, call: StepCall, name: str, value: Any) -> None:
        """Refuse in every run what could not be recorded in one with a store."""
        try:
            call.front.shared.codec.writer(Any)(value)
        except Unwritable as error:
            raise unwritable(self.task.name, name, error) from error

    async def _get_files(self, call: StepCall, place: TaskPlace) -> Sequence[CatalogFile]:
        files, catalog = self.task.catalog, call.front.shared.services.catalog
        if files is None or catalog is None or not files.get:
            return ()
        return await catalog.get(files.get, self.task.folder, place)

    async def _put_files(self, call: StepCall, place: TaskPlace) -> Sequence[CatalogFile]:
        files, catalog = self.task.catalog, call.front.shared.services.catalog
        if files is None or catalog is None or not files.put:
            return ()
        return await catalog.put(files.put, self.task.folder, place)


async def _tell(context: ActivationContext, stream: Stream, line: str) -> None:
    context.record(Printed, stream=stream, text=line)
    await context.run.journal.settle()


def unwritable(task: str, name: str, error: Unwritable) -> NodeError:
    """The error of a task that returned what cannot be written."""
    problem = str(error).partition("; ")[0]  # what it says to do is for the fields of typed graphs
    return NodeError(
        f"task {task} returned {name!r}, which cannot be recorded: {problem}; name its class in the function's hints, "
        f"or give the pipeline the class or a Serializer (types=[...]); or run without a store, with Object({name!r})",
        node=task,
    )
