"""Models: how one is made from its name, and what can be said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import attrs
from pydantic_ai import exceptions, messages
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider_class
from pydantic_ai.settings import ModelSettings

from dagflow.core.secrets import Secret
from dagflow.errors import LMError
from dagflow.lm.http import checked_url

__all__ = ["AnyModel", "ModelSource", "Opened", "close", "identity_of", "secrets_of", "without_sdk_retries"]

AnyModel: TypeAlias = "Model[Any]"

NOT_OF_THE_ANSWER: Final = frozenset({"timeout", "request_timeout", "first_event_timeout", "max_retries"})
"""Settings that decide whether there is an answer, not which."""

KEEPS_KEYS: Final = frozenset({"extra_headers"})
"""Settings that often hold keys."""


class ModelSource:
    """How a model is made from its name; each one that it makes has a provider and a client of its own."""

    def __init__(self, name: str, base_url: str | None, api_key: str | Secret | None) -> None:
        self.name = name
        base_url = None if base_url is None else checked_url(base_url)
        options = {"base_url": base_url, "api_key": None if api_key is None else Secret(api_key)}
        self._options = {key: value for key, value in options.items() if value is not None}

    def make(self) -> AnyModel:
        """Make the model; raises `LMError` where the name, the key or the options are wrong, and `ImportError`."""
        try:
            return infer_model(self.name, self._provider) if self._options else infer_model(self.name)
        except ImportError as error:
            provider = self.name.partition(":")[0]
            advice = f"pip install 'pydantic-ai-slim[{provider}]'"
            raise ImportError(f"{self.name!r} needs the SDK of {provider}: {advice} ({error})") from error
        except exceptions.UserError as error:
            said = str(error).partition(" To try Pydantic AI")[0]  # an advertisement for its own test model
            raise LMError(f"{self.name!r} cannot be used: {said}") from error
        except (TypeError, ValueError) as error:
            raise LMError(f"{self.name!r} cannot be used: {error}") from error

    def _provider(self, name: str) -> Provider[Any]:
        options = {key: value.reveal() if isinstance(value, Secret) else value for key, value in self._options.items()}
        return infer_provider_class(name)(**options)


@attrs.define(eq=False)
class Opened:
    """A model that is ready for requests, and its answers that asked for tools, by the id of each call.

    They go back as they came: some models want their own thoughts and signatures again with the results.
    """

    model: AnyModel
    answers: dict[str, messages.ModelResponse] = attrs.field(factory=dict)

    def keep(self, answer: messages.ModelResponse) -> None:
        """Keep an answer that waits for the results of tools."""
        for call in answer.tool_calls:
            self.answers[call.tool_call_id] = answer


async def close(model: AnyModel) -> None:
    """Close the client that a model's provider has made for it."""
    # The provider does that when it is left; entering it opens nothing.
    async with model:
        pass


def without_sdk_retries(model: AnyModel, settings: Mapping[str, Any]) -> ModelSettings:
    """The settings of a request; its retries are made by the backend, which counts them and knows the deadline."""
    known = {**(model.settings or {}), **settings}
    if "max_retries" in known or "max_retries" in model.unsupported_settings:
        return cast("ModelSettings", dict(settings))
    return cast("ModelSettings", {"max_retries": 0, **settings})


def secrets_of(model: AnyModel) -> tuple[Secret, ...]:
    """The keys that a model's client holds, given or read from the environment."""
    client = model.provider.client if model.provider is not None else None
    values = [getattr(client, name, None) for name in ("api_key", "auth_token")]
    return tuple(Secret(value) for value in values if isinstance(value, str) and value)


def identity_of(model: AnyModel, name: str, settings: ModelSettings) -> Mapping[str, Any] | None:
    """What decides the answers, for caches; headers are left out, because keys stand in them."""
    if model.provider is None:
        return None
    known: dict[str, Any] = {**(model.settings or {}), **settings}
    deciding = {key: value for key, value in known.items() if key not in NOT_OF_THE_ANSWER | KEEPS_KEYS}
    identity = {"adapter": "pydantic-ai", "model": name, "base_url": model.provider.base_url, "settings": deciding}
    try:
        json.dumps(identity)
    except (TypeError, ValueError):
        return None
    return identity
