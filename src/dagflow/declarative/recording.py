"""How the runs of a YAML graph are recorded: what they began with and what each activation wrote, by declared type."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from dagflow.core.answers import InvalidAnswer
from dagflow.core.codec import Unreadable, Unwritable
from dagflow.core.fitting import fit
from dagflow.core.replay import RecordedRun, replay
from dagflow.core.schedule import Schedule
from dagflow.errors import AnswerError, GraphChanged, InvalidField, NodeError
from dagflow.events import NodeSucceeded
from dagflow.kernel.recorded import NoDependencies
from dagflow.types import Interrupt

if TYPE_CHECKING:
    from dagflow.declarative.front import YamlRun

__all__ = ["Answered", "YamlRecorder"]

MERGED = "$state"
ANSWER = "$answer"


@attrs.frozen
class Answered:
    """An answer to a question, and the other state keys that were given with it."""

    answer: Any
    state: Mapping[str, Any] = attrs.field(factory=dict)


class YamlRecorder(NoDependencies):
    """Writes what one run comes to into the journal, and takes over what it finds there (`kernel.recorded`)."""

    def __init__(self, front: YamlRun) -> None:
        self._front = front
        self._schema = front.schema
        self._typed: dict[str, NodeSucceeded] = {}

    def write_input(self) -> Any:
        """Write the state that the run begins with, or what tells the run of an inner node from its siblings."""
        if self._front.outer is None:
            return self._schema.write(self._front.state, "the start")
        try:
            return self._schema.codec.writer(Any)(self._front.identity)
        except Unwritable as error:
            (name,) = self._front.nodes
            raise NodeError(
                f"node {name}: its item cannot be recorded: {error}; declare the class of the items in the type of the "
                f"state key that holds them, or map over JSON values",
                node=name,
            ) from error

    def write_step(self, node: str, value: Any, result: Any, writes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write what an activation wrote."""
        return {"writes": self._schema.write(writes, node)} if writes else {}

    def read_answer(self, interrupt: Interrupt, answer: Any) -> tuple[Any, Any]:
        """Check an answer against the type of its state key, and give it as a value and as data."""
        given = answer if isinstance(answer, Answered) else Answered(answer)
        hint, codec = self._schema.hint(interrupt.field), self._schema.codec
        try:
            value = fit(given.answer, hint)
            data = codec.writer(hint)(value)
        except InvalidAnswer as error:
            invalid = [InvalidField(interrupt.id + one.path.removeprefix("$"), one.problem) for one in error.invalid]
            raise AnswerError("; ".join(map(str, invalid)), invalid=invalid) from error
        except Unwritable as error:
            raise AnswerError(str(error), invalid=[InvalidField(interrupt.id, str(error))]) from error
        if not given.state:
            return value, data
        return value, {ANSWER: data, MERGED: self._schema.write(given.state, "the answer")}

    def remember(self, history: Iterable[NodeSucceeded], previous: RecordedRun | None) -> None:
        """Begin where the thread's last run ended, with what is given now folded in."""
        if previous is None or self._front.outer is not None:
            return
        front = self._front
        front.state.update(self._schema.fold(self.state_of(previous), front.given))

    def state_of(self, previous: RecordedRun) -> dict[str, Any]:
        """The state that a recorded run ended with, or has come to, as far as its keys still fit.

        Of a graph that has changed since, the writes are folded in the order in which they were recorded.
        """
        begun = self._still_fitting(previous.started.input)
        steps = [attrs.evolve(event, writes=self._still_fitting(event.writes)) for event in previous.succeeded]
        recorded = attrs.evolve(previous, succeeded=steps)
        plan = self._front.plan
        if plan is not None and plan.fingerprint == previous.started.fingerprint:
            schedule = Schedule(plan, reducers=self._schema.reducers)
            replay(schedule, recorded, (), writes=begun, thread_id="")
            return schedule.final_state()
        state = begun
        for event in steps:
            state = self._schema.fold(state, event.writes)
        return state

    def _still_fitting(self, data: Any) -> dict[str, Any]:
        """Read recorded values; a key whose type is another now is left out."""
        found: dict[str, Any] = {}
        for key, item in data.items() if isinstance(data, Mapping) else ():
            try:
                found.update(self._schema.restore({key: item}))
            except GraphChanged:
                continue
        return found

    def restore(self, recorded: RecordedRun, answers: Mapping[str, Any]) -> None:
        """Take over what was recorded of the run, and the answers to its questions."""
        front, schema = self._front, self._schema
        if front.outer is None:
            front.state.clear()
            front.state.update(schema.restore(recorded.started.input or {}))
        for place, event in enumerate(recorded.succeeded):
            typed = attrs.evolve(event, writes=schema.restore(event.writes)) if event.writes else event
            recorded.succeeded[place] = self._typed[event.activation] = typed
            front.trace.append(event.activation)
            front.last_writes = typed.writes
        for asked in recorded.interrupted.values():
            for interrupt in asked.interrupts:
                if interrupt.run == recorded.id and interrupt.id in answers:
                    front.answers[interrupt.id] = self._read_recorded(interrupt, answers[interrupt.id])

    def _read_recorded(self, interrupt: Interrupt, data: Any) -> Answered:
        state: dict[str, Any] = {}
        if isinstance(data, dict) and data.keys() == {ANSWER, MERGED}:
            state, data = self._schema.restore(data[MERGED]), data[ANSWER]
        try:
            return Answered(self._schema.codec.reader(self._schema.hint(interrupt.field))(data), state)
        except Unreadable as error:
            change = f"the answer to {interrupt.id} does not fit the type of {interrupt.field} any more: {error}"
            raise GraphChanged(change, changes=[change]) from error

    def typed(self, event: NodeSucceeded) -> NodeSucceeded:
        """The event with typed values in the place of its data."""
        return self._typed.get(event.activation, event)
