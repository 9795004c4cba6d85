"""Running a DSPy optimiser: sync code in a worker thread, whose requests are made in the event loop."""

from __future__ import annotations

import copy
import dataclasses
import importlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent import futures
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
from anyio.from_thread import BlockingPortal
from anyio.to_thread import run_sync

from dagflow.errors import DagflowError, LMError
from dagflow.lm.base import BaseLM
from dagflow.lm.bridge import Bridge, asyncio_bridge
from dagflow.lm.dspy.adapters import default_adapter
from dagflow.lm.dspy.backend import DSPyBackend
from dagflow.lm.dspy.language_models import open_language_model, secrets_of, to_lm_error, usage_of
from dagflow.lm.dspy.library import load_dspy
from dagflow.lm.protocol import LMRequest, Message
from dagflow.optimize.examples import Example
from dagflow.optimize.predictors import Predictor, predictor_of
from dagflow.optimize.tasks import LMTask, written
from dagflow.types import Usage

__all__ = ["Metric", "Optimization", "Optimizer", "open_optimization"]

Metric = Callable[..., Any]
Optimizer = Any

_CONNECTION_SETTINGS = (
    "api_key",
    "api_base",
    "base_url",
    "headers",
    "extra_headers",
    "timeout",
    "api_version",
    "azure_ad_token_provider",
    "organization",
    "project",
    "extra_query",
    "custom_llm_provider",
)
"""What DSPy refuses beside an engine of one's own, which has its own connection."""


class Stopped(BaseException):
    """Raised in an optimiser's thread when the optimisation is cancelled; optimisers swallow any `Exception`."""


class Optimization:
    """Optimises task after task with one language model; `usage` is what that used until now."""

    def __init__(self, lm: Any, bridge: Bridge, portal: BlockingPortal) -> None:
        self.usage: Usage = Usage()
        self._dspy = load_dspy("optimize")
        self._lm = lm
        self._bridge = bridge
        self._portal = portal

    async def optimize(
        self,
        task: LMTask,
        examples: Sequence[Example],
        *,
        metric: Metric,
        optimizer: Optimizer,
        options: Mapping[str, Any],
    ) -> Predictor:
        """Optimise the prompt of one task.

        Raises what the language model raises, and whatever else the optimiser does. Cancelled, its request under
        way is cancelled and the next one ends it: a thread cannot be stopped in another way.
        """
        try:
            return await run_sync(self._compile, task, examples, metric, optimizer, options)
        except Stopped:
            await anyio.lowlevel.checkpoint()  # it raises the cancellation
            raise LMError("the optimisation was stopped") from None
        except Exception as error:
            ours = _error_of_ours(error)
            if ours is None:
                raise
        raise ours  # DSPy has wrapped it in errors of its own

    def _compile(
        self,
        task: LMTask,
        examples: Sequence[Example],
        metric: Metric,
        optimizer: Optimizer,
        options: Mapping[str, Any],
    ) -> Predictor:
        """Run the optimiser; in a worker thread."""
        dspy = self._dspy
        form = task.form
        trainset = [
            dspy.Example(**form.given(written(task, example.source, example.known)), **form.answered(example.answer))
            .with_inputs(*form.inputs.values())
            for example in examples
        ]  # fmt: skip
        teleprompter = _prepared(optimizer, metric)
        settings = {"lm": self._language_model(task), "adapter": default_adapter(), "track_usage": False}
        with dspy.context(**settings, disable_history=True):
            student = teleprompter.compile(dspy.Predict(form.signature), trainset=trainset, **options)
        predictors = student.predictors()
        if len(predictors) != 1:
            raise ValueError(
                f"the optimiser made {len(predictors)} predictors of one for {task.key}; use one that keeps the program"
            )
        return predictor_of(task, predictors[0])

    def _language_model(self, task: LMTask) -> Any:
        """A DSPy language model whose requests are made in the event loop."""
        engine = _Engine(self, task)
        if isinstance(self._lm, BaseLM):
            return self._dspy.LM("dagflow", engine=engine, cache=False, num_retries=0)
        if not isinstance(self._lm, self._dspy.LM):
            return self._lm.copy(cache=False)  # a model of the old interface has no engine to replace
        unset = {name: None for name in _CONNECTION_SETTINGS if name in self._lm.kwargs}
        return self._lm.copy(engine=engine, cache=False, num_retries=0, **unset)

    def ask(self, task: LMTask, request: Any) -> Any:
        """Answer a request of DSPy's; called in an optimiser's thread."""
        ask = self._ask_ours if isinstance(self._lm, BaseLM) else self._ask_dspy
        try:
            return self._portal.call(ask, task, request)
        except (futures.CancelledError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "portal is not running" not in str(error):
                raise
            raise Stopped from error

    async def _ask_ours(self, task: LMTask, request: Any) -> Any:
        lm15 = self._dspy.lm15
        target = task.node if task.kind == "fill" else ""
        asked = LMRequest(system=_text(request.system), messages=_messages(request), purpose=task.kind, target=target)
        response = await self._lm.complete(asked)
        self.usage += response.usage
        return lm15.Response(
            id=response.request_id,
            model=response.model or request.model,
            message=lm15.Message.assistant(response.text or " "),
            finish_reason="length" if response.finish_reason == "length" else "stop",
            usage=lm15.Usage(input_tokens=response.usage.input_tokens, output_tokens=response.usage.output_tokens),
        )

    async def _ask_dspy(self, task: LMTask, request: Any) -> Any:
        entries: list[dict[str, Any]] = []
        lm = self._lm.copy()
        lm.update_history = entries.append
        failed: LMError | None = None
        response = cause = None
        try:
            response = await self._bridge.call(_call, lm, dataclasses.replace(request, model=lm.model))
        except (LMError, Warning):
            raise
        except Exception as error:
            failed, cause = to_lm_error(error, lm.model, secrets_of(lm))
        if failed is not None:
            raise failed from cause
        self.usage += usage_of(entries)
        return response


async def _call(lm: Any, request: Any) -> Any:
    with load_dspy("optimize").context(disable_history=False, track_usage=False):
        return await lm.acall(request)


class _Engine:
    """A DSPy engine that asks in the event loop; DSPy copies it by reference."""

    def __init__(self, optimization: Optimization, task: LMTask) -> None:
        self._optimization = optimization
        self._task = task

    def complete(self, request: Any) -> Any:
        return self._optimization.ask(self._task, request)

    def __deepcopy__(self, memo: Any) -> _Engine:
        return self


@asynccontextmanager
async def open_optimization(lm: Any) -> AsyncIterator[Optimization]:
    """Prepare to optimise with a `BaseLM` or a DSPy language model; its connections are closed with the block."""
    inner = lm.inner if isinstance(lm, DSPyBackend) else lm
    async with _without_monitor(), asyncio_bridge() as bridge, _open_portal() as portal:
        if isinstance(inner, BaseLM):
            yield Optimization(inner, bridge, portal)
            return
        async with open_language_model(inner, bridge) as opened:
            yield Optimization(opened, bridge, portal)


@asynccontextmanager
async def _open_portal() -> AsyncIterator[BlockingPortal]:
    """Let threads call into this event loop; errors of the block are raised as they are, in no group."""
    portal = BlockingPortal()
    await portal.__aenter__()
    try:
        yield portal
    finally:
        await portal.stop(cancel_remaining=True)
        await portal.__aexit__(None, None, None)


@asynccontextmanager
async def _without_monitor() -> AsyncIterator[None]:
    """End the thread that tqdm starts for the progress bars of optimisers; where it is needed, it starts again."""
    bars = importlib.import_module("tqdm").tqdm
    before = bars.monitor
    try:
        yield
    finally:
        if bars.monitor is not None and bars.monitor is not before:
            with anyio.CancelScope(shield=True):
                await run_sync(bars.monitor.exit)


def _prepared(optimizer: Optimizer, metric: Metric) -> Any:
    """A fresh optimiser: they keep state, which must not go from one task to the next."""
    if optimizer is None:
        # All fields must be right for an answer to become a demonstration; examples fill up the others.
        return load_dspy("optimize").BootstrapFewShot(
            metric=metric, metric_threshold=1.0, max_bootstrapped_demos=4, max_labeled_demos=8
        )
    if not hasattr(optimizer, "compile"):
        return optimizer(metric)
    copied = copy.copy(optimizer)
    if getattr(copied, "metric", metric) is None:
        copied.metric = metric
    return copied


def _error_of_ours(error: BaseException | None) -> DagflowError | None:
    """The error that a language model of dagflow raised, where DSPy raised another because of it."""
    while error is not None:
        if isinstance(error, DagflowError):
            return error
        error = error.__cause__
    return None


def _messages(request: Any) -> tuple[Message, ...]:
    return tuple(
        Message("assistant" if message.role == "assistant" else "user", message.text or "")
        for message in request.messages
    )


def _text(system: Any) -> str:
    if system is None or isinstance(system, str):
        return system or ""
    return "\n\n".join(getattr(part, "text", "") for part in system)
