"""The sockets of a server: the one that it listens at, and the connections that are left when it stops."""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import anyio

__all__ = ["cut_connections", "listen", "url_of"]

BACKLOG = 2048


async def listen(host: str, port: int) -> socket.socket:
    """Open a socket that listens at an address, of IPv4 where the host has both; port 0 takes a free one.

    Raises `OSError` that names the address where that cannot be had.
    """
    try:
        found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = min(found, key=lambda item: item[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(error.errno, f"cannot listen at {host}, port {port}: {reason}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """The URL of what listens."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def cut_connections(port: int) -> int:
    """Shut down every connection that this process has accepted at a port of its own; tells how many there were.

    A server that waits for a client that does not read would wait for ever, and gives nobody its connections. So we
    look for them among our own descriptors. Whoever reads or writes there finds the connection ended.
    """
    cut = 0
    for number in _descriptors():
        with suppress(OSError):  # it is no socket, it is not connected, or it has been closed meanwhile
            cut += _shut_down(os.dup(number), port)
    return cut


def _descriptors() -> list[int]:
    with suppress(FileNotFoundError):
        return [int(name) for name in os.listdir("/dev/fd")]
    return []


def _shut_down(descriptor: int, port: int) -> bool:
    try:
        connection = socket.socket(fileno=descriptor)
    except OSError:
        os.close(descriptor)
        raise
    with connection:
        if connection.family not in (socket.AF_INET, socket.AF_INET6) or connection.getsockname()[1] != port:
            return False
        connection.getpeername()  # raises for what only listens
        connection.shutdown(socket.SHUT_RDWR)
        return True
