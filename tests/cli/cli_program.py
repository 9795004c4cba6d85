"""The command line for tests: as a program of its own, as users start it, or in this process, which is much faster."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import attrs
from typer.testing import CliRunner

from dagflow.cli.app import app

GRAPHS = Path(__file__).parent / "graphs"
PATIENCE = 30
"""Seconds after which a program is taken to hang."""


@attrs.frozen
class Done:
    """How a program ended, and what it wrote."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    @property
    def told(self) -> list[str]:
        """What is told after the timeline, or without one."""
        return self.stderr.rpartition("\n\n")[2].splitlines()


@attrs.frozen
class CommandLine:
    """`dagflow` in the folder of the graphs, with `store` in DAGFLOW_STORE where it is given."""

    store: str = ""
    variables: Mapping[str, str] = attrs.field(factory=dict)

    @contextmanager
    def started(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> Iterator["subprocess.Popen[str]"]:
        """Start a command; whatever is left of it at the end is killed."""
        program = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "dagflow", *arguments],
            cwd=GRAPHS,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **self._environment},
        )
        with program:
            try:
                yield program
            finally:
                program.kill()

    def __call__(self, *arguments: str, status: int = 0) -> Done:
        """Run a command in this process to its end, which has the `status`."""
        with chdir(GRAPHS), own_modules():
            result = CliRunner().invoke(app, list(arguments), env=self._environment, catch_exceptions=False)
        return checked(Done(result.exit_code, result.stdout, result.stderr), status)

    def process(self, *arguments: str, status: int = 0) -> Done:
        """Run a command as a program to its end, which has the `status`."""
        with self.started(*arguments) as program:
            return checked(finish(program), status)

    @property
    def _environment(self) -> dict[str, str]:
        store = {"DAGFLOW_STORE": self.store} if self.store else {}
        return {"COLUMNS": "100", **store, **self.variables}


@contextmanager
def own_modules() -> Iterator[None]:
    """Take the modules and folders of targets off again, which the command line puts on the path."""
    before, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - known:
        if name.startswith("cli_"):
            del sys.modules[name]


def checked(done: Done, status: int) -> Done:
    assert status == done.status, done.stderr
    assert "Traceback" not in done.stderr
    return done


def finish(program: "subprocess.Popen[str]") -> Done:
    stdout, stderr = program.communicate(timeout=PATIENCE)
    return Done(program.returncode, stdout, stderr)


def read_until(program: "subprocess.Popen[str]", wanted: str, *, times: int = 1) -> list[str]:
    """Read standard error until so many of its lines have had a text."""
    assert program.stderr is not None
    lines: list[str] = []
    while times:
        line = program.stderr.readline()
        assert line, f"{wanted} never came:\n{''.join(lines)}"
        lines.append(line.rstrip("\n"))
        times -= wanted in line
    return lines


def kill(program: "subprocess.Popen[str]") -> None:
    """End a program as a crash does."""
    program.send_signal(signal.SIGKILL)
    assert -signal.SIGKILL == program.wait(PATIENCE)
