"""`Pipeline`: steps that are checked as a whole, and run any number of times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack

from dagflow.core.plan import Plan
from dagflow.errors import GraphError
from dagflow.kernel.entry import run_to_completion
from dagflow.pipeline.compiled import CompiledPipeline
from dagflow.pipeline.compiling import compile_steps, described
from dagflow.pipeline.options import ExecuteOptions, RetryOptions
from dagflow.pipeline.results import PipelineResult, PipelineStream
from dagflow.pipeline.steps import CompileContext, Step

if TYPE_CHECKING:
    from dagflow.core.codec import Serializer
    from dagflow.core.storage import Store
    from dagflow.kernel.prepared import PreparedRun
    from dagflow.kernel.thread import Thread

__all__ = ["Pipeline", "as_pipeline"]


class Pipeline:
    """Steps that run one after the other, checked when it is built, and run any number of times.

    `max_concurrency` bounds the tasks that work at once in a run. `returns` names the parameters that leave its scope
    where it is a branch of another; without it, all that its tasks return. `types` are classes that a run with a store
    may meet without being told of by a hint, or that need a `Serializer`. `namespace` resolves names in hints that
    modules do not have: pass `locals()` for functions that are defined in a function.

    Raises `GraphError` with every fault: no step, names used twice or unknown, steps that nothing leads to, a circle
    that no `Loop` makes, and what is wrong with the steps themselves.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        name: str = "pipeline",
        description: str = "",
        max_concurrency: int | None = None,
        returns: Sequence[str] | None = None,
        types: Iterable[type | Serializer] = (),
        namespace: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(steps, Iterable):
            raise GraphError([f"its steps are {described(steps)}; write [...]"], subject=f"pipeline {name}")
        self.name = name
        self.description = description
        self.steps: tuple[Step, ...] = tuple(steps)
        self.compiled: CompiledPipeline = compile_steps(
            name,
            self.steps,
            CompileContext(namespace=namespace or {}),
            max_concurrency=max_concurrency,
            returns=None if returns is None else tuple(returns),
            types=tuple(types),
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {len(self.steps)} steps)"

    @property
    def plan(self) -> Plan:
        """The frozen plan, with the fingerprint that tells whether a pipeline has changed."""
        return self.compiled.program.plan

    async def execute(self, **options: Unpack[ExecuteOptions]) -> PipelineResult:
        """Run the pipeline to its end; the options are those of `ExecuteOptions`.

        Raises, before anything runs, `ParameterError` (a `ValueError`) with every parameter that is missing, unknown or
        does not fit, `GraphError` for a secret, catalog or other service that is not there, and `CheckpointError` for
        a `run_id` that has been used. The first failure cancels what is under way, waits for its clean-up, and is
        raised with all that had failed (`.failures`): `NodeError`, `StateConflict` or `RunTimeout`. Cancelled, the run
        does the same, and nothing of it is left.
        """
        return await self.prepare(**options).execute()

    def execute_sync(
        self, *, backend: Literal["asyncio", "trio"] = "asyncio", **options: Unpack[ExecuteOptions]
    ) -> PipelineResult:
        """Run the pipeline in an event loop of its own, for scripts; see `execute`."""
        return run_to_completion(
            lambda: self.prepare(**options).execute(), backend=backend, instead="await pipeline.execute(...)"
        )

    async def retry(
        self, run_id: str, *, store: Store | None = None, **options: Unpack[RetryOptions]
    ) -> PipelineResult:
        """Go on with a run that failed, was cancelled or killed: what has finished is not run again.

        A run that is complete gives its result again. Raises what `execute` does, and `CheckpointError` where there is
        no such run; `GraphChanged` where its steps, their order, or the names and types of their parameters are no
        longer those that were recorded, unless `accept_changes` is set. Functions may change: mend, and retry.
        """
        return await self.prepare_retry(run_id, store=store, **options).execute()

    async def resume(
        self,
        run_id: str,
        answers: Mapping[str, Any] | None = None,
        *,
        store: Store | None = None,
        **options: Unpack[RetryOptions],
    ) -> PipelineResult:
        """Go on with a run that waits for answers, by the id of the interrupt; `retry` with answers."""
        return await self.prepare_retry(run_id, store=store, answers=answers, **options).execute()

    def retry_sync(
        self,
        run_id: str,
        *,
        store: Store | None = None,
        backend: Literal["asyncio", "trio"] = "asyncio",
        **options: Unpack[RetryOptions],
    ) -> PipelineResult:
        """Go on with a run in an event loop of its own, for scripts; see `retry`."""
        return run_to_completion(
            lambda: self.prepare_retry(run_id, store=store, **options).execute(),
            backend=backend,
            instead="await pipeline.retry(...)",
        )

    def stream(self, *, buffer: int = 256, **options: Unpack[ExecuteOptions]) -> PipelineStream:
        """Run the pipeline and follow its events: `async with pipeline.stream() as events: async for event in events`.

        The run belongs to the block: leaving it, however that happens, ends the run. Items of generators (`Yielded`)
        and printed lines (`Printed`) are among the events. `events.result` is the result once the iteration has ended.
        """
        return PipelineStream(lambda: self.prepare(**options), buffer)

    def stream_retry(
        self,
        run_id: str,
        *,
        store: Store | None = None,
        after: int | None = None,
        buffer: int = 256,
        **options: Unpack[RetryOptions],
    ) -> PipelineStream:
        """Go on with a run and follow its events; `after` is the `seq` of the last one that the reader has seen."""
        return PipelineStream(lambda: self.prepare_retry(run_id, store=store, **options), buffer, after=after)

    def thread(self, run_id: str, *, store: Store) -> Thread:
        """Look at a run from outside: its events, following it live, cancelling it."""
        from dagflow.kernel.thread import Thread  # a run without a store never needs it

        return Thread(run_id, store)

    def prepare(self, **options: Unpack[ExecuteOptions]) -> PreparedRun[PipelineResult]:
        """Prepare a run; meant for those who follow it from outside."""
        from dagflow.pipeline.execution import prepare

        return prepare(self.compiled, options)

    def prepare_retry(
        self,
        run_id: str,
        *,
        store: Store | None = None,
        answers: Mapping[str, Any] | None = None,
        **options: Unpack[RetryOptions],
    ) -> PreparedRun[PipelineResult]:
        """Prepare to go on with a run; meant for those who follow it from outside."""
        from dagflow.pipeline.execution import prepare_retry

        return prepare_retry(self.compiled, run_id, store, answers or {}, options)


def as_pipeline(held: Any, name: str, context: CompileContext) -> Pipeline:
    """A pipeline, or one step as a pipeline; raises `GraphError` for anything else, and for what is wrong with it."""
    if isinstance(held, Pipeline):
        return held
    if isinstance(held, Step):
        return Pipeline([held], name=name, namespace=context.namespace)
    raise GraphError([f"it is {described(held)}; give it a Pipeline or a task"], subject=name)
