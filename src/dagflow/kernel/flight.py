"""A flight: one call of a dependency that several parts of a run may wait for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from dagflow.kernel.cancellation import is_cancellation

__all__ = ["Flight"]


class Flight:
    """A call that is under way, and those who wait for it.

    A `detached` flight is made by `run` in a task of the run's group, and is cancelled when its last waiter
    leaves. Any other is made by somebody in his own task, who only lets the waiters know. Once it has landed,
    `cancelled` tells that there is neither a value nor an error, so that whoever still wants one asks again.
    """

    __slots__ = ("_landed", "_scope", "_waiters", "cancelled", "error", "value")

    def __init__(self, *, detached: bool) -> None:
        self.value: Any = None
        self.error: BaseException | None = None
        self.cancelled: bool = False
        self._landed = anyio.Event()
        self._waiters = 0
        self._scope = anyio.CancelScope() if detached else None

    async def run(self, call: Callable[[], Awaitable[Any]], forget: Callable[[], object]) -> None:
        """Make the call; `forget` comes before the waiters wake, so that none finds a flight that has landed."""
        assert self._scope is not None
        with self._scope:
            try:
                self.value = await call()
            except BaseException as error:
                if is_cancellation(error):
                    self.cancelled = True
                    raise
                self.error = error
            finally:
                forget()
                self._landed.set()

    def land(self, error: BaseException | None, *, cancelled: bool) -> None:
        """Wake the waiters of a call that was made in somebody's own task."""
        self.error = error
        self.cancelled = cancelled
        self._landed.set()

    async def wait(self) -> None:
        """Wait until the call has ended one way or another.

        The last waiter of a detached flight takes it along when cancelled, and goes when it has cleaned up.
        """
        self._waiters += 1
        try:
            await self._landed.wait()
        except BaseException:
            if self._waiters == 1 and self._scope is not None:
                self._scope.cancel()
                with anyio.CancelScope(shield=True):
                    await self._landed.wait()
            raise
        finally:
            self._waiters -= 1
