"""The way of lines from whichever thread they come to who tells them, on the event loop; bounded in memory.

Lines wait in a channel, one for each output, until the pump tells them. A program that writes is made to wait, and so
is a thread, for a second at most: the event loop may be waiting for that very thread. A print on the event loop itself
cannot wait. What is too much then is not told, and how much it was is; the file has all of it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Literal, TypeAlias

import anyio
from anyio.abc import TaskGroup
from anyio.to_thread import run_sync

from dagflow.capture.output_file import OutputFile

__all__ = ["Channel", "Pump", "Stream", "Tell"]

Stream: TypeAlias = Literal["stdout", "stderr", "log"]

Tell: TypeAlias = Callable[[Stream, str], Awaitable[object]]
"""Tells a line of a stream."""

CAPACITY: Final = 16 * 1024 * 1024
"""How many bytes of lines may wait in a channel."""

HALF: Final = CAPACITY // 2
"""With how many bytes of lines before it a thread may go on to print: what it prints then may be large."""

LOW: Final = 1024 * 1024
"""With how many bytes of lines before it a program may go on to write."""

LINE: Final = 100
"""Bytes that a line takes beside its text."""

PATIENCE: Final = 1.0
"""Seconds that a thread waits for room."""

TURN: Final = 256
"""How many lines of one channel are told before the next one has its turn."""


class Channel:
    """The lines of one output that are not told yet, and its file, which is written to in between."""

    def __init__(self, pump: Pump, file: OutputFile | None, tell: Tell | None) -> None:
        self.failure: Exception | None = None
        self.is_ready = False
        self._pump = pump
        self._file = file
        self._tell = tell
        self._lines: deque[tuple[Stream, str]] = deque()
        self._size = 0
        self._left_out = 0
        self._behind = False
        self._room = threading.Condition()
        self._waiting: list[tuple[int, anyio.Event]] = []

    @property
    def tells(self) -> bool:
        """Whether anybody wants lines."""
        return self._tell is not None and self.failure is None

    def put(self, stream: Stream, line: str) -> None:
        """Add a line, from any thread."""
        with self._room:
            if not self.tells:
                return
            if self._size > CAPACITY:
                self._left_out += 1
                return
            self._lines.append((stream, line))
            self._size += len(line) + LINE
        self._pump.wake(self)

    def wake(self) -> None:
        """Have the file written to, from any thread."""
        self._pump.wake(self)

    def wait_for_room(self) -> None:
        """Wait while too much is waiting, in a thread that is not the event loop's, and not for long."""
        if self._size <= HALF or threading.get_ident() == self._pump.thread:
            return
        with self._room:
            if not self._behind:
                self._behind = not self._room.wait_for(lambda: self._size <= HALF or self._pump.closed, PATIENCE)

    async def settled(self) -> None:
        """Wait until there is little left to tell; raises what telling a line raised."""
        await self._wait_for(LOW)
        if self.failure is not None:
            raise self.failure

    async def drained(self) -> None:
        """Wait until everything is told, or something could not be."""
        await self._wait_for(0)

    async def _wait_for(self, size: int) -> None:
        while self._size + self._left_out > size and not self._pump.closed:
            event = anyio.Event()
            self._waiting.append((size, event))
            await event.wait()

    async def serve(self) -> None:
        """Write what waits for the file, and tell lines; meant for the pump."""
        if self._file is not None and self._file.waiting:
            await run_sync(self._file.flush)
        for _ in range(TURN):
            if not self._lines:
                break
            stream, line = self._lines[0]
            await self._tell_one(stream, line)
        if self._lines:
            self._pump.wake(self)
        elif self._left_out:
            count = self._left_out
            await self._tell_one(
                "log", f"... {count} lines were left out here: they came too fast to be told ...", count
            )

    async def _tell_one(self, stream: Stream, line: str, left_out: int = 0) -> None:
        """Tell a line of those that wait, or one that stands for some that were left out."""
        assert self._tell is not None
        try:
            await self._tell(stream, line)
        except Exception as error:
            self.failure = error
        with self._room:
            if self.failure is not None:
                self._lines.clear()
                self._size = self._left_out = 0
            elif left_out:
                self._left_out -= left_out
            else:
                self._lines.popleft()
                self._size -= len(line) + LINE
            if self._size <= HALF:
                self._behind = False
                self._room.notify_all()
        self.release(self._size + self._left_out)

    def release(self, size: int) -> None:
        """Let those go on who wait for no less than `size`."""
        for waiting in [item for item in self._waiting if item[0] >= size]:
            self._waiting.remove(waiting)
            waiting[1].set()


class Pump:
    """Tells the lines of any number of channels, on the event loop that it is entered on.

    It is woken through a pipe: that is the one way that every thread has to both event loops without waiting.
    """

    def __init__(self) -> None:
        self.thread: int = threading.get_ident()
        self.closed: bool = False
        self._guard = threading.RLock()
        self._ready: deque[Channel] = deque()
        self._channels: set[Channel] = set()
        self._group: TaskGroup = anyio.create_task_group()
        self._signalled = False

    async def __aenter__(self) -> Pump:
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(self._writing, False)
        try:
            await self._group.__aenter__()
        except BaseException:
            self._close()
            raise
        self._group.start_soon(self._run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What ended the block is no error of the pump's, and is not told to its group.
        self._group.cancel_scope.cancel()
        try:
            await self._group.__aexit__(None, None, None)
        finally:
            self._close()

    def open(self, file: OutputFile | None, tell: Tell | None) -> Channel:
        """Make a channel."""
        channel = Channel(self, file, tell)
        self._channels.add(channel)
        return channel

    def forget(self, channel: Channel) -> None:
        """Let a channel go."""
        self._channels.discard(channel)

    def wake(self, channel: Channel) -> None:
        """Have a channel served, from any thread."""
        with self._guard:
            if self.closed or channel.is_ready:
                return
            channel.is_ready = True
            self._ready.append(channel)
            if not self._signalled:
                self._signalled = True
                os.write(self._writing, b"\0")

    async def _run(self) -> None:
        while True:
            await anyio.wait_readable(self._reading)
            with self._guard:
                os.read(self._reading, 64)
                self._signalled = False
            while self._ready:
                channel = self._ready.popleft()
                channel.is_ready = False
                await channel.serve()

    def _close(self) -> None:
        with self._guard:
            self.closed = True
            os.close(self._reading)
            os.close(self._writing)
        for channel in list(self._channels):
            channel.release(0)
