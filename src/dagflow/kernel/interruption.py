"""Interruption: how a question to a person travels from where it is asked to the engine."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from dagflow.types import Interrupt

__all__ = ["Interruption", "interrupts_of"]


class Interruption(BaseException):
    """Raised through an activation that cannot go on before its `interrupts` are answered.

    It is no `Exception`, so that a body which handles errors does not take it for one.
    """

    def __init__(self, interrupts: Iterable[Interrupt]) -> None:
        self.interrupts: tuple[Interrupt, ...] = tuple(interrupts)
        super().__init__(", ".join(interrupt.id for interrupt in self.interrupts))


def interrupts_of(error: BaseException) -> tuple[Interrupt, ...]:
    """The questions that an exception, or a group of exceptions, is about; none if anything in it is another thing.

    A body that runs several graphs at once in a task group of its own gives a group, with the cancellations of
    those that were cancelled because one asked.
    """
    if isinstance(error, Interruption):
        return error.interrupts
    if not isinstance(error, BaseExceptionGroup):
        return ()
    found: dict[str, Interrupt] = {}
    for inner in error.exceptions:
        if isinstance(inner, anyio.get_cancelled_exc_class()):
            continue
        interrupts = interrupts_of(inner)
        if not interrupts:
            return ()
        found.update((interrupt.id, interrupt) for interrupt in interrupts)
    return tuple(found.values())
