"""The engine: feeds the schedule with what happened, and runs what it answers, in the run's one task group."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import copy_context
from itertools import count
from typing import Any

import anyio
import attrs
from anyio.abc import TaskGroup

from dagflow.core.plan import Plan
from dagflow.core.schedule import Activation, Schedule
from dagflow.errors import AnswerError, CheckpointError, DagflowError, Failure, NodeError, StepLimitError, describe
from dagflow.events import (
    Event,
    NodeCancelled,
    NodeFailed,
    NodeInterrupted,
    NodeRecovered,
    NodeRetried,
    NodeStarted,
    NodeSucceeded,
)
from dagflow.kernel.cancellation import is_cancellation
from dagflow.kernel.context import ActivationContext, RunContext, enter_activation
from dagflow.kernel.fault_points import reach
from dagflow.kernel.interruption import interrupts_of
from dagflow.kernel.isolation import run_isolated
from dagflow.kernel.journal import Journal
from dagflow.kernel.limits import Limit
from dagflow.kernel.retry import retry_wait
from dagflow.kernel.workers import Workers
from dagflow.types import Interrupt, Retry

__all__ = ["Engine", "NodeBody", "Program", "Step"]


NEVER_RETRIED = (AnswerError, CheckpointError)
"""An answer that does not fit, and a journal that cannot be gone on from, do not change by trying again."""


@attrs.frozen
class Step:
    """What an activation came to: its `value`, the `targets` that follow, and its `writes` to the state.

    `value` is kept in the trace. `result` is what the node's body gave, for those that follow. `targets` may be a
    function that finds them: it is called once, when the body is over, and what it raises is not retried.
    """

    value: Any = None
    targets: tuple[str, ...] | Callable[[], tuple[str, ...]] = ()
    writes: Mapping[str, Any] = attrs.field(factory=dict)
    result: Any = None


Recover = Callable[[Activation, ActivationContext, Exception], Awaitable[Step]]


@attrs.frozen(eq=False)
class NodeBody:
    """How a node is run: `work` is given the activation and its context, anew for each attempt.

    `timeout` is in seconds and bounds each attempt. `max_concurrency` bounds the activations of the node that
    are under way at once. `recover` stands in for a body whose last attempt failed: it is given what was raised,
    and gives a step in its place, or raises.
    """

    work: Callable[[Activation, ActivationContext], Awaitable[Step]]
    timeout: float | None = None
    retry: Retry | None = None
    max_concurrency: int | None = None
    recover: Recover | None = None


@attrs.frozen(eq=False)
class Program:
    """What a front end compiles to: a plan, one body for each of its nodes, and how the state's keys are folded."""

    name: str
    plan: Plan
    bodies: Mapping[str, NodeBody]
    reducers: Mapping[str, Callable[[Any, Any], Any]] = attrs.field(factory=dict)


class Engine:
    """Drives one run of a program.

    The first failure cancels what is under way, waits for its clean-up and starts nothing more; everything
    that had failed by then is in the error. An exception that is no `Exception` is raised as it is. An activation
    that asks a person stays as it is, while the others go on. Where the run is recorded, what succeeded is in the
    store before anything follows from it.
    """

    def __init__(
        self,
        program: Program,
        schedule: Schedule,
        run: RunContext,
        group: TaskGroup,
        max_steps: int | None,
        *,
        asked: Mapping[str, tuple[Interrupt, ...]],
    ) -> None:
        self.schedule = schedule
        self._bodies = program.bodies
        self._run = run
        self._group = group
        self._workers = Workers(group, self._activate)
        self._max_steps = max_steps
        self._log = run.durable.log if run.durable is not None else None
        self._steps = 0
        self._asked = dict(asked)
        self._limits = {
            name: Limit(body.max_concurrency) for name, body in program.bodies.items() if body.max_concurrency
        }
        self._failed: list[DagflowError] = []
        self._fatal: BaseException | None = None
        self.failed_first: bool = False
        """Whether a failure ended the run, and not a cancellation that it had begun to obey."""

    async def drive(self, ready: list[Activation], *, steps: int, timeout: float | None) -> None:
        """Run what is ready and what follows; what others still do is awaited by leaving the task group.

        `steps` counts the activations that have run before. When `timeout` seconds have passed the task group is
        cancelled.
        """
        if timeout is not None:
            self._group.cancel_scope.deadline = anyio.current_time() + timeout
        self._steps = steps
        self._admit(ready)
        await self._workers.drain()

    @property
    def interrupts(self) -> tuple[Interrupt, ...]:
        """The questions that were asked, in the declared order of the activations that wait for the answers."""
        return tuple(one for activation in self.schedule.open_interrupts for one in self._asked.get(activation.id, ()))

    def raise_failure(self) -> None:
        """Raise what ended the run, if anything did; meant for after the task group."""
        if self._fatal is not None:
            raise self._fatal
        if not self._failed:
            return
        first = self._failed[0]
        first.failures = self.failures
        raise first

    @property
    def failures(self) -> tuple[Failure, ...]:
        """Everything that has failed, in the order in which it did."""
        return tuple(failure for error in self._failed for failure in error.failures)

    def _admit(self, activations: list[Activation]) -> None:
        """Queue what starts now, up to the step limit."""
        if self._failed or self._fatal:
            return
        before = self._steps
        self._steps += len(activations)
        if activations and self._max_steps is not None and self._steps > self._max_steps:
            # A run that was resumed may have begun beyond a limit that is lower now.
            beyond = activations[max(self._max_steps - before, 0)]
            self._stop(StepLimitError(self._max_steps, node=beyond.id))
            return
        self._workers.add(activations)

    def _stop(self, error: DagflowError) -> None:
        error.run = self._run.id
        self._failed.append(error)
        self._cancel()

    def _cancel(self) -> None:
        self.failed_first = self.failed_first or not self._group.cancel_scope.cancel_called
        self._workers.clear()
        self._group.cancel_scope.cancel()

    async def _activate(self, activation: Activation) -> None:
        """Run an activation to its end; only cancellation is raised from here."""
        limit = self._limits.get(activation.node)
        if limit is None:
            await self._attempt_until_over(activation)
            return
        await limit.acquire()
        try:
            await self._attempt_until_over(activation)
        finally:
            limit.release()

    async def _attempt_until_over(self, activation: Activation) -> None:
        journal, body = self._run.journal, self._bodies[activation.node]
        parents = tuple([parent.id for parent in activation.parents])
        began = wait = None
        for attempt in count(1):
            started = journal.elapsed()
            journal.append(
                NodeStarted(
                    **journal.stamp(self._run.id, started),
                    node=activation.node,
                    activation=activation.id,
                    attempt=attempt,
                    parents=parents,
                )
            )
            began = started if began is None else began
            reach("before", activation.id)
            try:
                if wait is not None:
                    await anyio.sleep(wait)
                try:
                    step = await self._attempt(body, activation, attempt)
                except Exception as error:
                    if isinstance(error, NEVER_RETRIED) or is_cancellation(error):
                        raise
                    wait = retry_wait(body.retry, attempt, error)
                    if wait is not None:
                        self._record(activation, NodeRetried, attempt=attempt, error=describe(error), delay=wait)
                        continue
                    if body.recover is None:
                        raise
                    step = await self._recover(body.recover, activation, attempt, error)
            except BaseException as error:
                asked = interrupts_of(error)
                if asked:
                    self.schedule.interrupted(activation)
                    self._asked[activation.id] = asked
                    self._record(activation, NodeInterrupted, attempt=attempt, interrupts=asked, since=began)
                    await self._settle(journal)
                    return
                if is_cancellation(error):
                    self._record(activation, NodeCancelled, attempt=attempt, since=began)
                    raise
                self._record(activation, NodeFailed, attempt=attempt, error=describe(error), since=began)
                self._fail(activation, error)
                return
            if self._group.cancel_scope.cancel_called:
                # The body swallowed its cancellation. What it gave comes too late to count.
                self._record(activation, NodeCancelled, attempt=attempt, since=began)
                return
            await self._complete(activation, step, attempt, began)
            return

    async def _recover(self, recover: Recover, activation: Activation, attempt: int, error: Exception) -> Step:
        """Let what stands in for a body that failed take its place, and record that it does, and why."""
        context = ActivationContext(self._run, activation.node, activation.id, attempt)
        isolated = copy_context()
        isolated.run(enter_activation, context)
        step = await run_isolated(isolated, recover, activation, context, error)
        context.record(NodeRecovered, attempt=attempt, error=describe(error))
        return step

    async def _complete(self, activation: Activation, step: Step, attempt: int, began: float) -> None:
        """Record what an activation came to, and start what follows once that is in the store."""
        journal = self._run.journal
        reach("body", activation.id)
        value, result, writes = step.value, step.result, step.writes
        payload = None
        try:
            targets = step.targets() if callable(step.targets) else step.targets
            if self._log is not None:
                payload = self._run.front.recorder.write_step(activation.node, value, result, writes)
            following = self.schedule.succeeded(activation, targets, writes)
        except (
            Exception
        ) as error:  # no way to go on, a state conflict, what a reducer raises, or what cannot be written
            self._record(activation, NodeFailed, attempt=attempt, error=describe(error), since=began)
            self._fail(activation, error)
            return
        ended = journal.elapsed()
        journal.append(
            NodeSucceeded(
                **journal.stamp(self._run.id, ended),
                node=activation.node,
                activation=activation.id,
                attempt=attempt,
                value=value,
                result=result,
                targets=targets,
                duration=ended - began,
                writes=writes,
            ),
            payload,
        )
        if (self._log is not None or journal.congested) and not await self._settle(journal):
            return
        reach("committed", activation.id)
        self._admit(following)

    def _record(self, activation: Activation, kind: type[Event], **fields: Any) -> None:
        """Record an event of an activation; those of each activation are made directly, which takes half as long."""
        self._run.journal.record(kind, self._run.id, node=activation.node, activation=activation.id, **fields)

    async def _settle(self, journal: Journal) -> bool:
        """Wait until what was recorded may be told, and followers have room for it; `False` if it never may."""
        if self._log is not None:
            try:
                await self._log.settle()
            except CheckpointError:
                return False  # the log keeps it, and ends the run
        if journal.congested:
            await journal.settle()
        return True

    async def _attempt(self, body: NodeBody, activation: Activation, attempt: int) -> Step:
        context = ActivationContext(self._run, activation.node, activation.id, attempt)
        isolated = copy_context()
        isolated.run(enter_activation, context)
        if body.timeout is None:
            return await run_isolated(isolated, body.work, activation, context)
        with anyio.CancelScope(deadline=anyio.current_time() + body.timeout) as scope:
            step = await run_isolated(isolated, body.work, activation, context)
            if not scope.cancel_called:  # it is where the body swallowed its cancellation
                return step
        raise TimeoutError(f"it passed its timeout of {body.timeout:g} s")

    def _fail(self, activation: Activation, error: BaseException) -> None:
        self.schedule.failed(activation)
        if not isinstance(error, (Exception, anyio.get_cancelled_exc_class())):
            self._fatal = self._fatal or error
            self._cancel()
            return
        self._stop(_as_failure(activation, error))


def _as_failure(activation: Activation, error: BaseException) -> DagflowError:
    """Turn what an activation raised into the error of its run.

    An error of ours is kept, unless it is that of a nested run: that one names the nodes of another graph.
    """
    if isinstance(error, DagflowError) and not error.run:
        if not error.failures:
            error.failures = (Failure(error, activation.node),)
        if not hasattr(error, "node"):
            error.add_note(f"in node {activation.id}")
        return error
    message = f"node {activation.id} failed: {describe(error)}"
    wrapped = NodeError(message, node=activation.node, failures=(Failure(error, activation.node),))
    wrapped.__cause__ = error
    return wrapped
