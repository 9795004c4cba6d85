"""`dagflow graph lint` and `dagflow graph schema`: what editors and CI want to know of YAML graphs."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from dagflow.cli.options import TracebackOption
from dagflow.cli.problems import FAILED, UsageProblem, told
from dagflow.cli.targets import YAML_SUFFIXES, put_on_path

__all__ = ["lint_command", "schema_command"]


class FailOn(enum.StrEnum):
    """The least level of a finding that makes the exit status 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Kind(enum.StrEnum):
    """The kind of file that a schema is for."""

    GRAPH = "graph"
    PROMPT = "prompt"


def lint_command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML graphs.")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Write a JSON list, one object a file, for machines.")
    ] = False,
    ignore: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Leave a rule out; DF2 is all of a group.")
    ] = None,
    fail_on: Annotated[FailOn, typer.Option(help="The least level that makes the exit status 1.")] = FailOn.ERROR,
    traceback: TracebackOption = False,
) -> None:
    """Look for what is wrong with YAML graphs, and for what will surprise: each with a code and its place.

    The exit status is 1 where there is a finding of the level `--fail-on`, else 0.
    """
    from dagflow.declarative.lint import lint_file  # its rules take longer to load than most commands

    with told(with_traceback=traceback):
        put_on_path(Path.cwd())
        reports = []
        for path in files:
            if not path.name.endswith(YAML_SUFFIXES):
                raise UsageProblem(f"{path} is no YAML file; the linter reads file.yaml")
            put_on_path(path.resolve().parent)
            try:
                reports.append(lint_file(path, ignore=ignore or ()))
            except ValueError as error:
                raise UsageProblem(str(error)) from None
        if as_json:
            print(json.dumps([report.to_dict() for report in reports], indent=2))
        else:
            print("\n".join(report.text() for report in reports))
        failed = any(report.exit_status(fail_on.value) for report in reports)
    raise typer.Exit(FAILED if failed else 0)


def schema_command(
    kind: Annotated[Kind, typer.Argument(help="Which files the schema is for.")] = Kind.GRAPH,
) -> None:
    """Write the JSON Schema of graph or prompt files, for editors."""
    from dagflow.declarative.editor_schema import graph_schema, prompt_schema

    schema = graph_schema() if kind is Kind.GRAPH else prompt_schema()
    print(json.dumps(schema, indent=2))
