"""The parts of one activation that run side by side, as nested runs say: their ends become that of the activation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar, cast

import attrs

from dagflow.errors import DagflowError, Failure, NodeError, describe
from dagflow.kernel.fanout import ConcurrentMap
from dagflow.kernel.interruption import Interruption
from dagflow.types import Interrupt

__all__ = ["parts_failed", "run_parts"]

P = TypeVar("P")
R = TypeVar("R")


@attrs.frozen
class Asked:
    """Stands for the result of a part that waits for an answer, while the others go on."""

    interrupts: tuple[Interrupt, ...]


async def run_parts(node: str, run: Callable[[P], Awaitable[R]], parts: Iterable[P], *, limit: int) -> list[R]:
    """Run parts of a node at once, `limit` of them, and give what they return in their order.

    The first failure cancels the others; a part that asks a person lets them go on. Raises `NodeError` with all that
    had failed by then, and `Interruption` with all questions where nothing failed. Cancelled, it waits for the clean-up
    of every part.
    """

    async def one(part: P) -> R | Asked:
        try:
            return await run(part)
        except Interruption as interruption:
            return Asked(interruption.interrupts)

    try:
        results = await ConcurrentMap[P, "R | Asked"](
            one, parts, limit, ordered=True, collect=False, name=node, noted=False
        )
    except ExceptionGroup as group:
        raise parts_failed(node, group.exceptions) from group
    asked = [interrupt for result in results if isinstance(result, Asked) for interrupt in result.interrupts]
    if asked:
        raise Interruption(asked)
    return cast("list[R]", results)


def parts_failed(node: str, errors: Sequence[Exception], names: Sequence[str] = ()) -> NodeError:
    """One error of several parts that failed, `names` say which, with all that they have to tell."""
    failures = [
        failure
        for error in errors
        for failure in (
            error.failures if isinstance(error, DagflowError) and error.failures else (Failure(error, node),)
        )
    ]
    told = [str(error) if isinstance(error, NodeError) else describe(error) for error in errors]
    if names:
        told = [f"{name}: {text}" for name, text in zip(names, told, strict=True)]
    lines = "\n".join(f"  - {line}" for line in told)
    return NodeError(f"{len(errors)} parts of {node} failed:\n{lines}", node=node, failures=failures)
