"""The command line for tests: as a program of its own, as users start it, or in this process, which is much faster."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import IO, Any

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


class Output:
    """What a program writes to one of its streams, line by line as it comes; `None` where that goes elsewhere."""

    def __init__(self, stream: IO[str] | None) -> None:
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._ended = stream is None
        self._reader = threading.Thread(target=self._read, args=(stream,))
        self._reader.start()

    def _read(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            self._add(line)
        self._add(None)

    def _add(self, line: str | None) -> None:
        with self._news:
            self._ended = line is None
            self.lines += [] if line is None else [line]
            self._news.notify_all()

    def wait_for(self, wanted: str, *, times: int = 1) -> None:
        """Wait until so many lines have had a text."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._count(wanted) >= times, PATIENCE)
            assert self._count(wanted) >= times, f"{wanted} never came:\n{''.join(self.lines)}"

    def _count(self, wanted: str) -> int:
        return sum(wanted in line for line in self.lines)

    def text(self) -> str:
        """All of it, when the program has ended."""
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive()
        return "".join(self.lines)


class Program:
    """A command that runs."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self.stdout = Output(process.stdout)
        self.stderr = Output(process.stderr)

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash does."""
        self.send_signal(signal.SIGKILL)
        assert -signal.SIGKILL == self._process.wait(PATIENCE)

    def finish(self) -> Done:
        status = self._process.wait(PATIENCE)
        return Done(status, self.stdout.text(), self.stderr.text())


@attrs.frozen
class CommandLine:
    """`dagflow` in the folder of the graphs, with `store` in DAGFLOW_STORE where it is given."""

    store: str = ""
    variables: Mapping[str, str] = attrs.field(factory=dict)

    @contextmanager
    def started(
        self, *arguments: str, stdin: int = subprocess.DEVNULL, stdout: int = subprocess.PIPE
    ) -> Iterator[Program]:
        """Start a command; whatever is left of it at the end is killed."""
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "dagflow", *arguments],
            cwd=GRAPHS,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONIOENCODING": "utf-8"} | self._environment,
        )
        with process:
            program = Program(process)
            try:
                yield program
            finally:
                process.kill()
                program.finish()

    def __call__(self, *arguments: str, status: int = 0) -> Done:
        """Run a command in this process to its end, which has the `status`."""
        with chdir(GRAPHS), own_modules():
            result = CliRunner().invoke(app, list(arguments), env=self._environment, catch_exceptions=False)
        return checked(Done(result.exit_code, result.stdout, result.stderr), status)

    def process(self, *arguments: str, status: int = 0) -> Done:
        """Run a command as a program to its end, which has the `status`."""
        with self.started(*arguments) as program:
            return checked(program.finish(), status)

    @property
    def _environment(self) -> dict[str, str]:
        return {"COLUMNS": "100", "DAGFLOW_STORE": self.store, **self.variables}


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
