"""Recorded runs on the command line, in this process: wrong stores, threads and answers, and what is said of them."""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli.cli_program import CommandLine
from dagflow.cli.display import PlainLines
from dagflow.cli.live import LiveTree
from dagflow.cli.problems import UsageProblem
from dagflow.cli.runs.answers import read_answers
from dagflow.cli.runs.keep import seconds_of
from dagflow.cli.runs.questions import Resumption, choices, is_string, may_be_string, sample
from dagflow.cli.runs.stores import existing_place, find_place, thread_name
from dagflow.core.schema import json_schema
from dagflow.events import DependencyStarted, NodeInterrupted, NodeStarted, NodeSucceeded, RunStarted
from dagflow.types import Interrupt

ORDERS = "cli_orders:orders"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "runs.db")


@pytest.fixture
def dagflow(store: str) -> CommandLine:
    return CommandLine(store)


class TestStore:
    @pytest.mark.parametrize(
        ("spec", "told"),
        [
            ("postgres://user:secret@host/db", "--store begins with postgres://, which is no store; there is runs.db"),
            ("redis:secret@host", "a Redis server is named as redis://..., and not as redis:..."),
            ("redis", "--store 'redis' is no store; there is"),
            (" ", "--store ' ' is no store; there is"),
            ("sqlite:", "--store sqlite:: an SQLiteStore needs the path of a file"),
            ("sqlite::memory:", "use MemoryStore to keep no file"),
            ("redis://host:port:secret/", "--store: the URL of a RedisStore is like"),
            ("mystore.py", "--store mystore.py does not say which store of the file; write mystore.py:name"),
            ("cli_orders:ordrs", "--store cli_orders:ordrs: cli_orders has no ordrs; did you mean 'orders'?"),
            ("cli_orders:Speed.FAST", "is no store but <Speed.FAST: 'fast'>; one has the method open"),
            ("cli_nowhere:store", "there is no module cli_nowhere"),
        ],
    )
    def test_a_wrong_one_is_explained(self, spec: str, told: str) -> None:
        """A spec that names no store is a usage error that says what there is, and tells no password."""
        said = CommandLine()("runs", "list", "--store", spec, status=2).stderr
        assert told in said
        assert "secret" not in said

    @pytest.mark.parametrize(
        "command",
        [
            ("list",),
            ("show", "t"),
            ("tail", "t"),
            ("fork", "t"),
            ("delete", "t", "--yes"),
            ("prune", "--older-than", "1d"),
            ("cancel", "t"),
            ("resume", ORDERS, "t"),
        ],
    )
    def test_one_that_is_not_there_is_told_and_not_made(self, command: tuple[str, ...], tmp_path: Path) -> None:
        """Only `run` makes a store: every other command says that there is none, and which would make it."""
        path = tmp_path / "runs.db"
        said = CommandLine(str(path))("runs", *command, status=2).stderr
        assert f"error: there is no store {path}; `dagflow run TARGET --store {path}` makes one\n" == said
        assert [] == list(tmp_path.iterdir())
        assert (
            "error: which store? give one with --store, or in DAGFLOW_STORE"
            in CommandLine()("runs", *command, status=2).stderr
        )

    def test_a_file_of_another_kind_is_an_error(self, tmp_path: Path) -> None:
        """A file that is no store is told as the store tells it, with status 1."""
        (tmp_path / "runs.db").write_text("no database" * 100)
        assert "error: " in CommandLine(str(tmp_path / "runs.db"))("runs", "list", status=1).stderr

    def test_the_option_comes_before_the_environment(self, dagflow: CommandLine, tmp_path: Path) -> None:
        """`--store` counts more than DAGFLOW_STORE."""
        other = str(tmp_path / "other.db")
        dagflow("run", ORDERS, "--store", other, status=3)
        assert not Path(dagflow.store).exists()
        assert 1 == len(dagflow("runs", "list", "--store", f"sqlite:{other}", "--json").json)

    def test_passwords_are_not_shown(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A store is told without its password; the command that goes on leaves it to the environment that has it."""
        url = "rediss://user:p%40ss@host:6380/1"
        place = find_place(url)
        assert "rediss://user:***@host:6380/1" == place.shown
        assert "--store 'rediss://user:***@host:6380/1'" in Resumption(place, "t").command()
        monkeypatch.setenv("DAGFLOW_STORE", url)
        assert "dagflow runs resume TARGET t" == Resumption(existing_place(url), "t").command()
        assert "redis://host/0" == find_place("redis://host/0").shown


class TestRun:
    def test_gates_need_a_store(self) -> None:
        """A graph that asks persons is not run without a store; what it asks is listed."""
        assert (
            "error: graph Delivery asks, and only a run that is recorded can wait for an answer; say where with "
            "--store, as in --store runs.db:\n"
            "  - Delivery.speed asks a person: How fast?\n"
            "  - Delivery.to asks a person: Where to?\n"
            "  - Delivery.parcels asks a person: How many?\n"
        ) == CommandLine()("run", "cli_orders:deliveries", status=2).stderr

    @pytest.mark.parametrize("option", [("--thread", "t"), ("--durability", "exit")])
    def test_options_of_recorded_runs_need_a_store(self, option: tuple[str, str]) -> None:
        """What is about recording makes no sense without a store."""
        said = CommandLine()("run", "cli_plain", "-i", '{"name": "Ana"}', *option, status=2).stderr
        assert f"error: {option[0]} is about a run that is recorded; say where with --store" in said

    @pytest.mark.parametrize("name", ["", "a\nb", "x" * 501])
    def test_a_thread_that_no_store_can_hold(self, name: str, dagflow: CommandLine) -> None:
        """A name of no use is a usage error."""
        assert "error: the name of a thread must " in dagflow("run", ORDERS, "--thread", name, status=2).stderr

    def test_a_thread_that_waits_is_not_run_anew(self, dagflow: CommandLine) -> None:
        """A new run on a thread with open questions fails and names them, without a timeline."""
        dagflow("run", ORDERS, "--thread", "t", status=3)
        said = dagflow("run", ORDERS, "--thread", "t", status=1).stderr
        assert "waits for answers to Shipment#1.size ('Which size?')" in said
        assert "nothing ran" not in said

    def test_what_is_asked_is_part_of_a_check(self) -> None:
        """`check` and `graph show` say what a graph asks persons."""
        assert "  needs a store: Shipment.size asks a person: Which size?\n" in CommandLine()("check", ORDERS).stdout
        shown = CommandLine()("graph", "show", ORDERS).stdout
        assert "    size: str   asked of a person: Which size?\n" in shown


@pytest.mark.slow
class TestThread:
    @pytest.mark.parametrize(
        "command", [("show",), ("tail",), ("fork",), ("delete", "--yes"), ("cancel",), ("resume", ORDERS)]
    )
    def test_an_unknown_one_is_told_with_those_that_are_like_it(
        self, command: tuple[str, ...], dagflow: CommandLine
    ) -> None:
        """A thread that is not there is a usage error which names the nearest ones."""
        for name in ("order-1", "order-2", "unlike"):
            if name == "order-1":
                dagflow("run", ORDERS, "--thread", name, status=3)
            else:
                dagflow("runs", "fork", "order-1", "--to", name)
        said = dagflow("runs", *command, "order-3", status=2).stderr
        place = f"error: there is no thread order-3 in the store {dagflow.store}; did you mean "
        assert said.startswith(place)
        assert {"order-1", "order-2"} == set(said.removeprefix(place).removesuffix("?\n").split(" or "))
        assert said.replace("order-3", "?").count("`dagflow runs list` has what there is") == 0
        assert "`dagflow runs list` has what there is" in dagflow("runs", *command, "zzz", status=2).stderr

    def test_a_name_that_looks_like_an_option(self, dagflow: CommandLine) -> None:
        """The command that answers works for a thread whose name begins with a dash."""
        import shlex

        asked = dagflow("run", ORDERS, "--thread=-t", status=3)
        command = shlex.split(asked.told[2].replace('"..."', '"L"'))
        assert {"text": "hat L for 20"} == dagflow(*command[1:]).json

    def test_names_are_checked(self) -> None:
        """A good name is given back as it is."""
        assert "t 1/ü" == thread_name("t 1/ü")


def question(id_: str, kind: object) -> Interrupt:
    return Interrupt(id_, "what?", "r", "A", "A#1", "f", getattr(kind, "__name__", str(kind)), json_schema(kind))


class TestAnswers:
    two = (question("A#1.name", str), question("A#1.names", list[str]))

    def test_ids_and_values(self) -> None:
        """An answer is JSON behind its question's id; text that is none is a string where one is asked for."""
        found = read_answers(['A#1.names=["a=b"]', "A#1.name=x = y"], None, self.two)
        assert {"A#1.names": ["a=b"], "A#1.name": "x = y"} == found.values
        assert ('A#1.name: "x = y" is taken as a string',) == found.notes

    @pytest.mark.parametrize(("text", "value"), [("L", "L"), ('"a=b"', "a=b"), ("7", 7), ("null", None)])
    def test_the_only_question_needs_no_id(self, text: str, value: object) -> None:
        """Where one question is open, an answer is for it."""
        assert {"A#1.name": value} == read_answers([text], None, self.two[:1]).values

    @pytest.mark.parametrize(
        ("given", "file", "told"),
        [
            (
                ["A#1.nam=1"],
                None,
                "there is no open question A#1.nam; did you mean 'A#1.name'?\nopen:\n  A#1.name (str): what?",
            ),
            (["L"], None, "--answer L does not say what it answers; write --answer ID=JSON\nopen:"),
            (["A#1.name=1", "A#1.name=2"], None, "there are two answers to A#1.name; give one"),
            (["A#1.name=1"], '{"A#1.name": 1}', "there are two answers to A#1.name; give one"),
            (["A#1.names=x"], None, "--answer A#1.names:1:1: Expecting value"),
            (["A#1.names=NaN"], None, "NaN is no JSON value"),
            ([], "[1]", "--answers: expected a JSON object with answers by the id of their question"),
            ([], '{"B": 1}', "there is no open question B\nopen:"),
            ([], '{"B": 1, "B": 2}', "the key 'B' is there twice"),
            ([], "@/nowhere", "--answers @/nowhere: cannot read /nowhere"),
        ],
    )
    def test_wrong_ones_are_explained(self, given: list[str], file: str | None, told: str) -> None:
        """What answers no open question, or is no JSON where it must be, is told with what is open."""
        with pytest.raises(UsageProblem) as caught:
            read_answers(given, file, self.two)
        assert told in str(caught.value)

    def test_a_typo_is_not_taken_for_a_string(self) -> None:
        """A misspelt id is no answer to the only open question, although that asks for a string."""
        with pytest.raises(UsageProblem, match=r"there is no open question A#1.nmae; did you mean 'A#1.name'\?"):
            read_answers(["A#1.nmae=x"], None, self.two[:1])

    def test_where_nothing_is_open(self, dagflow: CommandLine) -> None:
        """An answer to a thread that asks nothing is a usage error."""
        dagflow("run", "cli_orders:mending", "--thread", "t", status=1)
        said = dagflow("runs", "resume", "cli_orders:mending", "t", "--answer", "A#1.x=1", status=2).stderr
        assert "error: there is no open question A#1.x\nno question is open\n" == said

    @given(st.text(), st.text(st.characters(codec="utf-8"), max_size=8))
    def test_any_text_is_read_or_refused(self, text: str, name: str) -> None:
        """Whatever is given, an answer is read or a usage problem is raised, and JSON comes out as it went in."""
        asked = question(f"A#1.{name}", str)
        with suppress(UsageProblem):
            read_answers([text], None, [asked])
        assert {asked.id: text} == read_answers([f"{asked.id}={json.dumps(text)}"], None, [asked]).values


class TestSchemas:
    @pytest.mark.parametrize(
        ("kind", "answer", "allowed", "string"),
        [
            (str, "...", [], True),
            (int, 0, [], False),
            (bool, True, ["true", "false"], False),
            (bool | None, True, ["true", "false", "null"], False),
            (list[str], [], [], False),
            (str | int, "...", [], False),
            (str | None, "...", [], False),
        ],
    )
    def test_samples_and_choices(self, kind: object, answer: object, allowed: list[str], string: bool) -> None:
        """A question's schema gives an answer of its form, what may be chosen, and whether quotes are needed."""
        schema = json_schema(kind)
        assert (answer, allowed, string) == (sample(schema), choices(schema), is_string(schema))

    @pytest.mark.parametrize(("kind", "expected"), [(str, True), (str | int, True), (int, False), (list[str], False)])
    def test_what_may_be_a_string(self, kind: object, expected: bool) -> None:
        """Text that is no JSON is an answer only where a string is among what is asked for."""
        assert expected is may_be_string(json_schema(kind))

    def test_schemas_that_lead_back_to_themselves_end(self) -> None:
        """A schema that is one of its own alternatives, or contains itself, is looked at for a while only."""
        loop = {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "string"}]}}}
        assert may_be_string(loop)
        assert "..." == sample(loop)
        inside = {
            "$ref": "#/$defs/A",
            "$defs": {"A": {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/A"}}}},
        }
        assert "a" in sample(inside)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("12h", 43200), ("30d", 2592000), ("1.5h", 5400)]
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is a number with its unit."""
    assert seconds == seconds_of(text, "--older-than")


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1w", "1d2h", "infd", "1 d x"])
def test_wrong_durations(text: str) -> None:
    """Anything else is refused with examples."""
    with pytest.raises(UsageProblem, match="--older-than is a time such as 90s, 15m, 12h or 30d, and not"):
        seconds_of(text, "--older-than")


def test_a_cursor_that_is_none(dagflow: CommandLine) -> None:
    """A cursor that no page came with is a usage error."""
    dagflow("run", ORDERS, "--thread", "t", status=3)
    assert "error: --cursor: 'x' is no cursor" in dagflow("runs", "list", "--cursor", "x", status=2).stderr


def test_times_count_from_where_a_run_began_or_was_resumed() -> None:
    """Lines of progress count the seconds of what runs now, not those since the thread's first event, days ago."""
    stream = io.StringIO()
    display = PlainLines(stream)
    common: dict[str, Any] = {"seq": 1, "run": "r", "wall": 0.0}
    started: dict[str, Any] = {"node": "A", "activation": "A#1", "attempt": 1, "parents": ()}
    display.show(RunStarted(elapsed=0.5, graph="A", fingerprint="", **common))
    display.show(NodeStarted(elapsed=0.75, **started, **common))
    display.show(RunStarted(elapsed=90_000.0, graph="A", fingerprint="", resumed=True, **common))
    display.show(RunStarted(elapsed=90_000.5, graph="B", fingerprint="", resumed=True, parent="A#1", **common))
    display.show(NodeStarted(elapsed=90_001.0, **started, **common))
    lines = stream.getvalue().splitlines()
    assert ["   0.250 s  A#1 started", "   0.000 s  resumed", "   1.000 s  A#1 started"] == lines


def test_a_row_that_waited_is_gone_on_with() -> None:
    """In the tree, a node that asked and runs again is one row, without the dependencies that a crash cut off."""
    tree = LiveTree(Console(width=80, height=20, file=io.StringIO()))
    common: dict[str, Any] = {"seq": 1, "run": "r", "wall": 0.0, "elapsed": 0.0, "activation": "A#1"}
    tree.show(NodeStarted(node="A", attempt=1, parents=(), **common))
    tree.show(DependencyStarted(dependency="cut", name="cut", needs=(), **common))
    asked = question("A#1.f", str)
    tree.show(NodeInterrupted(node="A", attempt=1, interrupts=(asked,), duration=0.25, **common))
    assert ["? A#1  250 ms  what?"] == [line.partition("── ")[2] for line in drawn(tree) if "A#1" in line]
    tree.show(NodeStarted(node="A", attempt=1, parents=(), **common))
    tree.show(NodeSucceeded(node="A", attempt=1, value=1, targets=(), duration=0.5, **common))
    assert ["✓ A#1  500 ms"] == [line.partition("── ")[2] for line in drawn(tree)[1:]]


def drawn(tree: LiveTree) -> list[str]:
    console = Console(width=80, file=io.StringIO())
    with console.capture() as capture:
        console.print(tree.draw())
    return capture.get().splitlines()
