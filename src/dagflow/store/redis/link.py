"""One connection to Redis, shared by all tasks of a session: made when it is needed, and anew when it is lost.

Theory of operation. Commands are written one behind the other, and coredis gives the replies out in that order, each
to the request that stands first. Cancellation waits for the reply, and a connection whose reply did not come in time
is not used again, so nobody gets the reply to another's command. (Of coredis we use the connection and not the pool:
that loses a place for each connection that it was cancelled while making, and for each that broke while it was out,
until it gives out none.)

A command that was given up may be carried out by the server still. So every command is one that can be sent twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus
from anyio.lowlevel import checkpoint_if_cancelled
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from coredis import ConnectionPool
from coredis.connection import BaseConnection
from coredis.exceptions import NoScriptError, RedisError

from dagflow.store.redis.address import Address
from dagflow.store.redis.problems import may_pass, problem, refused
from dagflow.store.redis.scripts import Script

__all__ = ["Link"]

T = TypeVar("T")
Argument: TypeAlias = "bytes | int"

FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two attempts: doubled each time, up to the longest."""

GRACE = 0.25
"""Seconds that a connection may take to come up which is wanted no longer."""


class Link:
    """The connection of one session, run in the group `tasks` until `close`.

    `make` makes a connection, as `connections` gives it. `timeout` is how many seconds a reply, or a new connection,
    may take; `retry` is for how many seconds a command is tried again.
    """

    def __init__(
        self, address: Address, make: Callable[[], BaseConnection], tasks: TaskGroup, *, timeout: float, retry: float
    ) -> None:
        self._address = address
        self._tasks = tasks
        self._timeout = timeout
        self._retry = retry
        self._make = make
        self._current: Current | None = None
        self._serving: set[Current] = set()

    async def open(self) -> None:
        """Connect; raises `CheckpointError` at once where nobody listens, and otherwise when `retry` has passed."""
        await self._persist(self._usable, "", eager=True)

    async def close(self) -> None:
        """End the connection; the end of the group waits for it.

        One that is being made is given the time to come up, because both coredis and anyio's Unix sockets on asyncio
        complain where they are cancelled just then.
        """
        for current in list(self._serving):
            with anyio.move_on_after(GRACE, shield=True):
                await current.settled.wait()
            await current.close()

    async def look(self, thread_id: str, command: bytes, *arguments: Argument) -> Any:
        """Send a command that only looks, and give its reply; raises `CheckpointError` where there is none.

        Cancellation waits for the reply to what was sent, up to `timeout` seconds, here and in `run`.
        """
        return await self._persist(lambda: self._ask(command, *arguments), thread_id)

    async def run(self, thread_id: str, script: Script, keys: tuple[bytes, ...], *arguments: Argument) -> Any:
        """Run a script, and give its reply; raises `CheckpointError` where there is none."""
        return await self._persist(lambda: self._script(script, len(keys), *keys, *arguments), thread_id)

    async def run_once(self, script: Script, keys: tuple[bytes, ...], *arguments: Argument) -> None:
        """Run a script where the connection stands and the server answers; otherwise nothing happens."""
        if self._current is not None and self._current.connection.usable:
            try:
                await self._script(script, len(keys), *keys, *arguments)
            except (RedisError, TimeoutError, OSError):
                return

    async def _persist(self, attempt: Callable[[], Awaitable[T]], thread_id: str, *, eager: bool = False) -> T:
        """Attempt until it succeeds, up to the time that there is; a failure that stays is told at once."""
        await checkpoint_if_cancelled()
        deadline = anyio.current_time() + self._retry
        pause = FIRST_PAUSE
        while True:
            try:
                # Who waits for the connection that another task makes waits no longer than one more attempt takes.
                with anyio.fail_after(max(0.0, deadline - anyio.current_time()) + self._timeout):
                    return await attempt()
            except (RedisError, TimeoutError, OSError) as error:
                late = anyio.current_time() + pause > deadline
                if late or not may_pass(error) or (eager and refused(error)):
                    raise problem(self._address, error, thread_id) from error
            await anyio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _script(self, script: Script, *rest: Argument) -> Any:
        try:
            return await self._ask(b"EVALSHA", script.digest, *rest)
        except NoScriptError:
            return await self._ask(b"EVAL", script.text, *rest)

    async def _ask(self, command: bytes, *arguments: Argument) -> Any:
        connection = await self._usable()
        request = connection.create_request(command, *arguments, decode=False)
        with anyio.move_on_after(self._timeout, shield=True):
            return await request
        connection.invalidate("no reply in time")
        raise TimeoutError

    async def _usable(self) -> BaseConnection:
        """Give a connection; where there is none, all who want one wait for the same attempt."""
        current = self._current
        if current is None or current.lost:
            current = self._current = Current(self._make())
            self._serving.add(current)
            self._tasks.start_soon(self._serve, current)
        if not current.settled.is_set():
            with anyio.move_on_after(self._timeout):
                await current.settled.wait()
            if not current.settled.is_set():
                await current.close()
                raise TimeoutError
        if current.error is not None:
            raise current.error
        return current.connection

    async def _serve(self, current: Current) -> None:
        """Run a connection until it is lost or closed.

        It is shielded, because clean-up needs it when all else is cancelled, and because coredis takes a cancellation
        while it connects for a failure.
        """
        try:
            with current.scope:
                await current.connection.run(task_status=current)
        except RedisError as error:
            current.error = error
        finally:
            current.settled.set()
            self._serving.discard(current)
            close_buffers(current.connection)


class Current(TaskStatus[None]):
    """A connection, and how far it has come: coredis calls `started` when it can be used."""

    def __init__(self, connection: BaseConnection) -> None:
        self.connection = connection
        self.scope: anyio.CancelScope = anyio.CancelScope(shield=True)
        self.settled: anyio.Event = anyio.Event()
        self.error: RedisError | None = None

    @property
    def lost(self) -> bool:
        """Whether it was up, or should have come up, and cannot be used."""
        return self.settled.is_set() and not self.connection.usable

    def started(self, value: None = None) -> None:
        """Let those who wait go on."""
        self.settled.set()

    async def close(self) -> None:
        """End it; its task may take a moment longer."""
        stream = self.connection.stream
        if self.settled.is_set() or stream is None:
            self.scope.cancel()
        else:  # cancelled now, coredis would log an error
            with anyio.CancelScope(shield=True):
                await anyio.aclose_forcefully(stream)


def close_buffers(connection: BaseConnection) -> None:
    """Close what coredis closes only where it has connected, and what complains where it is collected open."""
    for buffer in vars(connection).values():
        if isinstance(buffer, (MemoryObjectReceiveStream, MemoryObjectSendStream)):
            buffer.close()


def connections(address: Address) -> Callable[[], BaseConnection]:
    """Give a function that makes connections, each to be run once, as coredis reads the URL.

    Over TLS it reads certificates, so that a thread should do it.
    """
    # No time-outs of its own: a server that is silent while it connects would be logged as an error.
    pool: ConnectionPool[Any] = ConnectionPool.from_url(address.url.reveal(), decode_components=True)
    return lambda: pool.connection_class(pool.location, **pool.connection_kwargs)
