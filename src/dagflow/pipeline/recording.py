"""How the runs of a pipeline are recorded: the parameters that they begin with, and those that each step gave."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from dagflow.core.codec import Unreadable, Unwritable
from dagflow.core.replay import RecordedRun
from dagflow.errors import AnswerError, CheckpointError, GraphChanged, InvalidField, NodeError
from dagflow.events import NodeSucceeded
from dagflow.kernel.recorded import NoDependencies
from dagflow.types import Interrupt

if TYPE_CHECKING:
    from dagflow.pipeline.front import PipelineRun

__all__ = ["PARAMETERS", "PipelineRecorder"]

PARAMETERS = "parameters"
"""Where the parameters stand in what the journal says of the beginning of a run."""


class PipelineRecorder(NoDependencies):
    """Writes what one run comes to into the journal, and takes over what it finds there (`kernel.recorded`)."""

    def __init__(self, front: PipelineRun) -> None:
        self._front = front
        self._codec = front.shared.codec
        self._write = self._codec.writer(Any)
        self._read = self._codec.reader(Any)
        self._typed: dict[str, NodeSucceeded] = {}

    def write_input(self) -> Any:
        """Write what an execution begins with, or what tells a nested run from its siblings."""
        front = self._front
        if front.identity is not None:
            return {name: self._begun(name, value) for name, value in front.identity.items()}
        parameters = {name: self._begun(name, value) for name, value in front.parameters.items()}
        return {**front.heading, PARAMETERS: parameters}

    def _begun(self, name: str, value: Any) -> Any:
        try:
            return self._write(value)
        except Unwritable as error:
            problem = str(error).partition("; ")[0]  # what it says to do is for the fields of typed graphs
            raise NodeError(
                f"parameter {name!r} cannot be recorded: {problem}; give the pipeline its class, or a Serializer "
                f"for it (types=[...])",
                node=next(iter(self._front.compiled.steps)),
            ) from error

    def write_step(self, node: str, value: Any, result: Any, writes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write what a step gave, and what it has for the run log."""
        payload: dict[str, Any] = {} if value is None else {"value": value}
        if writes:
            payload["writes"] = {name: self._written(node, name, item) for name, item in writes.items()}
        return payload

    def _written(self, node: str, name: str, value: Any) -> Any:
        try:
            return self._write(value)
        except Unwritable as error:
            from dagflow.pipeline.task_body import unwritable  # which imports what this module is imported by

            raise unwritable(node, name, error) from error

    def read_answer(self, interrupt: Interrupt, answer: Any) -> tuple[Any, Any]:
        """Never asked for: no step asks on its own, and a graph inside of a task reads its answers itself."""
        problem = "no step of a pipeline asks this"
        raise AnswerError(problem, invalid=[InvalidField(interrupt.id, problem)])

    def remember(self, history: Iterable[NodeSucceeded], previous: RecordedRun | None) -> None:
        """Refuse to begin where a run of the same id is recorded already."""
        if previous is not None:
            run_id = self._front.shared.run_id
            raise CheckpointError(
                f"there is a run {run_id} in the store already; go on with it by pipeline.retry({run_id!r}, ...), or "
                f"leave run_id out for a new one",
                thread_id=run_id,
            )

    def restore(self, recorded: RecordedRun, answers: Mapping[str, Any]) -> None:
        """Take over what was recorded of the run."""
        front = self._front
        if front.identity is None:
            begun = recorded.started.input or {}
            front.parameters.clear()
            front.parameters.update(self._restored("the beginning", begun.get(PARAMETERS, {})))
            front.heading = {key: item for key, item in begun.items() if key != PARAMETERS}
        for place, event in enumerate(recorded.succeeded):
            typed = event
            if event.writes:
                typed = attrs.evolve(event, writes=self._restored(f"step {event.node}", event.writes))
            recorded.succeeded[place] = self._typed[event.activation] = typed
            front.trace.append(event.activation)

    def _restored(self, where: str, data: Mapping[str, Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, item in data.items():
            try:
                values[name] = self._read(item)
            except Unreadable as error:
                change = f"{where} is recorded with a {name!r} that cannot be read any more: {error}"
                raise GraphChanged(change, changes=[change]) from error
        return values

    def typed(self, event: NodeSucceeded) -> NodeSucceeded:
        """The event with typed values in the place of its data."""
        return self._typed.get(event.activation, event)
