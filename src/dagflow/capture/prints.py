"""Capturing what tasks print: one router in the place of `sys.stdout`, one in that of `sys.stderr`.

A router sends what is written to it to the current output, and everything else on to what was there before, untouched.
It is there while anybody captures prints, and is taken away after the last. Not captured is what goes past it: to
`sys.__stdout__`, to the descriptors 1 and 2 (C code, child processes), to a stream object that somebody kept from
before, from a thread that a task started itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, TextIO, cast

from dagflow.capture.current import current_output
from dagflow.capture.installation import Installation

__all__ = ["RoutedStream", "routing_prints"]

Name = Literal["stdout", "stderr"]

_NAMES: Final[tuple[Name, ...]] = ("stdout", "stderr")


def routing_prints() -> AbstractContextManager[None]:
    """Let what is printed where an output is current be taken by it, as long as any such block is open."""
    return _installation.used()


def _install() -> None:
    for name in _NAMES:
        target = getattr(sys, name)
        # There is none where a program has no console. One of ours is there already, or somebody put it back there.
        if target is not None and type(target) is not RoutedStream:
            setattr(sys, name, cast("TextIO", RoutedStream(target, name)))


def _remove() -> None:
    for name in _NAMES:
        router = getattr(sys, name)
        # If somebody put something else there, it is theirs to put back; a router found again then does nothing.
        if type(router) is RoutedStream:
            setattr(sys, name, router._target)


_installation: Final = Installation(_install, _remove)


class RoutedStream:
    """A text stream that belongs to whoever is not captured: everything but writing is theirs."""

    def __init__(self, target: TextIO, name: Name) -> None:
        self._target = target
        self._name: Name = name

    def __repr__(self) -> str:
        return f"<RoutedStream of {self._target!r}>"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def write(self, text: Any) -> int:
        """Write to the current output, or on."""
        output = current_output() if _installation.is_used else None
        if output is None or not isinstance(text, str) or not output.take_text(self._name, text):
            return self._target.write(text)
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush what was written on; what is captured needs none."""
        if current_output() is None or not _installation.is_used:
            self._target.flush()

    @property
    def buffer(self) -> RoutedBuffer:
        """The binary stream below; `AttributeError` if there is none."""
        return RoutedBuffer(self._target.buffer, self._name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._target)

    def __enter__(self) -> RoutedStream:
        return self

    def __exit__(self, *error: object) -> None:
        self._target.close()


class RoutedBuffer:
    """The binary stream below a `RoutedStream`."""

    def __init__(self, target: Any, name: Name) -> None:
        self._target = target
        self._name: Name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)

    def write(self, data: Any) -> int:
        """Write to the current output, or on."""
        output = current_output() if _installation.is_used else None
        if output is None or isinstance(data, str) or not output.take(self._name, taken := bytes(memoryview(data))):
            return int(self._target.write(data))
        return len(taken)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write several pieces."""
        for line in lines:
            self.write(line)
