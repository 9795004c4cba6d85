"""`compile_graph`: real DSPy optimises, and the graph runs with what came out, on both event loops."""

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import dspy  # type: ignore[import-untyped]  # it has no types
import pytest

from dagflow import FillError, Graph, GraphError, GraphResult, LMError, LMRequest, Message, Node, NodeConfig
from dagflow.lm.dspy import DSPyBackend
from dagflow.optimize import (
    CompiledGraph,
    Example,
    OptimizedLM,
    Predictor,
    compile_graph,
    field_match,
    trace_to_examples,
)
from dagflow.testing import ScriptedLM, assert_no_leaks
from dagflow.testing.lm_server import LMServer, RecordedRequest, Reply
from optimize.answering import RIGHT, SCRIPT, in_sections
from optimize.other_wardrobe import GRAPH as OTHER
from optimize.wardrobe import GRAPH, Advice, Asked, Mood, Outfit, Refusal

TASKS = ["Asked.choice", "Outfit", "Refusal", "Advice", "Mood"]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """DSPy takes the prices that it came with, instead of loading the newest."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")


def examples(number: int = 12) -> list[list[Node]]:
    """Traces as runs leave them."""
    return [
        [
            Asked(message=f"message {index}"),
            Outfit(season="winter", top="coat", layers=3),
            Advice(mood=Mood(text="calm"), text="stay warm"),
        ]
        for index in range(number)
    ]


async def optimized(**options: Any) -> CompiledGraph:
    compiled = compile_graph(GRAPH, lm=ScriptedLM(SCRIPT))
    await compiled.optimize(examples(), **options)
    return compiled


async def labeled() -> CompiledGraph:
    """Optimised without a request: demonstrations from the examples alone."""
    return await optimized(optimizer=dspy.LabeledFewShot(k=3))


def test_signatures_come_from_node_types() -> None:
    """Each thing that a model is asked has a signature: known fields in, plain fields out, typed."""
    signatures = compile_graph(GRAPH).signatures
    assert sorted(TASKS) == sorted(signatures)
    outfit = signatures["Outfit"]
    assert ["follows_from", "season"] == list(outfit.input_fields)
    assert ["top", "layers"] == list(outfit.output_fields)
    assert "Choose what to wear." == outfit.instructions
    assert ["message"] == list(signatures["Asked.choice"].input_fields)
    assert "a garment" in signatures["Asked.choice"].instructions
    assert ["follows_from", "mood"] == list(signatures["Advice"].input_fields)


async def test_it_optimises_and_runs_with_what_came_out() -> None:
    """DSPy's optimiser really runs, its demonstrations are in the prompts, and every route uses them."""
    lm = ScriptedLM(SCRIPT)
    compiled = compile_graph(GRAPH, lm=lm)
    async with assert_no_leaks():
        report = await compiled.optimize(examples())
    assert {"Asked.choice", "Outfit", "Advice", "Mood"} == set(report.optimized)
    assert {"Refusal": "fewer than 10 examples"} == {
        node.key: node.reason for node in report.nodes if not node.optimized
    }
    assert 16 == report.usage.requests == len(lm.requests)
    demos = compiled.predictors["Outfit"].demos
    assert 8 == len(demos)
    assert 4 == sum(demo.get("augmented", False) for demo in demos)

    lm.requests.clear()
    async with assert_no_leaks():
        result = await compiled.run(Asked(message="hello"))
    assert result.trace == (Asked(message="hello"), *examples(1)[0][1:])
    assert Counter({"Asked.choice": 1, "Outfit": 1, "Advice": 1, "Mood": 1}) == compiled.optimized_calls
    assert Counter() == compiled.fallback_calls
    by_target = {request.target or "choose": request for request in lm.requests}
    assert 17 == len(by_target["Outfit"].messages)
    assert "message 0" in by_target["choose"].messages[0].content


async def test_results_of_runs_are_examples() -> None:
    """What a run came to is taken as it is: an example for each fill and each choice."""
    lm = ScriptedLM(SCRIPT)
    results: list[GraphResult] = [await GRAPH.run(Asked(message=str(index)), lm=lm) for index in range(10)]
    found = trace_to_examples(results[0])
    assert ["Asked.choice", "Outfit", "Mood", "Advice"] == list(found)
    assert {"choice": "Outfit"} == found["Asked.choice"][0].answer
    assert RIGHT["Outfit"] == found["Outfit"][0].answer
    assert Asked(message="0") == found["Outfit"][0].source
    assert {"season": "winter"} == found["Outfit"][0].known
    report = await compile_graph(GRAPH, lm=lm).optimize(results, optimizer=dspy.LabeledFewShot(k=2))
    assert 4 == len(report.optimized)


def test_stopping_is_an_example_of_a_choice() -> None:
    """A run that stopped where it could go on shows that choice; a trace that broke off shows none."""
    assert {"choice": "stop"} == trace_to_examples([Asked(message="x")])["Asked.choice"][0].answer
    assert {} == trace_to_examples([Outfit(season="s", top="t", layers=1)])
    refused = [Asked(message="x"), Refusal(reason="no")]
    assert {"choice": "Refusal"} == trace_to_examples(refused)["Asked.choice"][0].answer


async def test_below_ten_examples_nothing_is_optimised() -> None:
    """Nine examples leave a task as it is, ten do not, and the report says so."""
    compiled = compile_graph(GRAPH, lm=ScriptedLM(SCRIPT))
    report = await compiled.optimize(examples(9))
    assert () == report.optimized
    assert {} == compiled.predictors
    assert "Outfit: 9 examples, left as it was: fewer than 10 examples" in str(report)
    report = await compiled.optimize(examples(10), optimizer=dspy.LabeledFewShot(k=2))
    assert "Outfit: 10 examples, optimised, 2 demonstrations" in str(report)


async def test_examples_that_fit_no_task_are_reported() -> None:
    """An example for what the graph asks nobody is named, and does no harm."""
    report = await compile_graph(GRAPH, lm=ScriptedLM(SCRIPT)).optimize([Example("Outfitt", {"top": "x"})])
    assert "Outfitt: 1 examples, left as it was: the graph asks no model for it" in str(report)


async def test_a_metric_decides_what_becomes_a_demonstration() -> None:
    """The user's metric gets an example and a prediction, and what it turns down is no demonstration of the model's."""
    seen: list[tuple[str, str]] = []

    def metric(example: Any, prediction: Any, trace: Any = None) -> bool:
        if "top" in prediction:
            seen.append((example.top, prediction.top))
        return False

    compiled = await optimized(metric=metric)
    assert ("coat", "coat") in seen
    assert not any("augmented" in demo for demo in compiled.predictors["Outfit"].demos)


def test_the_default_metric_is_the_share_of_equal_fields() -> None:
    """All fields equal is 1, half of them is a half."""
    example = dspy.Example(question="q", top="coat", layers=3).with_inputs("question")
    assert 1.0 == field_match(example, dspy.Prediction(top=" coat", layers=3))
    assert 0.5 == field_match(example, dspy.Prediction(top="coat", layers=2))
    assert 0.0 == field_match(example, dspy.Prediction())


async def test_an_optimiser_with_threads_of_its_own() -> None:
    """An optimiser that evaluates in threads asks in the event loop just the same, and its best is taken."""

    def make(metric: Any) -> Any:
        return dspy.BootstrapFewShotWithRandomSearch(
            metric=metric, num_candidate_programs=1, num_threads=2, max_bootstrapped_demos=1, max_labeled_demos=2
        )

    compiled = compile_graph(GRAPH, lm=ScriptedLM(SCRIPT))
    async with assert_no_leaks():
        report = await compiled.optimize([trace[:2] for trace in examples(10)], optimizer=make)
    assert {"Asked.choice", "Outfit"} == set(report.optimized)


async def test_an_optimised_instruction_is_used() -> None:
    """An optimiser may write a new instruction, which then is in the prompt."""

    class Rewrite(dspy.teleprompt.Teleprompter):  # type: ignore[misc]  # DSPy is untyped
        def compile(self, student: Any, *, trainset: Any) -> Any:
            student.signature = student.signature.with_instructions("Dress for the weather.")
            return student

    compiled = await optimized(optimizer=Rewrite())
    lm = ScriptedLM(SCRIPT)
    await compiled.run(Asked(message="x"), lm=lm)
    assert "Dress for the weather." in next(item for item in lm.requests if item.target == "Outfit").system
    assert "Dress for the weather." == compiled.predictors["Outfit"].instructions


async def test_a_dspy_language_model_optimises() -> None:
    """A `dspy.LM` is asked with its own settings through the event loop, and leaves no connection."""

    def script(request: RecordedRequest) -> Any:
        system = request.body["messages"][0]["content"]
        return in_sections(RIGHT["choose"] if "`choice`" in system else RIGHT["Outfit"])

    async with assert_no_leaks(), LMServer(script) as server:
        lm = dspy.LM("openai/gpt-4o", api_base=f"{server.url}/v1", api_key="sk-canary-1", temperature=0.5)
        compiled = compile_graph(GRAPH)
        report = await compiled.optimize([trace[:2] for trace in examples()], lm=DSPyBackend(lm))
        await server.until(lambda: server.open_connections == 0)
    assert {"Asked.choice", "Outfit"} == set(report.optimized)
    assert (8, 80, 40) == (report.usage.requests, report.usage.input_tokens, report.usage.output_tokens)
    assert {0.5} == {request.body["temperature"] for request in server.requests}
    assert 4 == sum(demo.get("augmented", False) for demo in compiled.predictors["Outfit"].demos)


async def test_cancelling_ends_the_optimiser() -> None:
    """Cancelled, the request under way hangs up and the optimiser's thread ends, whatever it swallows."""

    async with assert_no_leaks():
        async with LMServer(Reply.hang()) as server:
            lm = dspy.LM("openai/gpt-4o", api_base=f"{server.url}/v1", api_key="sk-canary-1")
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(lambda: compile_graph(GRAPH).optimize(examples(), lm=lm))
                    await server.arrived()
                    scope.cancel()
            await server.closed_early()
        assert 1 == server.received
    assert scope.cancelled_caught


async def test_errors_of_the_model_reach_the_caller() -> None:
    """An optimiser that gives up raises what the language model raised."""
    compiled = compile_graph(GRAPH, lm=ScriptedLM({"choose": LMError("no credit")}))
    with pytest.raises(LMError, match="no credit"):
        await compiled.optimize(examples())
    assert {} == compiled.predictors


async def test_repairs_work_with_optimised_prompts() -> None:
    """An invalid answer is sent back with its problems, after DSPy's own messages and with its format."""
    good, bad = in_sections(RIGHT["Outfit"]), in_sections({"top": "coat", "layers": "many"})
    compiled = await labeled()
    lm = ScriptedLM({**SCRIPT, "Outfit": [bad, good]})
    result = await compiled.run(Asked(message="x"), lm=lm)
    assert 3 == result.trace[1].layers  # type: ignore[attr-defined]  # it is an Outfit
    repair = [request for request in lm.requests if request.target == "Outfit"][1]
    assert "$.layers" in repair.messages[-1].content
    assert "[[ ## completed ## ]]" in repair.messages[-1].content
    assert '"layers": "many"' in repair.messages[-2].content
    assert 2 == compiled.optimized_calls["Outfit"]
    lm = ScriptedLM({**SCRIPT, "Outfit": bad})
    with pytest.raises(FillError):
        await compiled.run(Asked(message="x"), lm=lm)


async def test_every_route_uses_the_optimised_prompts() -> None:
    """`make`, `decide`, `choose_type` and `fill` all go through them."""
    compiled = await labeled()
    lm = compiled.optimized_lm(ScriptedLM(SCRIPT))
    start = Asked(message="x")
    outfit = Outfit(season="winter", top="coat", layers=3)
    assert outfit == await lm.make(start, Outfit)
    assert outfit == await lm.decide(start)
    assert Outfit is await lm.choose_type([Outfit, Refusal, None], {"message": "x"})
    assert outfit == await lm.fill(Outfit, {"season": "winter"}, "Choose what to wear.", start)
    assert Counter({"Outfit": 3, "Asked.choice": 2}) == lm.optimized_calls
    assert Counter() == lm.fallback_calls


async def test_what_no_predictor_fits_falls_back() -> None:
    """Other fields, another instruction, other candidates and free text are asked as they are, and counted."""
    compiled = await labeled()
    lm = compiled.optimized_lm(ScriptedLM({**SCRIPT, "Outfit": [{"layers": 3}, RIGHT["Outfit"]]}))
    start = Asked(message="x")
    assert "hat" == (await lm.fill(Outfit, {"season": "winter", "top": "hat"}, "Choose what to wear.", start)).top
    await lm.fill(Outfit, {"season": "winter"}, "Choose something silly.", start)
    await lm.choose_type([Outfit, None], {"message": "x"})
    with pytest.raises(LMError):  # the script has no answer for text
        await lm.complete(LMRequest(system="", messages=(Message("user", "hi"),), target="text"))
    assert Counter() == lm.optimized_calls
    assert Counter({"Outfit": 2, "choice": 1, "text": 1}) == lm.fallback_calls


async def test_nodes_with_the_same_choice_are_told_apart() -> None:
    """Two nodes with equal fields and followers each have a predictor of their own, found by where the run is."""

    class First(Node):
        message: str

        async def __call__(self) -> "Left | Right": ...

    class Left(Node):
        message: str

        async def __call__(self) -> "Left | Right": ...

    class Right(Node):
        text: str

        async def __call__(self) -> None: ...

    graph = Graph(First, namespace=locals())
    script = {"choose": [in_sections({"choice": name}) for name in ("Left", "Right")]}
    script |= {"Left": ['{"message": "m"}'], "Right": ['{"text": "t"}']}
    compiled = compile_graph(graph)
    for key in ("First.choice", "Left.choice"):
        task = compiled.tasks[key]
        state = {**task.form.signature.dump_state(), "instructions": f"This is {key}."}
        compiled.predictors[key] = Predictor(task, state, ())
    lm = ScriptedLM(script)
    await compiled.run(First(message="x"), lm=lm)
    systems = [request.system for request in lm.requests if request.purpose == "choose"]
    assert ["First" in systems[0], "Left.choice" in systems[1]] == [True, True]
    assert Counter({"First.choice": 1, "Left.choice": 1}) == compiled.optimized_calls


async def test_it_is_saved_and_loaded(tmp_path: Path) -> None:
    """Plain JSON goes out and comes back equal, and the file is replaced as a whole."""
    compiled = await labeled()
    path = tmp_path / "wardrobe.json"
    compiled.save(path)
    compiled.save(path)
    assert [path] == list(tmp_path.iterdir())
    assert "message 1" in json.dumps(json.loads(path.read_text()))
    loaded = CompiledGraph.load(path, GRAPH)
    assert loaded.predictors == compiled.predictors
    result = await loaded.run(Asked(message="x"), lm=ScriptedLM(SCRIPT))
    assert Outfit(season="winter", top="coat", layers=3) == result.trace[1]
    assert 4 == loaded.optimized_calls.total()


async def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Where the file cannot be put in its place, what was written beside it goes."""
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError, match="folder"):
        (await labeled()).save(target)
    assert [target] == list(tmp_path.iterdir())


async def test_the_optimiser_that_was_given_stays_as_it_is() -> None:
    """Optimisers keep state; each task has a fresh copy of the one that was given."""
    optimizer = dspy.BootstrapFewShot(max_bootstrapped_demos=1, max_labeled_demos=1)
    before = dict(vars(optimizer))
    await optimized(optimizer=optimizer)
    assert before == vars(optimizer)


LOAD = """
import sys
import anyio
from optimize.answering import SCRIPT
from optimize.other_wardrobe import GRAPH as OTHER
from optimize.wardrobe import GRAPH, Asked
from dagflow.optimize import CompiledGraph
from dagflow.testing import ScriptedLM

async def main():
    compiled = CompiledGraph.load(sys.argv[1], GRAPH, lm=ScriptedLM(SCRIPT))
    result = await compiled.run(Asked(message="x"))
    print(result.node.text, dict(compiled.optimized_calls))

anyio.run(main, backend="trio")
"""


@pytest.mark.slow
@pytest.mark.one_backend("the other process runs on trio")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_another_process_loads_it(tmp_path: Path) -> None:
    """What was optimised on one event loop runs in a new process on the other."""
    path = tmp_path / "wardrobe.json"
    (await labeled()).save(path)
    tests = str(Path(__file__).parents[1])
    done = await anyio.run_process([sys.executable, "-c", LOAD, str(path)], env={"PYTHONPATH": tests}, check=False)
    assert b"" == done.stderr
    assert "stay warm" in done.stdout.decode()
    assert "'Outfit': 1" in done.stdout.decode()


async def test_a_file_of_another_graph_is_refused(tmp_path: Path) -> None:
    """A file that was saved for other nodes or fields says what differs."""
    path = tmp_path / "wardrobe.json"
    (await labeled()).save(path)

    with pytest.raises(GraphError) as caught:
        CompiledGraph.load(path, OTHER)
    told = str(caught.value)
    assert "it has Advice, which no model is asked for in this graph" in told
    assert "it has other inputs for Outfit: follows_from, season, now follows_from" in told
    assert "it has another answer for Outfit" in told
    with pytest.raises(GraphError, match="it is for the graph Asked"):
        CompiledGraph.load(path, Graph(Advice))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "x"}', "\x00\xff", '{"a": 1} trailing'])
def test_garbage_is_refused(tmp_path: Path, text: str) -> None:
    """What `save` did not write is refused, naming the file."""
    path = tmp_path / "garbage.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"garbage\.json is no compiled graph"):
        CompiledGraph.load(path, GRAPH)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """No file is a `FileNotFoundError` that says what writes one."""
    with pytest.raises(FileNotFoundError, match=r"no compiled graph at .*nothing\.json; CompiledGraph\.save"):
        CompiledGraph.load(tmp_path / "nothing.json", GRAPH)


async def test_damage_and_other_versions_are_refused(tmp_path: Path) -> None:
    """A file with parts missing or of another version is refused, naming what is wrong."""
    path = tmp_path / "wardrobe.json"
    (await labeled()).save(path)
    data = json.loads(path.read_text())

    def load(**changes: Any) -> None:
        path.write_text(json.dumps({**data, **changes}))
        CompiledGraph.load(path, GRAPH)

    load()
    with pytest.raises(ValueError, match="has version 2 of the format, and this dagflow reads version 1"):
        load(version=2)
    with pytest.raises(ValueError, match="its tasks or its predictors are missing"):
        load(predictors=None)
    broken: list[Any] = [{}, {"signature": {}, "demos": []}, {**data["predictors"]["Outfit"], "demos": 3}, None]
    for damaged in broken:
        with pytest.raises(ValueError, match=r"is damaged: the predictor of Outfit is damaged"):
            load(predictors={"Outfit": damaged})


def test_what_is_no_language_model_is_refused() -> None:
    """A compiled graph runs with a `BaseLM`, and says so before it starts."""
    with pytest.raises(TypeError, match="OptimizedLM takes a BaseLM"):
        OptimizedLM(42, ())  # type: ignore[arg-type]  # that is the point
    with pytest.raises(TypeError, match="wrap a DSPy model in DSPyBackend"):
        compile_graph(GRAPH).optimized_lm(dspy.LM("openai/x"))


async def test_identity_has_the_prompts_in_it() -> None:
    """A cache tells optimised answers from others."""
    compiled = await labeled()
    inner = DSPyBackend("openai/gpt-4o", api_key="sk-canary-1")
    assert compiled.optimized_lm(inner).identity != OptimizedLM(inner, ()).identity
    assert compiled.optimized_lm(ScriptedLM({})).identity is None


async def test_a_node_with_tools_is_asked_as_it_is() -> None:
    """Signatures have no place for tools; the plain request keeps them."""

    async def look_up(place: str) -> str:
        return place

    class Begin(Node):
        async def __call__(self) -> "Armed": ...

    class Armed(Node):
        node_config = NodeConfig(tools=(look_up,))
        text: str

        async def __call__(self) -> None: ...

    graph = Graph(Begin, namespace=locals())
    compiled = compile_graph(graph, lm=ScriptedLM({"Armed": {"text": "x"}}))
    await compiled.optimize([[Begin(), Armed(text="x")]] * 10, optimizer=dspy.LabeledFewShot(k=1))
    await compiled.run(Begin())
    assert Counter({"Armed": 1}) == compiled.fallback_calls


@pytest.mark.slow
def test_importing_it_is_cheap() -> None:
    """`dagflow.optimize` does not import DSPy."""
    code = "import sys, dagflow.optimize; assert not {'dspy', 'pydantic'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_no_model_could_write_is_no_task() -> None:
    """A node that only a body makes may hold anything, and is left out."""

    class Begin(Node):
        async def __call__(self) -> "Holding":
            return Holding(thing=threading.Event())

    class Holding(Node):
        thing: threading.Event

        async def __call__(self) -> None: ...

    graph = Graph(Begin, namespace=locals())
    assert {} == dict(compile_graph(graph).tasks)
    assert {} == trace_to_examples([Begin(), Holding(thing=threading.Event())])
