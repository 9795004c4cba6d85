"""The servers, uvicorn and hypercorn, behind one interface; the one module that imports them, each when it is used."""

from __future__ import annotations

import importlib
import importlib.util
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal, cast

import anyio
import anyio.to_thread

from dagflow.web.asgi import ASGIApp

__all__ = ["GRACEFUL", "Engine", "ServerName", "choose_engine"]

ServerName = Literal["uvicorn", "hypercorn"]

GRACEFUL: Final = 4
"""Seconds after which a server that stops cancels the requests that go on."""

EXTRA: Final = "pip install 'dagflow[web]'"

Engine = Callable[[ASGIApp, socket.socket, anyio.Event], Coroutine[Any, Any, None]]
"""Serves an app at a socket that listens, until the event is set; it is not to be cancelled before."""


def choose_engine(server: ServerName | None, backend: Literal["asyncio", "trio"]) -> Engine:
    """Give the server that is asked for, or else the one that suits the event loop, and import it.

    Takes a while, so that an event loop does it in a thread. Raises `ValueError` for a server that is none, or not for
    that event loop; `ImportError` for one that is not installed.
    """
    if server not in (None, "uvicorn", "hypercorn"):
        raise ValueError(f"server must be 'uvicorn' or 'hypercorn', not {server!r}")
    if server == "uvicorn" and backend == "trio":
        raise ValueError("uvicorn runs on asyncio only; use server='hypercorn' on trio")
    if server is None:
        server = "uvicorn" if backend == "asyncio" and _is_installed("uvicorn") else "hypercorn"
    if not _is_installed(server):
        raise ImportError(f"serving on {backend} needs {server}: {EXTRA}", name=server)
    if server == "uvicorn":
        importlib.import_module("uvicorn")
        return _uvicorn
    importlib.import_module(f"hypercorn.{backend}")
    return _hypercorn_on_trio if backend == "trio" else _hypercorn_on_asyncio


def _is_installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


async def _uvicorn(app: ASGIApp, listener: socket.socket, stopping: anyio.Event) -> None:
    import uvicorn

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Leave signals to `serve`."""
            yield

        async def on_tick(self, counter: int) -> bool:
            """Tell, ten times a second, whether to stop."""
            return stopping.is_set() or await super().on_tick(counter)

    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, timeout_graceful_shutdown=GRACEFUL
    )
    await anyio.to_thread.run_sync(config.load)  # it imports more
    try:
        await Server(config).serve(sockets=[listener])
    except SystemExit as error:  # which nobody may raise through a task of asyncio's
        raise RuntimeError(f"uvicorn left with status {error.code}; its log says why") from error


async def _hypercorn_on_asyncio(app: ASGIApp, listener: socket.socket, stopping: anyio.Event) -> None:
    from hypercorn.asyncio import serve

    await serve(cast("Any", app), _hypercorn_settings(listener), shutdown_trigger=stopping.wait, mode="asgi")


async def _hypercorn_on_trio(app: ASGIApp, listener: socket.socket, stopping: anyio.Event) -> None:
    from hypercorn.trio import serve

    await serve(cast("Any", app), _hypercorn_settings(listener), shutdown_trigger=stopping.wait, mode="asgi")


def _hypercorn_settings(listener: socket.socket) -> Any:
    from hypercorn.config import Config, Sockets

    class Settings(Config):
        def create_sockets(self) -> Sockets:
            """Give the socket that is there, of which the server closes its own descriptor."""
            return Sockets([], [listener.dup()], [])

    config = Settings()
    config.graceful_timeout = GRACEFUL
    config.loglevel = "WARNING"
    config.include_server_header = False
    return config
