"""Questions of YAML graphs: asked, recorded, answered by key or by id, several open at once."""

from pathlib import Path
from typing import Any

import pytest

from dagflow import AnswerError, CheckpointError, GraphChanged, MemoryStore, RunError, SQLiteStore
from dagflow.core.storage import Store
from dagflow.declarative.api import resume_async, run_graph_async, run_until_interrupt_async
from declarative.yaml_files import compiled

ASK = """
    state: {name: str, age: int, seen: {type: "list[str]", reducer: add}}
    nodes:
      hello: {type: passthrough, output: {seen: [hello]}}
      ask: {type: interrupt, message: "Who are you?", resume_key: name}
      count: {type: passthrough, output: {seen: ["{name}"]}}
    edges:
      - {from: START, to: hello}
      - {from: hello, to: ask}
      - {from: ask, to: count}
      - {from: count, to: END}
"""


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "runs.db")


async def test_a_run_stops_with_the_question_and_goes_on_with_the_answer(tmp_path: Path, store: Store) -> None:
    """The dict of an interrupted run says what to answer, and `resume_async` takes it by its resume key."""
    graph = compiled(tmp_path, ASK)
    config = {"configurable": {"thread_id": "t"}, "checkpointer": store}
    asked = await run_until_interrupt_async(graph=graph, initial_state={}, config=config)
    question = {
        "id": "ask#1.name",
        "resume_key": "name",
        "message": "Who are you?",
        "node": "ask",
        "type": "str",
        "schema": {"type": "string"},
    }
    assert {
        "status": "interrupted",
        "thread_id": "t",
        "state": {"seen": ["hello"]},
        "resume_key": "name",
        "message": "Who are you?",
        "interrupts": [question],
    } == asked
    done = await resume_async(graph, "t", {"name": "Ada"}, config={"checkpointer": store})
    assert {
        "status": "complete",
        "thread_id": "t",
        "state": {"name": "Ada", "seen": ["hello", "Ada"]},
    } == done


async def test_state_and_initial_state_are_the_same(tmp_path: Path) -> None:
    """`state=` is accepted beside `initial_state=`, and both together are refused."""
    graph = compiled(tmp_path, ASK)
    for name in ("state", "initial_state"):
        result = await run_until_interrupt_async(graph, **{name: {"seen": ["x"]}}, thread_id=name)  # type: ignore[arg-type]
        assert ["x", "hello"] == result["state"]["seen"]
    with pytest.raises(TypeError, match="given twice"):
        await run_until_interrupt_async(graph, {"age": 1}, state={"age": 1})


async def test_without_a_checkpointer_a_question_is_kept_in_memory(tmp_path: Path) -> None:
    """A graph that asks can be resumed in the same process though nothing says where it is recorded."""
    graph = compiled(tmp_path, ASK)
    asked = await run_until_interrupt_async(graph)
    assert "complete" == (await resume_async(graph, asked["thread_id"], {"name": "Ada"}))["status"]


async def test_run_graph_async_never_hides_a_question(tmp_path: Path) -> None:
    """A run that asks is an error of `run_graph_async` that names the thread, which can be resumed."""
    graph = compiled(tmp_path, ASK)
    with pytest.raises(RunError, match=r"waits for answers to ask#1.name \('Who are you\?'\).*'t'"):
        await run_graph_async(graph, thread_id="t")
    assert "complete" == (await resume_async(graph, "t", {"name": "Ada"}))["status"]


async def test_a_wrong_answer_records_nothing(tmp_path: Path, store: Store) -> None:
    """An answer of another type, or to no question, is refused with its path, and the question stays open."""
    graph = compiled(tmp_path, ASK)
    await graph.run(store=store, thread_id="t")
    with pytest.raises(AnswerError) as caught:
        await graph.resume("t", {"name": 7}, store=store)
    assert ["ask#1.name"] == [item.path for item in caught.value.invalid]
    with pytest.raises(AnswerError, match=r"nmae: it is no open question.*did you mean 'name'"):
        await graph.resume("t", {"nmae": "Ada"}, store=store)
    assert "complete" == (await graph.resume("t", {"ask#1.name": "Ada"}, store=store)).status


async def test_other_state_keys_are_merged_with_an_answer(tmp_path: Path, store: Store) -> None:
    """Declared keys beside the answer are written with it; a reducer folds them, and they are checked."""
    graph = compiled(tmp_path, ASK)
    await graph.run(store=store, thread_id="t")
    with pytest.raises(AnswerError, match="age"):
        await graph.resume("t", {"name": "Ada", "age": "old"}, store=store)
    done = await graph.resume("t", {"name": "Ada", "age": 36, "seen": ["told"]}, store=store)
    assert {"name": "Ada", "age": 36, "seen": ["hello", "told", "Ada"]} == done.state


async def test_state_without_an_answer_is_refused(tmp_path: Path) -> None:
    """State can only be written by what runs; a resume that answers nothing cannot bring any."""
    graph = compiled(tmp_path, ASK)
    await graph.run(thread_id="t")
    with pytest.raises(AnswerError, match="with the answer to a question"):
        await graph.resume("t", {"age": 3})


PARALLEL = """
    state: {first: str, second: str, third: str}
    nodes:
      one: {type: interrupt, message: "one?", resume_key: first}
      two: {type: interrupt, message: "two?", resume_key: second}
      work: {type: passthrough, output: {third: done}}
      end: {type: passthrough}
    edges:
      - {from: START, to: [one, two, work]}
      - {from: one, to: end}
      - {from: two, to: end}
      - {from: work, to: end}
      - {from: end, to: END}
"""


async def test_several_questions_are_open_at_once(tmp_path: Path, store: Store) -> None:
    """Siblings finish and are recorded, and the answers may come one by one, in any order."""
    graph = compiled(tmp_path, PARALLEL)
    asked = await graph.run(store=store, thread_id="t")
    assert ["one#1.first", "two#1.second"] == [one.id for one in asked.interrupts]
    assert {"third": "done"} == asked.state
    asked = await graph.resume("t", {"second": "B"}, store=store)
    assert ("interrupted", ["one#1.first"]) == (asked.status, [one.id for one in asked.interrupts])
    done = await graph.resume("t", {"first": "A"}, store=store)
    assert {"first": "A", "second": "B", "third": "done"} == done.state


async def test_a_resume_key_that_two_questions_have_is_answered_by_id(tmp_path: Path) -> None:
    """What a key leaves open is refused, naming the ids."""
    text = PARALLEL.replace("resume_key: second", "resume_key: first").replace(
        "first: str, second: str", "first: {type: str, reducer: last_value}"
    )
    graph = compiled(tmp_path, text)
    await graph.run(thread_id="t")
    with pytest.raises(AnswerError, match=r"2 questions have it; answer by id: one#1.first, two#1.first"):
        await graph.resume("t", {"first": "A"})
    done = await graph.resume("t", {"one#1.first": "A", "two#1.first": "B"})
    assert "B" == done.state["first"]


async def test_a_question_in_a_loop_has_another_id_each_time(tmp_path: Path) -> None:
    """Each turn asks anew, and an answer fills its own turn only."""
    text = """
        state: {word: str, heard: {type: "list[str]", reducer: add}}
        nodes:
          ask: {type: interrupt, message: "word {len(heard)}?", resume_key: word}
          keep: {type: passthrough, output: {heard: ["{word}"]}}
        edges:
          - {from: START, to: ask}
          - {from: ask, to: keep}
          - {from: keep, to: ask, condition: "len(heard) < 3"}
          - {from: keep, to: END}
    """
    graph = compiled(tmp_path, text)
    result = await graph.run({"heard": []}, thread_id="t")
    ids = []
    for word in ("a", "b", "c"):
        ids += [(one.id, one.question) for one in result.interrupts]
        result = await graph.resume("t", {"word": word})
    assert [("ask#1.word", "word 0?"), ("ask#2.word", "word 1?"), ("ask#3.word", "word 2?")] == ids
    assert ["a", "b", "c"] == result.state["heard"]


async def test_skip_if_exists_does_not_ask_again(tmp_path: Path) -> None:
    """A question whose key has a value already is not asked."""
    graph = compiled(tmp_path, ASK.replace("resume_key: name}", "resume_key: name, skip_if_exists: true}"))
    assert "complete" == (await graph.run({"name": "Ada"})).status
    assert "interrupted" == (await graph.run({})).status


async def test_nothing_finished_runs_again(tmp_path: Path, store: Store) -> None:
    """A resume after an interrupt and after a failure runs only what did not complete."""
    calls: list[str] = []
    broken = [True]

    async def first() -> str:
        calls.append("first")
        return "f"

    async def second() -> str:
        calls.append("second")
        if broken:
            raise ValueError("not today")
        return "s"

    graph = compiled(
        tmp_path,
        """
        nodes:
          first: {type: python, function: first, state_key: a}
          ask: {type: interrupt, message: "?", resume_key: b}
          second: {type: python, function: second, state_key: c}
        edges: [{from: START, to: first}, {from: first, to: ask}, {from: ask, to: second}, {from: second, to: END}]
        """,
        first=first,
        second=second,
    )
    await graph.run(store=store, thread_id="t")
    with pytest.raises(RunError, match="not today") as caught:
        await graph.resume("t", {"b": 1}, store=store)
    assert ("first#1", "ask#1") == caught.value.trace
    broken.clear()
    done = await graph.resume("t", store=store)
    assert {"a": "f", "b": 1, "c": "s"} == done.state
    assert ["first", "second", "second"] == calls


async def test_a_changed_graph_is_told_and_may_be_accepted(tmp_path: Path, store: Store) -> None:
    """A resume with other nodes is `GraphChanged` naming them; prompts, messages and conditions may change."""
    await compiled(tmp_path, ASK).run(store=store, thread_id="t")
    said = compiled(tmp_path, ASK.replace("Who are you?", "And who are you?"))
    changed = compiled(
        tmp_path,
        ASK.replace("count:", "tally:").replace("to: count", "to: tally").replace("from: count", "from: tally"),
    )
    with pytest.raises(GraphChanged) as caught:
        await changed.resume("t", {"name": "Ada"}, store=store)
    assert [
        "node count is gone",
        "node tally is new",
        "node ask may now lead to tally",
        "node ask no longer leads to count",
    ] == list(caught.value.changes)
    assert "complete" == (await said.resume("t", {"name": "Ada"}, store=store)).status


async def test_a_thread_that_waits_refuses_a_new_run(tmp_path: Path) -> None:
    """Starting a run where a question is open names the question."""
    graph = compiled(tmp_path, ASK)
    await graph.run(thread_id="t")
    with pytest.raises(CheckpointError, match="ask#1.name"):
        await graph.run(thread_id="t")


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"configurabel": {}}, "did you mean 'configurable'"),
        ({"configurable": {"tread_id": "t"}}, "it takes 'thread_id'"),
        ({"configurable": {"thread_id": "other"}}, "thread_id is given twice"),
    ],
)
async def test_a_faulty_config_is_refused(tmp_path: Path, config: dict[str, Any], problem: str) -> None:
    """What `config` cannot have is named, and so is what contradicts an argument."""
    with pytest.raises(ValueError, match=problem):
        await run_until_interrupt_async(compiled(tmp_path, ASK), config=config, thread_id="t")
