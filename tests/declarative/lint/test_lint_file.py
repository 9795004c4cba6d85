"""Linting a file: faults, places, comments, and how a report reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dagflow import GraphError
from dagflow.declarative.lint import LintReport, lint_file
from declarative.yaml_files import write_graph, write_prompt

SOUND = """
    version: "1"
    description: Says hello.
    state: {name: str, greeting: str}
    nodes:
      greet: {type: passthrough, output: {greeting: "Hello {name}"}}
    edges:
      - {from: START, to: greet}
      - {from: greet, to: END}
"""


def linted(folder: Path, text: str, **options: object) -> LintReport:
    return lint_file(write_graph(folder, text), root=folder, environment={}, **options)  # type: ignore[arg-type]


def told(report: LintReport) -> list[str]:
    """The findings, each without the folder."""
    return [str(finding).rpartition("/")[2] for finding in report.findings]


def codes(report: LintReport) -> list[str]:
    return [finding.code for finding in report.findings]


def test_nothing_is_found_in_a_sound_file(tmp_path: Path) -> None:
    """A file without faults has an empty report, which says so."""
    report = linted(tmp_path, SOUND)
    assert () == report.findings
    assert f"{tmp_path}/graph.yaml: nothing found" == report.text()
    assert 0 == report.exit_status("info")


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("{name: str", "{name: [str", "DF001"),
        ("type: passthrough", "type: passthru", "DF002"),
        ("name: str,", "name: strr,", "DF003"),
        ("{name}", "{nam}", "DF004"),
        ("from: greet", "from: gret", "DF005"),
        ('version: "1"', "checkpointer: {type: redis, url: 'http://x'}", "DF006"),
        ('version: "1"', "web: {message_key: message}", "DF007"),
    ],
)
def test_faults_are_told_as_the_compiler_tells_them(old: str, new: str, wanted: str, tmp_path: Path) -> None:
    """What keeps a file from being compiled is an error, with the code of the section that it is in."""
    report = linted(tmp_path, SOUND.replace(old, new))
    assert wanted in codes(report)
    assert 1 == report.exit_status()


def test_rules_are_tried_on_a_file_that_does_not_compile(tmp_path: Path) -> None:
    """A fault does not hide what rules find."""
    report = linted(tmp_path, SOUND.replace("{name}", "{nam}").replace("    description: Says hello.\n", ""))
    assert {"DF004", "DF701"} <= set(codes(report))


def test_a_finding_has_the_place_of_its_key(tmp_path: Path) -> None:
    """A finding says file, line, column, code, level and path, and then what it is about."""
    text = SOUND.replace("name: str,", "name: str, nobody: int,")
    wanted = "graph.yaml:3:20: DF203 warning: state.nobody: nothing reads or writes this key; remove it"
    assert [wanted] == told(linted(tmp_path, text))


def test_a_finding_in_a_prompt_file_has_its_place_there(tmp_path: Path) -> None:
    """What is wrong with a prompt is told in its file, once, however many nodes ask with it."""
    write_prompt(tmp_path, "prompts/greet", 'user: "Greet {{ who }}"\nvariables: [who, tone]\n')
    node = '{type: llm, lm: "openai:M", prompt: prompts/greet, variables: {who: "{name}"}, timeout: 5, state_key: %s}'
    text = SOUND.replace('{type: passthrough, output: {greeting: "Hello {name}"}}', node % "greeting").replace(
        "    edges:", f"      again: {node % 'greeting'}\n    edges:"
    )
    text = text.replace("{from: greet, to: END}", "{from: greet, to: again}\n      - {from: again, to: END}")
    wanted = "greet.yaml:2:1: DF302 warning: variables: no text of the prompt greet uses 'tone'"
    report = linted(tmp_path, text)
    assert [wanted] == told(report)
    assert "prompts/greet.yaml" == report.findings[0].mark.file
    write_prompt(
        tmp_path, "prompts/greet", 'user: "Greet {{ who }}"\n# dagflow: ignore DF302\nvariables: [who, tone]\n'
    )
    assert [] == codes(linted(tmp_path, text))


def test_comments_are_for_their_line_or_for_the_next(tmp_path: Path) -> None:
    """A comment behind something is for its line, one that stands alone for the line below; it may name several."""
    state = "state: {name: str, greeting: str}"
    faulty = SOUND.replace(state, "state:\n      name: str\n      greeting: str\n      nobody: int")
    assert ["DF203"] == codes(linted(tmp_path, faulty))
    assert [] == codes(linted(tmp_path, faulty.replace("nobody: int", "nobody: int  # dagflow: ignore DF203 (later)")))
    above = "# dagflow: ignore DF101, DF203\n      nobody: int"
    assert ["DF009"] == codes(linted(tmp_path, faulty.replace("nobody: int", above)))
    elsewhere = faulty.replace("greeting: str\n", "greeting: str  # dagflow: ignore DF203\n")
    assert ["DF009", "DF203"] == codes(linted(tmp_path, elsewhere))


def test_comments_that_do_nothing_are_told(tmp_path: Path) -> None:
    """A comment without a code, with one that is unknown, or with one that finds nothing, is a warning itself."""
    for comment, problem in (
        ("ignore", "names no rule"),
        ("ignore DF999", "there is no rule DF999"),
        ("ignore DF203", "DF203 finds nothing on line 1"),
    ):
        (line,) = told(linted(tmp_path, SOUND.replace('version: "1"', f'version: "1"  # dagflow: {comment}')))
        assert "graph.yaml:1:" in line
        assert "DF009 warning" in line
        assert problem in line


def test_faults_cannot_be_ignored(tmp_path: Path) -> None:
    """A comment does not make a file load."""
    report = linted(tmp_path, SOUND.replace("from: greet, to: END}", "from: gret, to: END}  # dagflow: ignore DF005"))
    assert "DF005" in codes(report)


def test_rules_can_be_left_out(tmp_path: Path) -> None:
    """`ignore` takes codes and beginnings of codes; one that is unknown is an error."""
    text = SOUND.replace('    version: "1"\n    description: Says hello.\n', "")
    assert ["DF701", "DF702"] == codes(linted(tmp_path, text))
    assert ["DF702"] == codes(linted(tmp_path, text, ignore=["DF701"]))
    assert [] == codes(linted(tmp_path, text, ignore=["DF7"]))
    for unknown in ("DF799", "", "D", "XX"):
        with pytest.raises(ValueError, match="there is no rule"):
            linted(tmp_path, text, ignore=[unknown])


def test_a_report_is_json_too(tmp_path: Path) -> None:
    """The JSON has everything that the text has, and how many findings there are of each level."""
    report = linted(tmp_path, SOUND.replace("name: str,", "name: str, nobody: int,"))
    data = json.loads(report.to_json())
    assert {"error": 0, "warning": 1, "info": 0} == data["counts"]
    assert [
        {
            "code": "DF203",
            "level": "warning",
            "file": str(tmp_path / "graph.yaml"),
            "line": 3,
            "column": 20,
            "path": "state.nobody",
            "message": "nothing reads or writes this key; remove it",
        }
    ] == data["findings"]
    assert "graph.yaml: 1 warning" in report.text()
    assert (0, 1, 1) == tuple(report.exit_status(level) for level in ("error", "warning", "info"))


def test_a_file_that_is_not_there_is_no_finding(tmp_path: Path) -> None:
    """There is nothing to report on where there is no file."""
    with pytest.raises(GraphError, match="there is no file"):
        lint_file(tmp_path / "none.yaml")


def test_a_variable_that_is_not_set_is_no_fault_here(tmp_path: Path) -> None:
    """Where a graph is linted, its environment need not be; what is set is looked at."""
    text = SOUND.replace('version: "1"', 'version: "1"\n    checkpointer: {type: sqlite, path: "${RUNS}", ttl: 60}')
    assert ["DF501"] == codes(linted(tmp_path, text))
    path = write_graph(tmp_path, text)
    assert [] == codes(lint_file(path, root=tmp_path, environment={"RUNS": "runs.db"}))
