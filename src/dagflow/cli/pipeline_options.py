"""The options of the command line that only pipelines have."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import typer

from dagflow.capture import Capture
from dagflow.cli.problems import UsageProblem

__all__ = [
    "ConfigurationOption",
    "ParametersOption",
    "PipelineOptions",
    "PrintsOption",
    "RunFolderOption",
    "TagOption",
]

ParametersOption = Annotated[
    str | None, typer.Option(metavar="FILE", help="Of a pipeline: parameters, as YAML or JSON; -i and -v come first.")
]
ConfigurationOption = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Of a pipeline: executor, store, catalog and secrets, as YAML or JSON; --store comes first.",
    ),
]
RunFolderOption = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER", help="Of a pipeline: where run_log.json and the output of tasks are written as it runs."
    ),
]
PrintsOption = Annotated[
    bool,
    typer.Option("--capture-prints", help="Of a pipeline: what functions print is output of their tasks."),
]
TagOption = Annotated[str | None, typer.Option(metavar="TEXT", help="Of a pipeline: a word for its run log.")]


@attrs.frozen(kw_only=True)
class PipelineOptions:
    """What a command was given for a pipeline; `parameters` and `tag` are for runs that begin."""

    configuration: str | None = None
    parameters: str | None = None
    run_folder: str | None = None
    capture_prints: bool = False
    tag: str | None = None

    @property
    def repeated(self) -> list[str]:
        """Those that whoever goes on with the run gives again, as words of a command line."""
        words: list[str] = []
        for name, value in (("--configuration", self.configuration), ("--run-folder", self.run_folder)):
            words += [name, value] if value is not None else []
        return [*words, "--capture-prints"] if self.capture_prints else words

    def refuse(self) -> None:
        """Raise `UsageProblem` where any was given, for what is no pipeline."""
        for name, value in attrs.asdict(self).items():
            if value:
                option = f"--{name.replace('_', '-')}"
                raise UsageProblem(f"{option} is for pipelines; a graph says in itself what it needs")

    def to_begin(self) -> dict[str, Any]:
        """As `Pipeline.execute` takes them."""
        found = self.to_go_on()
        if self.parameters is not None:
            found["parameters_file"] = self.parameters
        return found if self.tag is None else {**found, "tag": self.tag}

    def to_go_on(self) -> dict[str, Any]:
        """As `Pipeline.retry` takes them."""
        found: dict[str, Any] = {}
        if self.configuration is not None:
            found["configuration_file"] = self.configuration
        if self.run_folder is not None:
            found["run_folder"] = self.run_folder
        if self.capture_prints:
            found["capture"] = Capture(prints=True)
        return found
