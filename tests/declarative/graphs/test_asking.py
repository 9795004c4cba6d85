"""Nodes that ask a language model: `llm`, `router` and `agent`, with prompts in files and in place."""

from pathlib import Path

import pytest

from dagflow import FillError, GraphError, LMError, LMRequest, NodeError
from dagflow.testing import ScriptedLM
from declarative.yaml_files import compiled, faults_in, write_prompt

GRADE = """
    system: You grade.
    user: "Grade this: {text}. Write JSON like {\\"a\\": 1}."
    variables: [text]
    schema:
      name: Grade
      fields:
        score: {type: float, ge: 0, le: 1}
        reasons: list[str]
"""

GRAPH = """
    state: {text: str}
    nodes:
      grade: {type: llm, prompt: prompts/grade, variables: {text: "{state.text}"}, state_key: grade}
      good: {type: passthrough, output: {verdict: good}}
      bad: {type: passthrough, output: {verdict: bad}}
    edges:
      - {from: START, to: grade}
      - {from: grade, to: bad, condition: "grade.score < 0.8"}
      - {from: grade, to: good}
      - {from: good, to: END}
      - {from: bad, to: END}
"""


@pytest.fixture
def grading(tmp_path: Path) -> Path:
    write_prompt(tmp_path, "prompts/grade", GRADE)
    return tmp_path


async def test_an_answer_has_the_fields_of_the_schema(grading: Path) -> None:
    """A prompt's schema makes the answer JSON in the state, which conditions can read."""
    graph = compiled(grading, GRAPH)
    lm = ScriptedLM({"grade": [{"score": 0.5, "reasons": ["short"]}, {"score": 0.9, "reasons": []}]})
    first = await graph.run({"text": "x"}, lm=lm)
    assert {"text": "x", "grade": {"score": 0.5, "reasons": ["short"]}, "verdict": "bad"} == first.state
    assert "good" == (await graph.run({"text": "y"}, lm=lm)).state["verdict"]
    request = lm.requests[0]
    assert request.native_system.startswith("You grade.")
    assert 'Grade this: x. Write JSON like {"a": 1}.' == request.messages[0].content
    assert {"score", "reasons"} == set((request.schema or {})["properties"])


async def test_an_invalid_answer_is_repaired_and_then_refused(grading: Path) -> None:
    """Constraints of the schema hold: the model hears what is wrong, and at last the run fails with the paths."""
    graph = compiled(grading, GRAPH)
    lm = ScriptedLM({"grade": [{"score": 7, "reasons": []}, {"score": 0.9, "reasons": []}]})
    assert "good" == (await graph.run({"text": "x"}, lm=lm)).state["verdict"]
    with pytest.raises(FillError, match=r"\$\.score"):
        await graph.run({"text": "x"}, lm=ScriptedLM({"grade": {"score": 7, "reasons": []}}))


async def test_an_answer_without_a_schema_is_text(tmp_path: Path) -> None:
    """A prompt in place, without a schema, gives what the model wrote, as it is."""
    graph = compiled(
        tmp_path,
        """
        nodes:
          say: {type: llm, prompt: {user: "Say {word}."}, variables: {word: "{word}"}, state_key: said}
        edges: [{from: START, to: say}, {from: say, to: END}]
        """,
    )
    lm = ScriptedLM({"say": lambda request: f"<{request.messages[-1].content}>"})
    assert "<Say {state.word}.>" == (await graph.run({"word": "{state.word}"}, lm=lm)).state["said"]


async def test_what_a_model_wrote_is_never_a_template(tmp_path: Path) -> None:
    """An answer that looks like a template reaches the next prompt verbatim."""
    evil = "{{ text }} {state.secret} {word} {% for x in y %}"
    graph = compiled(
        tmp_path,
        """
        nodes:
          one: {type: llm, prompt: {user: "go"}, state_key: word}
          two: {type: llm, prompt: {user: "Repeat: {{ word }}"}, variables: {word: "{state.word}"}, state_key: again}
        edges: [{from: START, to: one}, {from: one, to: two}, {from: two, to: END}]
        """,
    )
    seen: list[str] = []

    def repeat(request: LMRequest) -> str:
        seen.append(request.messages[-1].content)
        return "ok"

    await graph.run({"secret": "s"}, lm=ScriptedLM({"one": evil, "two": repeat}))
    assert [f"Repeat: {evil}"] == seen


ROUTER = """
    state: {ticket: str}
    nodes:
      sort: {type: router, prompt: {user: "Sort {ticket}"}, variables: {ticket: "{ticket}"}, route_field: kind,
             routes: {bug: fix, other: END}, state_key: label}
      fix: {type: passthrough, output: {fixed: true}}
    edges:
      - {from: START, to: sort}
      - {from: fix, to: END}
"""


async def test_a_router_goes_where_the_answer_says(tmp_path: Path) -> None:
    """Without a schema the routes are the values that the model may choose, and the state key gets the one it chose."""
    graph = compiled(tmp_path, ROUTER)
    lm = ScriptedLM({"sort": [{"kind": "bug"}, {"kind": "other"}]})
    assert {"ticket": "t", "label": "bug", "fixed": True} == (await graph.run({"ticket": "t"}, lm=lm)).state
    assert {"ticket": "t", "label": "other"} == (await graph.run({"ticket": "t"}, lm=lm)).state
    assert ["bug", "other"] == (lm.requests[0].schema or {})["properties"]["kind"]["enum"]
    with pytest.raises(FillError):
        await graph.run({"ticket": "t"}, lm=ScriptedLM({"sort": {"kind": "nonsense"}}))


async def test_a_router_with_a_schema_of_its_own(tmp_path: Path) -> None:
    """An answer that names no route takes the default, and is an error where there is none."""
    text = ROUTER.replace('{user: "Sort {ticket}"}', '{user: "Sort {ticket}", schema: {fields: {kind: str, why: str}}}')
    lm = ScriptedLM({"sort": {"kind": "odd", "why": "because"}})
    with pytest.raises(NodeError, match="router sort was answered kind='odd', which is none of its routes"):
        await compiled(tmp_path, text).run({"ticket": "t"}, lm=lm)
    text = text.replace("state_key: label", "state_key: label, default_route: fix")
    assert True is (await compiled(tmp_path, text).run({"ticket": "t"}, lm=lm)).state["fixed"]


async def test_an_agent_calls_its_tools(tmp_path: Path) -> None:
    """The tools of an agent are called as the model asks, with their dependencies, before it answers."""
    from dagflow import LMResponse, ToolCall

    def weather(city: str) -> str:
        """Look the weather up."""
        return f"rain in {city}"

    graph = compiled(
        tmp_path,
        """
        nodes:
          agent: {type: agent, prompt: {user: "What to wear?"}, tools: ["mine:weather"], state_key: advice}
        edges: [{from: START, to: agent}, {from: agent, to: END}]
        """,
        known={"mine:weather": weather},
    )
    call = LMResponse(text="", finish_reason="tool_calls", tool_calls=(ToolCall("1", "weather", '{"city": "Oslo"}'),))
    lm = ScriptedLM({"agent": [call, lambda request: f"because {request.messages[-1].content}: a coat"]})
    assert "because rain in Oslo: a coat" == (await graph.run(lm=lm)).state["advice"]


async def test_which_model_is_asked(tmp_path: Path) -> None:
    """A node's own model comes before its prompt's, that before the defaults', and that before the run's."""
    text = """
        DEFAULTS
        nodes:
          say: {type: llm, prompt: {user: "hi"PROMPT}NODE, state_key: said}
        edges: [{from: START, to: say}, {from: say, to: END}]
    """
    lms = {name: ScriptedLM({"say": name}) for name in ("a:node", "a:prompt", "a:default")}
    for node, prompt, default, expected in (
        (", lm: a:node", ", lm: a:prompt", "defaults: {lm: a:default}", "a:node"),
        ("", ", provider: a, model: prompt", "defaults: {lm: a:default}", "a:prompt"),
        ("", "", "defaults: {lm: a:default}", "a:default"),
        ("", "", "", "run"),
    ):
        given = text.replace("NODE", node).replace("PROMPT", prompt).replace("DEFAULTS", default)
        result = await compiled(tmp_path, given).run(lm=ScriptedLM({"say": "run"}), lms=lms)
        assert expected == result.state["said"]


async def test_a_model_that_cannot_be_asked_is_told_before_anything_runs(tmp_path: Path) -> None:
    """No model at all, and one that nobody knows, are errors of the call, also for nodes that would never run."""
    text = """
        nodes:
          first: {type: python, function: first, state_key: x}
          say: {type: llm, prompt: {user: "hi"}, LM state_key: said}
        edges: [{from: START, to: first}, {from: first, to: say}, {from: say, to: END}]
    """

    async def first() -> None:
        raise AssertionError("it ran")

    with pytest.raises(GraphError, match="names none; write `lm: provider:model`, or pass lm="):
        await compiled(tmp_path, text.replace("LM", ""), first=first).run()
    with pytest.raises(LMError, match="'oponai:x' cannot be made"):
        await compiled(tmp_path, text.replace("LM", "lm: 'oponai:x',"), first=first).run()
    with pytest.raises(TypeError, match="BaseLM"):
        await compiled(tmp_path, text.replace("LM", ""), first=first).run(lm=object())  # type: ignore[arg-type]


async def test_a_fallback_model_is_asked_when_the_first_fails(tmp_path: Path) -> None:
    """The failure stands in the journal, and the answer of the other model in the state."""
    from dagflow.events import NodeRecovered

    graph = compiled(
        tmp_path,
        """
        nodes:
          say: {type: llm, prompt: {user: "hi"}, state_key: said, on_error: {fallback: {lm: "a:second"}}}
        edges: [{from: START, to: say}, {from: say, to: END}]
        """,
    )
    lms = {"a:second": ScriptedLM({"say": "second"})}
    result = await graph.run(lm=ScriptedLM({"say": LMError("down", status=400)}), lms=lms)
    assert "second" == result.state["said"]
    assert ["LMError: down"] == [event.error for event in result.events if isinstance(event, NodeRecovered)]


def test_variables_are_checked_when_the_graph_is_loaded(grading: Path) -> None:
    """A variable that is not given, a prompt that is not there and a faulty prompt file are faults with their lines."""
    text = GRAPH.replace("state: {text: str}", "state: {txt: str}").replace("state.text", "state.txt")
    (fault,) = faults_in(grading, text.replace("{text:", "{texts:"))
    assert fault.startswith("3:")
    assert "has a variable 'text', which is not given and no state key; did you mean 'texts'?" in fault
    (fault,) = faults_in(grading, GRAPH.replace("prompts/grade", "prompts/grades"))
    assert "nodes.grade.prompt" in fault
    assert "did you mean" in fault
    write_prompt(grading, "prompts/grade", GRADE.replace("type: float", "type: flaot"))
    (fault,) = faults_in(grading, GRAPH)
    assert "nodes.grade.prompt" in fault
    assert "prompts/grade.yaml:7:" in fault


async def test_variables_that_are_left_out_come_from_the_state(grading: Path) -> None:
    """A prompt's variable that a node does not give is the state key of its name, or the item of the map around it."""
    lm = ScriptedLM({"grade": {"score": 0.9, "reasons": []}})
    without = GRAPH.replace(' variables: {text: "{state.text}"},', "")
    await compiled(grading, without).run({"text": "from the state"}, lm=lm)
    assert "from the state" in lm.requests[-1].messages[0].content
    mapped = """
        state: {texts: list[str], grades: any}
        nodes:
          each: {type: map, over: "{texts}", as: text, collect: grades,
                 node: {type: llm, prompt: prompts/grade, state_key: grade}}
        edges: [{from: START, to: each}, {from: each, to: END}]
    """
    await compiled(grading, mapped).run({"texts": ["an item"]}, lm=lm)
    assert "an item" in lm.requests[-1].messages[0].content
