"""The commands of the command line, put together."""

from __future__ import annotations

import typer

from dagflow.cli.graphs import check, drawings
from dagflow.cli.run import run
from dagflow.cli.runs.commands import runs

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    help="Run and look at graphs of typed nodes.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(check)
app.add_typer(drawings, name="graph")
app.add_typer(runs, name="runs")
