"""Tools: what the model is told of a function, and the turns in which it calls some."""

import json
import threading
from typing import Annotated, Any

import anyio
import attrs
import pytest

from dagflow import (
    BaseLM,
    Dep,
    DepError,
    FillError,
    Graph,
    GraphError,
    LMError,
    LMRequest,
    LMResponse,
    Message,
    Node,
    NodeConfig,
    Tool,
    ToolCall,
    Usage,
)
from dagflow.core.answers import InvalidAnswer
from dagflow.testing import ScriptedLM, assert_no_leaks, sweep_cancellations


@attrs.frozen
class Parcel:
    number: int
    city: str = "Faro"


opened: list[str] = []


async def connect() -> str:
    opened.append("depot")
    return "depot"


async def track(number: int, depot: Annotated[str, Dep(connect)], fast: bool = False) -> Parcel:
    """Find a parcel."""
    await anyio.lowlevel.checkpoint()
    return Parcel(number, f"{depot}{' fast' if fast else ''}")


def weigh(grams: Annotated[int, "its weight"]) -> str:
    return f"{grams} g"


def calls(*wanted: tuple[str, Any]) -> LMResponse:
    """An answer that asks for calls."""
    asked = [
        ToolCall(f"c{index}", name, given if isinstance(given, str) else json.dumps(given))
        for index, (name, given) in enumerate(wanted)
    ]
    return LMResponse(text="", tool_calls=tuple(asked), finish_reason="tool_calls", usage=Usage(1, 10, 5))


def request(*tools: Any) -> LMRequest:
    return LMRequest(
        system="Help.",
        messages=(Message("user", "Where is it?"),),
        tools=tuple(tool if isinstance(tool, Tool) else Tool.of(tool) for tool in tools),
    )


def results(lm: ScriptedLM, turn: int = -1) -> list[str]:
    """What the model was told of the calls that it asked for, in the request before a turn."""
    return [message.content for message in lm.requests[turn].messages if message.role == "tool"]


class Question(Node):
    text: str

    async def __call__(self) -> "Answer": ...


class Answer(Node):
    node_config = NodeConfig(tools=(track, weigh), max_tool_turns=2)
    reply: str

    async def __call__(self) -> None: ...


def test_a_tool_is_described_by_its_hints() -> None:
    """The model is told the parameters with their types, defaults and descriptions, and of no dependency."""
    tool = Tool.of(track)
    assert ("track", "Find a parcel.") == (tool.name, tool.description)
    assert {
        "type": "object",
        "title": "track",
        "properties": {"number": {"type": "integer"}, "fast": {"type": "boolean", "default": False}},
        "required": ["number"],
        "additionalProperties": False,
    } == tool.schema
    assert "its weight" == Tool.of(weigh).schema["properties"]["grams"]["description"]


def test_arguments_are_read_as_strictly_as_answers() -> None:
    """Arguments that do not fit are refused with every problem and its path."""
    tool = Tool.of(track)
    assert {"number": 7, "fast": False} == tool.read('{"number": 7}')
    with pytest.raises(InvalidAnswer, match=r"(?s)\$\.depot.*\$\.number"):
        tool.read('{"number": "7", "depot": "mine"}')
    with pytest.raises(InvalidAnswer, match="cut off"):
        tool.read('{"number": ')
    assert {} == Tool.of(connect).read("")


def test_a_function_without_a_name_is_no_tool() -> None:
    """A tool must have a name that the model can call."""
    with pytest.raises(GraphError, match="identifier of at most 64 characters, not '<lambda>'; pass name="):
        Tool.of(lambda: 1)


def test_every_fault_of_a_tool_is_told() -> None:
    """All faults of a tool are in one error, and name the parameter."""

    def broken(number, *rest: int, lock: threading.Lock) -> None:  # type: ignore[no-untyped-def]  # that is its fault
        ...

    with pytest.raises(GraphError) as caught:
        Tool.of(broken)
    assert 2 == len(caught.value.faults)
    assert "'number' has no hint" in caught.value.faults[0]
    assert "cannot be given by name" in caught.value.faults[1]

    def unwritable(lock: threading.Lock) -> None: ...

    with pytest.raises(GraphError, match=r"unwritable\.lock"):
        Tool.of(unwritable)


def test_a_graph_tells_the_faults_of_its_tools() -> None:
    """A tool that cannot be called is a fault of the graph, found when the graph is built."""

    def broken(number) -> None: ...  # type: ignore[no-untyped-def]  # that is its fault

    class Lost(Node):
        node_config = NodeConfig(tools=(broken,))
        reply: str

        async def __call__(self) -> None: ...

    with pytest.raises(GraphError, match="Lost: tool broken: broken: parameter 'number' has no hint"):
        Graph(start=Lost)


async def test_a_model_calls_tools_while_it_fills_a_node() -> None:
    """The calls of a turn are made, their results told in order, and the answer fills the node."""
    opened.clear()
    lm = ScriptedLM(
        {"Answer": [calls(("track", {"number": 7}), ("weigh", {"grams": 250})), {"reply": "It is in the depot."}]}
    )
    result = await Graph(start=Question).run(Question(text="Where is 7?"), lm=lm)
    assert Answer(reply="It is in the depot.") == result.node
    assert ['{"number": 7, "city": "depot"}', "250 g"] == results(lm)
    assert 2 == result.usage.requests
    assert ["depot"] == opened


async def test_dependencies_of_tools_are_those_of_the_run() -> None:
    """A dependency that several calls of tools share is called once in the run."""
    opened.clear()
    lm = ScriptedLM(
        {
            "Answer": [
                calls(("track", {"number": 1}), ("track", {"number": 2})),
                calls(("track", {"number": 3, "fast": True})),
                {"reply": "done"},
            ]
        }
    )
    await Graph(start=Question).run(Question(text="?"), lm=lm)
    assert ["depot"] == opened
    assert '{"number": 3, "city": "depot fast"}' == results(lm)[-1]


async def test_calls_of_a_turn_run_at_once() -> None:
    """Two calls of one turn are under way at the same time, a sync one in a thread of its own."""
    here, there = anyio.Event(), threading.Event()

    async def first(number: int) -> str:
        here.set()
        await anyio.to_thread.run_sync(there.wait)
        return "first"

    def second(number: int) -> str:
        anyio.from_thread.run(here.wait)
        there.set()
        return "second"

    lm = ScriptedLM([calls(("first", {"number": 1}), ("second", {"number": 2})), "done"])
    response = await lm.ask(request(first, second))
    assert "done" == response.text
    assert ["first", "second"] == results(lm)


async def test_calls_work_under_the_limit_of_the_run() -> None:
    """`max_concurrency=1` makes calls one by one, and does not deadlock with the node that waits for them."""
    under_way = peak = 0

    async def count(number: int) -> str:
        nonlocal under_way, peak
        under_way += 1
        peak = max(peak, under_way)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        under_way -= 1
        return str(number)

    class Counted(Node):
        node_config = NodeConfig(tools=(count,))
        reply: str

        async def __call__(self) -> None: ...

    class Ask(Node):
        async def __call__(self) -> Counted: ...

    for limit, expected in ((1, 1), (None, 3)):
        under_way = peak = 0
        lm = ScriptedLM({"Counted": [calls(*(("count", {"number": n}) for n in range(3))), {"reply": "x"}]})
        graph = Graph(start=Ask, max_concurrency=limit, namespace=locals())
        await graph.run(Ask(), lm=lm)
        assert expected == peak


async def test_what_cannot_be_called_is_told_the_model() -> None:
    """An unknown tool, invalid arguments and an expected error are results that say so; the loop goes on."""

    async def pay(cents: int) -> str:
        raise ValueError("no money")

    tool = Tool.of(pay, errors=(ValueError,))
    lm = ScriptedLM(
        [calls(("fly", {}), ("pay", {"cents": "all"}), ("pay", "{"), ("pay", {"cents": 5})), "It cannot be paid."]
    )
    response = await lm.ask(request(tool))
    assert "It cannot be paid." == response.text
    unknown, wrong, cut, failed = results(lm)
    assert "There is no tool 'fly'; there is pay." == unknown
    assert "$.cents: expected integer" in wrong
    assert "cut off" in cut
    assert "ValueError: no money" == failed
    assert [True] * 4 == [message.failed for message in lm.requests[-1].messages if message.role == "tool"]


async def test_an_unexpected_error_of_a_tool_ends_the_run() -> None:
    """A tool that raises fails the node with the original exception, and cancels the other calls of its turn."""
    cancelled = False

    async def slow(number: int) -> str:
        nonlocal cancelled
        try:
            await anyio.sleep_forever()
        except anyio.get_cancelled_exc_class():
            cancelled = True
            raise
        return ""

    async def broken(number: int) -> str:
        raise KeyError("shelf")

    lm = ScriptedLM([calls(("slow", {"number": 1}), ("broken", {"number": 2})), "never"])
    async with assert_no_leaks():
        with pytest.raises(DepError, match=r"tools\.broken\[1\] \(broken\): KeyError: 'shelf'") as caught:
            await lm.ask(request(slow, broken))
    assert cancelled
    assert isinstance(caught.value.__cause__, KeyError)


async def test_turns_of_calls_are_bounded() -> None:
    """A model that calls tools for ever fails after `max_tool_turns`, with the way to raise it."""
    asked = calls(("weigh", {"grams": 1}))
    lm = ScriptedLM({"Answer": asked})
    with pytest.raises(LMError, match=r"still calls tools \(weigh\) after 2 turns of them; raise max_tool_turns"):
        await Graph(start=Question).run(Question(text="?"), lm=lm)
    assert 3 == len(lm.requests)


async def test_a_repair_keeps_what_the_tools_gave() -> None:
    """An invalid answer after calls is sent back with the results still in the conversation."""
    lm = ScriptedLM({"Answer": [calls(("weigh", {"grams": 9})), {"reply": 5}, {"reply": "9 g"}]})
    result = await Graph(start=Question).run(Question(text="?"), lm=lm)
    assert Answer(reply="9 g") == result.node
    assert ["user", "assistant", "tool", "assistant", "user"] == [m.role for m in lm.requests[-1].messages]
    lm = ScriptedLM({"Answer": [calls(("weigh", {"grams": 9})), {"reply": 5}, {"reply": 6}, {"reply": 7}]})
    with pytest.raises(FillError):
        await Graph(start=Question).run(Question(text="?"), lm=lm)
    assert ["9 g"] == results(lm)


async def test_a_result_without_a_json_form_is_an_error_of_the_tool() -> None:
    """What a tool returns must be something that can be written for the model."""

    async def lock(number: int) -> object:
        return threading.Lock()

    lm = ScriptedLM([calls(("lock", {"number": 1}))])
    with pytest.raises(DepError, match="tool lock returned a lock, which has no JSON form"):
        await lm.ask(request(lock))


async def test_a_loop_that_is_cancelled_anywhere_leaves_nothing() -> None:
    """Cancelled at each of its steps, a loop of tools leaves no task, thread or call behind."""

    async def loop() -> str:
        lm = ScriptedLM([calls(("track", {"number": 7}), ("weigh", {"grams": 2})), "done"])
        return (await lm.ask(request(track, weigh))).text

    async with assert_no_leaks():
        outcomes = await sweep_cancellations(loop)
    assert "done" == outcomes[-1].value


async def test_two_tools_need_two_names() -> None:
    """Tools that a model could not tell apart are refused."""

    class Twice(Node):
        node_config = NodeConfig(tools=(weigh, Tool.of(connect, name="weigh")))
        reply: str

        async def __call__(self) -> None: ...

    with pytest.raises(GraphError, match="two tools are called weigh"):
        Graph(start=Twice)


class Refusing(BaseLM):
    async def complete(self, request: LMRequest) -> LMResponse:
        return LMResponse(text="I would rather not.", finish_reason="refusal", request_id="r-1")


async def test_a_refusal_is_an_error_with_the_request() -> None:
    """A refusal says what was refused, and by which request."""
    with pytest.raises(LMError, match="refused to answer for a text: I would rather not") as caught:
        await Refusing().ask(request())
    assert "r-1" == caught.value.request_id
