"""The main program of a child that calls one function for us. It is run by its path, and imports no dagflow.

Standard input holds two pickles: what to prepare (what is captured, `sys.path`, `sys.argv`, the main module), then the
call as bytes, because it can be read only after that. The answer, one pickle of builtin types, goes to the channel, a
descriptor whose number is the last argument, and so does what is logged, if anybody wants it. What is printed goes to
standard output and error, if these are captured, and all to standard error otherwise.
"""

import copy
import io
import os
import pickle
import runpy
import struct
import sys
import threading
import traceback

__all__ = ["ANSWER", "HEAD", "LOG", "MAIN"]

MAIN = "__mp_main__"  # as in `multiprocessing`, so that `if __name__ == "__main__"` guards the script here too

HEAD = struct.Struct("<cQ")
"""What each message of the channel begins with: its kind and its size in bytes."""

ANSWER = b"a"
LOG = b"l"

PIECE = 64 * 1024
"""Bytes of a log record that are sent at a time, so that a long one takes no memory there."""


class Channel:
    """Where messages are sent to, by any thread of this process, and by none of a process that it forks."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._guard = threading.RLock()
        self._owner = os.getpid()

    def send(self, kind: bytes, message: bytes) -> None:
        """Send a message; blocks while nobody reads."""
        if os.getpid() != self._owner:
            return
        with self._guard:
            for data in (HEAD.pack(kind, len(message)), message):
                rest = memoryview(data)
                while rest:
                    rest = rest[self._file.write(rest) :]

    def log(self, text: str) -> None:
        """Send what is logged, in pieces."""
        data = text.encode(errors="backslashreplace")
        with self._guard:
            for start in range(0, len(data), PIECE):
                self.send(LOG, data[start : start + PIECE])


def main() -> None:
    """Read a call from standard input, make it, and write the answer to the channel."""
    channel = Channel(int(sys.argv[-1]))
    requests = os.fdopen(os.dup(0), "rb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    with requests:
        channel.send(ANSWER, pickle.dumps(answer(requests, channel)))


def answer(requests: io.BufferedReader, channel: Channel) -> tuple[str, bytes, str, str]:
    """Make the call: its outcome's kind and pickle, and for an exception also its line and traceback."""
    try:
        prints, level, *found = pickle.load(requests)
        route(prints)
        if level is not None:
            send_logs(channel, level)
        prepare(*found)
        function, arguments, keywords = pickle.loads(pickle.load(requests))
    except BaseException as error:
        return ("unreadable", b"", line(error), told(error))
    try:
        value = function(*arguments, **keywords)
    except BaseException as error:
        return ("raised", pickled_exception(error), line(error), told(error))
    try:
        return ("value", pickle.dumps(value), "", "")
    except Exception as error:
        return ("unwritable", b"", f"{type(value).__qualname__} ({line(error)})", told(error))


def route(prints: bool) -> None:
    """Let lines be written as they come where somebody takes them, and everything go to standard error otherwise."""
    if not prints:
        os.dup2(2, 1)
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def send_logs(channel: Channel, level: int) -> None:
    """Send every log record that is made, before anything is done with it (`dagflow.capture.logs` says why so)."""
    import logging

    formatter = logging.Formatter("%(levelname)s %(name)s: %(message)s")
    make = logging.getLogRecordFactory()

    def shown(record: logging.LogRecord) -> str:
        try:
            return formatter.format(copy.copy(record))
        except Exception as error:
            return f"{record.levelname} {record.name}: {record.msg!r} (cannot be formatted: {error})"

    def factory(*args: object, **kwargs: object) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if record.name:
            channel.log(f"{shown(record)}\n")
        return record

    logging.setLogRecordFactory(factory)
    logging.getLogger().setLevel(level)


def prepare(path: list[str], arguments: list[str], main_name: str | None, main_path: str | None) -> None:
    """Make this process look like the caller's, as far as finding the function goes."""
    sys.path[:] = path
    sys.argv[:] = arguments
    if main_name is None and main_path is None:
        return
    names = (
        runpy.run_module(main_name, run_name=MAIN, alter_sys=True)
        if main_name is not None
        else runpy.run_path(str(main_path), run_name=MAIN)
    )
    module = type(sys)(MAIN)
    module.__dict__.update(names)
    sys.modules["__main__"] = sys.modules[MAIN] = module


def pickled_exception(error: BaseException) -> bytes:
    """Pickle an exception, or return nothing if that cannot be done. Whether it can be read is seen there."""
    try:
        return pickle.dumps(error)
    except Exception:
        return b""


def told(error: BaseException) -> str:
    """Format a traceback without our own frame."""
    assert error.__traceback__ is not None
    return "".join(traceback.format_exception(type(error), error, error.__traceback__.tb_next))


def line(error: BaseException) -> str:
    """Say an exception's type and message in one line."""
    return f"{type(error).__qualname__}: {error}"


if __name__ == "__main__":
    main()
