"""`dagflow runs tail`: one process runs, another follows it, on a real file."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.cli_program import PATIENCE, CommandLine

pytestmark = pytest.mark.slow
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The file that lets a slow run end."""
    return tmp_path / "gate"


@pytest.fixture
def dagflow(tmp_path: Path) -> CommandLine:
    return CommandLine(str(tmp_path / "runs.db"))


def slow(gate: Path, *more: str) -> tuple[str, ...]:
    return ("run", "cli_orders:slow", "--thread", "t", "-i", json.dumps({"gate": str(gate)}), *more)


def lines_of_events(stderr: str) -> list[str]:
    return re.findall(r"^ +\d+\.\d{3} s  .*$", stderr, re.MULTILINE)


@on_both
def test_a_run_is_followed_from_its_first_event_to_its_last(backend: str, dagflow: CommandLine, gate: Path) -> None:
    """Begun in the midst of a run, `tail` shows what `run` shows, line by line, and ends with it, and its result."""
    with dagflow.started(*slow(gate, "--backend", backend)) as running:
        running.stderr.wait_for("Slow#5 started")
        with dagflow.started("runs", "tail", "t") as following:
            following.stderr.wait_for("Slow#9 started")
            gate.touch()
            ran, tailed = running.finish(), following.finish()
    assert (0, 0) == (ran.status, tailed.status), tailed.stderr
    assert lines_of_events(ran.stderr) == lines_of_events(tailed.stderr)
    assert ran.json == tailed.json
    assert ran.stderr.partition("\n\n")[2] == tailed.stderr.partition("\n\n")[2], "the timelines differ"


@on_both
def test_events_come_once_each(backend: str, dagflow: CommandLine, gate: Path) -> None:
    """With `--events jsonl` and `--after`, each event whose number is above that comes once, up to the last."""
    with dagflow.started(*slow(gate, "--backend", backend)) as running:
        running.stderr.wait_for("Slow#5 started")
        with dagflow.started("runs", "tail", "t", "--events", "jsonl", "--after", "4") as following:
            following.stdout.wait_for("NodeSucceeded", times=20)
            gate.touch()
            assert 0 == running.finish().status
            done = following.finish()
    assert (0, "") == (done.status, done.stderr)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    records = dagflow("runs", "show", "t", "--json").json["records"]
    assert list(range(5, records + 1)) == [event["seq"] for event in events]
    assert ("RunEnded", "complete") == (events[-1]["event"], events[-1]["outcome"])


def test_a_run_that_is_killed_ends_what_follows_it(dagflow: CommandLine, gate: Path) -> None:
    """Where the process that runs dies, `tail` ends, says so and how to go on, with status 1."""
    with dagflow.started(*slow(gate)) as running:
        running.stderr.wait_for("Slow#5 started")
        with dagflow.started("runs", "tail", "t") as following:
            following.stderr.wait_for("Slow#5 started")
            running.kill()
            done = following.finish()
    assert 1 == done.status
    assert "error: nobody works on the run any more, and it has not ended: its process died" == done.told[0]
    assert done.told[1].startswith("what completed is recorded; go on with: dagflow runs resume TARGET t --store ")
    gate.touch()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_following_and_not_the_run(number: signal.Signals, dagflow: CommandLine, gate: Path) -> None:
    """Ctrl-C and SIGTERM leave `tail` with their status; the run goes on to its end."""
    with dagflow.started(*slow(gate)) as running:
        running.stderr.wait_for("Slow#3 started")
        with dagflow.started("runs", "tail", "t") as following:
            following.stderr.wait_for("Slow#3 started")
            following.send_signal(number)
            done = following.finish()
        assert 128 + number == done.status
        assert done.stderr.endswith(f"{number.name}: followed no further; the run is left alone\n")
        assert running.is_running
        gate.touch()
        assert 0 == running.finish().status


def test_a_reader_that_leaves_ends_following(dagflow: CommandLine, gate: Path) -> None:
    """A pipe that is closed early ends `tail` as SIGPIPE would, and leaves the run alone."""
    with dagflow.started(*slow(gate)) as running:
        running.stderr.wait_for("Slow#3 started")
        ours, theirs = os.pipe()
        with dagflow.started("runs", "tail", "t", "--events", "jsonl", stdout=theirs) as following:
            os.close(theirs)
            assert b"{" == os.read(ours, 1)
            os.close(ours)
            done = following.finish()
        assert (141, "") == (done.status, done.stderr)
        assert running.is_running
        gate.touch()
        assert 0 == running.finish().status


def test_ends_are_told_as_run_tells_them(dagflow: CommandLine) -> None:
    """A run that asked ends `tail` with 3 and the question, one that failed with 1 and its error."""
    asked = dagflow("run", "cli_orders:orders", "--thread", "asks", status=3)
    tailed = dagflow("runs", "tail", "asks", status=3)
    assert asked.told[:2] == tailed.told[:2]
    assert asked.told[2].replace("cli_orders:orders", "TARGET") == tailed.told[2]
    failed = dagflow("run", "cli_orders:mending", "--thread", "fails", status=1)
    tailed = dagflow("runs", "tail", "fails", status=1)
    assert failed.told[0] == tailed.told[0]
    wrong = dagflow("runs", "tail", "fails", "--after", "99", status=2)
    assert re.fullmatch(r"error: --after 99: thread fails has the events 1 to \d+\n", wrong.stderr)


def test_several_runs_of_a_thread_are_followed_in_order(dagflow: CommandLine) -> None:
    """A thread's runs come one after the other, and how the newest ended counts."""
    dagflow("run", "cli_orders:mending", "--thread", "t", status=1)
    mended = CommandLine(dagflow.store, {"CLI_MENDED": "1"})
    mended("run", "cli_orders:mending", "--thread", "t")
    mended("runs", "resume", "cli_orders:mending", "t")
    tailed = dagflow("runs", "tail", "t")
    assert 2 == len(re.findall(" s  Mend#1 started", tailed.stderr))
    assert 1 == len(re.findall("Broken#1 failed", tailed.stderr))
    assert 1 == len(re.findall("Broken#1 succeeded", tailed.stderr))
    data = dagflow("runs", "show", "t", "--json").json
    assert ["failed", "complete"] == [run["outcome"] for run in data["runs"]]
    assert "Broken#1 failed" not in dagflow("runs", "show", "t").stdout


def test_a_terminal_shows_a_tree_there_too(dagflow: CommandLine, gate: Path) -> None:
    """On a terminal, `tail` draws the tree of `run`, with what waits for an answer marked, and puts it away."""
    dagflow("run", "cli_orders:orders", "--thread", "t", status=3)
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "dagflow", "runs", "tail", "t", "--store", dagflow.store],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    screen = b""
    try:
        while True:
            try:
                screen += os.read(ours, 65536)
            except OSError:  # the other side is closed
                break
        assert 3 == program.wait(PATIENCE)
    finally:
        program.kill()
        program.wait()
        os.close(ours)
    text = screen.decode()
    assert "? Shipment#1" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "thread t waits for an answer:" in text
    assert "\x1b[?25h" in text  # the cursor is back
