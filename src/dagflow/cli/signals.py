"""Ctrl-C and SIGTERM, turned into something that a task can wait for."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

import anyio

__all__ = ["Signals"]

WATCHED = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """While open, the first SIGINT or SIGTERM is kept in `received`; a second one leaves the program at once.

    A handler of our own, because those of the event loops say nothing while a node's code blocks the loop, and
    trio's raises `KeyboardInterrupt` in whatever code happens to run. It must be opened before the event loop,
    in the main thread.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None

    def __enter__(self) -> Signals:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # What was started to ignore a signal goes on ignoring it: shells start background jobs of scripts so.
        heard = [number for number in WATCHED if signal.getsignal(number) is not signal.SIG_IGN]
        self._previous = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    async def wait(self) -> signal.Signals:
        """Wait for the first signal."""
        with self._waking_us():
            while self.received is None:
                await anyio.wait_readable(self._reader)
                with suppress(BlockingIOError):
                    self._reader.recv(64)
        return self.received

    @contextmanager
    def _waking_us(self) -> Iterator[None]:
        """Let a signal that another thread got wake the main one, where alone its handler is run.

        trio sees to that itself, and minds when another does it.
        """
        previous = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        if previous != -1:
            signal.set_wakeup_fd(previous)
        try:
            yield
        finally:
            if previous == -1:
                signal.set_wakeup_fd(-1)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            # Whoever insists is stuck in clean-up that does not end, such as that of a thread, which nobody can
            # stop. Buffered streams must not be used here: the signal may have come in the midst of a write.
            with suppress(OSError):
                os.write(2, b"left without waiting for the clean-up; processes of the run may be left\n")
            os._exit(128 + number)
        self.received = signal.Signals(number)
        self._writer.send(b"\0")
