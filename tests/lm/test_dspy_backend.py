"""`DSPyBackend`: real DSPy against the local server, on both event loops."""

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any, Literal

import anyio
import attrs
import dspy  # type: ignore[import-untyped]  # it has no types
import pytest

from dagflow import LM, FillError, Graph, LMError, LMRequest, LMResponse, Message, Node, NodeConfig, Usage, field
from dagflow.events import LMCalled
from dagflow.lm.billing import losses
from dagflow.lm.dspy import DSPyBackend
from dagflow.lm.dspy.forms import answer_form
from dagflow.testing import ScriptedLM, assert_no_leaks
from dagflow.testing.lm_server import LMServer, RecordedRequest, Reply

KEY = "sk-canary-4711"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """DSPy takes the prices that it came with, instead of loading the newest."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")


@attrs.frozen
class Size:
    width: int
    label: str | None = None


class Start(Node):
    message: str

    async def __call__(self) -> "Outfit | None": ...


class Outfit(Node):
    node_config = NodeConfig(instruction="Choose what to wear.")
    top: str = field(description="a garment")
    size: Size
    tags: list[str]
    season: Literal["summer", "winter"]
    note: str | None = None

    async def __call__(self) -> None: ...


SCHEMA = {"type": "object", "properties": {"top": {"type": "string"}}, "required": ["top"]}
START = Start(message="just got up")
OUTFIT = Outfit(top="shirt [1]", size=Size(width=3), tags=["a"], season="winter", note="12")
ANSWERED: dict[str, Any] = {"top": "shirt [1]", "size": {"width": 3}, "tags": ["a"], "season": "winter", "note": "12"}


def in_sections(fields: dict[str, Any]) -> str:
    """An answer in DSPy's chat format."""
    lines = []
    for name, value in fields.items():
        lines += [f"[[ ## {name} ## ]]", value if isinstance(value, str) else json.dumps(value), ""]
    return "\n".join([*lines, "[[ ## completed ## ]]"])


def asks_for_choice(request: RecordedRequest) -> bool:
    return "`choice`" in request.body["messages"][0]["content"]


def scripted(answer: Any) -> Callable[[RecordedRequest], Any]:
    def script(request: RecordedRequest) -> Any:
        if asks_for_choice(request):
            return in_sections({"choice": "Outfit"})
        return answer(request) if callable(answer) else answer

    return script


def backend(server: LMServer, **settings: Any) -> DSPyBackend:
    return DSPyBackend("openai/gpt-4o", api_base=f"{server.url}/v1", api_key=KEY, **settings)


async def test_a_graph_runs_through_dspy_and_leaves_nothing() -> None:
    """Choices and fills go through DSPy's signatures; the run leaves no thread, task or socket."""
    async with assert_no_leaks(), LMServer(scripted(in_sections(ANSWERED)), api_key=KEY) as server:
        lm = backend(server)
        result = await Graph(Start).run(START, lm=lm)
        await server.until(lambda: server.open_connections == 0)
    assert result.node == OUTFIT
    assert 2 == len(server.requests)
    assert (2, 20, 10) == (result.usage.requests, result.usage.input_tokens, result.usage.output_tokens)
    assert result.usage.cost == pytest.approx(2 * (10 * 2.5e-6 + 5 * 1e-5))
    assert {"gpt-4o"} == {event.model for event in result.events if isinstance(event, LMCalled)}


async def test_the_model_is_told_the_schema_of_each_field() -> None:
    """The prompt has the JSON Schema of what is no string, definitions included, and the descriptions."""
    async with LMServer(scripted(in_sections(ANSWERED))) as server:
        await Graph(Start).run(START, lm=backend(server))
    system = server.requests[-1].body["messages"][0]["content"]
    assert "a garment" in system
    assert '"width": {"type": "integer"}' in system
    assert '{"type": "array", "items": {"type": "string"}}' in system
    assert "one of: summer; winter" in system
    assert "Choose what to wear." in server.requests[-1].body["messages"][1]["content"]


async def test_an_answer_in_the_wrong_format_is_asked_for_in_json() -> None:
    """DSPy's own fallback is used, and both requests are counted."""

    def answer(request: RecordedRequest) -> Any:
        if "response_format" in request.body:
            return json.dumps(ANSWERED)
        return "I would wear a shirt."

    async with LMServer(scripted(answer)) as server:
        result = await Graph(Start).run(START, lm=backend(server))
    assert result.node == OUTFIT
    assert 3 == len(server.requests) == result.usage.requests
    assert {"type": "json_object"} == server.requests[-1].body["response_format"]


async def test_an_answer_that_cannot_be_read_is_repaired() -> None:
    """What DSPy cannot read comes back to `BaseLM`, whose repair turn says what is wrong."""
    told: list[str] = []

    def answer(request: RecordedRequest) -> Any:
        told.append(request.body["messages"][-1]["content"])
        return in_sections(ANSWERED) if "is not valid" in told[-1] else "no idea"

    async with LMServer(scripted(answer)) as server:
        result = await Graph(Start).run(START, lm=backend(server))
    assert result.node == OUTFIT
    assert "no JSON value in the answer" in told[-1]


async def test_an_invalid_field_is_repaired_with_its_path() -> None:
    """Values pass DSPy unchanged, and what does not fit is found by its path."""

    def answer(request: RecordedRequest) -> Any:
        return in_sections({**ANSWERED, "size": {"width": "three"}})

    async with LMServer(scripted(answer)) as server:
        with pytest.raises(FillError) as caught:
            await Graph(Start).run(START, lm=backend(server, repairs=1))
    assert ["$.size.width"] == [item.path for item in caught.value.invalid]


async def test_cancelling_closes_the_request_on_the_wire() -> None:
    """A cancelled request is seen by the server as a client that hung up, and counted as lost."""
    async with assert_no_leaks(), LMServer(scripted(Reply.hang())) as server:
        lm = backend(server)
        with anyio.CancelScope() as scope, losses() as lost:
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: lm.fill(Outfit, {}, "Outfit", START))
                await server.arrived()
                scope.cancel()
        await server.closed_early()
        assert scope.cancelled_caught
    assert lost.usage.estimated
    assert lost.usage.input_tokens > 0


async def test_a_deadline_reaches_the_wire() -> None:
    """A run's timeout ends the request."""
    async with assert_no_leaks(), LMServer(scripted(Reply.hang())) as server:
        lm = backend(server)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:

                async def expire() -> None:
                    await server.arrived(2)
                    scope.deadline = anyio.current_time()

                group.start_soon(expire)
                await Graph(Start).run(START, lm=lm)
        await server.closed_early()
    assert scope.cancelled_caught


async def test_provider_errors_are_translated() -> None:
    """Status, retriability, the wait and the request id of a provider's error are kept."""
    async with LMServer(scripted(Reply.error(429, "slow down", retry_after=7))) as server:
        with pytest.raises(LMError, match="slow down") as caught:
            await Graph(Start).run(START, lm=backend(server))
    error = caught.value
    assert (429, True, 7.0) == (error.status, error.retriable, error.retry_after)
    assert error.request_id == server.requests[-1].request_id
    assert 2 == len(server.requests)


async def test_retries_are_dspys_own_where_asked_for() -> None:
    """`num_retries` is passed on."""
    replies = [Reply.error(503, "busy", retry_after=0), Reply(in_sections({"answer": "hi"}))]
    async with LMServer(replies) as server:
        lm = backend(server, num_retries=1)
        assert "hi" == (await lm.complete(LMRequest(system="", messages=(Message("user", "hello"),)))).text
    assert 2 == len(server.requests)


async def test_a_connection_that_fails_is_worth_another_try() -> None:
    """A server that is not there is an `LMError` that can be retried, and costs nothing."""
    lm = DSPyBackend("openai/gpt-4o", api_base="http://127.0.0.1:9/v1", api_key=KEY)
    async with assert_no_leaks():
        with pytest.raises(LMError) as caught:
            await lm.fill(Outfit, {}, "Outfit", START)
    assert caught.value.retriable


async def test_the_api_key_is_masked_everywhere() -> None:
    """A provider that quotes the key does not get it into an error, a traceback or a repr."""
    async with LMServer(scripted(Reply.error(401, f"wrong key {KEY}"))) as server:
        lm = backend(server)
        with pytest.raises(LMError) as caught:
            await Graph(Start).run(START, lm=lm)
    assert 401 == caught.value.status
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(lm) + str(lm.identity)
    assert "<secret>" in shown
    assert KEY not in shown
    assert KEY in [secret.reveal() for secret in lm.secrets]


class Asking(Node):
    async def __call__(self, lm: LM) -> None:
        assert isinstance(lm, DSPyBackend)
        async with anyio.create_task_group() as group:
            for number in range(1, 9):
                group.start_soon(ask_number, lm, number)


found: dict[int, Usage] = {}


async def ask_number(lm: DSPyBackend, number: int) -> None:
    response = await lm.complete(LMRequest(system="", messages=(Message("user", f"number {number}"),)))
    assert str(number) == response.text
    found[number] = response.usage


async def test_concurrent_calls_keep_their_usage_apart() -> None:
    """Each answer has the usage of its own request, although all share the connections of the run."""

    def answer(request: RecordedRequest) -> Reply:
        number = int(request.body["messages"][-1]["content"].split("number ")[1].split("\n")[0])
        return Reply(in_sections({"answer": str(number)}), usage=(number, number))

    found.clear()
    async with assert_no_leaks(), LMServer(answer) as server:
        await Graph(Asking).run(Asking(), lm=backend(server))
        await server.until(lambda: server.open_connections == 0)
    assert {n: (1, n, n) for n in range(1, 9)} == {
        n: (usage.requests, usage.input_tokens, usage.output_tokens) for n, usage in found.items()
    }


async def test_a_dspy_language_model_is_used_and_left_alone() -> None:
    """A `dspy.LM` object keeps its history, its cache and its connections to itself."""
    async with assert_no_leaks(), LMServer(scripted(in_sections(ANSWERED))) as server:
        theirs = dspy.LM("openai/gpt-4o", api_base=f"{server.url}/v1", api_key=KEY, temperature=0.5)
        result = await Graph(Start).run(START, lm=DSPyBackend(theirs))
        await server.until(lambda: server.open_connections == 0)
    assert result.node == OUTFIT
    assert 0.5 == server.requests[-1].body["temperature"]
    assert [] == theirs.history
    assert theirs.cache


async def test_any_model_of_dagflow_can_be_asked_in_dspys_words() -> None:
    """With a `BaseLM` inside, DSPy's adapters write and read, on this event loop."""
    inner = ScriptedLM({"choose": in_sections({"choice": "Outfit"}), "Outfit": in_sections(ANSWERED)})
    async with assert_no_leaks():
        result = await Graph(Start).run(START, lm=DSPyBackend(inner))
    assert result.node == OUTFIT
    assert [None, None] == [request.schema for request in inner.requests]
    assert "[[ ## top ## ]]" in inner.requests[-1].system


async def test_an_inner_model_is_asked_once_more_in_json_and_then_repaired() -> None:
    """DSPy's fallback holds for an inner model too; what it cannot read then is repaired, and all of it counted."""
    wrong = LMResponse(text="nonsense", usage=Usage(1, 10, 5))
    answers = [wrong, wrong, in_sections({**ANSWERED, "tags": 3}), json.dumps(ANSWERED)]
    inner = ScriptedLM({"Outfit": answers})
    lm = DSPyBackend(inner)
    assert OUTFIT == await lm.fill(Outfit, {}, "Outfit", START)
    assert 4 == len(inner.requests)
    inner = ScriptedLM([wrong, wrong])
    response = await DSPyBackend(inner).complete(LMRequest(system="", messages=(Message("user", "x"),), schema=SCHEMA))
    assert ("nonsense", Usage(2, 20, 10)) == (response.text, response.usage)


async def test_what_was_used_before_a_failure_is_lost_and_counted() -> None:
    """An answer that could not be read has been paid for, also when the next request fails."""
    inner = ScriptedLM([LMResponse(text="nonsense", usage=Usage(1, 10, 5)), LMError("gone")])
    with losses() as lost, pytest.raises(LMError, match="gone"):
        await DSPyBackend(inner).complete(LMRequest(system="", messages=(Message("user", "x"),), schema=SCHEMA))
    assert (10, 5) == (lost.usage.input_tokens, lost.usage.output_tokens)


async def test_a_cut_answer_is_never_taken_for_a_whole_one() -> None:
    """DSPy mends cut JSON; an answer that ended at its limit is refused all the same."""
    cut = Reply(in_sections({**ANSWERED, "note": "half a no"}), finish_reason="length")
    async with LMServer(scripted(cut)) as server:
        with pytest.raises(FillError, match="cut off"):
            await Graph(Start).run(START, lm=backend(server, repairs=0))


async def test_tools_are_refused_with_the_way_round() -> None:
    """A node with tools cannot be filled through DSPy, and the error says what to do."""

    async def look_up(place: str) -> str:
        return place

    class Armed(Node):
        node_config = NodeConfig(tools=(look_up,))
        text: str

        async def __call__(self) -> None: ...

    with pytest.raises(LMError, match=r"cannot offer tools \(look_up\).*NodeConfig\(lm="):
        await DSPyBackend(ScriptedLM({})).fill(Armed, {}, "Armed", START)


async def test_settings_belong_to_a_name() -> None:
    """Settings beside an object, and what is no model, are refused when the backend is made."""
    with pytest.raises(TypeError, match="settings are for the name of a model"):
        DSPyBackend(ScriptedLM({}), temperature=1.0)
    with pytest.raises(TypeError, match="takes a model's name"):
        DSPyBackend(42)


async def test_identity_holds_what_decides_answers() -> None:
    """Model, settings and format are in the identity, the key is not; that of an inner model is its own."""
    lm = DSPyBackend("openai/gpt-4o", api_key=KEY, temperature=0.3)
    assert lm.identity is not None
    assert ("openai/gpt-4o", 0.3) == (lm.identity["model"], lm.identity["settings"]["temperature"])
    assert lm.identity != (DSPyBackend("openai/gpt-4o", api_key=KEY).identity)
    assert DSPyBackend(ScriptedLM({})).identity is None


@pytest.mark.parametrize(
    "key", ["schema", "copy", "completed", "signature", "class", "with-dash", "7th", "_x", "model_x"]
)
async def test_every_key_can_be_a_field(key: str) -> None:
    """A key that DSPy, pydantic or Python takes for itself goes by another name, and comes back as it was."""
    schema = {"type": "object", "properties": {key: {"type": "integer"}, "top": {"type": "string"}}, "required": [key]}
    form = answer_form(schema, instructions="", inputs={"conversation": ""})
    name = next(iter(form.signature.output_fields))
    values = dspy.ChatAdapter().parse(form.signature, in_sections({name: 3, "top": "x"}))
    assert {key: 3, "top": "x"} == json.loads(form.write(values))


async def test_a_type_that_contains_itself_has_a_signature() -> None:
    """A recursive schema is told as text, with its definitions; others stand in the place where they are used."""
    recursive = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/Tree"}},
        "required": ["tree"],
        "$defs": {
            "Tree": {
                "type": "object",
                "properties": {"parts": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
                "required": ["parts"],
            }
        },
    }
    form = answer_form(recursive, instructions="", inputs={"conversation": ""})
    system = dspy.ChatAdapter().format_system_message(form.signature)
    assert "$defs" in system
    assert {"tree": {"parts": []}} == json.loads(form.write({"tree": {"parts": []}}))


async def test_an_answer_may_be_a_list() -> None:
    """A schema that is no object has one field, whose value is the answer."""
    schema = {"type": "array", "items": {"type": "integer"}}
    request = LMRequest(system="", messages=(Message("user", "count"),), schema=schema)
    response = await DSPyBackend(ScriptedLM([in_sections({"answer": [1, 2]})])).complete(request)
    assert [1, 2] == json.loads(response.text)


@pytest.mark.slow
def test_importing_dagflow_and_the_backend_does_not_import_dspy() -> None:
    """DSPy is imported when a backend is made, not before; LiteLLM, which loads prices, not even then."""
    code = (
        "import sys, dagflow.lm.dspy, dagflow.optimize; assert 'dspy' not in sys.modules;"
        "dagflow.lm.dspy.DSPyBackend('openai/x', api_key='k'); assert 'dspy' in sys.modules;"
        "assert 'litellm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.slow
def test_a_missing_dspy_names_the_extra() -> None:
    """Without DSPy, the error says what to install."""
    code = (
        "import sys; sys.modules['dspy'] = None\n"
        "from dagflow.lm.dspy import DSPyBackend\n"
        "try:\n    DSPyBackend('openai/x')\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "DSPyBackend needs dspy: pip install 'dagflow[dspy]'" in done.stdout
