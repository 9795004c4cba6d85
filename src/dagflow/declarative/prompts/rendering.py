"""One rendering of a template, and how much it may do: neither time nor memory is bounded by Jinja2 itself."""

from __future__ import annotations

from typing import Any, Final

import attrs

from dagflow.declarative.prompts.text import MAX_CHARACTERS
from dagflow.declarative.prompts.values import json_text

__all__ = ["MAX_STEPS", "Refused", "Rendering", "Undefined", "describe"]

MAX_STEPS: Final = 100_000
"""How much a rendering may do: a step is an expression, an item of a loop, or a hundred characters or so."""

MAX_INTEGER: Final = 2**128

_NAMES: Final[dict[type, str]] = {
    str: "a text",
    dict: "an object",
    list: "a list",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


class Refused(Exception):  # always told as a `PromptError`, with the place in the template
    """Raised while a template is rendered, for what cannot be done or would be too much."""


@attrs.frozen
class Undefined:
    """Stands for a variable, a key or an item that is not there; `problem` says so to who would use it."""

    problem: str


class Rendering:
    """What a rendering of a template has written, the values of its names, and the steps that are left to it."""

    __slots__ = ("_left", "_pieces", "_room", "line", "names")

    def __init__(self, names: dict[str, Any], steps: int = MAX_STEPS, room: int = MAX_CHARACTERS) -> None:
        self.names: dict[str, Any] = names
        self.line: int = 1
        self._left = steps
        self._room = room
        self._pieces: list[str] = []

    def spend(self, steps: int) -> None:
        """Count what is done; raises `Refused` where it has become too much."""
        self._left -= steps
        if self._left < 0:
            raise Refused("the template does too much; shorten its loops, or compute the value before the prompt")

    def write(self, text: str) -> None:
        """Add a text to what is written; raises `Refused` where there is no room for it."""
        self._room -= len(text)
        if self._room < 0:
            raise Refused(f"the prompt would be longer than {MAX_CHARACTERS} characters")
        self._pieces.append(text)

    def text_of(self, value: Any) -> str:
        """Write a value as text, within the steps that are left."""
        try:
            text = json_text(value)
        except ValueError as error:
            raise Refused(str(error)) from error
        if type(value) is not str:
            self.spend(len(text) // 64)
        return text

    def fit(self, size: int) -> None:
        """Make sure that a text may be so long, before it is made; long ones take steps."""
        if size > MAX_CHARACTERS:
            raise Refused(f"it would make a text of more than {MAX_CHARACTERS} characters")
        self.spend(size // 256)

    def weigh(self, value: Any) -> None:
        """Take steps for everything in a value: a list can hold another one, or a long text, many times over."""
        pending = [value]
        while pending:
            value = pending.pop()
            self.spend(1)
            if type(value) is list:
                self.spend(len(value))
                pending.extend(value)
            elif type(value) is dict:
                self.spend(len(value))
                pending.extend(value.values())
            elif type(value) is str:
                self.spend(len(value) // 64)

    @property
    def steps_left(self) -> int:
        """How many steps are left."""
        return self._left

    @property
    def room_left(self) -> int:
        """How many characters are left."""
        return self._room

    def text(self) -> str:
        """Give what was written."""
        return "".join(self._pieces)


def describe(value: Any) -> str:
    """Name the type of a value: `a text`, `a list`."""
    return _NAMES[type(value)]
