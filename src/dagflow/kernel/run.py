"""One run of a program: its place among other runs, its deadline, its clean-up, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from itertools import count
from typing import Any

import anyio
import anyio.lowlevel
import attrs
from anyio.abc import TaskGroup

from dagflow.errors import DagflowError, NodeError, RunTimeout, describe
from dagflow.events import RunEnded, RunStarted
from dagflow.kernel.cancellation import never_wrapped
from dagflow.kernel.context import FrontEnd, RunContext, current_activation
from dagflow.kernel.engine import Engine, Program
from dagflow.kernel.journal import Journal
from dagflow.kernel.limits import Limit
from dagflow.kernel.resolve import Resolver, Schedule
from dagflow.kernel.resources import Resources

__all__ = ["Run", "RunSettings"]


def _check_timeout(settings: object, attribute: object, value: float | None) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"timeout must be a number of seconds above 0, not {value}")


@attrs.frozen(kw_only=True, eq=False)
class RunSettings:
    """What a caller may set for one run; `timeout` is in seconds."""

    lm: Any = None
    overrides: Mapping[Callable[..., Any], Any] = attrs.field(factory=dict)
    schedule: Schedule = "levels"
    max_concurrency: int | None = None
    max_steps: int | None = 100
    timeout: float | None = attrs.field(default=None, validator=_check_timeout)


class Run:
    """A run, ready to be executed once.

    Made inside an activation of another run, it is nested in that one: it records into the same journal, works
    under the same limit, uses the same language model unless it is given its own, and ends with it.
    """

    def __init__(self, program: Program, front: FrontEnd, settings: RunSettings) -> None:
        self._program = program
        self._front = front
        self._settings = settings
        self._parent = parent = current_activation()
        if parent is None:
            self.journal: Journal = Journal()
            self.id: str = os.urandom(6).hex()
            self.lm: Any = settings.lm
        else:
            self.journal = parent.run.journal
            self.id = parent.nested_run_id(program.name)
            self.lm = settings.lm if settings.lm is not None else parent.run.lm

    async def execute(self) -> None:
        """Run to the end; whatever way it ends, nothing of it is left then, and the journal tells how.

        Raises what ended the run. Cancelled, it waits for the clean-up of what it had started.
        """
        parent = self._parent.activation if self._parent is not None else ""
        plan = self._program.plan
        self.journal.record(RunStarted, self.id, graph=self._program.name, fingerprint=plan.fingerprint, parent=parent)
        try:
            async with self._lent_permit():
                await self._work_and_close()
        except BaseException as error:
            outcome = "failed" if isinstance(error, Exception) or _is_fatal(error) else "cancelled"
            self.journal.record(RunEnded, self.id, outcome=outcome, error=describe(error))
            raise
        self.journal.record(RunEnded, self.id, outcome="complete")

    def _lent_permit(self) -> AbstractAsyncContextManager[None]:
        if self._parent is None or self._parent.permit is None:
            return nullcontext()
        return self._parent.permit.lent()

    async def _work_and_close(self) -> None:
        async with Resources() as resources:
            group = anyio.create_task_group()
            engine = self._engine(group, resources)
            try:
                async with group:
                    await engine.drive(self._settings.timeout)
            except BaseException as error:
                # A failure in the midst of a cancellation replaces it, as it would in a `finally` block.
                engine.raise_failure()
                raise (never_wrapped(error) or error) from None
            await self._raise_outcome(engine, group.cancel_scope)

    def _engine(self, group: TaskGroup, resources: Resources) -> Engine:
        settings = self._settings
        limit = self._parent.run.limit if self._parent is not None else None
        if settings.max_concurrency is not None:
            limit = Limit(settings.max_concurrency, limit)
        resolver = Resolver(
            make_node=self._front.make_node,
            schedule=settings.schedule,
            overrides=settings.overrides,
            group=group,
            resources=resources,
            limit=limit,
        )
        context = RunContext(
            id=self.id,
            name=self._program.name,
            journal=self.journal,
            resolver=resolver,
            front=self._front,
            limit=limit,
            resources=resources if self._parent is None else self._parent.run.resources,
            requests=count(1) if self._parent is None else self._parent.run.requests,
            lm=self.lm,
        )
        return Engine(self._program, context, group, settings.max_steps)

    async def _raise_outcome(self, engine: Engine, scope: anyio.CancelScope) -> None:
        """Raise what kept the run from its end, if anything did."""
        if engine.failed_first:
            engine.raise_failure()
        if engine.schedule.done:
            return
        running = tuple(activation.id for activation in engine.schedule.running)
        if self._settings.timeout is not None and anyio.current_time() >= scope.deadline:
            error: DagflowError = RunTimeout(self._settings.timeout, running=running, failures=engine.failures)
        else:
            engine.raise_failure()
            # A cancellation that has taken the run's tasks, and that this one has not noticed yet, is raised here.
            await anyio.lowlevel.checkpoint()
            error = NodeError(
                f"the run stopped because a task of it was cancelled from outside, while {', '.join(running)} ran",
                node=running[0].partition("#")[0] if running else "",
            )
        error.run = self.id
        raise error


def _is_fatal(error: BaseException) -> bool:
    return not isinstance(error, anyio.get_cancelled_exc_class())
