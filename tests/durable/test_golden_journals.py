"""Golden journals: what dagflow wrote once stays readable for ever, and what it writes today has the same form.

The files in `journals/` were written by the scenarios beside them, once. They are never written again.
"""

import json
from collections import Counter
from typing import Any

import pytest

from dagflow import CheckpointError, MemoryStore, Thread, read_run_log
from dagflow.core.records import KINDS
from dagflow.core.storage import Record
from dagflow.events import (
    InterruptAnswered,
    LMCalled,
    NodeCancelled,
    NodeFailed,
    NodeRecovered,
    NodeRetried,
    NodeSucceeded,
    RunEnded,
)
from durable.journals import scenarios
from durable.journals.scenarios import FOLDER, SCENARIOS, End, Place, graph, load, plain, read, write

NAMES = sorted(file.stem for file in FOLDER.glob("*.records"))

STANDING: dict[str, tuple[str | None, list[str], list[str]]] = {
    "interrupted": (
        "interrupted",
        ["Begin", "Flaky", "Subject", "Poem"],
        ["Ask#1.size", "Ask#1.place"],
    ),
    "nested": (
        "interrupted",
        ["Begin", "Flaky", "Subject", "Poem", "Ask"],
        ["Nests#1/Small.2/Confirm#1.really"],
    ),
    "complete": ("complete", ["Begin", "Flaky", "Subject", "Poem", "Ask", "Nests", "End"], []),
    "failed": ("failed", ["Begin"], []),
    "failed_dependency": ("failed", ["Begin"], []),
    "cancelled": ("cancelled", ["Begin", "Flaky", "Subject", "Poem", "Ask"], []),
    "killed": (None, ["Begin", "Flaky", "Subject", "Poem", "Ask"], []),
    "forked": (
        "interrupted",
        ["Begin", "Flaky", "Subject", "Poem", "Ask"],
        ["Nests#1/Small.1/Confirm#1.really"],
    ),
    "two_runs": ("interrupted", ["Begin", "Flaky", "Subject", "Poem"], ["Ask#1.size", "Ask#1.place"]),
}
"""How each thread stands: outcome, trace and open questions of its newest run."""

YAML_BEGUN: dict[str, Any] = {
    "kind": "parcel",
    "place": Place("Faro"),
    "names": ["Ada", "Bób"],
    "notes": ["a parcel for Málaga", "told"],
}
YAML_MOVED = {**YAML_BEGUN, "ages": [36, 40], "place": Place("Faro", ("36", "40"))}

YAML_STANDING: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "yaml_interrupted": ("interrupted", YAML_BEGUN, ["How old is Bób?"]),
    "yaml_nested": ("interrupted", YAML_MOVED, ["What does it weigh, in Faro?"]),
    "yaml_complete": ("complete", {**YAML_MOVED, "size": 8}, []),
}
"""How each thread of the YAML graph stands: outcome, state and open questions."""

PIPELINES = ("pipeline_complete", "pipeline_failed")


@pytest.fixture(autouse=True)
def start_anew() -> None:
    scenarios.broken.clear()


async def golden(name: str) -> MemoryStore:
    store = MemoryStore()
    records, values = load(name)
    await write(store, records, values, "running")
    return store


def test_every_scenario_has_its_journal() -> None:
    """No file is missing, and none is left from a scenario that is gone."""
    assert sorted(SCENARIOS) == NAMES
    assert sorted([*STANDING, *YAML_STANDING, *PIPELINES, "branches"]) == NAMES


@pytest.mark.parametrize("name", sorted(STANDING))
async def test_a_journal_is_read_and_folded(name: str) -> None:
    """Each stands as it did when it was written, with nodes of the same values."""
    state = await graph.thread("t", store=await golden(name)).state()
    outcome, trace, waiting = STANDING[name]
    assert (outcome, trace) == (state.outcome, [type(node).__name__ for node in state.trace])
    assert waiting == [asked.id for asked in state.interrupts]
    first: Any = state.trace[0]
    assert ("again" if name == "two_runs" else "hello", "läng" * 1000) == (first.message, first.large)
    if len(trace) > 3:
        poem: Any = state.trace[3]
        assert (["O tide", "ü\u2028\n"], Place("Málaga", ("sea", "sun"))) == (poem.lines, poem.place)


@pytest.mark.parametrize("name", sorted(STANDING))
async def test_a_journal_is_gone_on_with_to_its_end(name: str) -> None:
    """The rest of the run comes to what it would have come to."""
    store = await golden(name)
    before = len(load(name)[0])
    result = await scenarios.go_on(store)
    assert "complete" == result.status
    size = 1 if name == "forked" else 4
    assert (End, size * 10, "the sea") == (type(result.node), result.node.total, result.node.message)
    assert (before == len((await read(store))[0])) == (name == "complete")


@pytest.mark.parametrize("name", sorted(YAML_STANDING))
async def test_a_journal_of_a_yaml_graph_is_read_and_folded(name: str) -> None:
    """State, of declared types and with what came with an answer, and the questions stand as they were written."""
    store, read_by = await golden(name), scenarios.yaml_graph()
    stands = await read_by.thread("t", store=store).state()
    outcome, state, waiting = YAML_STANDING[name]
    assert (outcome, waiting) == (stands.outcome, [asked.question for asked in stands.interrupts])
    assert state == await read_by.state("t", store=store)


@pytest.mark.parametrize("name", sorted(YAML_STANDING))
async def test_a_journal_of_a_yaml_graph_is_gone_on_with_to_its_end(name: str) -> None:
    """The open questions are answered, items and nodes that are recorded do not run again, and the end is the same."""
    store = await golden(name)
    before = len(load(name)[0])
    result = await scenarios.yaml_go_on(store)
    assert ("complete", {**YAML_MOVED, "size": 8}) == (result.status, result.state)
    records = (await read(store))[0]
    assert (before == len(records)) == (name == "yaml_complete")
    events = await Thread("t", store).events()
    assert ["ValueError: not ever"] == [event.error for event in events if isinstance(event, NodeRecovered)]
    done = Counter((event.run, event.activation) for event in events if isinstance(event, NodeSucceeded))
    assert 1 == max(done.values())
    assert 11 == len(done), "seven nodes, two items, and two nodes of the inner graph"


@pytest.mark.parametrize("name", PIPELINES)
async def test_the_journal_of_a_pipeline_is_read_and_folded(name: str) -> None:
    """The run log tells of every attempt what it raised, with the traceback of those days."""
    log = await read_run_log(await golden(name), "t")
    complete = name == "pipeline_complete"
    assert ("weights", "nightly", 2 if complete else 1) == (log.pipeline, log.tag, log.begun)
    second = log.steps[1].parts[1].steps[0].attempts
    error = "ValueError: ñot yet"
    assert [(1, error), (2, error), (3, "")][: 3 if complete else 2] == [(it.number, it.error) for it in second]
    assert second[0].traceback.startswith("Traceback (most recent call last):")
    assert f'in weigh\n    raise ValueError("ñot yet")\n{error}\n' in second[0].traceback
    assert ("complete" if complete else "failed") == log.status


@pytest.mark.parametrize("name", PIPELINES)
async def test_the_journal_of_a_pipeline_is_gone_on_with_to_its_end(name: str) -> None:
    """Values of declared types are read back, and items that are recorded do not run again."""
    store = await golden(name)
    before = len(load(name)[0])
    result = await scenarios.pipeline().retry("t", store=store)
    assert [Place("Málaga", ("kg",) * size) for size in (1, 2, 3)] == result.parameters["placed"]
    assert "MálagaMálagaMálaga" == result.parameters["text"]
    records = (await read(store))[0]
    assert (before == len(records)) == (name == "pipeline_complete")
    events = await Thread("t", store).events()
    done = Counter((event.run, event.activation) for event in events if isinstance(event, NodeSucceeded))
    assert 1 == max(done.values())


async def test_branches_with_an_open_question_go_on() -> None:
    """State writes, a large one among them, are read back, and the join waits for the answer."""
    store = await golden("branches")
    ended = await plain.resume(store, "t")
    assert ("interrupted", ["left#1.left"]) == (ended.outcome, [asked.id for asked in ended.interrupts])
    assert {"right": "r" * 2_000, "$value": {"$value": 1}} == ended.state
    ended = await plain.resume(store, "t", {"left#1.left": "yes"})
    assert ("complete", "yes", "join#1") == (ended.outcome, ended.state["left"], ended.ran[-1])


def test_the_journals_hold_every_kind_of_event() -> None:
    """What can be recorded is in one of them at least."""
    found = {json.loads(record.text.rpartition(" ")[0])["kind"] for name in NAMES for record in load(name)[0]}
    assert set(KINDS) - {"DependencyCancelled"} <= found


async def test_events_have_their_typed_fields() -> None:
    """Usage, delays, errors and answers are what they were."""
    events = await Thread("t", await golden("complete")).events()
    (called,) = [event for event in events if isinstance(event, LMCalled)]
    assert (1, 0.0, "scripted") == (called.usage.requests, called.usage.cost, called.model)
    answers = {event.interrupt: event.answer for event in events if isinstance(event, InterruptAnswered)}
    assert {"Ask#1.place": {"name": "Faro", "tags": []}, "Ask#1.size": 4} == {
        key: answers[key] for key in sorted(answers) if "/" not in key
    }
    (retried,) = [e for e in await Thread("t", await golden("interrupted")).events() if isinstance(e, NodeRetried)]
    assert ("ValueError: once", 0) == (retried.error, retried.delay)
    (failed,) = [e for e in await Thread("t", await golden("failed")).events() if isinstance(e, NodeFailed)]
    assert ("ValueError: not today", 2) == (failed.error, failed.attempt)
    cancelled = await Thread("t", await golden("cancelled")).events()
    assert [NodeCancelled, RunEnded] == [type(event) for event in cancelled[-2:]]


def form(records: list[Record]) -> Counter[str]:
    """What a journal is made of: the kinds of its records, and the keys of each, nested ones of values too."""
    return Counter(keys(json.loads(record.text.rpartition(" ")[0]), "kind") for record in records)


def keys(data: Any, told: str = "") -> str:
    """The keys of a JSON value, nested ones too."""
    if isinstance(data, list):
        return f"[{keys(data[0])}]" if data else "[]"
    if not isinstance(data, dict):
        return ""
    inside = ", ".join(f"{key}{keys(value)}" for key, value in sorted(data.items()))
    return f"{data.get(told, '')}({inside})"


@pytest.mark.parametrize("name", sorted(SCENARIOS))
async def test_todays_records_have_the_keys_of_those_days(name: str) -> None:
    """The same scenario gives records with the same keys: whoever changes the form has to think of old journals."""
    store = MemoryStore()
    await SCENARIOS[name](store)
    today, values = await read(store)
    records, old_values = load(name)
    assert form(records) == form(today)
    assert old_values.keys() == values.keys()


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "swapped"])
async def test_a_damaged_journal_is_told_by_its_record(damage: str) -> None:
    """No damage is read as something else."""
    records, values = load("complete")
    text = records[6].text
    if damage == "cut":
        records[6] = Record(7, text[:-15])
    elif damage == "changed":
        records[6] = Record(7, text.replace("1", "2", 1))
    elif damage == "swapped":
        records[6], records[7] = Record(7, records[7].text), Record(8, text)
    else:
        values = {}
    store = MemoryStore()
    await write(store, records, values, "complete")
    with pytest.raises(CheckpointError, match="record 1 |value" if damage == "missing" else "record 7"):
        await graph.resume("t", store=store, lm=scenarios.lm())
