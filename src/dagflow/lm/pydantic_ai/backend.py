"""The backend: sends requests through `pydantic_ai.direct`, whole or as a stream.

`pydantic_ai.direct` runs on asyncio and on trio; Pydantic AI's agents are not used, because they need asyncio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import attrs
from pydantic_ai import exceptions, messages
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.models import ModelRequestParameters

from dagflow.core.secrets import Secret
from dagflow.errors import LMError
from dagflow.kernel.context import TokenStream, run_resource, token_stream
from dagflow.kernel.retry import with_retries
from dagflow.lm.base import DEFAULT_RETRY, BaseLM, is_retriable
from dagflow.lm.billing import Bill, billed
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.pydantic_ai.codec import check_whole, conversation_of, native_form, plain_form, read_answer, text_in
from dagflow.lm.pydantic_ai.errors import lm_error, says_a_secret
from dagflow.lm.pydantic_ai.source import (
    AnyModel,
    ModelSource,
    Opened,
    close,
    identity_of,
    secrets_of,
    without_sdk_retries,
)
from dagflow.types import Retry, Usage

__all__ = ["PydanticAIBackend"]


class PydanticAIBackend(BaseLM):
    """A model of Pydantic AI: its name, as in `"openai:gpt-5-mini"`, or a `Model` object.

    An answer is asked for with the provider's own structured output where the model has it and the type allows
    it, else with the schema in words. `settings` are Pydantic AI's `ModelSettings`, `base_url` and `api_key` are
    for its provider; without them the provider reads its own environment variables. `timeout` (seconds) bounds
    each request, and so do all deadlines around the call. `retry` says how often a request is sent again where
    that can help; the provider's SDK does not retry by itself, unless `settings` have `max_retries`.

    Connections of a model that is named live as long as the run that they serve, or for one request outside of
    runs. A `Model` object keeps its own client, which is neither closed nor moved to another event loop: enter
    it (`async with model:`) around your runs. OpenAI's and Anthropic's models run on asyncio and on trio; others
    as their SDK does. Tools together with thinking need a run, in which the thoughts are kept for the next turn.

    Raises `LMError` where the model cannot be made: its name is unknown, its key is missing; `ImportError` where
    its SDK is not installed, naming what to install.
    """

    def __init__(
        self,
        model: str | AnyModel,
        *,
        settings: Mapping[str, Any] | None = None,
        base_url: str | None = None,
        api_key: str | Secret | None = None,
        timeout: float | None = 300.0,
        retry: Retry | None = DEFAULT_RETRY,
        repairs: int = 2,
    ) -> None:
        self.repairs = repairs
        self._timeout = timeout
        self._retry = retry
        if isinstance(model, str):
            self._model: AnyModel | ModelSource = ModelSource(model, base_url, api_key)
            described = self._model.make()  # nothing is ever sent through this one
        elif base_url is None and api_key is None:
            self._model = described = model
        else:
            raise ValueError("base_url= and api_key= are for a model's name; a Model object has a provider of its own")
        self._name = model if isinstance(model, str) else str(described.model_id)
        self._secrets = secrets_of(described)
        self._settings = without_sdk_retries(described, settings or {})
        self._identity = identity_of(described, self._name, self._settings)

    def __repr__(self) -> str:
        return f"PydanticAIBackend({self._name!r})"

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """The model, its base URL and its settings; `None` for a `Model` object without a provider."""
        return self._identity

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The API key, wherever it came from."""
        return self._secrets

    async def complete(self, request: LMRequest) -> LMResponse:
        """Send one request, again where that is right, and return the answer.

        Raises `LMError`. Cancelled, it closes its connection.
        """
        opened = await run_resource(self, self._open)
        if opened is not None:
            return await self._complete(request, opened)
        async with self._open() as opened:
            return await self._complete(request, opened)

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Opened]:
        """Make the model with a client of its own: connections belong to one event loop, and here to one run."""
        if not isinstance(self._model, ModelSource):
            yield Opened(self._model)
            return
        # Reading the certificates takes 30 ms, in which nothing else should stand still.
        model = await anyio.to_thread.run_sync(self._model.make)
        try:
            yield Opened(model)
        finally:
            with anyio.CancelScope(shield=True):  # closing sockets does not wait for the other side
                await close(model)

    async def _complete(self, request: LMRequest, opened: Opened) -> LMResponse:
        return await with_retries(self._retry, lambda: self._attempt(request, opened), worth=is_retriable)

    async def _attempt(self, request: LMRequest, opened: Opened) -> LMResponse:
        with billed(request) as bill:
            with anyio.move_on_after(self._timeout):
                return await self._settled(request, opened, bill)
            raise LMError(f"{self._name} gave no whole answer within the timeout of {self._timeout:g} s")

    async def _settled(self, request: LMRequest, opened: Opened, bill: Bill) -> LMResponse:
        try:
            answer = await self._ask_model(request, opened, bill)
            check_whole(answer)
            response = read_answer(answer, bill)
        except Exception as error:
            # A cause is printed with its whole message, which may quote the key.
            cause = None if says_a_secret(error, self._secrets) else error
            raise self._translated(error, bill) from cause
        opened.keep(answer)
        return response if response.model else attrs.evolve(response, model=self._name)

    async def _ask_model(self, request: LMRequest, opened: Opened, bill: Bill) -> messages.ModelResponse:
        tokens = token_stream()
        form = native_form(request, opened.model)
        if form is None:
            return await self._send(request, opened, plain_form(request), tokens, bill)
        try:
            return await self._send(request, opened, form, tokens, bill)
        except (exceptions.UserError, exceptions.ModelRequestRejectedError) as error:
            # Pydantic AI itself knows that this schema, or a schema beside tools, is more than the model takes.
            if isinstance(error, exceptions.ModelHTTPError):
                raise
            return await self._send(request, opened, plain_form(request), tokens, bill)

    async def _send(
        self, request: LMRequest, opened: Opened, form: ModelRequestParameters, tokens: TokenStream | None, bill: Bill
    ) -> messages.ModelResponse:
        system = request.native_system if form.output_mode == "native" else request.system
        conversation = conversation_of(request.messages, system, opened.answers)
        if tokens is not None:
            return await self._stream(opened.model, conversation, form, tokens, bill)
        return await model_request(
            opened.model, conversation, model_settings=self._settings, model_request_parameters=form
        )

    async def _stream(
        self,
        model: AnyModel,
        conversation: list[messages.ModelMessage],
        form: ModelRequestParameters,
        tokens: TokenStream,
        bill: Bill,
    ) -> messages.ModelResponse:
        async with model_request_stream(
            model, conversation, model_settings=self._settings, model_request_parameters=form
        ) as stream:
            async for event in stream:
                piece = text_in(event)
                if piece:
                    bill.text(piece)
                    await tokens.send(piece)
            return stream.get()

    def _translated(self, error: Exception, bill: Bill) -> LMError:
        """Say what went wrong, and note what it cost; the one place where foreign exceptions are translated."""
        if isinstance(error, exceptions.ModelHTTPError) and not error.in_stream:
            bill.settle(Usage(requests=1))  # a request that is turned down costs nothing
        if isinstance(error, exceptions.UserError) or getattr(error, "phase", None) in ("connect", "pool"):
            bill.void()
        return lm_error(error, self._name, self._secrets)
