"""The output of one attempt of a task: masked, kept whole in a file, its end in memory, and told line by line.

Everything comes in through `take`, from whichever thread. It passes a masker, one for each stream, and then goes to
the file and, as lines, to the channel that tells them. Nothing here waits for the event loop, but a thread of its own
may wait for a moment when lines come faster than they are told.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

import anyio
from anyio.to_thread import run_sync

from dagflow.capture.channel import Channel, Stream
from dagflow.capture.lines import LineCutter
from dagflow.capture.masking import Masker
from dagflow.capture.output_file import OutputFile

__all__ = ["TaskOutput"]

TAIL: Final = 16 * 1024
"""Bytes of the end that are kept in memory."""

FLUSH: Final = 64 * 1024
"""Bytes that a program may write before they are put into the file."""

FULL: Final = 1024 * 1024
"""Bytes that may wait for the file; then whoever prints writes them, wherever that is."""


class TaskOutput:
    """Takes what a task prints; `Capture.open` makes it. Thread-safe.

    `takes_prints` tells whether what functions print is output, too.
    """

    def __init__(
        self, masker: Masker, file: OutputFile | None, channel: Channel | None, *, takes_prints: bool = False
    ) -> None:
        self.takes_prints: bool = takes_prints
        self._masker = masker
        self._file = file
        self._channel = channel
        self._streams: dict[Stream, _Stream] = {}
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._last: Stream | None = None
        self._within_line = False
        self._ended = False
        # Not a plain lock: a print in a `__del__` that the garbage collector calls can come at any allocation.
        self._guard = threading.RLock()
        self._busy = False
        self._meanwhile: deque[tuple[Stream, bytes]] = deque()

    @property
    def tail(self) -> str:
        """The end of what came, masked: up to 16 KiB."""
        with self._guard:
            return b"".join(self._tail)[-TAIL:].decode(errors="replace")

    @property
    def path(self) -> str | None:
        """The file, which is there once something came; `None` if there is to be none."""
        return None if self._file is None else self._file.path

    async def write(self, stream: Stream, chunk: bytes) -> None:
        """Take a piece of output, and wait until the lines before it are told and memory is free again.

        Raises what telling a line raised, and `anyio.ClosedResourceError` once the output has ended. No byte is lost on
        cancellation.
        """
        if not self._take(stream, chunk):
            raise anyio.ClosedResourceError
        if self._file is not None and self._file.waiting >= FLUSH:
            await run_sync(self._file.flush)
        if self._channel is not None:
            await self._channel.settled()

    def take(self, stream: Stream, data: bytes) -> bool:
        """Take a piece of output without waiting for the event loop; `False`, and nothing, once it has ended."""
        if self._channel is not None and not self._busy:
            self._channel.wait_for_room()
        if not self._take(stream, data):
            return False
        if self._file is not None and self._file.waiting >= FULL:
            self._file.flush()
        return True

    def take_text(self, stream: Stream, text: str) -> bool:
        """Take a piece of text, as `take` does."""
        return self.take(stream, text.encode(errors="backslashreplace"))

    def _take(self, stream: Stream, data: bytes) -> bool:
        with self._guard:
            if self._ended:
                return False
            self._meanwhile.append((stream, data))
            if self._busy:  # this thread is in the block below, and goes on with what was added
                return True
            self._busy = True
            try:
                while self._meanwhile:
                    self._process(*self._meanwhile.popleft())
            finally:
                self._busy = False
        return True

    def finish(self) -> None:
        """Pass on what was kept, and take no more."""
        with self._guard:
            if self._ended:
                return
            self._ended = True
            for name, stream in self._streams.items():
                self._pass_on(name, stream, stream.masked.finish())
                if self._channel is not None:
                    for line in stream.lines.finish():
                        self._channel.put(name, line)

    def _process(self, name: Stream, data: bytes) -> None:
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = _Stream(self._masker)
        self._pass_on(name, stream, stream.masked.feed(data))

    def _pass_on(self, name: Stream, stream: _Stream, data: bytes) -> None:
        if not data:
            return
        if self._within_line and self._last != name:  # two streams do not share a line
            data, told = b"\n" + data, data
        else:
            told = data
        self._last, self._within_line = name, not data.endswith(b"\n")
        self._keep_end(data)
        if self._file is not None:
            self._file.append(data)
            if self._channel is not None:
                self._channel.wake()
        if self._channel is not None and self._channel.tells:
            for line in stream.lines.feed(told):
                self._channel.put(name, line)

    def _keep_end(self, data: bytes) -> None:
        data = data[-TAIL:]
        self._tail.append(data)
        self._tail_size += len(data)
        while self._tail_size - len(self._tail[0]) >= TAIL:
            self._tail_size -= len(self._tail.popleft())


class _Stream:
    def __init__(self, masker: Masker) -> None:
        self.masked = masker.stream()
        self.lines = LineCutter()
