"""`dagflow run --store` and `dagflow runs ...`: real files, signals and terminals, each command as a program."""

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.cli_program import GRAPHS, PATIENCE, CommandLine

pytestmark = pytest.mark.slow
on_both = pytest.mark.parametrize("backend", ["asyncio", "trio"])

ORDERS = "cli_orders:orders"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "runs.db")


@pytest.fixture
def dagflow(store: str) -> CommandLine:
    """The command line, with its store in the environment."""
    return CommandLine(store)


@on_both
def test_a_run_that_asks_is_answered_in_another_process(backend: str, store: str) -> None:
    """Status 3 with the question and the command that answers it; that command, run as it is told, completes it."""
    dagflow = CommandLine()
    asked = dagflow.process("run", ORDERS, "--store", store, "--thread", "t 1", "--backend", backend, status=3)
    assert "" == asked.stdout
    assert f"thread t 1 in {store}\n" in asked.stderr
    assert "Shipment#1 asks Shipment#1.size: Which size?\n" in asked.stderr
    assert ["thread t 1 waits for an answer:", "  Shipment#1.size (str): Which size?"] == asked.told[:2]
    command = shlex.split(asked.told[2].replace('"..."', '"L"'))
    assert ["dagflow", "runs", "resume", ORDERS, "t 1", "--store", store] == command[:7]
    answered = dagflow.process(*command[1:])
    assert {"text": "hat L for 20"} == answered.json
    assert "Shipment#1.size was answered\n" in answered.stderr
    assert "0.000 s  resumed\n" in answered.stderr
    assert "Shipment called\n" in answered.stderr
    assert not re.search("(Order|price) called", answered.stderr), "what is recorded was run again"
    again = dagflow("runs", "resume", ORDERS, "t 1", "--store", store)
    assert {"text": "hat L for 20"} == again.json
    assert ["the run was complete already: nothing ran"] == again.told


def test_a_thread_without_a_name_is_told(dagflow: CommandLine) -> None:
    """A run that is given no name gets one, which is told on standard error, and is in the store."""
    told = dagflow("run", ORDERS, status=3).stderr
    (name,) = re.findall(r"^thread (\w+) in ", told, re.MULTILINE)
    assert [name] == [thread["thread_id"] for thread in dagflow("runs", "list", "--json").json]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_every_durability_records_the_run(durability: str, dagflow: CommandLine) -> None:
    """Whenever it is written, a run that has ended is in the store."""
    dagflow("run", ORDERS, "--thread", "t", "--durability", durability, status=3)
    assert "interrupted" == dagflow("runs", "show", "t", "--json").json["status"]


def test_events_for_machines_and_questions_for_people(dagflow: CommandLine) -> None:
    """With `--events jsonl`, the questions are told on standard error, and each event once on standard output."""
    first = dagflow("run", ORDERS, "--thread", "t", "--events", "jsonl", status=3)
    second = dagflow("runs", "resume", ORDERS, "t", "--answer", "L", "--events", "jsonl")
    events = [json.loads(line) for line in (first.stdout + second.stdout).splitlines()]
    assert list(range(1, len(events) + 1)) == [event["seq"] for event in events]
    assert (
        "Which size?"
        == next(event for event in events if event["event"] == "NodeInterrupted")["interrupts"][0]["question"]
    )
    assert "thread t waits for an answer:" in first.stderr.splitlines()
    assert ['Shipment#1.size: "L" is taken as a string', "Shipment called"] == second.stderr.splitlines()


def test_what_a_run_was_given_is_in_the_command_that_goes_on(dagflow: CommandLine) -> None:
    """The language model and the event loop of a run are part of the command that goes on with it, and it works."""
    asked = dagflow("run", "cli_orders:asking", "--lm", "scripted", "--backend", "trio", "--thread", "t", status=3)
    command = shlex.split(asked.told[2])
    assert ["--lm", "scripted", "--backend", "trio"] == command[7:11]
    assert {"text": "scripted"} == dagflow(*command[1:]).json


@on_both
def test_several_questions_are_answered_by_a_file_and_by_options(
    backend: str, dagflow: CommandLine, tmp_path: Path
) -> None:
    """Answers come from a file and from options at once; questions without one stay open, and are told again."""
    asked = dagflow("run", "cli_orders:deliveries", "--thread", "t", status=3)
    assert "thread t waits for 3 answers:" == asked.told[0]
    samples = [shlex.split(line)[-1] for line in asked.told if "--answer" in line]
    assert [
        'Delivery#1.speed="fast"',
        'Delivery#1.to={"street": "...", "number": 0}',
        "Delivery#1.parcels=0",
    ] == samples
    file = tmp_path / "answers.json"
    file.write_text('{"Delivery#1.to": {"street": "Main St", "number": 1}}')
    resume = ("runs", "resume", "cli_orders:deliveries", "t", "--backend", backend)
    left = dagflow(*resume, "--answers", f"@{file}", "--answer", "Delivery#1.speed=slow", status=3)
    assert ["thread t waits for an answer:", "  Delivery#1.parcels (int): How many?"] == left.told[:2]
    done = dagflow(*resume, "--answer", "3")
    assert {"speed": "slow", "to": {"street": "Main St", "number": 1}, "parcels": 3} == done.json


def test_an_answer_that_does_not_fit_changes_nothing(dagflow: CommandLine) -> None:
    """An answer of the wrong type is a usage error that says what is wanted; the question stays as open as before."""
    dagflow("run", "cli_orders:deliveries", "--thread", "t", status=3)
    before = dagflow("runs", "show", "t", "--json").json
    resume = ("runs", "resume", "cli_orders:deliveries", "t")
    told = dagflow(*resume, "--answer", 'Delivery#1.to={"street": 7}', status=2).stderr
    assert "Delivery#1.to.street: expected string, got integer 7" in told
    assert "Delivery#1.to.number: missing" in told
    told = dagflow(*resume, "--answer", "Delivery#1.parcels=three", status=2).stderr
    assert "error: --answer Delivery#1.parcels:1:1: Expecting value\n    three\n    ^\n" in told
    assert "Delivery#1.parcels asks for JSON that is a int" in told
    assert before == dagflow("runs", "show", "t", "--json").json


def test_a_person_at_the_terminal_is_asked(dagflow: CommandLine) -> None:
    """With a terminal for input and no answers, open questions are asked there, again where an answer does not fit."""
    dagflow("run", "cli_orders:deliveries", "--thread", "t", status=3)
    ours, theirs = pty.openpty()
    with dagflow.started("runs", "resume", "cli_orders:deliveries", "t", stdin=theirs) as program:
        os.close(theirs)
        os.write(ours, b'medium\n{"street": "A", "number": 1}\nmany\n4\nslow\n')
        done = program.finish()
    os.close(ours)
    assert 0 == done.status, done.stderr
    assert {"speed": "slow", "to": {"street": "A", "number": 1}, "parcels": 4} == done.json
    assert 'Delivery#1.speed (Speed): How fast?\n  one of "fast", "slow"\n' in done.stderr
    assert "Expecting value" in done.stderr
    assert "Delivery#1.speed: " in done.stderr
    assert 2 == done.stderr.count("How fast?")
    assert 1 == done.stderr.count("Where to?")


def test_a_person_may_leave_a_question_open(dagflow: CommandLine) -> None:
    """Nothing typed leaves a question open: status 3, as if it had not been asked."""
    dagflow("run", ORDERS, "--thread", "t", status=3)
    ours, theirs = pty.openpty()
    with dagflow.started("runs", "resume", ORDERS, "t", stdin=theirs) as program:
        os.close(theirs)
        os.write(ours, b"\n")
        done = program.finish()
    os.close(ours)
    assert 3 == done.status
    assert "thread t waits for an answer:" in done.stderr


def test_ctrl_c_at_a_question_leaves(dagflow: CommandLine) -> None:
    """Ctrl-C while a question is asked leaves with 130, and changes nothing."""
    dagflow("run", ORDERS, "--thread", "t", status=3)
    ours, theirs = pty.openpty()
    with dagflow.started("runs", "resume", ORDERS, "t", stdin=theirs) as program:
        os.close(theirs)
        program.stderr.wait_for("Which size?")
        program.send_signal(signal.SIGINT)
        done = program.finish()
    os.close(ours)
    assert 130 == done.status
    assert "Traceback" not in done.stderr
    assert "interrupted" == dagflow("runs", "show", "t", "--json").json["status"]


@on_both
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_a_signal_ended_can_be_resumed(
    backend: str, number: signal.Signals, dagflow: CommandLine, tmp_path: Path
) -> None:
    """A signal ends a recorded run with how to go on with it, and that goes on where it was."""
    gate = tmp_path / "gate"
    given = json.dumps({"gate": str(gate)})
    with dagflow.started("run", "cli_orders:slow", "--thread", "t", "-i", given, "--backend", backend) as program:
        program.stderr.wait_for("Slow#3 started")
        program.send_signal(number)
        done = program.finish()
    assert 128 + number == done.status
    command = f"dagflow runs resume cli_orders:slow t --store {dagflow.store}"
    command += " --backend trio" if backend == "trio" else ""
    assert f"what completed is recorded; go on with: {command}" == done.told[-1]
    assert "cancelled" == dagflow("runs", "list", "--json").json[0]["status"]
    gate.touch()
    resumed = dagflow(*shlex.split(command)[1:])
    assert "Slow#1 started" not in resumed.stderr
    assert resumed.json["turn"] >= 2


def test_a_failed_run_is_mended_and_resumed(dagflow: CommandLine) -> None:
    """A failed run tells how to go on; after the mending what completed is not run again."""
    failed = dagflow("run", "cli_orders:mending", "--thread", "t", status=1)
    assert "error: NodeError: node Broken#1 failed: ValueError: not mended yet" == failed.told[0]
    assert (
        f"what completed is recorded; go on with: dagflow runs resume cli_orders:mending t --store {dagflow.store}"
        == failed.told[-1]
    )
    mended = CommandLine(dagflow.store, {"CLI_MENDED": "1"})
    assert "Mend called" not in mended("runs", "resume", "cli_orders:mending", "t").stderr


def test_a_graph_that_changed_is_told_and_can_be_accepted(dagflow: CommandLine, tmp_path: Path) -> None:
    """A changed graph is an error that says what changed and names the option, which goes on."""
    text = (GRAPHS / "cli_orders.py").read_text()
    changed = tmp_path / "cli_orders_changed.py"
    changed.write_text(text.replace("class Sent(Node):\n    text: str", "class Sent(Node):\n    text: str | int"))
    dagflow("run", ORDERS, "--thread", "t", status=3)
    resume = ("runs", "resume", f"{changed}:orders", "t", "--answer", "L")
    told = dagflow(*resume, status=1).stderr
    assert "node Sent has text: str | int = plain where it had text: str = plain" in told
    assert "or give --accept-changes if what was recorded still means the same" in told
    assert {"text": "hat L for 20"} == dagflow(*resume, "--accept-changes").json


@on_both
def test_a_thread_is_one_runs_at_a_time(backend: str, dagflow: CommandLine, tmp_path: Path) -> None:
    """Whoever comes second is told at once or after `--wait`, deletes nothing, and may cancel the first."""
    given = json.dumps({"gate": str(tmp_path / "gate")})
    with dagflow.started("run", "cli_orders:slow", "--thread", "t", "-i", given) as program:
        program.stderr.wait_for("Slow#2 started")
        told = dagflow("run", "cli_orders:slow", "--thread", "t", "-i", given, "--backend", backend, status=1).stderr
        assert "error: RunLocked: another run works on thread 't'" in told
        waiting = dagflow("runs", "resume", "cli_orders:slow", "t", "--wait", "0.1", "--backend", backend, status=1)
        assert "error: RunLocked: another run works on thread 't'" in waiting.stderr
        assert "another run works on thread 't'" in dagflow("runs", "delete", "t", "--yes", status=1).stderr
        for dry in ("--dry-run",), ():
            assert "" == dagflow("runs", "prune", "--older-than", "0s", "--status", "stopped", *dry).stdout
        (thread,) = dagflow("runs", "list", "--json", "--status", "running").json
        assert ("running", True) == (thread["status"], thread["leased"])
        assert "asked the run of thread t to cancel\n" == dagflow.process("runs", "cancel", "t").stderr
        done = program.finish()
    assert 1 == done.status
    assert "error: RunCancelled: the run was cancelled through its store (thread t)" in done.stderr
    assert "go on with: dagflow runs resume cli_orders:slow t" in done.told[-1]
    assert "nobody works on thread t\n" == dagflow("runs", "cancel", "t", status=1).stderr


def test_a_run_that_was_killed_is_told_as_stopped(dagflow: CommandLine, tmp_path: Path) -> None:
    """A run whose process died is `stopped`: listed so, picked so, shown so, and pruned only where that is wanted."""
    given = json.dumps({"gate": str(tmp_path / "gate")})
    with dagflow.started("run", "cli_orders:slow", "--thread", "dead", "-i", given) as program:
        program.stderr.wait_for("Slow#2 started")
        program.kill()
    dagflow("run", ORDERS, "--thread", "asks", status=3)
    listed = dagflow.process("runs", "list").stdout.splitlines()
    assert ["THREAD", "GRAPH", "STATUS", "CREATED", "UPDATED", "RECORDS"] == listed[0].split()
    assert [["asks", "Order", "interrupted"], ["dead", "Slow", "stopped"]] == [line.split()[:3] for line in listed[1:]]
    for status, names in {"running": [], "stopped": ["dead"], "interrupted": ["asks"], "failed": []}.items():
        found = dagflow("runs", "list", "--status", status, "--json").json
        assert names == [thread["thread_id"] for thread in found], status
    both = dagflow("runs", "list", "--status", "stopped", "--status", "interrupted", "--json").json
    assert ["asks", "dead"] == [thread["thread_id"] for thread in both]
    assert "thread dead: Slow, stopped\n" in dagflow("runs", "show", "dead").stdout
    assert "not ended" in dagflow("runs", "show", "dead").stdout
    assert "" == dagflow("runs", "prune", "--older-than", "0s").stdout
    assert "dead\n" == dagflow("runs", "prune", "--older-than", "0s", "--status", "stopped").stdout
    (tmp_path / "gate").touch()


def test_pages_lead_on_without_a_gap(dagflow: CommandLine) -> None:
    """Each page tells the command of the next; together they have every thread once, as `--all` has."""
    for name in "abcde":
        dagflow("runs", "fork", "first", "--to", name) if name != "a" else dagflow(
            "run", ORDERS, "--thread", "first", status=3
        )
    names: list[str] = []
    arguments = ["runs", "list", "--limit", "2", "--status", "interrupted"]
    while arguments:
        page = dagflow(*arguments)
        rows = page.stdout.splitlines()[1:]
        assert len(rows) <= 2
        names += [row.split()[0] for row in rows]
        found = re.search(r"go on with: dagflow (.*)", page.stderr)
        arguments = shlex.split(found[1]) if found else []
    assert ["e", "d", "c", "b", "first"] == names
    assert names == [thread["thread_id"] for thread in dagflow("runs", "list", "--all", "--json").json]


def test_a_thread_is_shown_as_it_is_and_as_it_was(dagflow: CommandLine) -> None:
    """`show` has runs, steps, fields, questions and the timeline; `--at`, how that was at an event."""
    dagflow("run", ORDERS, "--thread", "t", "-i", json.dumps({"item": "x" * 2000}), status=3)
    dagflow("runs", "resume", ORDERS, "t", "--answer", "L")
    now = dagflow.process("runs", "show", "t").stdout
    assert re.search(r"^thread t: Order, complete$", now, re.MULTILINE)
    assert "resumed once" in now
    assert re.search(r"^ +7  NodeInterrupted   Shipment#1$", now, re.MULTILINE)
    assert '\nShipment#1\n    item: "xxxxxx' in now
    assert '\n    price: 20\n    size: "L"\n' in now
    assert max(map(len, now.splitlines())) <= 120
    assert "● critical path" in now
    assert "waits for" not in now
    was = dagflow("runs", "show", "t", "--at", "7").stdout
    assert "as it was at event 7\n" in was
    assert "thread t waits for an answer:\n" in was
    assert "dagflow runs resume TARGET t --store" in was
    assert '    size: "L"' not in was
    data = dagflow("runs", "show", "t", "--at", "7", "--json").json
    assert (7, "t", ["Order#1"]) == (data["at"], data["thread_id"], [node["activation"] for node in data["nodes"]])
    assert [{"item": "x" * 2000}] == [node["value"] for node in data["nodes"]]
    assert ["Shipment#1.size"] == [asked["id"] for asked in data["interrupts"]]
    assert (
        "error: --at 99: thread t has the events 1 to 15\n"
        == dagflow("runs", "show", "t", "--at", "99", status=2).stderr
    )


def test_waits_are_left_out_of_the_timeline(dagflow: CommandLine) -> None:
    """The time between an interruption and its answer is in no timeline: neither that of `resume` nor of `show`."""
    dagflow("run", ORDERS, "--thread", "t", status=3)
    time.sleep(1.5)
    resumed = dagflow("runs", "resume", ORDERS, "t", "--answer", "L")
    data = dagflow("runs", "show", "t", "--json").json
    (run,) = data["runs"]
    most = run["ended"] - run["began"] - 1.4
    assert most > 0
    assert run["worked"] < most
    assert data["timeline"]["duration"] < most
    assert drawn_duration(resumed.stderr) < most
    assert drawn_duration(dagflow("runs", "show", "t").stdout) < most


def drawn_duration(text: str) -> float:
    """The seconds that a timeline covers, as its ruler says."""
    (number, unit) = re.findall(r" 0 ─+ ([\d.]+) (ms|s)$", text, re.MULTILINE)[0]
    return float(number) / (1000 if unit == "ms" else 1)


def test_a_fork_goes_its_own_way(dagflow: CommandLine) -> None:
    """A fork begins at an event under a new name, and is answered otherwise; the first thread stays as it is."""
    dagflow("run", ORDERS, "--thread", "t", status=3)
    dagflow("runs", "resume", ORDERS, "t", "--answer", "L")
    before = dagflow("runs", "show", "t", "--json").json
    forked = dagflow.process("runs", "fork", "t", "--at", "8")
    name = forked.stdout.strip()
    assert name.startswith("t-")
    assert f"go on with: dagflow runs resume TARGET {name} --store {dagflow.store}\n" == forked.stderr
    assert {"text": "hat S for 20"} == dagflow("runs", "resume", ORDERS, name, "--answer", "S").json
    assert before == dagflow("runs", "show", "t", "--json").json
    assert "there is a thread t already" in dagflow("runs", "fork", name, "--to", "t", status=1).stderr


def test_deleting_asks_first(dagflow: CommandLine) -> None:
    """Threads are deleted after a yes, on the terminal or on the command line, and all of them or none."""
    for name in ("a", "b"):
        dagflow("run", ORDERS, "--thread", name, status=3)
    assert "nobody can be asked here; give --yes" in dagflow("runs", "delete", "a", status=2).stderr
    assert "there is no thread c in the store" in dagflow("runs", "delete", "a", "c", "--yes", status=2).stderr
    said = answered(dagflow, b"n\n", 1, "runs", "delete", "a")
    assert said.startswith("delete thread a? [y/N]:")
    assert said.endswith("nothing was deleted\n")
    assert 2 == len(dagflow("runs", "list", "--json").json)
    assert "delete 2 threads? [y/N]:" in answered(dagflow, b"y\n", 0, "runs", "delete", "a", "b")
    assert f"{dagflow.store} has no thread\n" == dagflow("runs", "list").stderr


def answered(dagflow: CommandLine, typed: bytes, status: int, *arguments: str) -> str:
    ours, theirs = pty.openpty()
    with dagflow.started(*arguments, stdin=theirs) as program:
        os.close(theirs)
        os.write(ours, typed)
        done = program.finish()
    os.close(ours)
    assert status == done.status, done.stderr
    return done.stderr


def test_pruning_says_what_it_would_do(dagflow: CommandLine) -> None:
    """A dry run names what would be deleted and deletes nothing; pruning names and deletes the same."""
    dagflow("run", ORDERS, "--thread", "asks", status=3)
    dagflow("run", "cli_orders:mending", "--thread", "failed", status=1)
    assert "" == dagflow("runs", "prune", "--older-than", "1h").stdout
    for _ in range(2):
        dry = dagflow("runs", "prune", "--older-than", "0.01s", "--dry-run")
        assert ("failed\n", "1 thread would be deleted\n") == (dry.stdout, dry.stderr)
    real = dagflow.process("runs", "prune", "--older-than", "0.01s")
    assert ("failed\n", "1 thread deleted\n") == (real.stdout, real.stderr)
    chosen = ("--status", "interrupted", "--status", "failed")
    assert "asks\n" == dagflow("runs", "prune", "--older-than", "0.01s", *chosen).stdout


def test_a_store_of_ones_own_is_found_by_its_name(tmp_path: Path) -> None:
    """A store object, or what makes one, is named as module:name or file.py:name."""
    (tmp_path / "cli_own_store.py").write_text(
        "from dagflow import SQLiteStore\n"
        f"made = SQLiteStore({str(tmp_path / 'own.db')!r})\n"
        f"def make():\n    return SQLiteStore({str(tmp_path / 'own.db')!r})\n"
    )
    dagflow = CommandLine()
    asked = dagflow("run", ORDERS, "--store", f"{tmp_path}/cli_own_store.py:made", "--thread", "t", status=3)
    assert f"--store {tmp_path}/cli_own_store.py:made" in asked.told[2]
    assert "t  " in dagflow("runs", "list", "--store", f"{tmp_path}/cli_own_store.py:make").stdout


def test_a_listing_can_be_piped_into_head(dagflow: CommandLine) -> None:
    """A listing whose reader has left ends quietly, as SIGPIPE would end it."""
    dagflow("run", ORDERS, "--thread", "t", status=3)
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        found = subprocess.run(
            [sys.executable, "-m", "dagflow", "runs", "list", "--store", dagflow.store],
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
        )
    finally:
        os.close(theirs)
    assert (141, b"") == (found.returncode, found.stderr)
