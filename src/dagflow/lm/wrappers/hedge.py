"""Ask a second time when an answer is late, and take the first that comes."""

from __future__ import annotations

import math

import anyio
from anyio.abc import TaskGroup

from dagflow.errors import LMError
from dagflow.kernel.cancellation import is_cancellation
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import losses
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.wrappers.base import Wrapper, all_failed
from dagflow.types import Usage

__all__ = ["Hedged", "hedged"]


class Hedged(Wrapper):
    """A language model whose late requests are sent twice; `hedged` makes it.

    `hedges` counts the second requests, and `won_by_second` how many of them answered first.
    """

    made_by = "hedged"

    def __init__(self, lm: BaseLM, delay: float, other: BaseLM | None) -> None:
        super().__init__(*((lm,) if other is None else (lm, other)))
        self.hedges: int = 0
        self.won_by_second: int = 0
        self._first = lm
        self._second = lm if other is None else other
        self._delay = delay

    async def complete(self, request: LMRequest) -> LMResponse:
        """Race a late request against a second one; see `hedged`."""
        race = _Race(request)
        with losses() as lost:
            try:
                await self._run(race)
                response = race.result()
            except BaseException:
                lost.add(race.unused(None))
                raise
            lost.add(race.unused(response))
        self.won_by_second += race.winner is not race.entrants[0]
        return response

    async def _run(self, race: _Race) -> None:
        """Run the race until it is decided, and until all that took part in it have ended."""
        async with anyio.create_task_group() as group:
            race.send(group, self._first)
            with anyio.move_on_after(self._delay):
                await race.moved.wait()
            if race.needs_second:
                self.hedges += 1
                race.send(group, self._second)
                await race.decided()
            group.cancel_scope.cancel()


class _Entrant:
    """One of the two requests, and how it ended."""

    def __init__(self, lm: BaseLM) -> None:
        self.lm = lm
        self.response: LMResponse | None = None
        self.error: BaseException | None = None


class _Race:
    """One request, sent once or twice.

    Exceptions are kept, not raised in the tasks: a task group would put them into a group.
    """

    def __init__(self, request: LMRequest) -> None:
        self.entrants: list[_Entrant] = []
        self.winner: _Entrant | None = None
        self.moved = anyio.Event()
        self._request = request

    def send(self, group: TaskGroup, lm: BaseLM) -> None:
        """Send the request in a task of its own."""
        entrant = _Entrant(lm)
        self.entrants.append(entrant)
        group.start_soon(self._complete, entrant)

    @property
    def needs_second(self) -> bool:
        """Whether the first is late, or failed in a way that passes."""
        error = self.entrants[0].error
        return self.winner is None and (error is None or (isinstance(error, LMError) and error.retriable))

    async def decided(self) -> None:
        """Wait for an answer, for both to have failed, or for what is no `LMError` and so a fault of the code."""
        while self.winner is None and not self._fault and any(entrant.error is None for entrant in self.entrants):
            self.moved = anyio.Event()
            await self.moved.wait()

    def result(self) -> LMResponse:
        """Give the first answer, or raise what came instead."""
        if self._fault is not None:
            raise self._fault
        if self.winner is not None and self.winner.response is not None:
            return self.winner.response
        failures = [(entrant.lm, entrant.error) for entrant in self.entrants if isinstance(entrant.error, LMError)]
        raise failures[0][1] if len(failures) == 1 else all_failed(failures)

    def unused(self, response: LMResponse | None) -> Usage:
        """What the answers used that are not given: one that lost by a hair, or all if the caller is cancelled."""
        answers = [entrant.response for entrant in self.entrants if entrant.response is not None]
        return sum((answer.usage for answer in answers if answer is not response), Usage())

    @property
    def _fault(self) -> BaseException | None:
        errors = (entrant.error for entrant in self.entrants)
        return next((error for error in errors if error is not None and not isinstance(error, LMError)), None)

    async def _complete(self, entrant: _Entrant) -> None:
        try:
            entrant.response = await entrant.lm.complete(self._request)
            self.winner = self.winner or entrant
        except BaseException as error:
            if is_cancellation(error):
                raise
            entrant.error = error
        finally:
            self.moved.set()


def hedged(lm: BaseLM, *, delay: float, other: BaseLM | None = None) -> Hedged:
    """Send a request a second time, to `other` if it is given, when there is no answer after `delay` seconds.

    The second one is sent at once when the first fails with a retriable `LMError`. The first answer is taken; the
    other request is cancelled, and has ended with its clean-up before the answer is returned. What it used is
    counted: in full where it is known, else as an estimate.

    Raises the first one's error where it is not retriable and came before the second was sent, and one `LMError`
    that names both when both have failed; its `__cause__` is an `ExceptionGroup` of the two. Cancellation
    cancels both, waits for their clean-up, and passes through.

    The technique is that of "hedged requests" in Dean and Barroso, The Tail at Scale, CACM 56(2), 2013, which
    waits for the 95th percentile of the usual time, so that about one request in twenty is sent twice.
    """
    if not 0 <= delay < math.inf:
        raise ValueError(f"delay must be a number of seconds, 0 or more, not {delay!r}")
    return Hedged(lm, delay, other)
