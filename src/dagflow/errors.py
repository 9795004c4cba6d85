"""The one tree of errors that dagflow raises.

::

    DagflowError                    base of all; `.trace` holds the nodes that had completed
    ├── GraphError                  a graph is wrong; raised when it is built, lists every fault
    ├── RunError                    a run failed; `.failures` holds every original exception
    │   ├── NodeError               a node's body raised, or returned what it did not declare
    │   ├── DepError                a dependency of a node failed
    │   ├── RecallError             a recalled field found no value in the trace
    │   ├── StepLimitError          a run took more steps than `max_steps`
    │   ├── RunTimeout              a run's own deadline passed (also a `TimeoutError`)
    │   ├── StateConflict           two branches wrote one state key and no reducer joins them
    │   └── RunCancelled            somebody else asked for the run to be cancelled, through its store
    ├── CheckpointError             a journal cannot be written, read, or gone on from
    │   ├── RunLocked               another run works on the thread
    │   └── GraphChanged            the graph is no longer the one that the journal was written with
    ├── AnswerError                 an answer to an interrupt does not fit (also a `ValueError`)
    ├── FillError                   a language model's answer stayed invalid after every repair
    ├── LMError                     a language model could not be asked or did not answer
    └── ProcessError                a subprocess could not start, failed, or was given up
        └── ProcessTimeout          a subprocess passed its deadline (also a `TimeoutError`)

`KeyboardInterrupt`, `SystemExit` and other exceptions that are no `Exception` are never wrapped in any of
these, and cancellation is never turned into one.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import attrs

__all__ = [
    "AnswerError",
    "CheckpointError",
    "DagflowError",
    "DepError",
    "Failure",
    "FillError",
    "GraphChanged",
    "GraphError",
    "InvalidField",
    "LMError",
    "NodeError",
    "ProcessError",
    "ProcessTimeout",
    "RecallError",
    "RunCancelled",
    "RunError",
    "RunLocked",
    "RunTimeout",
    "StateConflict",
    "StepLimitError",
]


@attrs.frozen
class Failure:
    """One exception that a run saw, with where it came from.

    `field` is the path of the field that asked for the callable, outermost first
    (`"weather"`, or `"weather.place"` for a dependency of a dependency); empty for a node's own body.
    """

    exception: BaseException
    node: str = ""
    field: str = ""
    callable: Callable[..., Any] | None = None

    @property
    def where(self) -> str:
        """The place of the failure, as `Node.field (callable)`."""
        place = ".".join(part for part in (self.node, self.field) if part)
        if self.callable is None:
            return place
        name = name_of(self.callable)
        return f"{place} ({name})" if place else name


class DagflowError(Exception):
    """Base of every error that dagflow raises on its own account.

    `trace` is the partial trace of the run that the error ended: the nodes that had completed, in order.
    `failures` holds everything that had failed when the run ended, each with its original exception and where
    it came from. `run` is the id of that run. All are empty for errors that were raised outside a run.
    """

    trace: tuple[Any, ...] = ()
    failures: tuple[Failure, ...] = ()
    run: str = ""


class GraphError(DagflowError):
    """Raised when a graph, or a set of dependencies, is built and found to be wrong.

    `faults` lists every fault that was found, one sentence each; they are found together, so that a graph
    is mended in one go. Never raised while a run is under way, except for a graph that the run itself builds.
    """

    def __init__(self, faults: Sequence[str], *, subject: str = "the graph") -> None:
        self.faults: tuple[str, ...] = tuple(faults)
        self.subject = subject
        super().__init__(self.faults, subject)

    def __str__(self) -> str:
        if len(self.faults) == 1:
            return f"{self.subject} has a fault: {self.faults[0]}"
        lines = [f"{self.subject} has {len(self.faults)} faults:", *(f"  - {fault}" for fault in self.faults)]
        return "\n".join(lines)


class RunError(DagflowError):
    """Base of the errors that end a run; the first of its `failures` is its `__cause__`, where there is one."""

    def __init__(self, message: str, *, failures: Sequence[Failure] = ()) -> None:
        super().__init__(message)
        self.failures: tuple[Failure, ...] = tuple(failures)


class NodeError(RunError):
    """Raised when a node's body raises, times out, or returns what its hint does not declare.

    `node` is the name of the node. Not raised for a failing dependency (`DepError`), nor for an invalid
    answer of a language model (`FillError`).
    """

    def __init__(self, message: str, *, node: str, failures: Sequence[Failure] = ()) -> None:
        super().__init__(message, failures=failures)
        self.node = node


class DepError(RunError):
    """Raised when a dependency fails: it raised, timed out, or gave a value of another type.

    `node` names the node whose fields were being resolved (empty for `resolve_dep`), and each of `failures`
    has the node, field, callable and original exception of one failed call. Its siblings were cancelled and
    have finished their clean-up by the time it is raised.
    """

    def __init__(self, failures: Sequence[Failure], *, node: str = "") -> None:
        self.node = node
        lines = [f"{f.where}: {describe(f.exception)}" for f in failures]
        if len(lines) == 1:
            message = f"dependency {lines[0]}"
        else:
            message = "\n".join([f"{len(lines)} dependencies failed:", *(f"  - {line}" for line in lines)])
        super().__init__(message, failures=failures)


class RecallError(RunError):
    """Raised when a `Recall` field finds no value of its type in the trace and has no default.

    `node` and `field` name the field; `type` is the type that was looked for.
    """

    def __init__(self, *, node: str, field: str, type: object, searched: Sequence[str]) -> None:
        self.node = node
        self.field = field
        self.type = type
        nodes = ", ".join(searched) or "no node has run yet"
        name = getattr(type, "__name__", None) if not getattr(type, "__args__", None) else None
        super().__init__(
            f"{node}.{field} recalls {name or type}, but no earlier node has a plain field of that type "
            f"(searched, newest first: {nodes}); give the field a default, "
            f"or let an earlier node carry the value"
        )


class StepLimitError(RunError):
    """Raised when a run would start more than `max_steps` activations. `limit` is that number."""

    def __init__(self, limit: int, *, node: str) -> None:
        self.limit = limit
        self.node = node
        super().__init__(
            f"the run reached max_steps={limit} and node {node} was to start next; "
            f"raise max_steps (None for no limit), or give the loop a way out"
        )


class RunTimeout(RunError, TimeoutError):
    """Raised when a run's own `timeout` passes. `seconds` is the timeout that was given.

    A deadline that the caller set around the run cancels it as any cancellation does: it is not this error.
    """

    def __init__(self, seconds: float, *, running: Sequence[str], failures: Sequence[Failure] = ()) -> None:
        self.seconds = seconds
        self.running: tuple[str, ...] = tuple(running)
        at = f" while {', '.join(self.running)} ran" if self.running else ""
        super().__init__(f"the run's timeout of {seconds:g} s passed{at}", failures=failures)


class StateConflict(RunError):
    """Raised when branches that meet wrote one state key that has no reducer, whatever the values.

    `key` is the state key and `writers` are the activations whose writes conflict.
    """

    def __init__(self, key: str, writers: Sequence[str], *, at: str) -> None:
        self.key = key
        self.writers: tuple[str, ...] = tuple(writers)
        self.at = at
        super().__init__(
            f"state key {key!r} was written by {' and by '.join(self.writers)}, which meet at {at}; "
            f"give the key a reducer, or let one of the branches write another key"
        )


class RunCancelled(RunError):
    """Raised when a run is cancelled through its store, from another task or process.

    What had completed is recorded, and `Graph.resume` goes on from there. A cancellation of the caller's own
    task is not this error: it is passed on as the event loop's.
    """


class CheckpointError(DagflowError):
    """Raised when a journal cannot be written, read, or gone on from.

    `thread_id` names it. The store cannot be reached, a record is damaged, the thread is not there, or it stands
    so that what was asked for makes no sense. What was recorded before stays as it is.
    """

    def __init__(self, message: str, *, thread_id: str = "") -> None:
        super().__init__(message)
        self.thread_id = thread_id


class RunLocked(CheckpointError):
    """Raised when another run holds the thread's lease, or has taken it over; nothing was written then."""


class GraphChanged(CheckpointError):
    """Raised when a journal is to go on with a graph that has other nodes, edges or field types.

    `changes` says what changed, one sentence each. A change of function bodies is no such change.
    """

    def __init__(self, message: str, *, thread_id: str = "", changes: Sequence[str] = ()) -> None:
        super().__init__(message, thread_id=thread_id)
        self.changes: tuple[str, ...] = tuple(changes)


@attrs.frozen
class InvalidField:
    """One thing that is wrong with an answer: its JSON path and what was expected."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


class FillError(DagflowError):
    """Raised when a language model's answer is still invalid after the last repair.

    `target` is the name of the type that was to be filled, `invalid` has the path and problem of every
    invalid field of the last answer, `attempts` counts the answers that were tried, and `answer` is the text
    of the last one.
    """

    def __init__(self, target: str, invalid: Sequence[InvalidField], *, attempts: int, answer: str) -> None:
        self.target = target
        self.invalid: tuple[InvalidField, ...] = tuple(invalid)
        self.attempts = attempts
        self.answer = answer
        times = "1 answer" if attempts == 1 else f"{attempts} answers"
        problems = "\n".join(f"  - {item}" for item in self.invalid)
        super().__init__(f"no valid {target} in {times} of the language model; the last one has:\n{problems}")


class AnswerError(DagflowError, ValueError):
    """Raised when an answer to an interrupt does not fit: there is no such question, or its type is another.

    `invalid` has what is wrong, each under the id of its interrupt. Nothing was recorded: the questions are as
    open as before.
    """

    def __init__(self, message: str, *, invalid: Sequence[InvalidField] = ()) -> None:
        super().__init__(message)
        self.invalid: tuple[InvalidField, ...] = tuple(invalid)


class LMError(DagflowError):
    """Raised when a language model cannot be asked, refuses, or breaks off.

    `status` is the HTTP status or exit status where there is one, `provider_message` is what the provider
    said, and `retriable` tells whether asking again can help, `retry_after` (seconds) when the provider says
    so. `request_id` is what the provider's support asks for. Not raised for an answer that came whole but is
    invalid (`FillError`).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        provider_message: str | None = None,
        retriable: bool = False,
        retry_after: float | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.provider_message = provider_message
        self.retriable = retriable
        self.retry_after = retry_after
        self.request_id = request_id


class ProcessError(DagflowError):
    """Raised when a subprocess cannot be started or ends with a status other than zero.

    `command` is the program and its arguments, `returncode` the exit status (negative for a signal, `None`
    when it never started), and `stderr` the last part of what it wrote to standard error.
    """

    def __init__(
        self, message: str, *, command: Sequence[str], returncode: int | None = None, stderr: str = ""
    ) -> None:
        super().__init__(message)
        self.command: tuple[str, ...] = tuple(command)
        self.returncode = returncode
        self.stderr = stderr


class ProcessTimeout(ProcessError, TimeoutError):
    """Raised when a subprocess passes its `timeout`; its process group has been ended and reaped."""


def name_of(fn: object) -> str:
    """The name that a callable's author knows it by."""
    if isinstance(fn, functools.partial):
        return f"partial({name_of(fn.func)})"
    if isinstance(fn, types.MethodType) and not isinstance(fn.__self__, type):
        return f"{type(fn.__self__).__name__}.{name_of(fn.__func__).rpartition('.')[2]}"
    name = getattr(fn, "__qualname__", None) or getattr(fn, "__name__", None)
    return str(name).rpartition("<locals>.")[-1] if name else str(type(fn).__qualname__)


def describe(exception: BaseException) -> str:
    """Say an exception's type and message in one line."""
    text = str(exception)
    return f"{type(exception).__name__}: {text}" if text else type(exception).__name__
