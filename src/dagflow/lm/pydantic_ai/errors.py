"""What goes wrong in Pydantic AI, the SDKs under it and HTTP, as `LMError`."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pydantic_ai import exceptions

from dagflow.core.secrets import Secret, mask
from dagflow.errors import LMError, describe

__all__ = ["lm_error", "says_a_secret"]

_QUOTED: Final = 500


def says_a_secret(error: BaseException, secrets: Sequence[Secret]) -> bool:
    """Tell whether an exception, or one that led to it, quotes a secret."""
    return any(text != mask(text, secrets) for text in map(str, _causes_of(error)))


def lm_error(error: Exception, model: str, secrets: Sequence[Secret]) -> LMError:
    """Say as an `LMError` why `model` gave no answer; secrets are masked."""
    if isinstance(error, LMError):
        return error
    if isinstance(error, ExceptionGroup):  # from a FallbackModel, whose models have all failed
        each = [lm_error(inner, model, secrets) for inner in error.exceptions]
        said = "; ".join(map(str, each))
        return LMError(said, status=each[-1].status, retriable=any(inner.retriable for inner in each))
    said = mask(_said(error), secrets)
    if isinstance(error, exceptions.ModelHTTPError):
        headers = error.headers or {}
        request_id = headers.get("x-request-id") or headers.get("request-id")
        return LMError(
            f"{model} answered {error.status_code}: {said}" + (f" (request {request_id})" if request_id else ""),
            status=error.status_code,
            provider_message=said,
            retriable=_worth_another(error),
            retry_after=error.retry_after,
            request_id=request_id,
        )
    if isinstance(error, exceptions.UserError):
        return LMError(f"{model} cannot be asked: {said}")
    retry_after = getattr(error, "retry_after", None)
    return LMError(f"{model} failed: {said}", retriable=_worth_another(error), retry_after=retry_after)


def _said(error: Exception) -> str:
    """What the provider, or else the exception that began it, says."""
    if isinstance(error, exceptions.ModelConnectionError):
        return describe(list(_causes_of(error))[-1])
    body = error.body if isinstance(error, exceptions.ModelAPIError) else None
    if isinstance(body, Mapping):
        body = body.get("error", body)
    if isinstance(body, Mapping):
        body = body.get("message", body)
    text = body if isinstance(body, str) else json.dumps(body, default=str) if body else ""
    if not text:
        text = str(error) if isinstance(error, (exceptions.AgentRunError, exceptions.UserError)) else describe(error)
    return text if len(text) <= _QUOTED else f"{text[:_QUOTED]}..."


def _worth_another(error: Exception) -> bool:
    """Tell whether an error may be gone the next time; a provider that says so itself is believed."""
    if isinstance(error, exceptions.ModelHTTPError) and error.provider_retry_hint is not None:
        return error.provider_retry_hint
    if isinstance(error, (exceptions.ModelQuotaExceededError, exceptions.ModelRequestTimeout)):
        return False
    if isinstance(error, exceptions.ModelHTTPError):
        return error.status_code in (408, 429) or error.status_code >= 500
    if any(isinstance(cause, ssl.SSLError) for cause in _causes_of(error)):
        return False  # a certificate stays wrong
    transient = (
        exceptions.ModelConnectionError,
        exceptions.ModelRateLimitError,
        exceptions.ModelUnavailableError,
        exceptions.ModelServerError,
    )
    # Models outside of Pydantic AI's own may let their HTTP library's exceptions through.
    return isinstance(error, transient) or any(base.__name__ == "TransportError" for base in type(error).__mro__)


def _causes_of(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
