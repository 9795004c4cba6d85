"""Progress as it happens: a live tree on a terminal, plain lines in a pipe, JSON lines for machines."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TextIO

from dagflow.cli.spoken import Speakers
from dagflow.cli.values import event_json
from dagflow.events import (
    DependencyCancelled,
    DependencyFailed,
    DependencyStarted,
    DependencySucceeded,
    Event,
    InterruptAnswered,
    LMCalled,
    NodeCancelled,
    NodeFailed,
    NodeInterrupted,
    NodeRetried,
    NodeStarted,
    NodeSucceeded,
    Progress,
    RunStarted,
)
from dagflow.report.timeline import human_duration

CONTINUATION = "\n" + " " * 12
"""What the lines of one event are joined by, so that the times stand out."""

__all__ = ["Display", "JSONLines", "PlainLines", "can_write_unicode", "open_display", "writable"]


class Display(Protocol):
    """Shows a run's events, one by one, in order."""

    def show(self, event: Event) -> None:
        """Show an event."""

    def say(self, text: str) -> None:
        """Tell the user something about the run."""


def open_display(*, as_json: bool) -> AbstractContextManager[Display]:
    """Choose how to show a run, by what is asked for and by what standard error is."""
    if as_json:
        return nullcontext(JSONLines(sys.stdout))
    if sys.stderr.isatty():
        from rich.console import Console

        from dagflow.cli.live import LiveTree

        return LiveTree(Console(stderr=True))
    return nullcontext(PlainLines(sys.stderr))


def can_write_unicode(stream: TextIO) -> bool:
    """Whether a stream can be written any character."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def writable(text: str, stream: TextIO) -> str:
    """Replace what a stream cannot be written by its code."""
    return text if can_write_unicode(stream) else text.encode("ascii", "backslashreplace").decode()


class JSONLines:
    """Writes every event as one line of JSON."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._ascii = not can_write_unicode(stream)

    def show(self, event: Event) -> None:
        """Write an event at once, so that whoever reads it does not lag behind."""
        self._stream.write(json.dumps(event_json(event), ensure_ascii=self._ascii) + "\n")
        self._stream.flush()

    def say(self, text: str) -> None:
        """Tell it on standard error: the events are for machines."""
        print(text, file=sys.stderr, flush=True)


class PlainLines:
    """Writes a line for each thing that starts or ends, with the seconds since the run began or was resumed.

    What tasks print, log and yield stands in between.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._speakers = Speakers()
        self._began: float | None = None

    def show(self, event: Event) -> None:
        """Write the line of an event, if it has one."""
        if self._began is None or (isinstance(event, RunStarted) and not event.parent):
            self._began = event.elapsed
        line = self._speakers.line(event) or describe_event(event)
        if line is not None:
            self.say(f"{event.elapsed - self._began:8.3f} s  {line}")

    def say(self, text: str) -> None:
        """Write a line of another kind."""
        # In one piece, or what a thread prints at the same time would come between a line and its end.
        self._stream.write(text.replace("\n", CONTINUATION) + "\n")
        self._stream.flush()


def describe_event(event: Event) -> str | None:
    """Say in one line what happened; `None` for what is of no interest to people."""
    match event:
        case NodeStarted(activation=name, attempt=attempt):
            return f"{name} started" + (f", attempt {attempt}" if attempt > 1 else "")
        case RunStarted(resumed=True, parent=""):
            return "resumed"
        case NodeRetried(activation=name, error=error, delay=delay):
            return f"{name} failed, and is tried again after {human_duration(delay)}: {error}"
        case DependencyStarted(activation=activation, name=name):
            return f"{activation}: {name} started"
        case LMCalled(activation=activation, answered=False, purpose=purpose, duration=duration):
            # The error follows.
            return f"{activation}: the language model was asked ({purpose}) for {human_duration(duration)}"
        case LMCalled(activation=activation, model=model, purpose=purpose, duration=duration):
            return f"{activation}: {model or 'the language model'} answered ({purpose}) in {human_duration(duration)}"
        case Progress(activation=activation, message=message, fraction=fraction):
            return f"{activation}: {message}" + (f" ({fraction:.0%})" if fraction is not None else "")
        case _:
            return _describe_end(event)


def _describe_end(event: Event) -> str | None:
    match event:
        case NodeInterrupted(activation=name, run=run, interrupts=interrupts):
            return "\n".join(
                f"{name} asks {asked.id}: {asked.question}" if asked.run == run else f"{name} waits for {asked.id}"
                for asked in interrupts
            )
        case InterruptAnswered(interrupt=interrupt):
            return f"{interrupt} was answered"
        case NodeSucceeded(activation=name, duration=duration):
            return f"{name} succeeded in {human_duration(duration)}"
        case NodeFailed(activation=name, duration=duration, error=error):
            return f"{name} failed after {human_duration(duration)}: {error}"
        case NodeCancelled(activation=name, duration=duration):
            return f"{name} was cancelled after {human_duration(duration)}"
        case DependencySucceeded(activation=activation, name=name, duration=duration):
            return f"{activation}: {name} succeeded in {human_duration(duration)}"
        case DependencyFailed(activation=activation, name=name, duration=duration, error=error):
            return f"{activation}: {name} failed after {human_duration(duration)}: {error}"
        case DependencyCancelled(activation=activation, name=name, duration=duration):
            return f"{activation}: {name} was cancelled after {human_duration(duration)}"
        case _:
            return None
