"""What can go wrong on the command line: how it is told, and the exit status that it leaves with."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import typer

from dagflow.declarative.state import StateError
from dagflow.errors import DagflowError, describe
from dagflow.pipeline.parameters import ParameterError

__all__ = [
    "BROKEN_PIPE",
    "FAILED",
    "INTERRUPTED",
    "USAGE",
    "WAITING",
    "BrokenTarget",
    "UsageProblem",
    "tell_failure",
    "told",
]

FAILED: Final = 1
USAGE: Final = 2
WAITING: Final = 3
"""The run waits for answers."""
INTERRUPTED: Final = 130
"""What shells report for a program that Ctrl-C ended: 128 and the number of the signal."""
BROKEN_PIPE: Final = 141
"""The same for SIGPIPE, which Python programs ignore."""


class UsageProblem(Exception):
    """The command line asks for what cannot be; the message says what was wrong, and what to do."""


class BrokenTarget(Exception):
    """The user's module was found, and failed while it was imported. The cause is what it raised."""


@contextmanager
def told(*, with_traceback: bool = False) -> Iterator[None]:
    """Turn what a command raises into a message on standard error and an exit status."""
    try:
        yield
    except UsageProblem as problem:
        _leave(USAGE, str(problem))
    except BrokenTarget as problem:
        if with_traceback and problem.__cause__ is not None:
            traceback.print_exception(problem.__cause__)
        _leave(FAILED, str(problem))
    except DagflowError as error:
        if with_traceback:
            traceback.print_exception(error)
        _leave(FAILED, for_command_line(str(error)))
    except BrokenPipeError:
        close_broken_streams()
        raise typer.Exit(BROKEN_PIPE) from None
    except OSError as error:
        close_broken_streams()
        _leave(FAILED, f"cannot write: {error.strerror}")
    except (KeyboardInterrupt, typer.Abort):
        _leave(INTERRUPTED, "interrupted")


def tell_failure(error: Exception, *, with_traceback: bool) -> None:
    """Write why a run failed to standard error: every failure, and the nodes that had completed."""
    failures = error.failures if isinstance(error, DagflowError) else ()
    if with_traceback or not isinstance(error, (DagflowError, ParameterError, StateError)):
        traceback.print_exception(error)
        for failure in failures:
            if failure.exception is not error and failure.exception is not error.__cause__:
                traceback.print_exception(failure.exception)
    lines = [f"error: {for_command_line(describe(error))}", *getattr(error, "__notes__", ())]
    message = "\n".join(lines)
    if len(failures) != 1 or describe(failures[0].exception) not in message:
        each = (f"{failure.where}: {describe(failure.exception)}" for failure in failures)
        lines += [f"  - {line}" for line in each if line not in message]
    if isinstance(error, DagflowError) and error.trace:
        lines.append(f"completed before: {', '.join(map(_name_of, error.trace))}")
    print("\n".join(lines), file=sys.stderr)


def _name_of(completed: object) -> str:
    """The name of what completed: nodes of typed graphs are instances of their classes, others are named."""
    return completed if isinstance(completed, str) else type(completed).__name__


def for_command_line(message: str) -> str:
    """Say in the words of the command line what a message for programs advises."""
    return message.replace("pass accept_changes=True", "give --accept-changes")


def close_broken_streams() -> None:
    """Point the standard streams to nowhere, or the interpreter would complain when it flushes them."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _leave(status: int, message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    raise typer.Exit(status) from None
