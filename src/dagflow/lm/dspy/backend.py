"""`DSPyBackend`: typed requests through DSPy's `Predict` and adapters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from dagflow.core.secrets import Secret
from dagflow.errors import LMError
from dagflow.kernel.context import run_resource
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import Bill, billed
from dagflow.lm.bridge import Bridge, asyncio_bridge
from dagflow.lm.dspy.adapters import default_adapter
from dagflow.lm.dspy.conversations import CONVERSATION, conversation, instructions_of, refuse_tools
from dagflow.lm.dspy.forms import AnswerForm, answer_form
from dagflow.lm.dspy.language_models import (
    finish_of,
    open_language_model,
    request_id_of,
    secrets_of,
    text_of,
    to_lm_error,
    usage_of,
)
from dagflow.lm.dspy.library import load_dspy
from dagflow.lm.dspy.through import ask_through_adapter
from dagflow.lm.http import checked_url
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.types import Usage

__all__ = ["DSPyBackend"]

_INPUTS = {CONVERSATION: "what was asked, and what has been answered so far"}


class DSPyBackend(BaseLM):
    """A language model that is asked through DSPy: a signature for each request, `Predict`, and an adapter.

    `lm` is the name of a model as `dspy.LM` takes it (`"openai/gpt-5"`), with `settings` passed on to it
    (`api_base`, `api_key`, `temperature`); or a DSPy language model; or any `BaseLM` of dagflow, which then is
    asked in the words of DSPy's adapter. `adapter` is a DSPy adapter (default: `dspy.ChatAdapter()`, which falls
    back to JSON once where its answer cannot be read). `num_retries` is DSPy's own; there are none unless a model
    that is given as an object has some.

    Runs on asyncio and on trio: DSPy's own models know asyncio only, and are asked there on an asyncio loop in
    another thread. Connections live as long as the run that they serve; but models that DSPy reaches through
    LiteLLM keep connections of LiteLLM's, which nobody but the process closes. DSPy's caches and histories
    are not used, and its global settings neither read for the model nor changed. Answers are not streamed.

    DSPy knows the prices of models, and on its first request in a process loads the newest from the net;
    `LITELLM_LOCAL_MODEL_COST_MAP=True` in the environment keeps it from that.

    Making one imports DSPy, which takes seconds. Raises `ImportError` where DSPy is not installed.
    """

    def __init__(
        self,
        lm: Any,
        *,
        adapter: Any = None,
        num_retries: int = 0,
        api_key: str | Secret | None = None,
        repairs: int = 2,
        **settings: Any,
    ) -> None:
        self._dspy = load_dspy("DSPyBackend")
        self.repairs = repairs
        self._adapter = default_adapter() if adapter is None else adapter
        if isinstance(lm, str):
            for name in ("base_url", "api_base"):
                if settings.get(name) is not None:
                    settings[name] = checked_url(settings[name])
            if api_key is not None:
                settings["api_key"] = Secret(api_key).reveal()
            self._lm = self._dspy.LM(lm, cache=False, num_retries=num_retries, **settings)
            return
        if settings or api_key is not None or num_retries:
            raise TypeError("settings are for the name of a model; an object has its own already")
        if not isinstance(lm, (BaseLM, self._dspy.BaseLM)):
            raise TypeError(f"DSPyBackend takes a model's name, a DSPy language model or a BaseLM, not {lm!r}")
        self._lm = lm

    def __repr__(self) -> str:
        name = repr(self._lm) if isinstance(self._lm, BaseLM) else repr(self._lm.model)
        return f"DSPyBackend({name}, adapter={type(self._adapter).__name__})"

    @property
    def inner(self) -> Any:
        """The language model that is asked: a DSPy one, or one of dagflow's."""
        return self._lm

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """The model, its settings but for the secret ones, and the adapter; `None` where these are no plain data."""
        about: dict[str, Any] = {"adapter": "dspy", "format": type(self._adapter).__name__}
        if isinstance(self._lm, BaseLM):
            return None if self._lm.identity is None else about | {"inner": dict(self._lm.identity)}
        secrets = {secret.reveal() for secret in self.secrets}
        settings = {name: value for name, value in self._lm.kwargs.items() if name not in _CONNECTION}
        try:
            written = json.dumps(settings)
        except TypeError:
            return None
        if any(secret in written for secret in secrets):
            return None
        return about | {"model": self._lm.model, "model_type": self._lm.model_type, "settings": settings}

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The API key and secret headers."""
        if isinstance(self._lm, BaseLM):
            return self._lm.secrets
        return secrets_of(self._lm)

    async def complete(self, request: LMRequest) -> LMResponse:
        """Ask through a signature made for the request, and give the outputs as JSON.

        Raises `LMError`, also for a request with tools. Cancelled, it closes its connection.
        """
        refuse_tools(request, "DSPyBackend")
        form = answer_form(request.schema, instructions=instructions_of(request), inputs=_INPUTS)
        if isinstance(self._lm, BaseLM):
            inputs = {CONVERSATION: conversation(request)}
            return await ask_through_adapter(self._lm, self._adapter, form, request, inputs=inputs)
        async with asyncio_bridge() as bridge:
            shared = await run_resource((DSPyBackend, self), partial(open_language_model, self._lm, bridge))
            if shared is not None:
                return await self._predict(shared, bridge, form, request)
            async with open_language_model(self._lm, bridge) as lm:
                return await self._predict(lm, bridge, form, request)

    async def _predict(self, shared: Any, bridge: Bridge, form: AnswerForm, request: LMRequest) -> LMResponse:
        """Call DSPy's `Predict` with a copy of the model, whose records are those of this request alone."""
        lm = shared.copy()
        entries: list[dict[str, Any]] = []
        lm.update_history = entries.append
        text, failed = "", None
        cause: Exception | None = None
        with billed(request) as bill:
            try:
                text = form.write(await bridge.call(self._call, lm, form.signature, conversation(request)))
            except self._dspy.utils.exceptions.AdapterParseError as error:
                text = text_of(entries[-1]) if entries else str(error.lm_response)
            except (LMError, Warning):
                raise
            except Exception as error:
                failed, cause = to_lm_error(error, lm.model, self.secrets)
            finally:
                _settle(bill, usage_of(entries), failed)
            if failed is not None:  # raised here, so that what cannot be shown is not its context either
                raise failed from cause
        if not entries:
            raise LMError(f"{lm.model} answered without a record of it; is it a complete DSPy language model?")
        last = entries[-1]
        return LMResponse(
            text=text,
            usage=usage_of(entries),
            model=last.get("response_model") or lm.model,
            finish_reason=finish_of(last),
            request_id=request_id_of(last),
        )

    async def _call(self, lm: Any, signature: Any, text: str) -> dict[str, Any]:
        """Run on asyncio: one prediction, under settings that hold for it alone."""
        settings = {
            "lm": lm,
            "adapter": self._adapter,
            "trace": None,
            "send_stream": None,
            "track_usage": False,
            "disable_history": False,
        }
        with self._dspy.context(**settings):
            prediction = await self._dspy.Predict(signature).acall(**{CONVERSATION: text})
        return dict(prediction.items())


_CONNECTION = frozenset({"api_key", "headers", "extra_headers", "timeout"})
"""The settings that decide no answer, or hold secrets."""


def _settle(bill: Bill, used: Usage, failed: LMError | None) -> None:
    """Write what is known into the bill: it counts where the request ends without an answer."""
    if failed is None or failed.retriable:
        bill.settle(bill.usage + used)  # what the last call has used by now is an estimate
    elif failed.status is not None:
        bill.settle(used + Usage(requests=1))  # a request that is turned down costs nothing
    else:
        bill.settle(used)  # it was refused on this side
