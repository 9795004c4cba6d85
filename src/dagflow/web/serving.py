"""Serve an ASGI app until a signal comes, under uvicorn or hypercorn, on asyncio or trio, and stop in order.

**Theory of operation.** The server runs in a shielded task, because neither of the two stops in order when it is
cancelled. What ends it, a signal, a cancellation from outside or a failure of its own, leads to the same steps:
`on_stop` first (it cancels the runs, and waits for their clean-up), then the server is asked to stop, then the
connections are cut that are left, then it is cancelled. Each step has its time, and a second signal ends the waiting.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Final, Literal, NoReturn

import anyio
import anyio.to_thread
import attrs

from dagflow.kernel.entry import run_to_completion
from dagflow.web.asgi import ASGIApp, Message, Receive, Scope, Send
from dagflow.web.servers import Engine, ServerName, choose_engine
from dagflow.web.sockets import cut_connections, listen, url_of

__all__ = ["run_server", "serve"]

GRACE: Final = 30.0
"""Seconds for `on_stop`: as long as most supervisors wait before they kill."""

PATIENCE: Final = 3.0
"""Seconds for requests that are no runs, before their connections are cut."""

LAST: Final = 8.0
"""Seconds for the server once the connections are cut: it may wait twice for `servers.GRACEFUL` of them, or nearly."""

HURRIED: Final = 0.5
"""Seconds for a server to end, twice, when nobody wants to wait any more."""


def run_server(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    backend: Literal["asyncio", "trio"] = "asyncio",
    server: ServerName | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
    on_start: Callable[[str], object] | None = None,
    grace: float = GRACE,
) -> int:
    """Serve an app in an event loop of its own, for the command line; see `serve`. The exit status comes back.

    Raises `RuntimeError` inside a running event loop, or where trio is asked for and not installed.
    """
    choose_engine(server, backend)
    return run_to_completion(
        lambda: serve(app, host=host, port=port, server=server, on_stop=on_stop, on_start=on_start, grace=grace),
        backend=backend,
        instead="await serve(...)",
    )


async def serve(
    app: ASGIApp,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    server: ServerName | None = None,
    on_stop: Callable[[], Awaitable[None]] | None = None,
    on_start: Callable[[str], object] | None = None,
    grace: float = GRACE,
) -> int:
    """Serve an ASGI app in this event loop, until SIGINT or SIGTERM; port 0 takes a free one.

    `server` is uvicorn on asyncio, where it is installed, and hypercorn else. `on_start` is given the URL once the app
    has started. When the server stops, `on_stop` comes first, `RunSlots.close` of the app's slots for instance:
    requests are still answered then, and it has `grace` seconds. Signals are heard in the main thread only.

    Returns the exit status for a program: 0 where all of it stopped in order, 1 where `on_stop` was cut short.

    Cancelled, it stops in order as well. Raises `OSError` for an address that cannot be had, `ImportError` for a server
    that is not installed, `ValueError` for uvicorn on trio, `RuntimeError` for an app that does not start.
    """
    engine = await anyio.to_thread.run_sync(choose_engine, server, _backend())
    listener = await listen(host, port)
    return await Serving(app, engine, listener, on_stop, on_start, grace).run()


def _backend() -> Literal["asyncio", "trio"]:
    trio = sys.modules.get("trio")
    return "trio" if trio is not None and trio.lowlevel.in_trio_task() else "asyncio"


@attrs.define(eq=False)
class Serving:
    """One server from its start to its end."""

    _app: ASGIApp
    _engine: Engine
    _listener: socket.socket
    _on_stop: Callable[[], Awaitable[None]] | None
    _on_start: Callable[[str], object] | None
    _grace: float
    _stop: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when the server is to stop."""
    _hurry: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when nobody wants to wait any more."""
    _stopping: anyio.Event = attrs.field(factory=anyio.Event)
    """Set when the engine is to stop."""
    _ended: anyio.Event = attrs.field(factory=anyio.Event)
    _scope: anyio.CancelScope = attrs.field(factory=lambda: anyio.CancelScope(shield=True))
    _failure: Exception | None = None
    _status: int = 0

    async def run(self) -> int:
        """Serve until told to stop."""
        app = Announced(self._app, self._started)
        try:
            with self._listener:
                await self._run(app, self._listener.getsockname()[1])
        finally:
            if self._failure is not None:  # also in the place of a cancellation: it must not be lost
                app.tell_failure(self._failure)
        return self._status

    async def _run(self, app: Announced, port: int) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(self._serve, app)
            if threading.current_thread() is threading.main_thread():
                group.start_soon(self._hear_signals)
            try:
                await first_of(self._stop, self._ended)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._end(port)
                group.cancel_scope.cancel()

    def _started(self) -> None:
        if self._on_start is not None:
            self._on_start(url_of(self._listener))

    async def _serve(self, app: ASGIApp) -> None:
        try:
            with self._scope:
                await self._engine(app, self._listener, self._stopping)
        except Exception as error:
            self._failure = error
        finally:
            self._ended.set()

    async def _hear_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                if self._stop.is_set():
                    self._hurry.set()
                self._stop.set()

    async def _end(self, port: int) -> None:
        """End everything, step by step."""
        if self._on_stop is not None:
            await self._tell_to_stop(self._on_stop)
        self._stopping.set()
        await self._wait_for_end(PATIENCE)
        if not self._ended.is_set():
            await anyio.to_thread.run_sync(cut_connections, port)
            await self._wait_for_end(LAST)
            self._scope.cancel()

    async def _tell_to_stop(self, on_stop: Callable[[], Awaitable[None]]) -> None:
        self._status = 1

        async def tell() -> None:
            try:
                await on_stop()
                self._status = 0
            except Exception as error:  # the server is to stop all the same
                self._failure = self._failure or error
            done.set()

        done = anyio.Event()
        with anyio.move_on_after(self._grace):
            async with anyio.create_task_group() as group:
                group.start_soon(tell)
                await first_of(done, self._hurry)
                group.cancel_scope.cancel()

    async def _wait_for_end(self, seconds: float) -> None:
        with anyio.move_on_after(seconds):
            await first_of(self._ended, self._hurry)
        if self._hurry.is_set():
            with anyio.move_on_after(HURRIED):
                await self._ended.wait()


async def first_of(*events: anyio.Event) -> None:
    """Wait until one of several events is set."""
    async with anyio.create_task_group() as group:
        for event in events:
            group.start_soon(_cancel_when, event, group.cancel_scope)


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


class Announced:
    """An ASGI app that says when it has started; one that knows no lifespan has, once it is asked."""

    def __init__(self, app: ASGIApp, started: Callable[[], None]) -> None:
        self._app = app
        self._started = started
        self._was_told = False
        self._message: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, as the app does."""
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return

        async def watch(message: Message) -> None:
            if message["type"] == "lifespan.startup.failed":
                self._message = str(message.get("message", ""))
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                self._tell()

        try:
            await self._app(scope, receive, watch)
        except Exception:  # by the specification, the server goes on without a lifespan
            self._tell()
            raise
        self._tell()

    def _tell(self) -> None:
        if not self._was_told and self._message is None:
            self._was_told = True
            self._started()

    def tell_failure(self, cause: Exception) -> NoReturn:
        """Raise the error of a server that ended with `cause`: the app's own, where it did not start."""
        if self._message is None:
            raise cause
        lines = self._message.strip().splitlines()  # Starlette sends a traceback
        error = RuntimeError(f"the app did not start: {lines[-1] if lines else 'it did not say why'}")
        if len(lines) > 1:
            error.add_note(self._message)
        raise error from cause
