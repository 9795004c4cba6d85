"""DSPy's own language models within dagflow: their connections, their usage, and their errors."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio

from dagflow.core.secrets import Secret, mask
from dagflow.errors import LMError
from dagflow.lm.bridge import Bridge
from dagflow.lm.dspy.library import load_dspy
from dagflow.types import Usage

__all__ = ["finish_of", "open_language_model", "request_id_of", "secrets_of", "text_of", "to_lm_error", "usage_of"]

_SECRET_SETTING = re.compile(r"key|token$|secret|password|credential", re.IGNORECASE)
_CLOSING = 5.0  # seconds; closing sockets does not wait for the other side

Finish = Literal["stop", "length", "refusal", "tool_calls"]
_FINISH: Mapping[str, Finish] = {
    "length": "length",
    "content_filter": "refusal",
    "refusal": "refusal",
}


@asynccontextmanager
async def open_language_model(lm: Any, bridge: Bridge) -> AsyncIterator[Any]:
    """Give a copy of a DSPy language model with connections of its own, which are closed with the block.

    The connections of the original may be in use elsewhere, and belong to whoever made it. Its cache is off: what
    DSPy keeps on disk is no part of a run.
    """
    copied = _with_own_connections(lm).copy(cache=False)
    try:
        yield copied
    finally:
        close = getattr(copied, "aclose", None)
        if close is not None:
            with anyio.move_on_after(_CLOSING, shield=True):
                await bridge.call(close)


def _with_own_connections(lm: Any) -> Any:
    """Copy by the way that pickle takes, which leaves the pools of connections out; nothing is serialized."""
    if not isinstance(lm, load_dspy("DSPyBackend").LM):
        return lm
    copied = object.__new__(type(lm))
    copied.__setstate__(dict(lm.__getstate__()))
    return copied


def usage_of(entries: Iterable[Mapping[str, Any]]) -> Usage:
    """Sum up what the calls used, from the entries that DSPy keeps of them."""
    total = Usage()
    for entry in entries:
        counted = entry.get("usage") or {}
        total += Usage(
            requests=1,
            input_tokens=counted.get("prompt_tokens") or 0,
            output_tokens=counted.get("completion_tokens") or 0,
            cost=entry.get("cost"),
        )
    return total


def finish_of(entry: Mapping[str, Any]) -> Finish:
    """Why an answer ended; DSPy keeps it in a response of its own or of LiteLLM's."""
    response = entry.get("response")
    reason = getattr(response, "finish_reason", None)
    choices = getattr(response, "choices", None)
    if reason is None and choices:
        reason = getattr(choices[0], "finish_reason", None)
    return _FINISH.get(str(reason), "stop")


def text_of(entry: Mapping[str, Any]) -> str:
    """What the model wrote, before any adapter read it; empty where it wrote nothing."""
    output: Any = next(iter(entry.get("outputs") or ()), "")
    text = output.get("text") if isinstance(output, dict) else output
    return text if isinstance(text, str) else ""


def request_id_of(entry: Mapping[str, Any]) -> str | None:
    """The provider's id of an answer."""
    identity = getattr(entry.get("response"), "id", None)
    return identity if isinstance(identity, str) else None


def secrets_of(lm: Any) -> tuple[Secret, ...]:
    """The secrets among the settings of a DSPy language model, and the key that its provider's variable holds."""
    found = [value for name, value in lm.kwargs.items() if _SECRET_SETTING.search(name) and isinstance(value, str)]
    for headers in ("headers", "extra_headers"):
        found += [value for value in (lm.kwargs.get(headers) or {}).values() if isinstance(value, str)]
    provider = re.sub(r"\W", "_", str(lm.model).partition("/")[0]).upper()
    found += filter(None, [os.getenv(f"{provider}_API_KEY")])
    return tuple(Secret(value) for value in dict.fromkeys(found))


def to_lm_error(error: Exception, model: str, secrets: tuple[Secret, ...]) -> tuple[LMError, Exception | None]:
    """Translate what DSPy raised, and say which cause can be shown: none where its text holds a secret."""
    exceptions = load_dspy("DSPyBackend").utils.exceptions
    told = getattr(error, "message", None) or str(error) or type(error).__name__
    said = mask(str(told).partition("\n\n")[0], secrets)  # what follows is advice in terms of another library
    status = getattr(error, "status", None)
    hint = getattr(error, "retry_after", None)
    made = LMError(
        f"{model} gave no answer through DSPy ({type(error).__name__}): {said}",
        status=status if isinstance(status, int) else None,
        provider_message=said if isinstance(error, exceptions.LMProviderError) else None,
        retriable=exceptions.is_retryable_lm_error(error),
        retry_after=float(hint) if isinstance(hint, (int, float)) else None,
        request_id=getattr(error, "request_id", None),
    )
    shown = "".join(traceback.format_exception(error))
    return made, error if mask(shown, secrets) == shown else None
