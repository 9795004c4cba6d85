"""The commands of `dagflow runs`, put together."""

from __future__ import annotations

import typer

from dagflow.cli.runs.keep import cancel_command, delete_command, fork_command, prune_command
from dagflow.cli.runs.listing import list_command
from dagflow.cli.runs.log import log_command
from dagflow.cli.runs.resume import resume
from dagflow.cli.runs.show import show_command
from dagflow.cli.runs.tail import tail_command

__all__ = ["runs"]

runs: typer.Typer = typer.Typer(
    help="Look at recorded runs, answer them, go on with them, and clear them away.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
runs.command("list")(list_command)
runs.command("show")(show_command)
runs.command("resume")(resume)
runs.command("retry", help="Go on with a run: the same as `resume`.")(resume)
runs.command("log")(log_command)
runs.command("tail")(tail_command)
runs.command("fork")(fork_command)
runs.command("cancel")(cancel_command)
runs.command("delete")(delete_command)
runs.command("prune")(prune_command)
