"""The triage graph: it runs offline to its end, asks back, goes on in another process, and leaves its loop."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from cli.cli_program import CommandLine
from dagflow import YamlGraph, load_and_compile
from dagflow.events import NodeRetried, NodeStarted
from dagflow.source import SourceError
from dagflow.testing import ScriptedLM
from declarative.yaml_files import write_graph, write_prompt

FOLDER = Path(__file__).parents[2] / "examples" / "triage"
GRAPH = str(FOLDER / "triage.yaml")
OFFLINE = f"{FOLDER / 'offline.py'}:model"

CLEAR = "It crashes on save. The log is empty."
CAUSES = "“It crashes on save.” points to a lost write; “The log is empty.” is a symptom"

ISSUE = """\
version: "1"
name: triage
checkpointer: {type: redis, url: "${REDIS_URL}", ttl: 3600}
defaults: {lm: "openai:MODEL", temperature: 0.2}
state:
  ticket: str
  parts: list[str]
  notes: {type: list[str], reducer: add}
nodes:
  sort:  {type: router, prompt: prompts/sort, variables: {text: "{state.ticket}"}, route_field: kind,
          routes: {bug: split, other: ask}, state_key: label}
  ask:   {type: interrupt, message: "Tell me more", resume_key: ticket}
  split: {type: python, function: "tools:split_parts", state_key: parts}
  study: {type: map, over: "{state.parts}", as: part, collect: studies, timeout: 20, max_concurrency: 8,
          node: {type: llm, prompt: prompts/study, state_key: study}}
  grade: {type: llm, prompt: prompts/grade, state_key: grade, on_error: {retry: 3}}
edges:
  - {from: START, to: sort}
  - {from: ask, to: sort}
  - {from: split, to: study}
  - {from: study, to: grade}
  - {from: grade, to: study, condition: "grade.score < 0.8"}
  - {from: grade, to: END, condition: "grade.score >= 0.8"}
loop_limits: {grade: 3}
"""


def offline_model() -> ScriptedLM:
    """The model beside the graph, loaded from its file."""
    spec = importlib.util.spec_from_file_location("triage_offline", FOLDER / "offline.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.model()
    assert isinstance(model, ScriptedLM)
    return model


@pytest.fixture
def triage(tmp_path: Path) -> YamlGraph:
    return load_and_compile(GRAPH, root=FOLDER, environment={"TRIAGE_STORE": str(tmp_path / "triage.db")})


def started(result: Any) -> list[str]:
    """The activations of the graph's own nodes, in the order in which they started."""
    return [event.activation for event in result.events if isinstance(event, NodeStarted) and event.run == result.run]


@pytest.mark.slow
async def test_a_clear_ticket_runs_to_its_end(triage: YamlGraph) -> None:
    """Every part is studied, the grade is good at once, and the advice has the causes in the order of the parts."""
    result = await triage.run({"ticket": CLEAR}, lm=offline_model())
    assert "complete" == result.status
    assert ["sort#1", "split#1", "study#1", "grade#1", "advise#1"] == started(result)
    assert ["It crashes on save.", "The log is empty."] == result.state["parts"]
    assert f"2 causes: {CAUSES}" == result.state["advice"]
    assert "notes" not in result.state


@pytest.mark.slow
async def test_a_loop_that_gets_no_better_leaves_by_its_exit(triage: YamlGraph) -> None:
    """A grade that stays bad is followed twice by another study and then, at the limit of the loop, by the advice."""
    result = await triage.run({"ticket": "It crashes on load always."}, lm=offline_model())
    loop = ["study#1", "grade#1", "again#1", "study#2", "grade#2", "again#2", "study#3", "grade#3"]
    assert ["sort#1", "split#1", *loop, "advise#3"] == started(result)
    assert ["the last attempt got 0.4: no cause is named"] * 2 == result.state["notes"]
    assert "complete" == result.status


@pytest.mark.slow
async def test_an_unclear_ticket_is_asked_about_until_it_is_clear(triage: YamlGraph) -> None:
    """The question quotes the ticket; an answer that says too little is asked about again; nothing is sorted twice."""
    asked = await triage.run({"ticket": "Help!"}, lm=offline_model(), thread_id="t")
    assert ("interrupted", ["Tell me more about “Help!”."]) == (
        asked.status,
        [one.question for one in asked.interrupts],
    )
    again = await triage.resume("t", {"ticket": "It crashes."}, lm=offline_model())
    assert ["Tell me more about “It crashes.”."] == [one.question for one in again.interrupts]
    done = await triage.resume("t", {"ticket": CLEAR}, lm=offline_model())
    assert ("complete", f"2 causes: {CAUSES}") == (done.status, done.state["advice"])
    ran = [event.activation for event in await triage.thread("t").events() if isinstance(event, NodeStarted)]
    assert ["sort#1", "sort#2", "sort#3"] == [activation for activation in ran if activation.startswith("sort#")]


@pytest.mark.slow
async def test_a_grade_that_fails_is_asked_for_again(triage: YamlGraph) -> None:
    """`on_error: {retry: 3}` asks the model again, and the run goes on as if nothing had been."""
    grade = [OSError("no route"), {"score": 0.9, "why": "a cause is named"}]
    script = {"sort": {"kind": "bug"}, "study": "a lost write", "grade": grade}
    result = await triage.run({"ticket": CLEAR}, lm=ScriptedLM(script))
    assert "complete" == result.status
    assert ["grade#1"] == [event.activation for event in result.events if isinstance(event, NodeRetried)]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.one_backend("each process has its own event loop")
def test_another_process_goes_on_with_the_answer(tmp_path: Path, backend: str) -> None:
    """`dagflow run` stops to ask with status 3; `dagflow runs resume` is told the answer, and runs nothing again."""
    dagflow = CommandLine(variables={"TRIAGE_STORE": str(tmp_path / "triage.db")})
    options = ("--lm", OFFLINE, "--backend", backend)
    asked = dagflow.process("run", GRAPH, "-v", "ticket=It crashes.", "--thread", "t", *options, status=3)
    assert "ask#1.ticket (str): Tell me more about “It crashes.”." in asked.stderr
    done = dagflow.process("runs", "resume", GRAPH, "t", "--answer", f"ask#1.ticket={CLEAR}", *options)
    assert f"2 causes: {CAUSES}" == done.json["advice"]
    assert "sort#2 started" in done.stderr
    assert "sort#1 started" not in done.stderr


@pytest.mark.slow
def test_the_command_line_finds_nothing_wrong() -> None:
    """`dagflow check` says that the graph is sound, and what it needs."""
    told = CommandLine()("check", GRAPH).stdout
    assert "graph triage is sound" in told


@pytest.mark.slow
def test_the_graph_of_the_issue_loads_as_it_is(tmp_path: Path) -> None:
    """The file that YAML graphs were asked for with compiles unchanged; nothing is connected, and no model is made."""
    path = write_graph(tmp_path, ISSUE)
    write_prompt(tmp_path, "prompts/sort", 'user: "Sort {text}"\nvariables: [text]\n')
    write_prompt(tmp_path, "prompts/study", 'user: "Study it"\n')
    write_prompt(tmp_path, "prompts/grade", 'user: "Grade it"\nschema: {name: Grade, fields: {score: float}}\n')

    def split_parts(ticket: str) -> list[str]:
        return ticket.split(". ")

    graph = load_and_compile(
        path, functions={"tools:split_parts": split_parts}, environment={"REDIS_URL": "redis://localhost:1"}
    )
    assert ["sort", "ask", "split", "study", "grade"] == list(graph.nodes)
    assert ("ask",) == graph.asking_nodes
    assert {"openai:MODEL"} == {need.spec for need in graph.needs}
    assert "RedisStore" == type(graph.store).__name__


@pytest.mark.parametrize("environment", [{}, {"TRIAGE_STORE": ""}, {"TRIAGE_STORES": "a.db"}])
def test_a_store_without_its_variable_is_an_error(environment: dict[str, str]) -> None:
    """`${TRIAGE_STORE}` that is not set, or empty, is told at its line; it never stands for another store."""
    with pytest.raises(SourceError, match=r"triage.yaml:\d+:\d+: .*no value for \$\{TRIAGE_STORE\}"):
        load_and_compile(GRAPH, root=FOLDER, environment=environment)
