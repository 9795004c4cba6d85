"""`dagflow check` and `dagflow graph ...`: look at a graph without running it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dagflow.cli.descriptions import describe, summary_of
from dagflow.cli.options import TargetArgument, TracebackOption
from dagflow.cli.problems import UsageProblem, told
from dagflow.cli.runnable import PipelineTarget, Runnable
from dagflow.cli.targets import load_target

__all__ = ["check", "drawings"]

drawings: typer.Typer = typer.Typer(help="Show or draw a graph.", no_args_is_help=True, rich_markup_mode=None)
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of standard output.")
]


def check(target: TargetArgument, traceback: TracebackOption = False) -> None:
    """Build a graph and tell everything that is wrong with it; the exit status is 1 where anything is."""
    with told(with_traceback=traceback):
        graph = load_target(target, with_checkpointer=False)
        kind = "pipeline" if isinstance(graph, PipelineTarget) else "graph"
        print(f"{kind} {graph.name} is sound: {summary_of(graph)}")
        for need in graph.lm_needs:
            print(f"  needs a language model: {need}")
        for question in graph.questions:
            print(f"  needs a store: {question}")


drawings.command("validate")(check)


@drawings.command("show")
def show_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Describe a graph in words: nodes, fields or state, where values come from, and what follows."""
    _draw(target, describe, output, traceback)


drawings.command("info")(show_command)


@drawings.command("mermaid")
def mermaid_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Draw a graph as a Mermaid flowchart."""
    _draw(target, lambda graph: graph.drawing.to_mermaid(), output, traceback)


@drawings.command("dot")
def dot_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Draw a graph in Graphviz's DOT language."""
    _draw(target, lambda graph: graph.drawing.to_dot(), output, traceback)


@drawings.command("svg")
def svg_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Draw a graph as an SVG document, without any other program."""
    _draw(target, lambda graph: graph.drawing.to_svg(), output, traceback)


def _draw(target: str, draw: Callable[[Runnable], str], output: Path | None, with_traceback: bool) -> None:
    with told(with_traceback=with_traceback):
        graph = load_target(target, with_checkpointer=False)
        text = draw(graph).rstrip("\n") + "\n"
        if output is None:
            # Bytes, because SVG says that it is UTF-8, whatever the terminal is.
            sys.stdout.flush()
            sys.stdout.buffer.write(text.encode())
            sys.stdout.flush()
            return
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UsageProblem(f"cannot write {output}: {error.strerror}") from None
