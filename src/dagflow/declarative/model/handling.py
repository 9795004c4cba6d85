"""What a node does when it fails: how often it tries again, and what stands in for it then."""

from __future__ import annotations

from typing import Any, Literal

import attrs
from attrs.validators import and_, ge, le

from dagflow.declarative.model.fields import option, required

__all__ = ["Backoff", "Fallback", "FallbackLM", "FallbackNode", "FallbackValue", "OnError"]


@attrs.frozen(kw_only=True)
class Backoff:
    """How often and after how long to try again: the n-th wait is `delay * factor ** (n - 1)` seconds."""

    attempts: int = option(3, "How often to try in all, the first time included.", validator=ge(1))
    delay: float = option(0.5, "Seconds before the first retry.", validator=ge(0))
    factor: float = option(2.0, "What each further wait is multiplied by.", validator=ge(1))
    max_delay: float = option(30.0, "The longest wait in seconds.", validator=ge(0))
    jitter: float = option(0.25, "The part of a wait, at most, that is left to chance.", validator=and_(ge(0), le(1)))


@attrs.frozen(kw_only=True)
class FallbackLM:
    """Ask another language model."""

    lm: str = required("The language model to ask instead, as `provider:model`.")


@attrs.frozen(kw_only=True)
class FallbackValue:
    """Take a value in the place of the one that failed."""

    value: Any = required("What is written to the node's state key instead.")


@attrs.frozen(kw_only=True)
class FallbackNode:
    """Go to another node; the one that failed writes nothing."""

    to: str = required("The node that follows instead of those that the edges name.")


def _check_retry(instance: object, attribute: object, value: object) -> None:
    if isinstance(value, int) and value < 1:
        raise ValueError(f"must be 1 or more, not {value}; leave it out for no retry")


Fallback = FallbackLM | FallbackValue | FallbackNode


@attrs.frozen(kw_only=True)
class OnError:
    """First try again, then take the fallback, then fail or skip."""

    retry: int | Backoff | None = option(
        None,
        "How often to try again after a failure, or how exactly. Waits grow from half a second.",
        validator=_check_retry,
    )
    fallback: Fallback | None = option(None, "What stands in for the node when the retries are used up.")
    then: Literal["fail", "skip"] = option(
        "fail", "What follows when all that failed: the run fails, or the node writes nothing and the run goes on."
    )
