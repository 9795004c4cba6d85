"""The parameters that a run begins with: from a file, from the environment and from the caller, checked all at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from dagflow.core.answers import InvalidAnswer
from dagflow.core.fitting import fit
from dagflow.core.shapes import UnsupportedType
from dagflow.core.strict_json import read_json
from dagflow.core.structure import nearest
from dagflow.errors import InvalidField
from dagflow.pipeline.binding import unfit
from dagflow.pipeline.compiled import CompiledPipeline
from dagflow.source.files import UnreadableFile
from dagflow.source.plain import read_plain

__all__ = ["PREFIX", "ParameterError", "beginning", "environment_parameters", "read_parameters"]

MAX_BYTES: Final = 64 * 1024 * 1024
"""How large a file of parameters may be."""

PREFIX = "DAGFLOW_PARAMETER_"
"""What stands before the name of a parameter in the environment."""


class ParameterError(ValueError):
    """Raised before a run for parameters that it cannot begin with; `invalid` has all that is wrong with them."""

    def __init__(self, invalid: Iterable[InvalidField], *, pipeline: str) -> None:
        self.invalid: tuple[InvalidField, ...] = tuple(invalid)
        super().__init__(f"the parameters do not fit pipeline {pipeline}: " + "; ".join(map(str, self.invalid)))


def read_parameters(path: str | os.PathLike[str], *, pipeline: str) -> dict[str, Any]:
    """Read a file of parameters: JSON where its name ends with `.json`, else YAML. Blocks.

    Raises `ParameterError`, and `SourceError` for what is no YAML.
    """

    def wrong(problem: str) -> ParameterError:
        return ParameterError([InvalidField(f"file {os.fspath(path)}", problem)], pipeline=pipeline)

    try:
        data = read_plain(path, MAX_BYTES)
    except UnreadableFile as error:
        raise wrong(f"it cannot be read: {error}") from error
    if isinstance(data, dict):
        return data
    if data is None:
        return {}
    raise wrong(f"it holds a {type(data).__name__}; write names with their values")


def environment_parameters(environ: Mapping[str, str]) -> dict[str, str]:
    """The texts that the environment gives for parameters, by name."""
    return {name[len(PREFIX) :]: text for name, text in environ.items() if name.startswith(PREFIX) and name != PREFIX}


def beginning(
    compiled: CompiledPipeline,
    given: Mapping[str, Any],
    *,
    from_file: Mapping[str, Any],
    from_environment: Mapping[str, str],
) -> dict[str, Any]:
    """Put together and check what a run begins with.

    Text from a file or the environment stays text where the first task that reads the parameter takes text; else it is
    read as JSON: `8` as a number, `true` as a boolean, `[1, 2]` as a list. A value stays what it is, and each task
    reads it as the type that it declares.

    Raises `ParameterError` with every parameter that is missing, that nothing reads, or that does not fit.
    """
    reads = {read.name: read for read in compiled.reads}
    hints = {name: read.hint for name, read in reads.items()}
    found = {name: _from_text(value, hints.get(name, Any), quoted=True) for name, value in from_file.items()}
    found |= {name: _from_text(text, hints.get(name, Any)) for name, text in from_environment.items()}
    found |= given
    problems: list[InvalidField] = []
    known = [*reads, *compiled.flow.gives]
    for name, value in found.items():
        if name not in known and not compiled.reads_all:
            near = nearest(name, known) or (f"; they read {', '.join(reads)}" if reads else "; they read none")
            problems.append(InvalidField(str(name), f"no step of the pipeline reads it{near}"))
        elif name in reads:
            try:
                fit(value, reads[name].hint)
            except (InvalidAnswer, UnsupportedType) as error:
                problems += unfit(name, value, reads[name].hint, error)
    problems += [
        InvalidField(name, f"it has no value; {_reader(compiled, name)} reads it, and no step before that returns it")
        for name, read in reads.items()
        if read.required and name not in found
    ]
    if problems:
        raise ParameterError(problems, pipeline=compiled.name)
    return found


def _reader(compiled: CompiledPipeline, name: str) -> str:
    """The first step that a parameter is for."""
    steps = (step.name for step in compiled.steps.values() if any(read.name == name for read in step.reads))
    step = next(steps, None)
    return "what stands in for a step" if step is None else f"step {step!r}"


def _from_text(value: Any, hint: Any, *, quoted: bool = False) -> Any:
    """Read what is text and is not wanted as text. What is `quoted` in a file is text where any type will do."""
    if not isinstance(value, str) or (quoted and hint is Any) or (hint is not Any and _fits(value, hint)):
        return value
    try:
        return read_json(value)
    except ValueError:
        return value


def _fits(value: Any, hint: Any) -> bool:
    try:
        fit(value, hint)
    except (InvalidAnswer, UnsupportedType):
        return False
    return True
