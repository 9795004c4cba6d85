"""The two ends of pipes that children read from and write to, as anyio streams that never block the loop."""

from __future__ import annotations

import array
import fcntl
import os
import termios
from contextlib import suppress
from typing import IO

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream
from anyio.lowlevel import checkpoint

__all__ = ["PipeReceiver", "PipeSender"]

CHUNK = 65536  # bytes; what a Linux pipe holds unless it is told otherwise


class PipeReceiver(ByteReceiveStream):
    """The end of a pipe that a child writes to."""

    def __init__(self, file: IO[bytes]) -> None:
        os.set_blocking(file.fileno(), False)
        self._file = file
        self._left: int | None = None

    async def receive(self, max_bytes: int = CHUNK) -> bytes:
        """Return what the child has written, at least one byte.

        Raises `anyio.EndOfStream` once nobody can write any more, `anyio.ClosedResourceError` after `close`.
        No byte is lost on cancellation.
        """
        await checkpoint()
        while not self._file.closed:
            if self._left == 0:
                raise anyio.EndOfStream
            try:
                most = max_bytes if self._left is None else min(max_bytes, self._left)
                data = os.read(self._file.fileno(), most)
            except BlockingIOError:
                # `finish` and `close` wake us with this error to look again.
                with suppress(anyio.ClosedResourceError):
                    await anyio.wait_readable(self._file.fileno())
                continue
            if not data:
                raise anyio.EndOfStream
            if self._left is not None:
                self._left -= len(data)
            return data
        raise anyio.ClosedResourceError

    def finish(self) -> None:
        """Let the stream end after what is in the pipe now.

        All writers that we know of are dead. A process that left the session may still hold the pipe open,
        and must make nobody wait.
        """
        if self._file.closed or self._left is not None:
            return
        waiting = array.array("i", [0])
        fcntl.ioctl(self._file.fileno(), termios.FIONREAD, waiting)
        self._left = waiting[0]
        anyio.notify_closing(self._file.fileno())

    def close(self) -> None:
        """Close the descriptor; whoever is waiting for data gets `anyio.ClosedResourceError`."""
        close_pipe(self._file)

    async def aclose(self) -> None:
        """Close the descriptor, as `close` does."""
        self.close()
        await checkpoint()


class PipeSender(ByteSendStream):
    """The end of a pipe that a child reads from."""

    def __init__(self, file: IO[bytes]) -> None:
        os.set_blocking(file.fileno(), False)
        self._file = file

    async def send(self, item: bytes) -> None:
        """Write all of `item`; how much of it was written is not known after a cancellation.

        Raises `anyio.BrokenResourceError` when nobody can read it any more, `anyio.ClosedResourceError`
        after `close`.
        """
        await checkpoint()
        rest = memoryview(item)
        while rest:
            if self._file.closed:
                raise anyio.ClosedResourceError
            try:
                rest = rest[os.write(self._file.fileno(), rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._file.fileno())
            except BrokenPipeError as error:
                raise anyio.BrokenResourceError from error

    def close(self) -> None:
        """Close the descriptor: the child reads the end of its input."""
        close_pipe(self._file)

    async def aclose(self) -> None:
        """Close the descriptor, as `close` does."""
        self.close()
        await checkpoint()


def close_pipe(file: IO[bytes]) -> None:
    if not file.closed:
        anyio.notify_closing(file.fileno())
        file.close()
