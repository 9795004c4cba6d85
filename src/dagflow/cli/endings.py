"""How a run ended, told on the command line: timeline, result, failures, questions, and how to go on."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dagflow.cli.display import can_write_unicode
from dagflow.cli.follow import Ending
from dagflow.cli.problems import FAILED, USAGE, WAITING, tell_failure
from dagflow.cli.values import to_json
from dagflow.core import folds
from dagflow.errors import AnswerError, CheckpointError
from dagflow.events import DependencyCancelled, Event, NodeCancelled, NodeSucceeded
from dagflow.report.timeline import render_timeline, without_waits
from dagflow.types import Usage

if TYPE_CHECKING:
    from dagflow.cli.runs.questions import Resumption

__all__ = ["describe_usage", "draw_timeline", "print_value", "tell", "tell_line", "tell_timeline"]


def tell(
    ending: Ending,
    resumption: Resumption | None,
    *,
    output: Callable[[Any], object],
    quiet: bool,
    with_traceback: bool,
) -> int:
    """Tell how a run ended; the exit status comes back. `output` says what of a result is printed.

    `resumption` is how to go on with a run that is recorded. `quiet` leaves out what is for people only.
    """
    if ending.error is not None and not isinstance(ending.error, Exception):
        raise ending.error
    if ending.news and not quiet:
        tell_timeline(ending.events)
    if ending.error is not None:
        tell_failure(ending.error, with_traceback=with_traceback)
    if ending.result is None:
        return _tell_failed(ending, resumption)
    if ending.result.status == "interrupted" and resumption is not None:
        from dagflow.cli.runs.questions import describe_questions

        tell_line(describe_questions(ending.result.interrupts, resumption))
        return WAITING
    if not ending.news:
        tell_line("the run was complete already: nothing ran")
    if not quiet:
        print_value(output(ending.result))
    return 0


def _tell_failed(ending: Ending, resumption: Resumption | None) -> int:
    if isinstance(ending.error, AnswerError):
        return USAGE
    if ending.stopped_by is not None:
        _tell_cancelled(ending)
    if resumption is not None and ending.news and not isinstance(ending.error, CheckpointError):
        tell_line(f"what completed is recorded; go on with: {resumption.command()}")
    return FAILED if ending.stopped_by is None else 128 + ending.stopped_by


def _tell_cancelled(ending: Ending) -> None:
    assert ending.stopped_by is not None
    stopped = [
        f"{event.name} of {event.activation}" if isinstance(event, DependencyCancelled) else event.activation
        for event in ending.news
        if isinstance(event, NodeCancelled | DependencyCancelled)
    ]
    completed = [event.activation for event in ending.events if isinstance(event, NodeSucceeded)]
    lines = [f"cancelled by {ending.stopped_by.name}: {', '.join(stopped) or 'nothing ran'}"]
    if completed:
        lines.append(f"completed before: {', '.join(completed)}")
    tell_line("\n".join(lines))


def tell_line(text: str) -> None:
    """Write to standard error."""
    print(text, file=sys.stderr, flush=True)


def print_value(value: object) -> None:
    """Print a node's fields, or a state, on standard output, as JSON."""
    print(json.dumps(to_json(value), indent=2, ensure_ascii=not can_write_unicode(sys.stdout)), flush=True)


def tell_timeline(events: Sequence[Event]) -> None:
    """Draw the timeline of a run on standard error, and what its language models used."""
    text = draw_timeline(events, ascii=not can_write_unicode(sys.stderr))
    print(f"\n{text}", end="", file=sys.stderr)
    usage = folds.usage(events)
    if usage != Usage():
        print(describe_usage(usage), file=sys.stderr)
    print(file=sys.stderr, flush=True)


def draw_timeline(events: Sequence[Event], *, ascii: bool) -> str:
    """Draw the timeline of a run, as wide as the terminal, without the time in which nobody worked on it."""
    columns = shutil.get_terminal_size((100, 24)).columns
    return render_timeline(folds.timeline(without_waits(events)), width=min(columns, 120), ascii=ascii)


def describe_usage(usage: Usage) -> str:
    """Say what language models used."""
    requests = "1 request" if usage.requests == 1 else f"{usage.requests} requests"
    cost = f", ${usage.cost:.4f}" if usage.cost is not None else ""
    guessed = " (partly estimated)" if usage.estimated else ""
    return f"language model: {requests}, {usage.input_tokens} tokens in, {usage.output_tokens} out{cost}{guessed}"
