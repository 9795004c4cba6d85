"""A process that has everything imported and forks for each order, so that a fresh process costs milliseconds.

`python -m durable.killed.fork_server SOCKET`: each connection is one process. Its first line are the orders; lines of
the process's own follow, both ways, then one of the server that tells how it ended. The server itself has neither
threads nor an event loop, and ends, with all that it began, when its standard input is closed.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from typing import Any

import anyio

from durable.killed.orders import Orders
from durable.killed.part import perform

__all__ = ["Line"]

PATIENCE = 25.0
"""Seconds after which a process is given up."""


class Line:
    """The end of a connection that a process has."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lines = connection.makefile("r")

    def hear(self) -> str:
        """Wait for the next line."""
        return self._lines.readline()

    def say(self, **what: Any) -> None:
        """Say something in one line."""
        self._connection.sendall(json.dumps(what).encode() + b"\n")

    async def wait(self) -> None:
        """Wait for the next line, while other tasks go on."""
        await anyio.wait_readable(self._connection)
        self.hear()


def serve(path: str) -> None:
    """Fork for each connection until standard input ends."""
    _import_all()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken)
    children: dict[int, socket.socket] = {}
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listener, wakes, sys.stdin], [], [])
        if listener in readable:
            connection, _ = listener.accept()
            children[_fork(connection, listener)] = connection
        if wakes in readable:
            os.read(wakes, 1000)
            _reap(children)
        if sys.stdin in readable:
            for pid in children:
                os.kill(pid, signal.SIGKILL)
            listener.close()
            return


def _import_all() -> None:
    """Import what a process would import when it comes to need it."""
    for module in ("anyio._backends._asyncio", "anyio._backends._trio", "cattrs.gen", "dagflow.store.redis.link"):
        importlib.import_module(module)


def _fork(connection: socket.socket, listener: socket.socket) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        faulthandler.dump_traceback_later(PATIENCE, exit=True)  # one that hangs says where
        line = Line(connection)
        line.say(answer=perform(Orders.of(line.hear()), line))
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with children.pop(pid) as connection:
            Line(connection).say(pid=pid, status=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    serve(sys.argv[1])
