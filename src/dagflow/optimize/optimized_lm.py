"""`OptimizedLM`: any language model, with optimised prompts where there are some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from dagflow.core.secrets import Secret
from dagflow.kernel.context import current_activation
from dagflow.lm.base import BaseLM
from dagflow.lm.dspy.adapters import default_adapter
from dagflow.lm.dspy.through import ask_through_adapter
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.optimize.predictors import Predictor
from dagflow.optimize.tasks import written

__all__ = ["OptimizedLM"]


class OptimizedLM(BaseLM):
    """Asks `inner` with the instructions and demonstrations of `predictors` where one fits, else as it is.

    It makes no difference how a request comes about (`make`, `decide`, `choose_type`, `fill`), whether it is a
    repair, or what `inner` is: a backend or a wrapper, on either event loop. A request with tools, with an
    instruction that is not the node's, or for some of the fields only, is passed on as it is.

    `optimized_calls` and `fallback_calls` count the requests of each kind by key: the name of the node that is
    filled, or that of the node which is left with `.choice` after it (`choice` where that is not known).
    """

    def __init__(self, inner: BaseLM, predictors: Iterable[Predictor]) -> None:
        if not isinstance(inner, BaseLM):
            raise TypeError(f"OptimizedLM takes a BaseLM, which writes complete(), not {inner!r}")
        self.repairs: int = inner.repairs
        self.optimized_calls: Counter[str] = Counter()
        self.fallback_calls: Counter[str] = Counter()
        self._inner = inner
        self._predictors = {predictor.task.key: predictor for predictor in predictors}
        self._forms = {key: predictor.form for key, predictor in self._predictors.items()}

    def __repr__(self) -> str:
        return f"OptimizedLM({self._inner!r}, {sorted(self._predictors)})"

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """That of the inner model, and the optimised prompts."""
        if self._inner.identity is None:
            return None
        prompts = {key: predictor.dump() for key, predictor in self._predictors.items()}
        return {"adapter": "optimized", "inner": dict(self._inner.identity), "predictors": prompts}

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Those of the inner model."""
        return self._inner.secrets

    async def complete(self, request: LMRequest) -> LMResponse:
        """Ask with the optimised prompt for what is asked, if there is one. Raises what the inner model raises."""
        predictor = self._predictor(request)
        if predictor is None:
            self.fallback_calls[request.target or _choice_of(request)] += 1
            return await self._inner.complete(request)
        self.optimized_calls[predictor.task.key] += 1
        form = self._forms[predictor.task.key]
        inputs = form.given(written(predictor.task, request.source, request.resolved))
        return await ask_through_adapter(
            self._inner,
            default_adapter(),
            form,
            request,
            inputs=inputs,
            demos=predictor.demos,
            turns=request.messages[1:],
        )

    def _predictor(self, request: LMRequest) -> Predictor | None:
        """The predictor for what is asked; a prompt that was made for other fields does not fit."""
        if request.tools or request.schema is None:
            return None
        if request.purpose == "fill":
            found = self._predictors.get(request.target)
            return found if found is not None and _is_fill(found, request) else None
        fitting = [predictor for predictor in self._predictors.values() if _is_choice(predictor, request)]
        if len(fitting) > 1:
            # Two nodes with the same fields, which the same may follow: told apart by where the run is.
            fitting = [predictor for predictor in fitting if predictor.task.node == _running()]
        return fitting[0] if len(fitting) == 1 else None


def _is_fill(predictor: Predictor, request: LMRequest) -> bool:
    """Whether a predictor was made for these fields, and for the instruction of the node."""
    task = predictor.task
    if task.kind != "fill" or request.schema is None or task.properties != frozenset(request.schema["properties"]):
        return False
    asked = request.messages[0].content
    return f"{asked}\n\n".startswith(f"Task: {task.instruction}\n\n")


def _is_choice(predictor: Predictor, request: LMRequest) -> bool:
    """Whether a predictor chooses among the candidates of a request, by the same fields."""
    task = predictor.task
    return (
        task.kind == "choose"
        and request.purpose == "choose"
        and request.schema is not None
        and task.schema["properties"] == request.schema["properties"]
        and set(task.inputs) == set(request.resolved)
    )


def _running() -> str | None:
    activation = current_activation()
    return None if activation is None else activation.node


def _choice_of(request: LMRequest) -> str:
    node = _running()
    if request.purpose != "choose":
        return request.purpose
    return "choice" if node is None else f"{node}.choice"
