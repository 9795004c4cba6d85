"""Markers: what a field or parameter declares about where its value comes from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Literal, TypeVar, overload

import attrs

from dagflow.types import Retry

__all__ = ["UNSET", "Dep", "Gate", "Offload", "Recall", "dep", "field", "gate", "recall"]

Offload = Literal["thread", "inline", "process"]
"""Where a sync callable runs: a worker thread, the event loop's own thread, or a child process."""

MARKER: Final = "dagflow.marker"
DESCRIPTION: Final = "description"
JSON_KEY: Final = "dagflow.json_key"
"""A field's name in JSON, in the metadata of a field whose JSON name is a word that Python has for itself."""

T = TypeVar("T")


class Unset:
    """The type of `UNSET`, the value of a field that nobody has given yet."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> Literal[False]:
        return False

    def __copy__(self) -> Unset:
        return self

    def __deepcopy__(self, memo: object) -> Unset:
        return self

    def __reduce__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


def to_retry(value: Retry | int | None) -> Retry | None:
    """Read `retry=3` as three attempts."""
    return Retry(attempts=value) if isinstance(value, int) else value


@attrs.frozen
class Dep:
    """Marks a field or parameter that gets the value of `fn()`, as `Annotated[T, Dep(fn)]`.

    `fn` is a sync or async function, a `functools.partial`, a bound method, a callable object, an async
    context manager function (entered once, exited when the run ends), or a `Node` type (its fields are
    resolved and its plain ones filled by the language model). Its own parameters may be dependencies.

    `offload` says where a sync `fn` runs: `"thread"` (the default), `"inline"` for cheap pure functions, or
    `"process"` for CPU work and work that must be killable. `timeout` is in seconds and counts each attempt;
    a sync `fn` needs `offload="process"` for it, because a thread cannot be stopped. `retry` is a `Retry` or a
    number of attempts.

    Within a run `fn` is called once, however many fields ask for it; a callable is known by its `==` and
    `hash`. The same callable marked with different options in one graph is a `GraphError`.

    A run with a store records what `fn` gave, if its return type can be written, so that a resumed run does not
    call it again. `record=False` keeps it out of the store: it is called again once in each resume.
    """

    fn: Callable[..., Any]
    offload: Offload | None = attrs.field(default=None, kw_only=True)
    timeout: float | None = attrs.field(default=None, kw_only=True)
    retry: Retry | None = attrs.field(default=None, kw_only=True, converter=to_retry)
    record: bool = attrs.field(default=True, kw_only=True)


@attrs.frozen
class Recall:
    """Marks a node's field that gets the newest value of its type in the trace: `Annotated[T, Recall()]`.

    Only the plain fields of nodes that ran earlier are searched, newest first. A field with no match and no
    default fails the run with `RecallError`.
    """


def _check_question(marker: object, attribute: object, question: Any) -> None:
    if not isinstance(question, str) or not question.strip():
        raise ValueError(f"a gate asks a question in words, not {question!r}; write Gate('Which size?')")


@attrs.frozen
class Gate:
    """Marks a node's field that a person fills: `Annotated[str, Gate("Which size?")]`.

    When the node is to run, and the caller or the node before gave no value, the run stops with the question, once
    everything else that can run has. `Graph.resume` goes on with the answer, which must be of the field's type.
    The node's dependencies are resolved before the question is asked; what a language model fills is filled after
    the answer, and with it. The run needs a store.
    """

    question: str = attrs.field(validator=_check_question)


def field(
    *,
    description: str | None = None,
    default: Any = attrs.NOTHING,
    factory: Callable[[], Any] | None = None,
    validator: Any = None,
    converter: Any = None,
    alias: str | None = None,
    repr: bool = True,
) -> Any:
    """Declare a plain field of a node: the caller gives it on the start node, the LM fills it elsewhere.

    `description` reaches the language model through the JSON Schema, and so do the constraints of attrs
    validators (`attrs.validators.ge(0)`). The other arguments are those of `attrs.field`.
    """
    metadata = {} if description is None else {DESCRIPTION: description}
    return attrs.field(
        default=default,
        factory=factory,
        validator=validator,
        converter=converter,
        alias=alias,
        repr=repr,
        metadata=metadata,
    )


# `init: Literal[False] = False` appears in the signature alone: it tells type checkers that the field may be
# left out of the constructor. At run time a value that the caller gives is taken, and kept.
@overload
def dep(
    fn: type[T],
    *,
    offload: Offload | None = None,
    timeout: float | None = None,
    retry: Retry | int | None = None,
    record: bool = True,
    description: str | None = None,
    init: Literal[False] = False,
) -> T: ...
@overload
def dep(
    fn: Callable[..., AbstractAsyncContextManager[T]],
    *,
    offload: Offload | None = None,
    timeout: float | None = None,
    retry: Retry | int | None = None,
    record: bool = True,
    description: str | None = None,
    init: Literal[False] = False,
) -> T: ...
@overload
def dep(
    fn: Callable[..., Awaitable[T]],
    *,
    offload: Offload | None = None,
    timeout: float | None = None,
    retry: Retry | int | None = None,
    record: bool = True,
    description: str | None = None,
    init: Literal[False] = False,
) -> T: ...
@overload
def dep(
    fn: Callable[..., T],
    *,
    offload: Offload | None = None,
    timeout: float | None = None,
    retry: Retry | int | None = None,
    record: bool = True,
    description: str | None = None,
    init: Literal[False] = False,
) -> T: ...
def dep(
    fn: Callable[..., Any],
    *,
    offload: Offload | None = None,
    timeout: float | None = None,
    retry: Retry | int | None = None,
    record: bool = True,
    description: str | None = None,
    init: Literal[False] = False,
) -> Any:
    """Declare a node's field that gets the value of `fn()`; type checkers compare it with the field's type.

    The same as `Annotated[T, Dep(fn, ...)]`, whose options it takes.
    """
    marker = Dep(fn, offload=offload, timeout=timeout, retry=retry, record=record)
    metadata = {MARKER: marker} | ({} if description is None else {DESCRIPTION: description})
    return attrs.field(metadata=metadata)


def recall(*, description: str | None = None, init: Literal[False] = False) -> Any:
    """Declare a node's field that gets the newest value of its type in the trace, as `Recall()` does."""
    metadata = {MARKER: Recall()} | ({} if description is None else {DESCRIPTION: description})
    return attrs.field(metadata=metadata)


def gate(question: str, *, description: str | None = None, init: Literal[False] = False) -> Any:
    """Declare a node's field that a person fills, as `Gate(question)` does."""
    metadata = {MARKER: Gate(question)} | ({} if description is None else {DESCRIPTION: description})
    return attrs.field(metadata=metadata)
