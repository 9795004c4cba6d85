"""The commands of the command line, put together."""

from __future__ import annotations

import typer

from dagflow.cli.graphs import check, drawings
from dagflow.cli.lint import lint_command, schema_command
from dagflow.cli.run import run
from dagflow.cli.runs.commands import runs
from dagflow.cli.serve import serve_command

__all__ = ["app"]

app: typer.Typer = typer.Typer(
    help="Run, look at and serve graphs: typed ones and YAML files.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(run)
app.command()(check)
drawings.command("run")(run)
drawings.command("lint")(lint_command)
drawings.command("schema")(schema_command)
app.command("serve")(serve_command)
app.add_typer(drawings, name="graph")
app.add_typer(runs, name="runs")
