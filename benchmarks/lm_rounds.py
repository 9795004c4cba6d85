"""Time contenders in rounds in which each has its turn, some of its calls at once."""

from __future__ import annotations

import functools
import gc
from collections.abc import Awaitable, Callable, Mapping
from statistics import median
from time import perf_counter, process_time
from typing import Any

import anyio
import attrs

from benchmarks.lm_work import Stream
from benchmarks.measure import without_old_garbage

Call = Callable[[], Awaitable[Any]]


@attrs.frozen
class Turn:
    """One contender in one round, in seconds.

    `each` is the time of the turn by its number of calls, and `work` the processor time of this process by it.
    """

    each: float
    work: float
    first_token: float = 0.0


Rounds = Mapping[str, list[Turn]]


async def calls_in_rounds(calls: Mapping[str, Call], *, rounds: int, number: int, at_once: int) -> Rounds:
    async def turn(call: Call) -> Turn:
        began, worked = perf_counter(), process_time()
        await all_of(call, number, at_once)
        return Turn((perf_counter() - began) / number, (process_time() - worked) / number)

    for call in calls.values():
        await all_of(call, at_once + 1, at_once)  # this opens the connections
    return await in_rounds(calls, turn, rounds)


async def streams_in_rounds(streams: Mapping[str, Stream], *, rounds: int, number: int, at_once: int) -> Rounds:
    async def turn(stream: Stream) -> Turn:
        first_tokens: list[float] = []
        began, worked = perf_counter(), process_time()
        await all_of(functools.partial(first_token, stream, first_tokens), number, at_once)
        return Turn((perf_counter() - began) / number, (process_time() - worked) / number, median(first_tokens))

    for stream in streams.values():
        await first_token(stream, [])  # a stream takes so long that opening a connection does not show
    return await in_rounds(streams, turn, rounds)


async def first_token(stream: Stream, first_tokens: list[float]) -> None:
    """Read a whole stream, and add the seconds to its first token."""

    waiting, began = True, perf_counter()

    def note(piece: str) -> None:
        nonlocal waiting
        if waiting:
            waiting = False
            first_tokens.append(perf_counter() - began)

    await stream(note)


async def all_of(call: Call, number: int, at_once: int) -> None:
    """Make a number of calls, some of them at once."""
    if at_once == 1:
        for _ in range(number):
            await call()
        return

    async def work() -> None:
        for _ in left:
            await call()

    left = iter(range(number))
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(work)


async def in_rounds(
    contenders: Mapping[str, Any], turn: Callable[[Any], Awaitable[Turn]], rounds: int
) -> Mapping[str, list[Turn]]:
    """Give everybody a turn in each round; who begins changes, because who comes first may find a busier machine."""
    taken: dict[str, list[Turn]] = {name: [] for name in contenders}
    names = list(contenders)
    with without_old_garbage():
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                gc.collect()
                taken[name].append(await turn(contenders[name]))
    return taken


def ratio(turns: Rounds, name: str, other: str, figure: Callable[[Turn], float] = lambda turn: turn.each) -> float:
    """The median of the ratios within the rounds: a machine that slows down in between slows both."""
    return median(figure(one) / figure(two) for one, two in zip(turns[name], turns[other], strict=True))


def typical(turns: list[Turn], figure: Callable[[Turn], float] = lambda turn: turn.each) -> float:
    return median(map(figure, turns))
