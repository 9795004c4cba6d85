"""What requests have used although they gave no answer: failed, cancelled, or beaten by another.

The usage of an answer comes with it, in its `LMResponse`. What was used for nothing has no answer to come
with, and a cancellation can carry nothing. So adapters keep a bill for each request, and a bill that is left
open when its request ends is counted by whoever collects losses around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import attrs

from dagflow.lm.protocol import LMRequest
from dagflow.types import Usage

__all__ = ["Bill", "Losses", "billed", "estimate", "losses"]

CHARACTERS_A_TOKEN = 4  # what providers name as a rule of thumb for English text


class Losses:
    """The usage of requests that ended without an answer, as far as it is known by now."""

    def __init__(self) -> None:
        self.usage: Usage = Usage()

    def add(self, usage: Usage) -> None:
        """Count what one more request has used for nothing."""
        self.usage += usage


_collecting: ContextVar[Losses | None] = ContextVar("dagflow_losses", default=None)


@contextmanager
def losses() -> Iterator[Losses]:
    """Collect the losses of the block and of the tasks that it starts; those around it get them as well."""
    outer = _collecting.get()
    collected = Losses()
    token = _collecting.set(collected)
    try:
        yield collected
    finally:
        _collecting.reset(token)
        if outer is not None:
            outer.add(collected.usage)


class Bill:
    """What one request has used, as far as it is known: an estimate, until `settle` is given the truth."""

    def __init__(self, usage: Usage) -> None:
        self._usage = usage
        self._characters = 0

    @property
    def usage(self) -> Usage:
        """What is known by now."""
        if self._usage.estimated and self._characters:
            return attrs.evolve(self._usage, output_tokens=tokens_of(self._characters))
        return self._usage

    def text(self, piece: str) -> None:
        """Note a piece of the answer, for the estimate."""
        self._characters += len(piece)

    def input_tokens(self, number: int) -> None:
        """Note what the provider says before the answer; what the answer itself uses stays an estimate."""
        self._usage = attrs.evolve(self._usage, input_tokens=number)

    def settle(self, usage: Usage) -> None:
        """Note what the provider says that the request has used."""
        self._usage = usage

    def void(self) -> None:
        """Note that the request never reached the provider."""
        self._usage = Usage()


@contextmanager
def billed(request: LMRequest) -> Iterator[Bill]:
    """Keep the bill of one request; when the block ends by an exception, what it has used is counted as lost."""
    bill = Bill(estimate(request))
    try:
        yield bill
    except BaseException:
        collecting = _collecting.get()
        if collecting is not None:
            collecting.add(bill.usage)
        raise


def estimate(request: LMRequest) -> Usage:
    """Guess what a request uses before its answer: its input tokens, from the length of its text."""
    characters = len(request.system)
    for message in request.messages:
        characters += len(message.content) + sum(len(call.arguments) for call in message.tool_calls)
    characters += sum(len(tool.description) + len(str(tool.schema)) for tool in request.tools)
    return Usage(requests=1, input_tokens=tokens_of(characters), estimated=True)


def tokens_of(characters: int) -> int:
    return -(-characters // CHARACTERS_A_TOKEN)
