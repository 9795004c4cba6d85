"""Run slots: how many runs a server has at once, and ending all of them when it stops."""

from __future__ import annotations

from types import TracebackType

import anyio

from dagflow.web.problems import HTTPProblem

__all__ = ["RunSlots", "Slot"]


class RunSlots:
    """Bounds the runs that go on at once to `limit`, and ends them all when the server stops.

    One object for an app, made anywhere and used in one event loop. `with slots.take() as slot:` around a run takes a
    place for it; the place is given back however the run ends. Where none is free, or `close` was called, `take` raises
    an `HTTPProblem` with status 503 and a `Retry-After` of `retry_after` seconds.
    """

    def __init__(self, limit: int, *, retry_after: int = 1) -> None:
        if limit < 1:
            raise ValueError(f"a server has at least 1 run slot, not {limit}")
        if retry_after < 0:
            raise ValueError(f"retry_after is a number of seconds, 0 or more, not {retry_after}")
        self.limit = limit
        self.retry_after = retry_after
        self._taken: set[Slot] = set()
        self._closed = False
        self._emptied: anyio.Event | None = None

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"RunSlots({len(self._taken)} of {self.limit} taken, {state})"

    @property
    def running(self) -> int:
        """How many runs go on."""
        return len(self._taken)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def take(self) -> Slot:
        """Give a slot to run in; see `RunSlots` for when that is refused."""
        return Slot(self)

    async def close(self) -> None:
        """Refuse new runs, cancel those that go on, and wait until their clean-up is over.

        A run with a store is recorded as cancelled then, and can be resumed. May be called again, and by several.
        Cancelled, it waits no longer; the runs end all the same.
        """
        self._closed = True
        for slot in tuple(self._taken):
            slot.stop()
        while self._taken:
            if self._emptied is None:
                self._emptied = anyio.Event()
            await self._emptied.wait()

    def refusal(self, message: str) -> HTTPProblem:
        """The answer to a request whose run cannot go on now, and may be asked for again."""
        retry = (b"retry-after", str(self.retry_after).encode())
        return HTTPProblem(503, message, type="Unavailable", headers=[retry])

    def _enter(self, slot: Slot) -> None:
        if self._closed:
            raise self.refusal("the server is stopping; ask again when it is back")
        if len(self._taken) >= self.limit:
            raise self.refusal(f"all {self.limit} runs that may go on at once are taken; ask again later")
        self._taken.add(slot)

    def _leave(self, slot: Slot) -> None:
        self._taken.discard(slot)
        if not self._taken and self._emptied is not None:
            self._emptied.set()
            self._emptied = None


class Slot:
    """A place for one run, as a context manager around it; see `RunSlots`.

    `close` cancels the block, and the code after it goes on with `stopped` set.
    """

    def __init__(self, slots: RunSlots) -> None:
        self._slots = slots
        self._scope = anyio.CancelScope()
        self.stopped: bool = False
        """Whether the block was cut short because the server stops."""

    def __enter__(self) -> Slot:
        self._slots._enter(self)
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            swallowed = bool(self._scope.__exit__(kind, error, trace))
        finally:
            self._slots._leave(self)
        self.stopped = self._scope.cancelled_caught
        return swallowed

    def refusal(self) -> HTTPProblem:
        """The answer to the request whose run was cut short."""
        return self._slots.refusal("the server stopped before the run was over; a recorded run can be resumed")

    def stop(self) -> None:
        """Cancel the run."""
        self._scope.cancel()
