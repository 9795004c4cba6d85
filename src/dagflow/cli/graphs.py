"""`dagflow check` and `dagflow graph ...`: look at a graph without running it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from dagflow.cli.language_models import needs_of
from dagflow.cli.options import TargetArgument, TracebackOption
from dagflow.cli.problems import UsageProblem, told
from dagflow.cli.runs.questions import gates_of
from dagflow.cli.targets import load_graph
from dagflow.core.hints import show as show_type
from dagflow.core.inputs import Input, inputs, routes
from dagflow.core.markers import Dep, Gate
from dagflow.errors import name_of
from dagflow.graph.graph import Graph

__all__ = ["check", "drawings"]

drawings: typer.Typer = typer.Typer(help="Show or draw a graph.", no_args_is_help=True, rich_markup_mode=None)
OutputOption = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of standard output.")
]


def check(target: TargetArgument, traceback: TracebackOption = False) -> None:
    """Build a graph and tell everything that is wrong with it; the exit status is 1 where anything is."""
    with told(with_traceback=traceback):
        graph, _ = load_graph(target)
        print(f"graph {graph.name} is sound: {_summary(graph)}")
        for need in needs_of(graph):
            print(f"  needs a language model: {need}")
        for gate in gates_of(graph):
            print(f"  needs a store: {gate}")


@drawings.command("show")
def show_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Describe a graph in words: nodes, fields, where their values come from, and what follows."""
    _draw(target, _describe, output, traceback)


@drawings.command("mermaid")
def mermaid_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Draw a graph as a Mermaid flowchart."""
    _draw(target, Graph.to_mermaid, output, traceback)


@drawings.command("dot")
def dot_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Draw a graph in Graphviz's DOT language."""
    _draw(target, Graph.to_dot, output, traceback)


@drawings.command("svg")
def svg_command(target: TargetArgument, output: OutputOption = None, traceback: TracebackOption = False) -> None:
    """Draw a graph as an SVG document, without any other program."""
    _draw(target, Graph.to_svg, output, traceback)


def _draw(target: str, draw: Callable[[Graph], str], output: Path | None, with_traceback: bool) -> None:
    with told(with_traceback=with_traceback):
        graph, _ = load_graph(target)
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


def _describe(graph: Graph) -> str:
    lines = [f"graph {graph.name}: {_summary(graph)}"]
    for node in graph.nodes:
        targets = " | ".join("None" if target is None else target.__name__ for target in routes(node))
        lines += ["", f"{node.__name__} -> {targets}"]
        lines += [
            f"    {item.name}: {show_type(item.type)}   {_origin(item, node is graph.start)}" for item in inputs(node)
        ]
    needs = [
        f"    {edge.target} reads {edge.source}"
        for edge in graph.shape().edges
        if edge.kind == "dependency" and edge.target not in {node.__name__ for node in graph.nodes}
    ]
    return "\n".join([*lines, *(["", "dependencies of dependencies", *needs] if needs else [])])


def _origin(item: Input, at_start: bool) -> str:
    if isinstance(item.marker, Dep):
        return f"from {name_of(item.marker.fn)}"
    if isinstance(item.marker, Gate):
        return f"asked of a person: {item.marker.question}"
    if item.kind == "recall":
        return "recalled from an earlier node"
    return "given by the caller" if at_start else "given by the body before, or filled by the language model"


def _summary(graph: Graph) -> str:
    dependencies = sum(node.kind == "dependency" for node in graph.shape().nodes)
    terminal = ", ".join(node.__name__ for node in graph.terminal_nodes)
    return (
        f"{_count(len(graph.nodes), 'node')}, {_count(len(graph.edges), 'route')}, "
        f"{_count(dependencies, 'dependency', 'dependencies')}; ends with {terminal}"
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
