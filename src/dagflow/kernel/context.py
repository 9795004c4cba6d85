"""What an activation needs to know about its run, and how code inside a run finds it."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio.lowlevel
import attrs

from dagflow.errors import name_of
from dagflow.events import Event, LMCalled, Progress, Token
from dagflow.kernel.journal import Journal
from dagflow.kernel.limits import Limit, Permit
from dagflow.types import Usage

if TYPE_CHECKING:
    from dagflow.core.replay import Recording
    from dagflow.core.schedule import Schedule
    from dagflow.kernel.log import Log
    from dagflow.kernel.recorded import Recorder
    from dagflow.kernel.resolve import Resolver
    from dagflow.kernel.resources import Resources

__all__ = [
    "ActivationContext",
    "DurableRun",
    "FrontEnd",
    "RunContext",
    "TokenStream",
    "current_activation",
    "idempotency_key",
    "progress",
    "record_lm_call",
    "resolve_inputs",
    "run_resource",
    "token_stream",
]

T = TypeVar("T")


class FrontEnd(Protocol):
    """What the front end that compiled a program knows about one run of it, and the kernel does not."""

    async def resolve_inputs(self, activation: ActivationContext, target: type[Any]) -> dict[str, Any]:
        """Give the values of a node type's dependency and recall fields."""
        ...

    async def make_node(self, target: type[Any], resolved: dict[str, Any]) -> Any:
        """Make a node that is itself a dependency, from the values of its dependency fields."""
        ...

    @property
    def initial_writes(self) -> Mapping[str, Any]:
        """The state that the run begins with."""
        ...

    @property
    def recorder(self) -> Recorder:
        """How the values of the run are recorded; asked for by runs that are."""
        ...


@attrs.define(eq=False)
class DurableRun:
    """What a recorded run and those nested in it share: the log, and what the journal had of each when it began.

    `answers` are those that were given when the run was resumed, and that nobody has taken yet. `taken` are the ids
    of nested runs that go on.
    """

    log: Log
    recording: Recording
    answers: dict[str, Any]
    accept_changes: bool
    taken: set[str] = attrs.field(factory=set)
    _named: dict[str, list[str]] = attrs.field(factory=dict, init=False)

    def named(self, stem: str) -> list[str]:
        """The ids of recorded runs that are `stem` and a number; found once: runs are nested by the thousand."""
        if not self._named:
            for name in self.recording.runs:
                self._named.setdefault(name.rpartition(".")[0], []).append(name)
        return self._named.get(stem, [])

    @property
    def thread_id(self) -> str:
        """The thread that the run is recorded in."""
        return self.log.thread_id


@attrs.frozen(eq=False)
class RunContext:
    """One run: its journal, its dependencies, its limit, and the language model that it was given.

    `id` is a path: a nested run's begins with its parent's. `resources` are those of the outermost run, and so
    are `requests`, which numbers the answers that are streamed, and `durable`, where the run is recorded in a store.
    `schedule` knows the state that each live activation sees.
    """

    id: str
    name: str
    journal: Journal
    resolver: Resolver
    front: FrontEnd
    limit: Limit | None
    resources: Resources
    requests: Iterator[int] = attrs.field(repr=False)
    schedule: Schedule = attrs.field(repr=False)
    durable: DurableRun | None = None
    lm: Any = attrs.field(default=None, repr=False)
    nested: Counter[tuple[str, int]] = attrs.field(factory=Counter, repr=False)
    """How many runs each attempt of an activation has started."""


@attrs.frozen(eq=False)
class ActivationContext:
    """One attempt of one activation, or one dependency call of it.

    `permit` is what it works under, where there is a limit, and `dependency` the callable that is called.
    """

    run: RunContext
    node: str
    activation: str
    attempt: int
    permit: Permit | None = None
    dependency: Callable[..., Any] | None = None

    def calling(self, dependency: Callable[..., Any] | None, permit: Permit | None) -> ActivationContext:
        """The context of a dependency call, or of a body, under its own permit."""
        return ActivationContext(self.run, self.node, self.activation, self.attempt, permit, dependency)

    def record(self, kind: type[Event], **fields: Any) -> None:
        """Record an event of this activation."""
        self.run.journal.record(kind, self.run.id, node=self.node, activation=self.activation, **fields)

    @property
    def idempotency_key(self) -> str:
        """What names the activation, or the dependency call, in every attempt and after every resume."""
        thread = f"{self.run.durable.thread_id}/" if self.run.durable is not None else ""
        if self.dependency is not None:
            return f"{thread}{self.run.id}/{name_of(self.dependency)}"
        return f"{thread}{self.run.id}/{self.activation}"

    def interrupt_id(self, field: str) -> str:
        """The id of the question that the activation asks to fill a field, unique within the outermost run."""
        path = self.run.id.partition("/")[2]
        return f"{path}/{self.activation}.{field}".lstrip("/")

    def nested_run_id(self, name: str) -> str:
        """A new id for a run that this activation starts, the same whenever the activation is run again.

        A dependency's runs are counted apart: one that is recorded is not called again, and must not shift others.
        """
        path = f"{self.run.id}/{self.activation}"
        if self.dependency is not None:
            path += f"/{name_of(self.dependency)}"
        key = (path, self.attempt)
        self.run.nested[key] += 1
        return f"{path}/{name}.{self.run.nested[key]}"


# Nested runs, and helpers called from a body, find their activation here; nothing else travels this way.
_current: ContextVar[ActivationContext | None] = ContextVar("dagflow_activation", default=None)


def current_activation() -> ActivationContext | None:
    """The activation that the calling code works for, or `None` outside of any run."""
    return _current.get()


def enter_activation(activation: ActivationContext) -> None:
    """Make `activation` the current one, in the calling context; meant for a context of its own."""
    _current.set(activation)


def idempotency_key() -> str:
    """Name the work that the calling body or dependency does, so that doing it twice can be told from doing it again.

    The key is the same in every attempt of an activation and after every resume, and no other activation has it:
    give it to a service that takes idempotency keys. That of a dependency belongs to its run, in which it is
    called once. Raises `RuntimeError` outside of a run.
    """
    activation = _current.get()
    if activation is None:
        raise RuntimeError("idempotency_key() names the work of a node or dependency; there is no run here")
    return activation.idempotency_key


async def progress(message: str, fraction: float | None = None) -> None:
    """Tell those who stream the run how far the current node has come.

    `fraction` is between 0 and 1. The event is live only: it is not kept in the journal. Waits while a
    consumer of the stream is behind; outside a run it does nothing.
    """
    activation = _current.get()
    if activation is None:
        return
    await anyio.lowlevel.checkpoint_if_cancelled()  # a body that does nothing else would never notice
    activation.record(Progress, message=message, fraction=fraction)
    await activation.run.journal.settle()


class TokenStream:
    """Where the pieces of one answer go, as live events; `token_stream` gives one for each answer."""

    def __init__(self, activation: ActivationContext) -> None:
        self._activation = activation
        self._make = functools.partial(
            Token,
            run=activation.run.id,
            node=activation.node,
            activation=activation.activation,
            request=next(activation.run.requests),
        )
        self._is_first = True

    async def send(self, text: str) -> None:
        """Stream a piece of the answer; waits while a consumer of the stream is behind."""
        journal = self._activation.run.journal
        journal.tell(self._make, text=text)
        if journal.congested:
            await journal.settle()
        elif self._is_first:
            # What has arrived at once is read without a pause; whoever waits for the answer sees that it begins.
            # Twice, because trio runs what is ready in any order: by then the reader has had its turn.
            self._is_first = False
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()


def token_stream() -> TokenStream | None:
    """Give the stream for the pieces of a new answer, or `None` where nobody follows; meant for adapters.

    A model need not be asked to stream for nobody.
    """
    activation = _current.get()
    if activation is None or not activation.run.journal.is_followed:
        return None
    return TokenStream(activation)


async def run_resource(key: Hashable, open_resource: Callable[[], AbstractAsyncContextManager[T]]) -> T | None:
    """Give a value that stays open until the current run ends, opened by the first who asks for its `key`.

    A nested run shares those of the outermost one. Outside a run there is nothing to keep it open: `None`.
    Whatever opening raises is raised to everybody who waits for it, and the next who asks tries again.
    """
    activation = _current.get()
    if activation is None:
        return None
    value: T = await activation.run.resources.share(key, open_resource)
    return value


def record_lm_call(*, model: str, purpose: str, usage: Usage, duration: float, answered: bool) -> None:
    """Record what one request to a language model used; `duration` is in seconds. Nothing outside a run."""
    activation = _current.get()
    if activation is None:
        return
    activation.record(
        LMCalled,
        model=model,
        purpose=purpose,
        usage=usage,
        duration=duration,
        answered=answered,
    )


async def resolve_inputs(target: type[Any], *, lm: Any = None) -> dict[str, Any]:
    """Resolve the dependency and recall fields of a node type through the current run.

    Outside a run its dependencies are resolved alone, as `resolve_fields` does, with `lm` for those that are
    nodes themselves. Raises `DepError` and `RecallError`.
    """
    activation = _current.get()
    if activation is not None:
        return await activation.run.front.resolve_inputs(activation, target)
    from dagflow.kernel.standalone import resolve_fields

    return await resolve_fields(target, lm=lm)
