"""Running the program of a shell task: its environment, its output line by line, and the file that it returns by."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
from anyio.to_thread import run_sync

from dagflow.core.fitting import as_json
from dagflow.core.secrets import Secret
from dagflow.core.strict_json import read_json
from dagflow.errors import NodeError, ProcessError
from dagflow.kernel.process import run_process
from dagflow.pipeline.ports import TaskOutput

__all__ = ["INPUT", "OUTPUTS", "parse_outputs", "run_command"]

INPUT = "DAGFLOW_INPUT_"
"""What stands before the name of a parameter in the program's environment."""

OUTPUTS = "DAGFLOW_OUTPUTS"
"""Names the file that the program may return values by."""

LONGEST_INPUT = 64 * 1024
"""Bytes of a parameter in the environment; the kernel takes no more than twice as many."""

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of the file that a program returns values by."""

KEPT_ERROR = 16 * 1024
"""Bytes of standard error that are kept for an error's message; the rest is streamed and captured only."""


async def run_command(
    command: Sequence[str],
    *,
    task: str,
    inputs: Mapping[str, Any],
    inputs_named: bool,
    returns: Collection[str],
    secrets: Mapping[str, Secret],
    cwd: Path | None,
    environ: Mapping[str, str],
    output: TaskOutput,
) -> dict[str, Any] | None:
    """Run a program to its end, and give the values that it wrote to its file; `None` where none are wanted.

    `environ` is what its environment is made of. An input that cannot be put into it is left out, or an error where
    they were `inputs_named`. Raises `NodeError` for those, and for a file that cannot be read; `ProcessError` as
    `run_process` does. Cancelled, it ends the program with all that it started.
    """
    env = {**environ, **_inputs(task, inputs, named=inputs_named)}
    env.update((name, secret.reveal()) for name, secret in secrets.items())
    folder = Path(await run_sync(partial(tempfile.mkdtemp, prefix="dagflow-"))) if returns else None
    try:
        if folder is not None:
            env[OUTPUTS] = str(folder / "outputs")
        try:
            await run_process(
                command,
                env=env,
                cwd=cwd,
                on_stdout=partial(output.write, "stdout"),
                on_stderr=partial(output.write, "stderr"),
                max_output=KEPT_ERROR,
            )
        except ProcessError as error:
            told = f"task {task}: {error}"
            raise ProcessError(told, command=command, returncode=error.returncode, stderr=error.stderr) from error
        if folder is None:
            return None
        return parse_outputs(await run_sync(_read, folder / "outputs", task), task)
    finally:
        if folder is not None:
            with anyio.CancelScope(shield=True):
                await run_sync(partial(shutil.rmtree, folder, ignore_errors=True))


def _inputs(task: str, inputs: Mapping[str, Any], *, named: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in inputs.items():
        text = _text_of(value)
        if text is None:
            problem = f"is a {type(value).__name__}, which has no form as text or JSON"
        elif len(text.encode(errors="replace")) > LONGEST_INPUT:
            problem = f"has more than {LONGEST_INPUT} bytes; give it to the program as a file"
        elif "\0" in text:
            problem = "holds a NUL, which no environment can"
        else:
            found[INPUT + name] = text
            continue
        if named:
            raise NodeError(
                f"task {task}: parameter {name!r} cannot be put into the environment: it {problem}", node=task
            )
    return found


def _text_of(value: Any) -> str | None:
    try:
        data = as_json(value)
    except TypeError:
        return None
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)


def _read(path: Path, task: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        return ""
    if len(data) > LARGEST_FILE:
        raise NodeError(
            f"task {task} wrote more than {LARGEST_FILE} bytes to ${OUTPUTS}; keep files instead", node=task
        )
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise NodeError(f"task {task} wrote to ${OUTPUTS} what is no UTF-8 text: {error}", node=task) from error


def parse_outputs(text: str, task: str) -> dict[str, Any]:
    """Read what a program returns: a JSON object, or lines of the form `name=value`.

    A value in a line is JSON where it can be read as such, else it is text. Raises `NodeError` for anything else.
    """
    if text.lstrip().startswith("{"):
        try:
            found: dict[str, Any] = read_json(text)
        except ValueError as error:
            raise NodeError(f"task {task} wrote JSON to ${OUTPUTS} that cannot be read: {error}", node=task) from error
        return found
    values: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, equals, value = line.partition("=")
        if not line.strip():
            continue
        if not equals or not name.strip().isidentifier():
            raise NodeError(
                f"task {task}: line {number} of ${OUTPUTS} is {line[:100]!r}; write name=value, or one JSON object",
                node=task,
            )
        values[name.strip()] = _value_of(value)
    return values


def _value_of(text: str) -> Any:
    try:
        return read_json(text)
    except ValueError:
        return text
