"""`dagflow run` as users start it: real processes, signals and pipes."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

GRAPHS = Path(__file__).parent / "graphs"
PATIENCE = 30
"""Seconds after which a program is taken to hang."""

pytestmark = pytest.mark.slow
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@contextmanager
def started(*arguments: str, stderr: int = subprocess.PIPE) -> Iterator["subprocess.Popen[str]"]:
    """Start the command line; whatever is left of it at the end is killed."""
    program = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "dagflow", *arguments],
        cwd=GRAPHS,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"},
    )
    with program:
        try:
            yield program
        finally:
            program.kill()


def finish(program: "subprocess.Popen[str]") -> tuple[int, str, str]:
    stdout, stderr = program.communicate(timeout=PATIENCE)
    return program.returncode, stdout, stderr


def dagflow(*arguments: str) -> tuple[int, str, str]:
    with started(*arguments) as program:
        return finish(program)


def read_until(program: "subprocess.Popen[str]", *wanted: str) -> str:
    """Read standard error until it has had a line that begins with each of the texts."""
    assert program.stderr is not None
    text, missing = "", set(wanted)
    while missing:
        line = program.stderr.readline()
        assert line, f"{missing} never came:\n{text}"
        text += line
        missing -= {start for start in missing if line.startswith(start)}
    return text


def child_of(text: str) -> int:
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("child "))


def told(stderr: str) -> list[str]:
    """What is told after the timeline."""
    return stderr.rpartition("\n\n")[2].splitlines()


@on_both
def test_a_complete_run_gives_its_last_node_on_standard_output(backend: str) -> None:
    """The result alone is on standard output; progress and timeline are on standard error; the status is 0."""
    status, stdout, stderr = dagflow("run", "cli_plain", "-i", '{"name": "Ana"}', "--backend", backend)
    assert 0 == status, stderr
    assert {
        "name": "Ana",
        "token": "<str>",
        "greeting": "Hello, Reykjavík",
        "place": {"city": "Reykjavík", "seen": "2026-10-14"},
        "client": "<cli_plain.Client>",
    } == json.loads(stdout)
    assert "Begin#1: looking around (50%)\n" in stderr
    assert "Greet#1: greeting succeeded in " in stderr
    assert "● critical path" in stderr
    assert "s3cret" not in stdout + stderr


@on_both
def test_events_are_lines_of_json_in_order(backend: str) -> None:
    """With `--events jsonl`, every event is a line of JSON on standard output, numbered from 1 without a gap."""
    status, stdout, stderr = dagflow(
        "run", "cli_plain", "-i", '{"name": "Ana"}', "--backend", backend, "--events", "jsonl"
    )
    assert (0, "") == (status, stderr)
    events: list[dict[str, Any]] = [json.loads(line) for line in stdout.splitlines()]
    recorded = [event["seq"] for event in events if event["event"] != "Progress"]
    assert list(range(1, len(recorded) + 1)) == recorded
    assert ["RunStarted", "NodeStarted", "Progress"] == [event["event"] for event in events[:3]]
    assert "RunEnded" == events[-1]["event"]
    assert "complete" == events[-1]["outcome"]
    (greet,) = (event for event in events if event["event"] == "NodeSucceeded" and event["node"] == "Greet")
    assert "<cli_plain.Client>" == greet["value"]["client"]
    assert "s3cret" not in stdout


@on_both
def test_a_failed_run_tells_every_failure(backend: str) -> None:
    """A failed run leaves with status 1, no result and no traceback, and tells each failure with its place."""
    status, stdout, stderr = dagflow("run", "cli_failing:graph", "--backend", backend)
    assert (1, "") == (status, stdout)
    assert [
        "error: DepError: 2 dependencies failed:",
        "  - Fail.first (first): ValueError: the first reason",
        "  - Fail.second (second): KeyError: 'the second reason'",
        "completed before: Begin",
    ] == told(stderr)
    assert "Traceback" not in stderr


def test_tracebacks_are_shown_on_request() -> None:
    """With `--traceback`, the traceback of every failure is shown."""
    status, _, stderr = dagflow("run", "cli_failing:graph", "--traceback")
    assert 1 == status
    assert 'raise ValueError("the first reason")' in stderr
    assert 'raise KeyError("the second reason")' in stderr


def test_a_timeout_is_a_failed_run() -> None:
    """A run that passes its timeout leaves with status 1, and what ran then is named."""
    status, stdout, stderr = dagflow("run", "cli_waiting:graph", "--timeout", "0.2")
    assert (1, "") == (status, stdout)
    assert "error: RunTimeout: the run's timeout of 0.2 s passed while Wait#1 ran" in stderr
    assert "cleaned up\n" in stderr


@on_both
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_the_run_and_leaves_nothing(backend: str, number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM cancel: clean-up ends, no child is left, what was cancelled is told."""
    with started("run", "cli_waiting:graph", "--backend", backend) as program:
        before = read_until(program, "waiting", "child ")
        child = child_of(before)
        assert psutil.pid_exists(child)
        program.send_signal(number)
        status, stdout, after = finish(program)
    assert (128 + number, "") == (status, stdout)
    assert not psutil.pid_exists(child)
    assert "cleaned up\n" in after
    last = told(after)
    assert last[0].startswith(f"cancelled by {number.name}: ")
    assert {"forever of Wait#1", "child of Wait#1", "Wait#1"} == set(last[0].partition(": ")[2].split(", "))
    assert "completed before: Begin#1" == last[1]
    assert "Traceback" not in after


@on_both
def test_a_second_signal_leaves_at_once(backend: str) -> None:
    """Who presses Ctrl-C twice need not wait for a thread that nobody can stop."""
    with started("run", "cli_waiting:stuck", "--backend", backend) as program:
        read_until(program, "waiting")
        program.send_signal(signal.SIGINT)
        read_until(program, "SIGINT: cancelled; waiting for the clean-up")
        program.send_signal(signal.SIGINT)
        status, _, stderr = finish(program)
    assert 130 == status
    assert "left without waiting for the clean-up; processes of the run may be left\n" == stderr


@on_both
def test_a_reader_that_leaves_ends_the_run(backend: str) -> None:
    """A pipe that is closed early cancels the run, without a traceback, as SIGPIPE would."""
    with started("run", "cli_waiting:ticking", "--events", "jsonl", "--backend", backend) as program:
        assert program.stdout is not None
        assert "RunStarted" in program.stdout.readline()
        program.stdout.close()
        assert program.stderr is not None
        told_at_last = program.stderr.read()
        assert (141, "") == (program.wait(PATIENCE), told_at_last)


def test_a_drawing_can_be_piped_into_head() -> None:
    """A drawing whose reader leaves early ends quietly too."""
    command = f"{sys.executable} -m dagflow graph svg cli_plain | head -c 5; echo; echo ${{PIPESTATUS[0]}}"
    found = subprocess.run(["bash", "-c", command], cwd=GRAPHS, capture_output=True, text=True, timeout=PATIENCE)
    assert "<svg \n" == found.stdout[:6]
    assert "" == found.stderr


def test_a_full_disk_is_told() -> None:
    """Output that cannot be written is an error in one line."""
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "dagflow", "graph", "svg", "cli_plain"],
            cwd=GRAPHS,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
        )
    assert (1, "error: cannot write: No space left on device\n") == (found.returncode, found.stderr)


@on_both
def test_a_node_that_exits_decides_the_status(backend: str) -> None:
    """`SystemExit` is never wrapped: the program leaves with the status that a node asked for."""
    status, stdout, stderr = dagflow("run", "cli_failing:exiting", "--backend", backend)
    assert (7, "") == (status, stdout)
    assert "Traceback" not in stderr


def test_a_terminal_shows_a_tree_that_the_timeline_replaces() -> None:
    """On a terminal, progress is a tree with dependencies below their node; standard output is JSON alone."""
    ours, theirs = pty.openpty()
    with started("run", "cli_plain", "-i", '{"name": "Ana"}', stderr=theirs) as program:
        os.close(theirs)
        screen = read_terminal(ours)
        assert program.stdout is not None
        assert "Ana" == json.loads(program.stdout.read())["name"]
        assert 0 == program.wait(PATIENCE)
    assert "Begin#1" in screen
    assert "└── " in screen
    assert "● critical path" in screen
    assert "\x1b[?25h" in screen  # the cursor is back


def read_terminal(descriptor: int) -> str:
    """Read what is shown on a terminal, until nobody writes to it any more."""
    data = b""
    while True:
        try:
            more = os.read(descriptor, 65536)
        except OSError:  # Linux: the other side is closed
            break
        if not more:
            break
        data += more
    os.close(descriptor)
    return data.decode()


@pytest.mark.parametrize("library", ["typer", "rich"])
def test_missing_libraries_name_the_extra(library: Literal["typer", "rich"]) -> None:
    """Without its libraries, the command line says what to install."""
    status, stderr = run_python(
        f"import sys; sys.modules[{library!r}] = None", "from dagflow.cli.__main__ import main", "main()"
    )
    assert (1, f"the command line needs {library}: pip install 'dagflow[cli]'\n") == (status, stderr)


def test_import_dagflow_imports_nothing_of_the_command_line() -> None:
    """Typer and rich are imported by the command line only."""
    status, stderr = run_python("import dagflow, sys", "assert not {'typer', 'rich', 'dagflow.cli'} & set(sys.modules)")
    assert (0, "") == (status, stderr)


def run_python(*lines: str) -> tuple[int, str]:
    program: Sequence[str] = [sys.executable, "-c", "\n".join(lines)]
    found = subprocess.run(program, capture_output=True, text=True, timeout=PATIENCE)
    return found.returncode, found.stderr
