"""Keep to so many requests and tokens a minute, first come, first served."""

from __future__ import annotations

import math
import time
from collections import deque

import anyio
import anyio.lowlevel
from anyio.lowlevel import EventLoopToken

from dagflow.errors import LMError
from dagflow.lm.base import BaseLM
from dagflow.lm.billing import estimate, losses
from dagflow.lm.protocol import LMRequest, LMResponse
from dagflow.lm.wrappers.base import Wrapper, positive, used
from dagflow.lm.wrappers.window import Entry, Window
from dagflow.types import Usage

__all__ = ["RateLimited", "rate_limited"]


class RateLimited(Wrapper):
    """A language model that keeps to limits a minute; `rate_limited` makes it."""

    made_by = "rate_limited"

    def __init__(self, lm: BaseLM, requests: float, tokens: float) -> None:
        super().__init__(lm)
        self._lm = lm
        self._window = Window(requests, tokens)
        self._queue: deque[_Waiter] = deque()
        self._loop: EventLoopToken | None = None
        self._seen = self._seen_really = 0.0

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._queue)

    async def complete(self, request: LMRequest) -> LMResponse:
        """Send the request when its turn has come; see `rate_limited`."""
        entry = await self._admit(estimate(request).input_tokens)
        answered = Usage(requests=0)
        failed = True
        with losses() as lost:
            try:
                response = await self._lm.complete(request)
                answered, failed = used(request, response), False
                return response
            finally:
                total = answered + lost.usage
                # One that failed was asked for all the same, also where its adapter does not say so.
                requests = max(total.requests, 1) if failed else total.requests
                self._window.settle(entry, requests, total.input_tokens + total.output_tokens, self._now())
                self._wake_first()

    async def _admit(self, tokens: int) -> Entry:
        """Wait for the turn of a request and take its share; takes nothing when cancelled."""
        if tokens > self._window.tokens:
            raise LMError(
                f"a request of about {tokens:,} tokens can never keep to tokens_per_minute={self._window.tokens:,}; "
                f"raise the limit, or ask for less at once"
            )
        waiter = _Waiter(tokens)
        self._queue.append(waiter)
        try:
            if len(self._queue) > 1 and anyio.current_effective_deadline() < math.inf:
                await self._check_deadline(self._window.forecast([item.tokens for item in self._queue], self._now()))
            while True:
                now = self._now()
                at = self._window.free_at(tokens, now) if self._queue[0] is waiter else math.inf
                if at <= now:
                    return self._window.take(tokens, now)
                if at < math.inf:
                    await self._check_deadline(at)
                waiter.woken = anyio.Event()
                with anyio.CancelScope(deadline=at):
                    await waiter.woken.wait()
        finally:
            self._queue.remove(waiter)
            self._wake_first()

    async def _check_deadline(self, at: float) -> None:
        """Fail at once where the turn comes too late: a wait for nothing would only hold up the caller."""
        deadline = anyio.current_effective_deadline()
        if at < deadline:
            return
        await anyio.lowlevel.checkpoint_if_cancelled()  # whose deadline is always too near
        wait, left = at - anyio.current_time(), deadline - anyio.current_time()
        raise LMError(
            f"the limit a minute lets this request begin in {wait:.3g} s, and its deadline is in {left:.3g} s; "
            f"raise the limit, or give the run more time",
            retriable=True,
            retry_after=wait,
        )

    def _wake_first(self) -> None:
        """Let the first in the queue look again; the others wait for the one before them."""
        if self._queue:
            self._queue[0].woken.set()

    def _now(self) -> float:
        """The time of the event loop; in another loop than before, whose clock is another, entries are moved."""
        loop, now, really = anyio.lowlevel.current_token(), anyio.current_time(), time.monotonic()
        if self._loop is not None and loop != self._loop:
            self._window.shift((now - self._seen) - (really - self._seen_really))
        self._loop, self._seen, self._seen_really = loop, now, really
        return now


class _Waiter:
    """A request that waits for its turn."""

    __slots__ = ("tokens", "woken")

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.woken = anyio.Event()


def rate_limited(
    lm: BaseLM, *, requests_per_minute: float | None = None, tokens_per_minute: float | None = None
) -> RateLimited:
    """Let no more requests, and no more tokens, begin within any 60 seconds; those that are too many wait.

    They wait in the order in which they came. The tokens of a request, input and output, are reserved before it
    begins, by the length of its text, and corrected when it has ended, well or not, by what it used; the output
    is known only then, so that a burst can pass the limit by the output of the requests under way, for which
    those that follow wait. A request that fails counts as a request; one that is cancelled while it waits takes
    nothing and holds up nobody.

    Raises `LMError`, retriable, at once where the turn of a request would come after its deadline, as far as
    can be told; `LMError`, not retriable, for a request that has more tokens than a minute; `ValueError` without
    a limit, or for one that is not above 0. The limits are those of this object, within one process and one
    event loop at a time; it may be used in several loops one after the other.
    """
    positive(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute)
    requests = math.inf if requests_per_minute is None else requests_per_minute
    tokens = math.inf if tokens_per_minute is None else tokens_per_minute
    return RateLimited(lm, requests, tokens)
