"""What goes wrong when a value is written or read: each fault knows its path within the value."""

from __future__ import annotations

from typing import Any

__all__ = ["Fault", "TooDeep", "Unreadable", "Unwritable", "key_step"]

_LONGEST_PATH = 120


class Fault(ValueError):
    """Base of the faults below. Its path grows from the inside out, while it passes through what holds the value."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._steps: list[str] = []

    def under(self, step: str) -> None:
        """Put one more step before the path: `.field`, `[2]`."""
        self._steps.append(step)

    @property
    def path(self) -> str:
        """Where the fault is, such as `$.agenda[2].when`; `$` is the whole value."""
        return "$" + "".join(reversed(self._steps))

    @property
    def shown_path(self) -> str:
        """The path, without its middle where it is very long."""
        path = self.path
        half = _LONGEST_PATH // 2
        return path if len(path) <= _LONGEST_PATH else f"{path[:half]}...{path[-half:]}"

    def placed_as(self, other: Fault) -> None:
        """Take the path of another fault."""
        self._steps = list(other._steps)


class Unwritable(Fault):
    """Raised for a value that cannot be written, or would not be read back as the same value.

    `path` leads to it, `value_type` is its class, and `reason` says why, and what to do. Never shows the value.
    """

    def __init__(self, value_type: type, reason: str) -> None:
        super().__init__(value_type, reason)
        self.value_type = value_type
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.shown_path}: a value of type {self.value_type.__qualname__} cannot be written: {self.reason}"


class Unreadable(Fault):
    """Raised for data that does not fit the declared type; `path` leads to it, and `problem` says what is wrong."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.shown_path}: {self.problem}"


class TooDeep(Fault):
    """Passes through unions, which would try every other member at every level; never leaves the codec."""


def key_step(key: Any) -> str:
    """The step to the value of a key in a dict."""
    if type(key) is str:
        if key.isidentifier():
            return f".{key}"
        return f"[{key[:40]!r}]"
    return f"[{key!r}]" if key is None or type(key) in (bool, float) or _is_small(key) else f"[a {type(key).__name__}]"


def _is_small(key: Any) -> bool:
    return type(key) is int and key.bit_length() <= 128
