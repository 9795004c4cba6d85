"""What a front end contributes to recording its runs, and the dependencies that a run finds recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from dagflow.core.dependencies import Call
from dagflow.core.replay import RecordedRun
from dagflow.events import DependencySucceeded, NodeSucceeded
from dagflow.types import Interrupt

__all__ = ["NO_VALUE", "NoDependencies", "RecordedDependencies", "Recorder"]

NO_VALUE: Any = object()
"""Stands for the value of a dependency that is not recorded."""


class Recorder(Protocol):
    """How a front end writes the values of one run into the journal, and finds them there again."""

    def write_input(self) -> Any:
        """Write what the run begins with; raises `NodeError` where it cannot be written."""
        ...

    def write_step(self, node: str, value: Any, result: Any, writes: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write what an activation came to, by field of its event; raises `NodeError` naming node and field."""
        ...

    def dependency_key(self, call: Call) -> str:
        """Name a dependency so that another process knows it; empty for one that is not recorded."""
        ...

    def write_dependency(self, call: Call, value: Any) -> Any:
        """Write a dependency's value; `NO_VALUE` for one that cannot be written."""
        ...

    def read_dependency(self, call: Call, data: Any) -> Any:
        """Read a dependency's value; raises `GraphChanged` where it does not fit its type any more."""
        ...

    def read_answer(self, interrupt: Interrupt, answer: Any) -> tuple[Any, Any]:
        """Check an answer, and give it as a value and as JSON-able data; raises `AnswerError`."""
        ...

    def remember(self, history: Iterable[NodeSucceeded], previous: RecordedRun | None) -> None:
        """Take over what the thread has from before the run; the payloads of the events are JSON-able data.

        `history` are the activations of all earlier runs, `previous` is the last of them where this one begins anew.
        Raises `GraphChanged` where what it begins with does not fit any more.
        """
        ...

    def restore(self, recorded: RecordedRun, answers: Mapping[str, Any]) -> None:
        """Take over what was recorded of the run, and the `answers` to its questions, by the id of the interrupt.

        All payloads are JSON-able data; raises `GraphChanged` for one that does not fit its type any more.
        """
        ...

    def typed(self, event: NodeSucceeded) -> NodeSucceeded:
        """The event with typed values in the place of its data, after `restore`."""
        ...


class NoDependencies:
    """The part of a `Recorder` whose dependencies are not recorded: a run that goes on calls them again."""

    def dependency_key(self, call: Call) -> str:
        """None has a name."""
        return ""

    def write_dependency(self, call: Call, value: Any) -> Any:
        """None is written."""
        return NO_VALUE

    def read_dependency(self, call: Call, data: Any) -> Any:
        """Never asked for, as nothing is recorded."""
        raise AssertionError(f"the dependency {call.name} is not recorded")


class RecordedDependencies:
    """The dependencies of a run that were recorded before it was resumed, and how new ones are."""

    def __init__(self, recorder: Recorder, recorded: Mapping[str, DependencySucceeded]) -> None:
        self._recorder = recorder
        self._left = dict(recorded)

    def restore(self, calls: Mapping[Callable[..., Any], Call], memory: dict[Callable[..., Any], Any]) -> None:
        """Put the recorded values of `calls` into `memory`, so that they are not called again."""
        if not self._left:
            return
        for fn, call in calls.items():
            if fn not in memory:
                event = self._left.pop(self._recorder.dependency_key(call), None)
                if event is not None and event.name == call.name:
                    memory[fn] = self._recorder.read_dependency(call, event.value)

    def fields_of(self, call: Call, value: Any) -> dict[str, Any]:
        """What the event of a call that succeeded says of its value: nothing where that is not recorded."""
        key = self._recorder.dependency_key(call)
        if not key:
            return {}
        data = self._recorder.write_dependency(call, value)
        if data is NO_VALUE:
            return {}
        return {"key": key, "value": value, "payload": {"value": data}}
