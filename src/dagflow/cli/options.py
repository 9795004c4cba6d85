"""The options and arguments that several commands take."""

from __future__ import annotations

import enum
import importlib.util
from typing import Annotated, Final

import typer

from dagflow.cli.problems import UsageProblem

__all__ = [
    "STORE_VARIABLE",
    "Backend",
    "BackendOption",
    "BaseURLOption",
    "DurabilityChoice",
    "DurabilityOption",
    "EventFormat",
    "EventsOption",
    "LMOption",
    "MaxStepsOption",
    "StoreOption",
    "TargetArgument",
    "ThreadArgument",
    "TimeoutOption",
    "TracebackOption",
    "check_backend",
    "check_timeout",
]

STORE_VARIABLE: Final = "DAGFLOW_STORE"


class Backend(enum.StrEnum):
    """The event loop to run on."""

    ASYNCIO = "asyncio"
    TRIO = "trio"


class EventFormat(enum.StrEnum):
    """How to write events for machines."""

    JSONL = "jsonl"


class DurabilityChoice(enum.StrEnum):
    """When what happened is in the store."""

    SYNC = "sync"
    ASYNC = "async"
    EXIT = "exit"


TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="module[:name], file.py[:name] or file.yaml")]
ThreadArgument = Annotated[str, typer.Argument(metavar="THREAD", help="The thread's name, as `runs list` has it.")]
TracebackOption = Annotated[bool, typer.Option("--traceback", help="Show tracebacks of errors.")]
LMOption = Annotated[
    str | None,
    typer.Option(
        metavar="SPEC",
        help="Language model: openai:MODEL, anthropic:MODEL, claude-cli[:MODEL], pydantic-ai:PROVIDER:MODEL, "
        "dspy:PROVIDER/MODEL, scripted, module:name or file.py:name. Default: none.",
    ),
]
BaseURLOption = Annotated[
    str | None, typer.Option(metavar="URL", help="Where the model's server is, if it is not the provider's own.")
]
BackendOption = Annotated[Backend, typer.Option(help="The event loop to run on.")]
EventsOption = Annotated[
    EventFormat | None, typer.Option(help="Write every event to standard output, for machines, and no result.")
]
TimeoutOption = Annotated[float | None, typer.Option(metavar="SECONDS", help="Cancel the run after so many seconds.")]
MaxStepsOption = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="Nodes that may start. Default: the graph's own.")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="STORE",
        envvar=STORE_VARIABLE,
        help="Where runs are recorded: a file such as runs.db, sqlite:PATH, redis://HOST, module:name or file.py:name.",
    ),
]
DurabilityOption = Annotated[
    DurabilityChoice | None,
    typer.Option(
        help="When what happened is in the store: before anything follows from it (the default), soon after, or when "
        "the run ends."
    ),
]


def check_timeout(timeout: float | None) -> None:
    """Raise `UsageProblem` for a timeout that is no time."""
    if timeout is not None and not timeout > 0:
        raise UsageProblem(f"--timeout is a number of seconds above 0, not {timeout:g}")


def check_backend(backend: Backend) -> None:
    """Raise `UsageProblem` for an event loop that is not installed."""
    if backend is Backend.TRIO and importlib.util.find_spec("trio") is None:
        raise UsageProblem("--backend trio needs trio: pip install 'dagflow[trio]'")
