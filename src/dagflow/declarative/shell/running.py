"""Running a command that is ready, and reading what it wrote."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from dagflow.core.answers import InvalidAnswer, parse_json
from dagflow.declarative.shell.arguments import too_much
from dagflow.declarative.shell.command import ReadyCommand
from dagflow.errors import ProcessError
from dagflow.kernel.process import ProcessResult, brief, describe_exit, quoted, run_process, tail

__all__ = ["run_shell"]

INLINE: Final = 256 * 1024  # bytes of output that are read without a worker thread: at most a few milliseconds


async def run_shell(
    command: ReadyCommand,
    *,
    cwd: Path,
    environment: Mapping[str, str] | None = None,
    max_output: int = 16 * 1024 * 1024,
) -> Any:
    """Run a program in the folder `cwd`, without a shell, and return what it wrote to standard output.

    The program inherits `environment` (our own, by default) and gets the command's variables beside it. Its output is
    UTF-8. As `text` it is a string without the line end at its end, as `lines` the list of what stands between line
    ends (`\\n` alone), as `json` the one JSON value that it is as a whole.

    Raises `ProcessError` when the command is too long as a whole (nothing was started then), when the program cannot
    be started, ends with a status that is not among `success`, writes more than `max_output` bytes, or writes what
    cannot be read so.

    Cancellation ends the program with all that it started, as `kernel.process.run_process` says.
    """
    env = {**(os.environ if environment is None else environment), **command.env}
    if problem := too_much(command.arguments, env):
        raise ProcessError(f"{command.arguments[0]} is not started: {problem}", command=command.arguments)
    finished = await run_process(
        command.arguments, input=command.input, env=env, cwd=cwd, check=False, max_output=max_output
    )
    if finished.returncode not in command.success:
        raise failure(finished, describe_exit(finished.returncode))
    if len(finished.stdout) <= INLINE:
        return read_output(finished, command.parse)
    return await anyio.to_thread.run_sync(read_output, finished, command.parse)


def read_output(finished: ProcessResult, parse: str) -> Any:
    """Read the output of a program as `parse` says; raises `ProcessError` where it cannot be."""
    try:
        text = finished.stdout.decode()
    except UnicodeDecodeError as error:
        raise failure(
            finished,
            f"wrote to standard output what is no UTF-8 text, at byte {error.start + 1}; let it write text, or write "
            f"to a file and print its path",
        ) from error
    if parse == "json":
        return read_json(finished, text.removeprefix("\ufeff"))
    text = text.removesuffix("\n")
    if parse == "lines":
        return text.split("\n") if finished.stdout else []
    return text


def read_json(finished: ProcessResult, text: str) -> Any:
    if not text.strip():
        raise failure(finished, "wrote nothing to standard output, where one JSON value was expected")
    try:
        json.loads(text)  # all of it: `parse_json` would look for a value among other text
    except json.JSONDecodeError as error:
        line = text.split("\n")[error.lineno - 1]
        near = line[max(0, error.colno - 21) : error.colno + 20]
        raise failure(
            finished,
            f"wrote to standard output what is no JSON: {error.msg} (line {error.lineno}, column {error.colno}, "
            f"near {near!r})",
        ) from None
    except (ValueError, RecursionError):  # `parse_json` says why
        pass
    try:
        return parse_json(text)
    except InvalidAnswer as error:
        problems = "; ".join(item.problem for item in error.invalid).replace("the answer", "the output")
        raise failure(finished, f"wrote to standard output JSON that is refused: {problems}") from None


def failure(finished: ProcessResult, what: str) -> ProcessError:
    said = tail(bytearray(finished.stderr))
    return ProcessError(
        f"{brief(finished.command)} {what}{quoted(said)}",
        command=finished.command,
        returncode=finished.returncode,
        stderr=said,
    )
