"""The base of all steps of a pipeline, and what compiling one gives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from dagflow.core.schedule import Activation
from dagflow.kernel.context import ActivationContext
from dagflow.types import Retry

if TYPE_CHECKING:
    from dagflow.pipeline.compiled import CompiledPipeline
    from dagflow.pipeline.front import PipelineRun
    from dagflow.pipeline.pipeline import Pipeline

__all__ = ["CONTINUE", "END", "FAIL", "Body", "CompileContext", "CompiledStep", "Outcome", "Read", "Step", "StepCall"]

END: Final = "END"
"""What `next` says of a step that is the last one."""

FAIL: Final = "fail"
CONTINUE: Final = "continue"


@attrs.frozen(kw_only=True)
class Step:
    """A step of a pipeline: a task, or a composite that holds pipelines. Steps are values; one may be used twice.

    `name` is unique in its pipeline. `next` names the step that follows, or is `END`; without it, the next of the list
    follows. `on_failure` says what follows a failure: `"fail"` (the run fails), `"continue"` (the next step, without
    what this one returns), the name of a step, or a pipeline that stands in for the step and returns what it can.
    """

    name: str = ""
    next: str | None = None
    on_failure: str | Pipeline | Step = FAIL

    def __attrs_post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", self.default_name())

    def default_name(self) -> str:
        """The name of a step that is given none."""
        return type(self).__name__.lower()

    def compile(self, context: CompileContext) -> CompiledStep:
        """Check the step and make it ready to run; raises `GraphError` with every fault."""
        raise NotImplementedError(f"{type(self).__name__} is no kind of step: it has no `compile`")


@attrs.frozen(kw_only=True)
class CompileContext:
    """What steps are compiled with: the names that hints may use beside those of the function's module."""

    namespace: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Read:
    """A parameter that a step reads: its declared type, and whether the step cannot do without it."""

    name: str
    hint: Any = Any
    required: bool = True


@attrs.frozen(eq=False, kw_only=True)
class Outcome:
    """What a body came to: the parameters that it gives, and JSON-able data for the run log."""

    writes: Mapping[str, Any] = attrs.field(factory=dict)
    log: Mapping[str, Any] | None = None


@attrs.frozen(eq=False)
class StepCall:
    """One attempt of one activation of a step. `scope` has every parameter that it can read; `scopes` are its parts."""

    activation: Activation
    context: ActivationContext
    front: PipelineRun
    scopes: tuple[Mapping[str, Any], ...]
    scope: Mapping[str, Any]

    @property
    def path(self) -> tuple[str, ...]:
        """The way to the step from the outermost pipeline, by the names of steps, branches and items."""
        return (*self.front.path, self.activation.node)


class Body(Protocol):
    """Does the work of a step; it may be called several times, also at once."""

    def __call__(self, call: StepCall, /) -> Awaitable[Outcome]:
        """Do the work; raises what makes the attempt fail."""
        ...


@attrs.frozen(eq=False, kw_only=True)
class CompiledStep:
    """A step that is ready to run, and what is known of it before it does.

    `gives` are the parameters that it may give, `surely` those that it gives whenever it succeeds. `reads_all` tells
    that it reads whatever there is. `signature` has a line for each thing that a run which goes on relies on. `types`
    are hints that name the classes of its values, `functions` what an executor may have to take elsewhere.
    `keeps_files` tells that it needs a catalog. `inner` are the pipelines that it holds, of which all
    this is not told again.
    """

    name: str
    kind: str
    body: Body
    reads: tuple[Read, ...] = ()
    reads_all: bool = False
    gives: tuple[str, ...] = ()
    surely: frozenset[str] = frozenset()
    metrics: frozenset[str] = frozenset()
    objects: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()
    signature: tuple[str, ...] = ()
    types: tuple[Any, ...] = ()
    functions: tuple[tuple[str, Callable[..., Any]], ...] = ()
    keeps_files: bool = False
    inner: tuple[CompiledPipeline, ...] = ()
    retry: Retry | None = None
