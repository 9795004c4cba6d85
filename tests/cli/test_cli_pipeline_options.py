"""What only pipelines are given on the command line: parameters, services, a folder, a tag, what functions print."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.cli_program import CommandLine

REPORT = "cli_report.py"
dagflow = CommandLine()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize(("name", "text"), [("p.yaml", "text: so it goes"), ("p.json", '{"text": "so it goes"}')])
def test_parameters_come_from_a_file(tmp_path: Path, backend: str, name: str, text: str) -> None:
    """`--parameters` reads YAML or JSON; `-v` and `-i` stand for what is in the file."""
    path = tmp_path / name
    path.write_text(text)
    command = ["run", REPORT, "--parameters", str(path), "--backend", backend]
    assert 3 == dagflow(*command).json["n"]
    assert 2 == dagflow(*command, "-v", "text=two words").json["n"]
    assert 1 == dagflow(*command, "-i", '{"text": "one"}').json["n"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "it cannot be read: No such file or directory"),
        ("text: [a", "p.yaml:1:7: the [ that opens here is never closed"),
        ("- a", "it holds a list; write names with their values"),
        ("txt: a", "did you mean 'text'?"),
    ],
)
def test_a_file_of_parameters_that_is_wrong_is_explained(tmp_path: Path, text: str | None, told: str) -> None:
    """A file that is not there, is damaged, or has other parameters, is told with its name and without a traceback."""
    path = tmp_path / "p.yaml"
    if text is not None:
        path.write_text(text)
    problem = dagflow("run", REPORT, "--parameters", str(path), status=1).stderr
    assert told in problem
    assert "Traceback" not in problem


def test_a_run_has_a_folder_a_tag_and_what_its_functions_print(tmp_path: Path) -> None:
    """`--run-folder` has the run log with the `--tag`, and with `--capture-prints` what tasks print."""
    target = tmp_path / "printing.py"
    target.write_text(
        "from dagflow import Pipeline, PythonTask\n"
        "def hello(name: str) -> str:\n"
        "    print('hello', name)\n"
        "    return name\n"
        "pipeline = Pipeline([PythonTask(hello, returns=['x'])], name='printing')\n"
    )
    folder = tmp_path / "folder"
    options = ["--run-folder", str(folder), "--capture-prints", "--tag", "nightly"]
    ran = dagflow("run", str(target), "-v", "name=Ada", *options)
    assert {"name": "Ada", "x": "Ada"} == ran.json
    log = json.loads((folder / "run_log.json").read_text())
    assert ("complete", "nightly", {"name": "Ada"}) == (log["status"], log["tag"], log["parameters"])
    output = [path for path in folder.rglob("*") if path.is_file() and "hello Ada" in path.read_text()]
    assert output


def test_a_run_that_is_gone_on_with_is_given_the_same_services(tmp_path: Path) -> None:
    """The command line that goes on with a failed run repeats what the services came from."""
    configuration, folder = tmp_path / "dagflow.yaml", str(tmp_path / "folder")
    configuration.write_text(f"store: {{type: sqlite, path: {tmp_path / 'runs.db'}}}\n")
    options = ["--configuration", str(configuration), "--run-folder", folder]
    failed = dagflow("run", REPORT, "-v", "text=a bad one", "--thread", "r", *options, status=1)
    assert f"--configuration {configuration} --run-folder {folder}" in failed.stderr
    retried = dagflow("runs", "retry", REPORT, "r", *options, status=1)
    assert "ValueError: a bad word" in retried.stderr
    assert 2 == json.loads((tmp_path / "folder" / "run_log.json").read_text())["begun"]


@pytest.mark.parametrize(
    "options",
    [["--parameters", "p"], ["--configuration", "c"], ["--run-folder", "f"], ["--capture-prints"], ["--tag", "t"]],
)
def test_graphs_take_none_of_it(options: list[str]) -> None:
    """What only pipelines have is refused for a graph, by name."""
    assert f"{options[0]} is for pipelines" in dagflow("run", "cli_plain.py", *options, status=2).stderr
