"""The command line in this process: targets, inputs, language models, and what is told about wrong ones."""

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from dagflow.cli.app import app

GRAPHS = Path(__file__).parent / "graphs"
PLAIN = str(GRAPHS / "cli_plain.py")
MODELS = str(GRAPHS / "cli_models.py")


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The command line puts folders on the path, and modules into `sys.modules`: take them off again."""
    monkeypatch.chdir(GRAPHS)
    before, known = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = before
    for name in set(sys.modules) - known:
        if name.startswith("cli_"):
            del sys.modules[name]


def dagflow(*arguments: str, given: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=given)


def refused(*arguments: str, given: str | bytes | None = None, status: int = 2) -> str:
    """Run a wrong command line; what it says comes back."""
    result = dagflow(*arguments, given=given)
    assert (status, "") == (result.exit_code, result.stdout), result.output
    assert "Traceback" not in result.stderr
    return result.stderr


class TestTarget:
    def test_a_module_is_found_in_the_current_folder(self) -> None:
        """A module is looked for in the current folder, as `python -m` does."""
        assert 0 == dagflow("check", "cli_plain").exit_code

    @pytest.mark.parametrize("target", [PLAIN, f"{PLAIN}:graph", "cli_plain.py", "cli_plain:graph"])
    def test_forms(self, target: str) -> None:
        """A target is a module or a file, with the name of a graph or without."""
        assert "graph Begin is sound" in dagflow("check", target).stdout

    @pytest.mark.parametrize(
        ("target", "told"),
        [
            ("cli_plian", "there is no module cli_plian; did you mean 'cli_plain'?"),
            ("dagflow.erors", "there is no module dagflow.erors; did you mean 'dagflow.errors'?"),
            ("cli_plian.py", "there is no file cli_plian.py; did you mean 'cli_plain.py'?"),
            ("cli_plain.py:grph", "cli_plain.py has no grph; did you mean 'graph'?"),
            ("cli_plain:Begin", "cli_plain:Begin is the class Begin, and no graph; there is cli_plain:graph"),
            ("graph.yaml", "there is no file graph.yaml"),
            ("graph.yaml:main", "graph.yaml holds one graph; leave :main out"),
            (
                "graph.json",
                "graph.json: unsupported file type '.json'; TARGET is module[:name], file.py[:name] or file.yaml",
            ),
            ("cli_two", "cli_two has 2 graphs; say which one: cli_two:first, cli_two:second"),
            ("json", "json has no Graph; make one in it: `graph = Graph(start=...)`"),
            (":graph", "':graph' names no module or file; write module[:name], file.py[:name] or file.yaml"),
        ],
    )
    def test_a_wrong_one_is_explained(self, target: str, told: str) -> None:
        """What cannot be found is a usage error that names the nearest thing there is."""
        assert f"error: {told}\n" == refused("check", target)

    def test_two_names_of_one_graph_are_no_choice(self) -> None:
        """A graph that has two names in its module is one graph."""
        assert 0 == dagflow("check", "cli_models").exit_code

    def test_a_module_that_raises_is_told_with_its_line(self) -> None:
        """A module that fails while it is imported is no usage error: its exception is told, with the line."""
        told = refused("check", "cli_raises", status=1)
        where = f"{GRAPHS / 'cli_raises.py'}:3"
        assert f"error: importing cli_raises failed: RuntimeError: no luck today ({where})\n" == told
        assert "Traceback" in dagflow("check", "cli_raises", "--traceback").stderr

    def test_a_missing_import_within_is_not_taken_for_a_missing_target(self, tmp_path: Path) -> None:
        """A module that imports what is not there is told apart from a target that is not there."""
        (tmp_path / "cli_needy.py").write_text("import cli_not_there")
        told = refused("check", str(tmp_path / "cli_needy.py"), status=1)
        assert "No module named 'cli_not_there'" in told
        assert "cli_needy.py:1)" in told

    def test_a_file_named_like_an_imported_module_is_refused(self, tmp_path: Path) -> None:
        """A file is never mistaken for another module of its name."""
        shutil.copy(PLAIN, tmp_path / "json.py")
        assert "has the name of another module that is imported already, json" in refused(
            "check", str(tmp_path / "json.py")
        )


class TestInput:
    def run(self, given: str, stdin: str | bytes | None = None) -> dict[str, Any]:
        result = dagflow("run", PLAIN, "-i", given, given=stdin)
        assert 0 == result.exit_code, result.output
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def test_text_file_and_standard_input(self, tmp_path: Path) -> None:
        """The start node is read from an argument, a file or standard input alike, BOM or not."""
        (tmp_path / "in.json").write_bytes(b'\xef\xbb\xbf{"name": "Zo\xc3\xab"}')
        assert "Zoë" == self.run('{"name": "Zoë"}')["name"]
        assert "Zoë" == self.run(f"@{tmp_path / 'in.json'}")["name"]
        assert "Zoë" == self.run("@-", '{"name": "Zoë"}')["name"]

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ('{"name": ]', "-i:1:10: "),
            ('{"name": "a"\n "times": 1}', "-i:2:2: Expecting ',' delimiter\n     \"times\": 1}\n     ^\n"),
            ("{'name': 1}", "-i:1:2: "),
            ("", "-i:1:1: "),
        ],
    )
    def test_broken_json_is_shown_at_its_place(self, given: str, told: str) -> None:
        """Broken JSON is told with line, column and a caret below the place."""
        message = refused("run", PLAIN, "-i", given)
        assert told in message
        line, caret = message.splitlines()[-2:]
        assert int(message.split(":")[3]) == len(caret) - 4
        assert line.startswith("    ")

    def test_a_long_line_is_cut_around_the_place(self, tmp_path: Path) -> None:
        """Of a long line only the part around the place is shown, and the caret still points at it."""
        file = tmp_path / "long.json"
        file.write_text('{"name": "' + "x" * 500 + '" ! ' + " " * 500 + "}")
        line, caret = refused("run", PLAIN, "-i", f"@{file}").splitlines()[-2:]
        assert "!" == line[len(caret) - 1]
        assert len(line) <= 104

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ('{"nam": "a"}', ["$.nam: unknown field; did you mean 'name'?", "$.name: missing; expected string"]),
            ('{"name": 1, "times": "2"}', ["$.name: expected string", "$.times: expected integer"]),
            ('{"name": "a", "tone": "worm"}', ["$.tone: ", "did you mean 'warm'?"]),
            ("[]", ["-i: expected a JSON object with the fields of Begin: name: str"]),
            ('{"name": "a", "name": "b"}', ["the key 'name' is there twice"]),
            ('{"name": "a", "times": NaN}', ["NaN is no JSON value"]),
            ("[" * 100_000, ["nested too deeply"]),
            ("@nowhere.json", ["cannot read nowhere.json: No such file or directory"]),
        ],
    )
    def test_wrong_values_are_told_with_their_paths(self, given: str, told: list[str]) -> None:
        """Every wrong, missing and unknown field is told, with its path and the nearest name."""
        message = refused("run", PLAIN, "-i", given)
        assert [] == [text for text in told if text not in message]

    def test_what_is_no_text_is_refused(self) -> None:
        """Bytes that are not UTF-8 are told with their position."""
        assert "<stdin>: not UTF-8 at byte 1" in refused("run", PLAIN, "-i", "@-", given=b"{\xff}")

    def test_no_input_says_what_the_start_node_takes(self) -> None:
        """Without input, a start node that needs some says which fields it takes."""
        message = refused("run", PLAIN)
        assert "no input is given with -i:\n  - $.name: missing" in message
        assert "Begin takes: name: str, times: int (optional), tone: Tone (optional)" in message


class TestLanguageModel:
    def answer(self, spec: str) -> Any:
        result = dagflow("run", MODELS, "-i", '{"question": "?"}', "--lm", spec)
        assert 0 == result.exit_code, result.output
        return json.loads(result.stdout)["text"]

    def test_specs(self) -> None:
        """A language model is named as a function, a class or an object, or is the target's own."""
        assert "scripted" == self.answer("scripted")
        assert ["own"] * 3 == [
            self.answer(f"{place}") for place in (f"{MODELS}:made", "cli_models:OwnLM", f"{MODELS}:made")
        ]

    def test_the_scripted_one_is_labelled_offline(self) -> None:
        """Nobody takes the answers of a script for those of a model."""
        result = dagflow("run", MODELS, "-i", '{"question": "?"}', "--lm", "scripted")
        assert "language model: scripted, offline" in result.stderr
        assert "language model: 1 request, " in result.stderr

    def test_a_graph_that_needs_one_says_so(self) -> None:
        """A graph that needs a language model is not started without one; the option is named."""
        message = refused("run", MODELS, "-i", '{"question": "?"}')
        assert (
            "needs a language model; give one with --lm:\n  - Answer (text) is filled by the language model\n"
            in message
        )

    @pytest.mark.parametrize(
        ("spec", "status", "told"),
        [
            ("scripter", 2, "--lm scripter is unknown; did you mean 'scripted'?\nthere is scripted ("),
            ("opnai:gpt", 2, "there is no module opnai"),
            ("cli_models:mad", 2, "cli_models has no mad; did you mean 'made'?"),
            ("cli_models:no_model", 2, "cli_models:no_model is no language model but 42"),
            (
                "cli_models:broken_lm",
                1,
                "cli_models:broken_lm could not make a language model: RuntimeError: no key",
            ),
        ],
    )
    def test_a_wrong_spec_is_explained(self, spec: str, status: int, told: str) -> None:
        """A spec that names no language model lists what there is."""
        assert told in refused("run", MODELS, "-i", '{"question": "?"}', "--lm", spec, status=status)

    def test_a_target_without_a_script_is_told(self) -> None:
        """`--lm scripted` says what the target is to define."""
        assert "--lm scripted needs `scripted_lm` in cli_plain" in refused(
            "run", PLAIN, "-i", '{"name": "a"}', "--lm", "scripted"
        )


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [("--timeout", "0"), ("--timeout", "nan"), ("--max-steps", "0"), ("--backend", "curio"), ("--evnts",)],
    )
    def test_wrong_ones_are_usage_errors(self, options: tuple[str, ...]) -> None:
        """An option that makes no sense leaves with status 2, before anything runs."""
        assert 2 == dagflow("run", PLAIN, "-i", '{"name": "a"}', *options).exit_code

    def test_limits_reach_the_run(self) -> None:
        """`--max-steps` bounds the run, whose failure leaves with status 1."""
        result = dagflow("run", PLAIN, "-i", '{"name": "a"}', "--max-steps", "1")
        assert (1, "") == (result.exit_code, result.stdout)
        assert "error: StepLimitError: the run reached max_steps=1" in result.stderr
        assert "completed before: Begin" in result.stderr


class TestLook:
    def test_check_counts_what_there_is(self) -> None:
        """A sound graph is summed up in a line, with what needs a language model."""
        assert (
            "graph Begin is sound: 2 nodes, 1 route, 3 dependencies; ends with Greet\n"
            == dagflow("check", PLAIN).stdout.partition("  needs")[0]
        )
        assert "needs a language model: Answer (text) is filled" in dagflow("check", MODELS).stdout

    def test_check_tells_every_fault(self) -> None:
        """A faulty graph leaves with status 1, and all its faults are told."""
        message = refused("check", str(GRAPHS / "cli_faulty.py"), status=1)
        assert "graph Loop has 3 faults:" in message
        assert "'Missing'" in message
        assert "Loop has no path to a terminal node" in message

    def test_show_says_where_values_come_from(self) -> None:
        """Every field is listed with its type and where its value comes from."""
        text = dagflow("graph", "show", PLAIN).stdout
        assert "Begin -> Greet\n    name: str   given by the caller\n" in text
        assert "    greeting: str   from greeting\n" in text
        assert "    greeting reads place\n" in text

    @pytest.mark.parametrize(("kind", "start"), [("mermaid", "flowchart TD\n"), ("dot", "digraph"), ("svg", "<svg ")])
    def test_drawings(self, kind: str, start: str, tmp_path: Path) -> None:
        """A drawing is written to standard output, or to a file that holds the same text."""
        drawn = dagflow("graph", kind, PLAIN)
        assert (0, start) == (drawn.exit_code, drawn.stdout[: len(start)])
        file = tmp_path / "drawing"
        assert 0 == dagflow("graph", kind, PLAIN, "-o", str(file)).exit_code
        assert drawn.stdout == file.read_text(encoding="utf-8")

    def test_a_folder_that_is_not_there_is_told(self) -> None:
        """A drawing that cannot be written is a usage error with the reason."""
        told = refused("graph", "svg", PLAIN, "-o", os.path.join("nowhere", "graph.svg"))
        assert "error: cannot write nowhere/graph.svg: No such file or directory\n" == told
