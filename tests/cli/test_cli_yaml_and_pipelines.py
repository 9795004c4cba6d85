"""YAML graphs and pipelines on the command line: run, asked, resumed, retried, described, linted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.cli_program import own_modules
from dagflow.cli.app import app
from declarative.yaml_files import write_graph

CHAT = """
    state: {message: str, name: str, response: str}
    nodes:
      ask: {type: interrupt, message: "Who are you?", resume_key: name, skip_if_exists: true}
      say: {type: passthrough, output: {response: "hello {name}: {message}"}}
    edges: [{from: START, to: ask}, {from: ask, to: say}, {from: say, to: END}]
"""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(Path(__file__).parent / "graphs")
    with own_modules():
        yield


def dagflow(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def refused(*arguments: str, status: int = 2) -> str:
    """Run a wrong command line; what it says comes back."""
    result = dagflow(*arguments)
    assert (status, "") == (result.exit_code, result.stdout), result.output
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture
def chat(tmp_path: Path) -> str:
    return str(write_graph(tmp_path, CHAT, "chat.yaml"))


class TestYaml:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_a_graph_runs_to_its_end(self, chat: str, backend: str) -> None:
        """The state at the end is printed as JSON; keys are given with -v, as text or JSON, or together with -i."""
        ran = dagflow("run", chat, "-v", "message=hi", "-v", "name=Ada", "--backend", backend, "--store", f"{chat}.db")
        assert (0, "hello Ada: hi") == (ran.exit_code, json.loads(ran.stdout)["response"])
        given = dagflow("run", chat, "-i", '{"message": "ho"}', "-v", 'name="Bob"', "--store", f"{chat}.db")
        assert 'hello "Bob": ho' == json.loads(given.stdout)["response"]

    def test_a_question_is_answered_by_another_command(self, chat: str) -> None:
        """A run that asks leaves with 3 and the command line that answers; that goes on where it was."""
        store = ["--store", f"{chat}.db"]
        asked = dagflow("run", chat, "-v", "message=hi", "--thread", "t", *store)
        assert 3 == asked.exit_code
        assert "ask#1.name (str): Who are you?" in asked.stderr
        done = dagflow("runs", "resume", chat, "t", "--answer", "ask#1.name=Ada", *store)
        assert (0, "hello Ada: hi") == (done.exit_code, json.loads(done.stdout)["response"])
        assert '"hello Ada: hi"' in dagflow("runs", "show", "t", *store).stdout

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["-v", "mesage=hi"], "mesage: the graph's state has no such key; did you mean 'message'?"),
            (["-v", "message"], "write -v KEY=VALUE"),
            (["-v", "message=a", "-v", "message=b"], "message is given twice"),
            (["-i", "[]"], "expected a JSON object"),
            ([], "asks, and only a run that is recorded can wait for an answer"),
        ],
    )
    def test_a_wrong_command_line_is_explained(self, chat: str, arguments: list[str], told: str) -> None:
        """What cannot be is a usage error, before anything runs."""
        assert told in refused("run", chat, *arguments)

    def test_a_graph_is_described_drawn_and_checked(self, chat: str) -> None:
        """`info`, `mermaid`, `validate` and `run` under `graph` take YAML graphs, and need no checkpointer."""
        assert "say (passthrough)" in dagflow("graph", "info", chat).stdout
        assert "flowchart" in dagflow("graph", "mermaid", chat).stdout
        assert "graph chat is sound: 2 nodes" in dagflow("graph", "validate", chat).stdout
        Path(chat).write_text(Path(chat).read_text().replace("to: say", "to: sya"))
        told = refused("graph", "validate", chat, status=1)
        assert f"{chat}:5:" in told
        assert "there is no node 'sya'; did you mean 'say'?" in told

    def test_a_graph_is_linted(self, chat: str) -> None:
        """Findings have a code and a place; the exit status says whether any is as grave as --fail-on."""
        found = dagflow("graph", "lint", chat)
        assert (0, True) == (found.exit_code, "DF502 warning" in found.stdout)
        assert 1 == dagflow("graph", "lint", chat, "--fail-on", "warning").exit_code
        assert 0 == dagflow("graph", "lint", chat, "--fail-on", "warning", "--ignore", "DF5").exit_code
        (report,) = json.loads(dagflow("graph", "lint", chat, "--json").stdout)
        assert "DF502" in [finding["code"] for finding in report["findings"]]
        assert "$schema" in json.loads(dagflow("graph", "schema").stdout)


class TestPipelines:
    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_a_pipeline_runs_to_its_end(self, backend: str) -> None:
        """The parameters at the end are printed as JSON."""
        ran = dagflow("run", "cli_report.py", "-v", "text=so it goes", "--backend", backend)
        assert (0, 3, ["SO", "IT", "GOES"]) == (
            ran.exit_code,
            json.loads(ran.stdout)["n"],
            json.loads(ran.stdout)["loud"],
        )

    @pytest.mark.parametrize("backend", ["asyncio", "trio"])
    def test_what_tasks_print_log_and_yield_is_shown(self, backend: str) -> None:
        """Each line says whose it is; what is long is cut, and what is no text is shown as such."""
        ran = dagflow("run", "cli_speaking.py", "-v", "text=bu la", "--backend", backend)
        assert (0, 2) == (ran.exit_code, json.loads(ran.stdout)["n"])
        lines = [line[12:] for line in ran.stderr.splitlines()]
        assert ["split (log): WARNING cli.speaking: splitting", "split (log): in lines"] == [
            line for line in lines if line.startswith("split (log)")
        ]
        for place, word in enumerate(("bu", "la")):
            assert f"each[{place}]/say: out {word}" in lines
            assert f"each[{place}]/say (stderr): e\u241b[1m\u2400\ufffd {word}" in lines
        spelt = [line.removeprefix("spell yielded ") for line in lines if line.startswith("spell yielded")]
        assert [f'"{"bu" * 149}…', f'"{"la" * 149}…'] == spelt
        assert "\x1b" not in ran.stderr

    def test_what_tasks_print_and_yield_is_written_for_machines(self) -> None:
        """Every line and item is an event of its own, whole, with the run that it is of."""
        ran = dagflow("run", "cli_speaking.py", "-v", "text=bu la", "--events", "jsonl")
        events = [json.loads(line) for line in ran.stdout.splitlines()]
        printed = {(it["run"].partition("/")[2], it["text"]) for it in events if it["event"] == "Printed"}
        assert {("each#1/[0].1", "out bu"), ("each#1/[1].2", "out la")} <= printed
        assert ["bu" * 200, "la" * 200] == [it["value"] for it in events if it["event"] == "Yielded"]

    def test_a_failed_run_is_retried(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """What completed is not run again; the run log tells of both attempts."""
        store = ["--store", str(tmp_path / "runs.db")]
        failed = dagflow("run", "cli_report.py", "-v", "text=a bad one", "--thread", "r", *store)
        assert (1, True) == (failed.exit_code, "ValueError: a bad word" in failed.stderr)
        monkeypatch.setenv("ALL_IS_WELL", "1")
        retried = dagflow("runs", "retry", "cli_report.py", "r", *store)
        assert (0, 3) == (retried.exit_code, json.loads(retried.stdout)["n"])
        log = json.loads(dagflow("runs", "log", "r", *store).stdout)
        assert ("report", "complete", 2) == (log["pipeline"], log["status"], log["begun"])

    def test_a_configuration_says_where_a_run_is_recorded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its store is the run's, of `run` and `retry` alike; what is wrong with it is told before anything runs."""
        file = tmp_path / "dagflow.yaml"
        file.write_text("store: {type: sqlite, path: runs.db}\n")
        configured = ["--configuration", str(file)]
        failed = dagflow("run", "cli_report.py", "-v", "text=a bad one", "--thread", "r", *configured)
        assert 1 == failed.exit_code
        assert f"go on with: dagflow runs resume cli_report.py r --configuration {file}" in failed.stderr
        monkeypatch.setenv("ALL_IS_WELL", "1")
        retried = dagflow("runs", "retry", "cli_report.py", "r", *configured)
        assert (0, 3) == (retried.exit_code, json.loads(retried.stdout)["n"])
        assert "complete" in dagflow("runs", "list", "--store", str(tmp_path / "runs.db")).stdout
        file.write_text("store: {type: sqlight}\n")
        told = refused("run", "cli_report.py", "-v", "text=x", *configured, status=1)
        assert f"{file} is wrong:\n  - $.store.type: expected one of memory, sqlite, redis" in told
        assert "did you mean 'sqlite'?" in told
        assert "--configuration is for pipelines" in refused("run", "cli_two.py:first", *configured)

    def test_a_pipeline_is_checked_and_not_drawn(self) -> None:
        """`check` builds it; drawing is for graphs, and wrong parameters are told without a traceback."""
        assert "pipeline report is sound: 3 steps" in dagflow("check", "cli_report.py").stdout
        assert "report is a pipeline" in refused("graph", "mermaid", "cli_report.py")
        assert "--max-steps is for graphs" in refused("run", "cli_report.py", "-v", "text=x", "--max-steps", "3")
        told = refused("run", "cli_report.py", "-v", "txt=x", status=1)
        assert "did you mean 'text'?" in told
        assert "Traceback" not in told
