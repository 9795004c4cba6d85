"""`dagflow run`: runs a graph, shows its progress and tells how it ended."""

from __future__ import annotations

import enum
import importlib.util
import json
import shutil
import sys
from types import ModuleType
from typing import Annotated

import typer

from dagflow.cli.display import can_write_unicode, open_display
from dagflow.cli.follow import Ending, follow
from dagflow.cli.inputs import read_start
from dagflow.cli.language_models import LanguageModel, find_lm, needs_of
from dagflow.cli.problems import FAILED, UsageProblem, tell_failure, told
from dagflow.cli.signals import Signals
from dagflow.cli.targets import load_graph
from dagflow.cli.values import to_json
from dagflow.core import folds
from dagflow.events import DependencyCancelled, NodeCancelled, NodeSucceeded
from dagflow.graph.graph import PreparedRun
from dagflow.graph.options import FROM_GRAPH
from dagflow.kernel.entry import run_to_completion
from dagflow.report.timeline import render_timeline
from dagflow.types import Usage

__all__ = ["run"]


class Backend(enum.StrEnum):
    """The event loop to run on."""

    ASYNCIO = "asyncio"
    TRIO = "trio"


class EventFormat(enum.StrEnum):
    """How to write events for machines."""

    JSONL = "jsonl"


TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="module[:name] or file.py[:name]")]
TracebackOption = Annotated[bool, typer.Option("--traceback", help="Show tracebacks of errors.")]


def run(
    target: TargetArgument,
    given: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="JSON", help="Fields of the start node: JSON, @file or @- (stdin)."),
    ] = None,
    lm: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Language model: openai:MODEL, anthropic:MODEL, claude-cli[:MODEL], pydantic-ai:PROVIDER:MODEL, "
            "dspy:PROVIDER/MODEL, scripted, module:name or file.py:name. Default: none.",
        ),
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="Where the model's server is, if it is not the provider's own.")
    ] = None,
    backend: Annotated[Backend, typer.Option(help="The event loop to run on.")] = Backend.ASYNCIO,
    events: Annotated[
        EventFormat | None, typer.Option(help="Write every event to standard output, for machines, and no result.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Cancel the run after so many seconds.")
    ] = None,
    max_steps: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Nodes that may start. Default: the graph's own.")
    ] = None,
    traceback: TracebackOption = False,
) -> None:
    """Run a graph and print its last node as JSON.

    Progress, timeline and errors go to standard error. The exit status is 0 for a run that completed, 1 for
    one that failed, 2 for a wrong command line, 130 after Ctrl-C and 143 after SIGTERM.
    """
    with told(with_traceback=traceback):
        _check(backend, timeout)
        graph, module = load_graph(target)
        start = read_start(graph.start, given)
        model = _find_lm(lm, base_url, module)
        needs = needs_of(graph) if model is None else ()
        if needs:
            reasons = "\n".join(f"  - {need}" for need in needs)
            raise UsageProblem(f"graph {graph.name} needs a language model; give one with --lm:\n{reasons}")

        def prepare() -> PreparedRun:
            steps = FROM_GRAPH if max_steps is None else max_steps
            return graph.prepare(start, lm=model.lm if model else None, timeout=timeout, max_steps=steps)

        with Signals() as signals, open_display(as_json=events is not None) as display:
            if model is not None:
                display.say(f"language model: {model.label}")
            ending = run_to_completion(
                lambda: follow(prepare, display, signals), backend=backend.value, instead="await graph.run(...)"
            )
        status = _tell(ending, quiet=events is not None, with_traceback=traceback)
    raise typer.Exit(status)


def _find_lm(spec: str | None, base_url: str | None, module: ModuleType) -> LanguageModel | None:
    if spec is not None:
        return find_lm(spec, module, base_url=base_url)
    if base_url is not None:
        raise UsageProblem("--base-url says where a model is, and --lm which: give both")
    return None


def _check(backend: Backend, timeout: float | None) -> None:
    if timeout is not None and not timeout > 0:
        raise UsageProblem(f"--timeout is a number of seconds above 0, not {timeout:g}")
    if backend is Backend.TRIO and importlib.util.find_spec("trio") is None:
        raise UsageProblem("--backend trio needs trio: pip install 'dagflow[trio]'")


def _tell(ending: Ending, *, quiet: bool, with_traceback: bool) -> int:
    """Tell how a run ended; the exit status comes back."""
    if ending.error is not None and not isinstance(ending.error, Exception):
        raise ending.error
    if not quiet:
        _tell_timeline(ending)
    if ending.error is not None:
        tell_failure(ending.error, with_traceback=with_traceback)
    if ending.stopped_by is not None and ending.result is None:
        _tell_cancelled(ending)
        return 128 + ending.stopped_by
    if ending.result is None:
        return FAILED
    if not quiet:
        fields = to_json(ending.result.node)
        print(json.dumps(fields, indent=2, ensure_ascii=not can_write_unicode(sys.stdout)), flush=True)
    return 0


def _tell_timeline(ending: Ending) -> None:
    columns = shutil.get_terminal_size((100, 24)).columns
    timeline = folds.timeline(ending.events)
    text = render_timeline(timeline, width=min(columns, 120), ascii=not can_write_unicode(sys.stderr))
    print(f"\n{text}", end="", file=sys.stderr)
    usage = folds.usage(ending.events)
    if usage != Usage():
        print(_usage(usage), file=sys.stderr)
    print(file=sys.stderr, flush=True)


def _usage(usage: Usage) -> str:
    requests = "1 request" if usage.requests == 1 else f"{usage.requests} requests"
    cost = f", ${usage.cost:.4f}" if usage.cost is not None else ""
    guessed = " (partly estimated)" if usage.estimated else ""
    return f"language model: {requests}, {usage.input_tokens} tokens in, {usage.output_tokens} out{cost}{guessed}"


def _tell_cancelled(ending: Ending) -> None:
    assert ending.stopped_by is not None
    stopped = [
        f"{event.name} of {event.activation}" if isinstance(event, DependencyCancelled) else event.activation
        for event in ending.events
        if isinstance(event, NodeCancelled | DependencyCancelled)
    ]
    completed = [event.activation for event in ending.events if isinstance(event, NodeSucceeded)]
    lines = [f"cancelled by {ending.stopped_by.name}: {', '.join(stopped) or 'nothing ran'}"]
    if completed:
        lines.append(f"completed before: {', '.join(completed)}")
    print("\n".join(lines), file=sys.stderr, flush=True)
