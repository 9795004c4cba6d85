"""What tasks print, log and yield while they run, as lines for people that say which task it was."""

from __future__ import annotations

import json
from typing import Final

from dagflow.cli.values import to_json
from dagflow.core.drawing.text import shorten
from dagflow.events import Event, Printed, RunEnded, RunStarted, Yielded

__all__ = ["LONGEST", "Speakers"]

LONGEST: Final = 300
"""Characters of a line, or of a value, that are shown."""


class Speakers:
    """Makes the lines of the events of a run, which it is shown in order.

    A task in a branch, an item or an iteration is named by the way that leads to it: `each[3]/parse`, `both/left/say`.
    """

    def __init__(self) -> None:
        self._ways: dict[str, str] = {}

    def line(self, event: Event) -> str | None:
        """Give the line of what a task printed, logged or yielded; `None` for any other event."""
        match event:
            case RunStarted(run=run, parent=parent, graph=graph) if parent:
                outer = self._way(run.rpartition(f"/{parent}/")[0])
                self._ways[run] = f"{outer}{_name(parent)}{'' if graph.startswith('[') else '/'}{graph}/"
            case RunEnded(run=run):
                self._ways.pop(run, None)
            case Printed(stream="stdout", text=text):
                return f"{self._task(event)}: {_shown(text)}"
            case Printed(stream=stream, text=text):
                return f"{self._task(event)} ({stream}): {_shown(text)}"
            case Yielded(value=value):
                return f"{self._task(event)} yielded {_shown(json.dumps(to_json(value), ensure_ascii=False))}"
        return None

    def _task(self, event: Printed | Yielded) -> str:
        return shorten(self._way(event.run) + _name(event.activation), LONGEST)

    def _way(self, run: str) -> str:
        """The way to a run; of one whose beginning was not seen, as its id has it."""
        inside = run.partition("/")[2]
        return self._ways.get(run, f"{inside}/" if inside else "")


def _name(activation: str) -> str:
    """The name of a step, which runs once in a pipeline."""
    return activation.removesuffix("#1")


def _shown(text: str) -> str:
    return shorten(text.expandtabs(4), LONGEST)
