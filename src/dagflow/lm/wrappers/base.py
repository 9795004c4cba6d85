"""What every wrapper is: a language model that asks others, and tells of them what their users may need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from dagflow.core.secrets import Secret
from dagflow.errors import LMError, describe
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import estimate, tokens_of
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.types import Usage

__all__ = ["Wrapper", "all_failed", "lm_name", "positive", "used"]


class Wrapper(BaseLM):
    """Base of the language models that are made of others.

    It repairs as often as the most patient of them, holds the secrets of all, and is identified by all.
    """

    made_by: ClassVar[str]
    """The function that makes it."""

    def __init__(self, *lms: BaseLM) -> None:
        for lm in lms:
            if not isinstance(lm, BaseLM):
                raise TypeError(
                    f"{self.made_by} wraps the requests of a BaseLM, and {_shown(lm)} is none: what has only make, "
                    f"decide, choose_type and fill has no requests to wrap; extend dagflow.BaseLM and write complete"
                )
        self._lms = lms
        self.repairs: int = max(lm.repairs for lm in lms)

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """That of the wrapped language model; of several, those of all, and `None` if one of them has none."""
        identities = [lm.identity for lm in self._lms]
        if len(identities) == 1:
            return identities[0]
        known = [dict(identity) for identity in identities if identity is not None]
        return {self.made_by: known} if len(known) == len(identities) else None

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """The secrets of all that it wraps."""
        return tuple(dict.fromkeys(secret for lm in self._lms for secret in lm.secrets))

    def __repr__(self) -> str:
        return lm_name(self)


def lm_name(lm: BaseLM) -> str:
    """Name a language model in an error: by its type and model, since the repr of a user's class may tell too much."""
    if isinstance(lm, Wrapper):
        return f"{lm.made_by}({', '.join(map(lm_name, lm._lms))})"
    model = (lm.identity or {}).get("model")
    return f"{type(lm).__name__}({model})" if isinstance(model, str) else type(lm).__name__


def all_failed(failures: Sequence[tuple[BaseLM, LMError]]) -> LMError:
    """Make one error of those of several language models; its cause is a group of them all.

    Asking again can help if it can for one of them, and not before the first of those is ready.
    """
    errors = [error for _, error in failures]
    waits = [error.retry_after for error in errors if error.retriable]
    lines = [f"  {number}. {lm_name(lm)}: {describe(error)}" for number, (lm, error) in enumerate(failures, 1)]
    message = "\n".join([f"none of {len(failures)} language models answered:", *lines])
    known = [wait for wait in waits if wait is not None]
    error = LMError(
        message,
        retriable=bool(waits),
        retry_after=min(known) if known and len(known) == len(waits) else None,
    )
    error.__cause__ = ExceptionGroup("the errors of the language models that were asked", errors)
    return error


def used(request: LMRequest, response: LMResponse) -> Usage:
    """Say what an answer used; where its adapter counts no tokens, guess them from the text."""
    usage = response.usage
    if usage.requests and not usage.input_tokens + usage.output_tokens:
        guess = Usage(
            input_tokens=estimate(request).input_tokens, output_tokens=tokens_of(len(response.text)), estimated=True
        )
        return usage + guess
    return usage


def positive(**limits: float | None) -> None:
    """Check limits, of which one at least must be given."""
    if all(limit is None for limit in limits.values()):
        raise ValueError(f"there is nothing to limit; give {' or '.join(f'{name}=' for name in limits)}")
    for name, limit in limits.items():
        if limit is not None and not (limit > 0 and math.isfinite(limit)):
            raise ValueError(f"{name} must be a number above 0, not {limit!r}")


def _shown(lm: object) -> str:
    return f"the class {lm.__name__}" if isinstance(lm, type) else f"a {type(lm).__name__}"
