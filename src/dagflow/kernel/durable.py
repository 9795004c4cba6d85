"""A run that is recorded in a store: takes the thread's lease, finds what is there, and goes on from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import anyio
import attrs

from dagflow.core import storage
from dagflow.core.replay import RecordedRun, Recording, fold
from dagflow.core.storage import Session, Store
from dagflow.errors import AnswerError, CheckpointError, InvalidField
from dagflow.kernel.cancellation import is_cancellation
from dagflow.kernel.context import DurableRun
from dagflow.kernel.log import Log, acquire, read_events
from dagflow.kernel.run import Run
from dagflow.types import Durability, Interrupt, Outcome

__all__ = ["Durable", "execute_durably"]


def _check_durability(settings: object, attribute: object, value: str) -> None:
    if value not in ("sync", "async", "exit"):
        raise ValueError(f"durability must be 'sync', 'async' or 'exit', not {value!r}")


def _check_lease_wait(settings: object, attribute: object, value: float) -> None:
    if not value >= 0:
        raise ValueError(f"lease_wait must be a number of seconds, 0 or more, not {value}")


FindAnswers = Callable[[Mapping[str, Interrupt]], Mapping[str, Any]]


@attrs.frozen(kw_only=True, eq=False)
class Durable:
    """Where and how a run is recorded.

    `resume` tells that it goes on from what the thread has, with `answers` by the id of the interrupt (or what finds
    them, given the open questions by id), and with another graph where `accept_changes` says so. `lease_wait` is in
    seconds.
    """

    store: Store
    thread_id: str = attrs.field(converter=storage.check_thread_id)
    durability: Durability = attrs.field(default="sync", validator=_check_durability)
    lease_wait: float = attrs.field(default=0.0, validator=_check_lease_wait)
    resume: bool = False
    answers: Mapping[str, Any] | FindAnswers = attrs.field(factory=dict)
    accept_changes: bool = False


async def execute_durably(run: Run, durable: Durable) -> Outcome:
    """Execute a run and record it, under the lease of its thread.

    Raises `RunLocked` where another run has the lease for longer than `lease_wait`, `CheckpointError` for a thread
    that cannot be gone on from, `GraphChanged`, `AnswerError`, and what `Run.execute` raises.
    """
    async with durable.store.open() as session:
        lease = await acquire(session, durable.thread_id, wait=durable.lease_wait)
        log = Log(session, lease, run.journal, durable.durability)
        try:
            await _go_on(run, durable, session, log)
            return await _execute(run, log)
        finally:
            await log.release()


async def _go_on(run: Run, durable: Durable, session: Session, log: Log) -> None:
    """Bring the run to where its thread stands."""
    events = await read_events(session, durable.thread_id)
    recording = fold(events)
    recorded = None
    answers: Mapping[str, Any] = {}
    if durable.resume:
        recorded, answers = _to_resume(recording, durable)
    else:
        _refuse_open_questions(recording, durable)
        if recording.newest:  # to the run that begins now, the newest one is history like those before it
            recording.previous = recording.runs[recording.newest]
            recording.history += recording.previous.succeeded
    shared = DurableRun(log, recording, dict(answers), durable.accept_changes)
    run.go_on(shared, recorded)
    run.journal.write_to(log, events)


def _refuse_open_questions(recording: Recording, durable: Durable) -> None:
    if recording.open:
        raise CheckpointError(
            f"thread {durable.thread_id} waits for answers to {_questions(recording)}; resume it with them, "
            f"or start the run on another thread",
            thread_id=durable.thread_id,
        )


def _to_resume(recording: Recording, durable: Durable) -> tuple[RecordedRun, Mapping[str, Any]]:
    if not recording.newest:
        raise CheckpointError(
            f"there is no thread {durable.thread_id} in the store; start it with run(..., thread_id=...), a pipeline "
            f"with execute(..., run_id=...), or look for its name with `list`",
            thread_id=durable.thread_id,
        )
    answers = durable.answers(recording.open) if callable(durable.answers) else durable.answers
    unknown = [name for name in answers if name not in recording.open]
    if unknown:
        known = _questions(recording) if recording.open else "nothing"
        invalid = [InvalidField(name, "no such question is open") for name in unknown]
        raise AnswerError(
            f"thread {durable.thread_id} asked no {' and no '.join(unknown)}; it waits for {known}", invalid=invalid
        )
    return recording.runs[recording.newest], answers


def _questions(recording: Recording) -> str:
    return ", ".join(f"{interrupt.id} ({interrupt.question!r})" for interrupt in recording.open.values())


async def _execute(run: Run, log: Log) -> Outcome:
    """Execute the run beside the tasks of its log; what the run wrote last is in the store when this is over."""
    failure: BaseException | None = None
    outcome: Outcome = "failed"
    async with anyio.create_task_group() as group:
        group.start_soon(log.write_soon)
        group.start_soon(log.keep_lease)
        try:
            outcome = await run.execute()
            await log.commit()
        except BaseException as error:
            await log.finish()
            if is_cancellation(error):
                raise
            failure = error  # the task group would put it into a group
        finally:
            group.cancel_scope.cancel()
    if failure is None:
        return outcome
    if log.error is not None and log.error is not failure:
        failure.add_note(f"its end is not in the store: {log.error}")
    raise failure
