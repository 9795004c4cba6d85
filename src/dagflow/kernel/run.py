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

from dagflow.core.replay import RecordedRun, check_unchanged, replay
from dagflow.core.schedule import Activation, Schedule
from dagflow.errors import AnswerError, DagflowError, InvalidField, NodeError, RunCancelled, RunTimeout, describe
from dagflow.events import InterruptAnswered, RunEnded, RunStarted
from dagflow.kernel.cancellation import never_wrapped
from dagflow.kernel.context import ActivationContext, DurableRun, FrontEnd, RunContext, current_activation
from dagflow.kernel.engine import Engine, Program
from dagflow.kernel.interruption import Interruption
from dagflow.kernel.journal import Journal
from dagflow.kernel.limits import Limit
from dagflow.kernel.recorded import RecordedDependencies, Recorder
from dagflow.kernel.resolve import Resolver
from dagflow.kernel.resolve import Schedule as ResolveSchedule
from dagflow.kernel.resources import Resources
from dagflow.types import Interrupt, Outcome

__all__ = ["Run", "RunSettings"]


def _check_timeout(settings: object, attribute: object, value: float | None) -> None:
    if value is not None and value <= 0:
        raise ValueError(f"timeout must be a number of seconds above 0, not {value}")


@attrs.frozen(kw_only=True, eq=False)
class RunSettings:
    """What a caller may set for one run; `timeout` is in seconds."""

    lm: Any = None
    overrides: Mapping[Callable[..., Any], Any] = attrs.field(factory=dict)
    schedule: ResolveSchedule = "levels"
    max_concurrency: int | None = None
    max_steps: int | None = 100
    timeout: float | None = attrs.field(default=None, validator=_check_timeout)


@attrs.frozen(eq=False)
class Beginning:
    """Where a run stands when it begins: `steps` activations have run, and those in `asked` wait for answers.

    `given` are the answers that it was given now, as values and as data.
    """

    schedule: Schedule
    ready: list[Activation]
    steps: int = 0
    asked: dict[str, tuple[Interrupt, ...]] = attrs.field(factory=dict)
    given: dict[str, tuple[Interrupt, Any, Any]] = attrs.field(factory=dict)


class Run:
    """A run, ready to be executed once.

    Made inside an activation of another run, it is nested in that one: it records into the same journal, works
    under the same limit, uses the same language model unless it is given its own, and ends with it. In a run that
    was resumed it goes on from what is recorded of it, if it began with the same.
    """

    def __init__(self, program: Program, front: FrontEnd, settings: RunSettings) -> None:
        self._program = program
        self._front = front
        self._settings = settings
        self._parent = parent = current_activation()
        self._recorded: RecordedRun | None = None
        self.durable: DurableRun | None = None
        self.interrupts: tuple[Interrupt, ...] = ()
        """The questions that are open when the run has ended, if it is interrupted."""
        self.schedule: Schedule | None = None
        """Knows what has run and the state that it left, once the run has begun."""
        if parent is None:
            self.journal: Journal = Journal()
            self.id: str = os.urandom(6).hex()
            self.lm: Any = settings.lm
        else:
            self.journal = parent.run.journal
            self.id = parent.nested_run_id(program.name)
            self.lm = settings.lm if settings.lm is not None else parent.run.lm
            self.durable = parent.run.durable
            if self.durable is not None:
                self._find_recorded(self.durable, parent)

    @property
    def is_nested(self) -> bool:
        """Whether the run belongs to an activation of another."""
        return self._parent is not None

    def go_on(self, durable: DurableRun, recorded: RecordedRun | None) -> None:
        """Record the run, from where it was `recorded` already; raises `GraphChanged` if the graph is another now."""
        self.durable = durable
        if recorded is not None:
            if not durable.accept_changes:
                check_unchanged(self._program.plan, recorded, durable.recording, thread_id=durable.thread_id)
            self._recorded = recorded
            self.id = recorded.id

    def limit_to(self, max_concurrency: int) -> None:
        """Bound what works at once, in the place of what the settings say; meant for before the run is executed."""
        self._settings = attrs.evolve(self._settings, max_concurrency=max_concurrency)

    async def execute(self) -> Outcome:
        """Run to the end; whatever way it ends, nothing of it is left then, and the journal tells how.

        Gives `"complete"` or `"interrupted"`, and raises what else ended the run; a nested run that is interrupted
        interrupts the activation that it belongs to. Cancelled, it waits for the clean-up of what it had started.
        """
        outcome = await self._execute(self._begin())
        if self._parent is not None and self.interrupts:
            raise Interruption(self.interrupts)
        return outcome

    def _find_recorded(self, durable: DurableRun, parent: ActivationContext) -> None:
        """Look for what is recorded of a nested run; it counts once, and only for the same beginning.

        A body that runs several graphs at once may start them in another order than before: any that it started
        from the same beginning will do.
        """
        runs = durable.recording.runs
        if runs:
            data = self._front.recorder.write_input()
            stem = self.id.rpartition(".")[0]
            for name in sorted(durable.named(stem), key=lambda name: name != self.id):
                if name in runs and runs[name].started.input == data:
                    self.go_on(durable, runs.pop(name))
                    durable.taken.add(name)
                    return
        while self.id in runs or self.id in durable.taken:
            self.id = parent.nested_run_id(self._program.name)

    def _begin(self) -> Beginning:
        """Work out where the run stands, and what is to run now."""
        durable, recorded = self.durable, self._recorded
        schedule = self.schedule = Schedule(self._program.plan, reducers=self._program.reducers)
        if durable is not None and self._parent is None:
            self._front.recorder.remember(durable.recording.history, durable.recording.previous)
        if durable is None or recorded is None:
            return Beginning(schedule, schedule.start(self._front.initial_writes))
        given = read_answers(self._front.recorder, recorded, durable.answers)
        still_open = durable.recording.open.keys() - durable.answers.keys() - given.keys()
        answers = {name: event.answer for name, event in recorded.answers.items()}
        answers.update((name, data) for name, (_, _, data) in given.items())
        self._front.recorder.restore(recorded, answers)
        self.journal.replace(map(self._front.recorder.typed, recorded.succeeded))
        writes = self._front.initial_writes
        ready = replay(schedule, recorded, still_open, writes=writes, thread_id=durable.thread_id)
        asked = {
            activation.id: tuple(one for one in recorded.interrupted[activation.id].interrupts if one.id in still_open)
            for activation in schedule.open_interrupts
        }
        return Beginning(schedule, ready, len(recorded.succeeded) + len(asked), asked, given)

    async def _execute(self, beginning: Beginning) -> Outcome:
        recorded = self._recorded
        if recorded is not None and not beginning.ready and recorded.outcome in ("complete", "interrupted"):
            self.interrupts = tuple(one for asked in beginning.asked.values() for one in asked)
            if not beginning.given:
                return recorded.outcome  # there is nothing to do, and nothing to tell
        self._tell_beginning(beginning)
        try:
            async with self._lent_permit():
                await self._work_and_close(beginning)
        except BaseException as error:
            failed = not isinstance(error, RunCancelled) and (isinstance(error, Exception) or _is_fatal(error))
            self.journal.record(RunEnded, self.id, outcome="failed" if failed else "cancelled", error=describe(error))
            raise
        outcome: Outcome = "interrupted" if self.interrupts else "complete"
        self.journal.record(RunEnded, self.id, outcome=outcome)
        return outcome

    def _tell_beginning(self, beginning: Beginning) -> None:
        plan, journal = self._program.plan, self.journal
        if self._parent is not None:
            journal.adopt(self.id, self._parent.run.id)
        fields: dict[str, Any] = {
            "graph": self._program.name,
            "fingerprint": plan.fingerprint,
            "parent": self._parent.activation if self._parent is not None else "",
        }
        if self.durable is not None:
            if self._recorded is not None:
                fields["resumed"] = True
            else:
                fields["payload"] = {"input": self._front.recorder.write_input()}
            outlines = self.durable.recording.outlines
            if plan.fingerprint not in outlines:  # once for each graph in a thread: runs are nested by the thousand
                fields["outline"] = outlines[plan.fingerprint] = plan.outline
        journal.record(RunStarted, self.id, **fields)
        for name, (interrupt, value, data) in beginning.given.items():
            journal.record(
                InterruptAnswered,
                self.id,
                node=interrupt.node,
                activation=interrupt.activation,
                interrupt=name,
                answer=value,
                payload={"answer": data},
            )

    def _lent_permit(self) -> AbstractAsyncContextManager[None]:
        if self._parent is None or self._parent.permit is None:
            return nullcontext()
        return self._parent.permit.lent()

    async def _work_and_close(self, beginning: Beginning) -> None:
        async with Resources() as resources:
            group = anyio.create_task_group()
            engine = self._engine(group, resources, beginning)
            try:
                async with group:
                    if self.durable is not None and self._parent is None:
                        self.durable.log.end_with(group.cancel_scope)
                    await engine.drive(beginning.ready, steps=beginning.steps, timeout=self._settings.timeout)
            except BaseException as error:
                # A failure in the midst of a cancellation replaces it, as it would in a `finally` block.
                engine.raise_failure()
                raise (never_wrapped(error) or error) from None
            await self._raise_outcome(engine, group.cancel_scope)

    def _engine(self, group: TaskGroup, resources: Resources, beginning: Beginning) -> Engine:
        settings, durable = self._settings, self.durable
        limit = self._parent.run.limit if self._parent is not None else None
        if settings.max_concurrency is not None:
            limit = Limit(settings.max_concurrency, limit)
        recorded = None
        if durable is not None:
            found = self._recorded.dependencies if self._recorded is not None else {}
            recorded = RecordedDependencies(self._front.recorder, found)
        resolver = Resolver(
            make_node=self._front.make_node,
            schedule=settings.schedule,
            overrides=settings.overrides,
            group=group,
            resources=resources,
            limit=limit,
            recorded=recorded,
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
            schedule=beginning.schedule,
            durable=durable,
            lm=self.lm,
        )
        return Engine(self._program, beginning.schedule, context, group, settings.max_steps, asked=beginning.asked)

    async def _raise_outcome(self, engine: Engine, scope: anyio.CancelScope) -> None:
        """Raise what kept the run from its end, if anything did."""
        if engine.failed_first:
            engine.raise_failure()
        log = self.durable.log if self.durable is not None else None
        if log is not None and log.error is not None:
            raise log.error
        if engine.schedule.done:
            return
        running = tuple(activation.id for activation in engine.schedule.running)
        if not running:
            self.interrupts = engine.interrupts
            return
        if self._settings.timeout is not None and anyio.current_time() >= scope.deadline:
            error: DagflowError = RunTimeout(self._settings.timeout, running=running, failures=engine.failures)
        else:
            engine.raise_failure()
            # A cancellation that has taken the run's tasks, and that this one has not noticed yet, is raised here.
            await anyio.lowlevel.checkpoint()
            ran = f"while {', '.join(running)} ran"
            if log is not None and log.cancel_requested:
                error = RunCancelled(f"the run was cancelled through its store (thread {log.thread_id}) {ran}")
            else:
                node = running[0].partition("#")[0]
                error = NodeError(f"the run stopped because a task of it was cancelled from outside, {ran}", node=node)
        error.run = self.id
        raise error


def read_answers(
    recorder: Recorder, recorded: RecordedRun, answers: dict[str, Any]
) -> dict[str, tuple[Interrupt, Any, Any]]:
    """Take those `answers` that a recorded run waits for itself: each as a value and as data, by interrupt.

    Raises `AnswerError` with all that do not fit.
    """
    given: dict[str, tuple[Interrupt, Any, Any]] = {}
    invalid: list[InvalidField] = []
    for asked in recorded.interrupted.values():
        for interrupt in asked.interrupts:
            if interrupt.run == recorded.id and interrupt.id in answers:
                try:
                    given[interrupt.id] = (interrupt, *recorder.read_answer(interrupt, answers.pop(interrupt.id)))
                except AnswerError as error:
                    invalid += error.invalid
    if invalid:
        problems = "; ".join(map(str, invalid))
        raise AnswerError(f"an answer does not fit its question: {problems}", invalid=invalid)
    return given


def _is_fatal(error: BaseException) -> bool:
    return not isinstance(error, anyio.get_cancelled_exc_class())
