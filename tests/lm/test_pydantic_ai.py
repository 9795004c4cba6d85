"""`PydanticAIBackend`: Pydantic AI's models as language models for nodes, against a real server."""

from __future__ import annotations

import json
import subprocess
import sys
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest
from anyio.abc import SocketAttribute
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from dagflow import BaseLM, DagflowError, FillError, Graph, LMError, LMRequest, Message, Node, NodeConfig, Tool, Usage
from dagflow.events import LMCalled, Token
from dagflow.lm.billing import losses
from dagflow.lm.pydantic_ai import PydanticAIBackend
from dagflow.testing import assert_no_leaks
from dagflow.testing.lm_server import LMServer, RecordedRequest, Reply, ToolCall
from dagflow.types import Retry

OPENAI = "openai-chat:gpt-4o-mini"
ANTHROPIC = "anthropic:claude-haiku-5-5"
KEY = "sk-test-0123456789abcdefghij"

# The SDKs leave async generators where they are: OpenAI's at the end of a stream, both when they are cancelled
# early. Their connections are closed all the same; on trio they are complained of when they are collected.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Async generator '(openai|anthropic|pydantic_ai|httpx2|httpcore2)\.:ResourceWarning"
)


class Start(Node):
    message: str

    async def __call__(self) -> Outfit | Question | None: ...


class Outfit(Node):
    top: str
    size: int = 3

    async def __call__(self) -> None: ...


class Question(Node):
    text: str

    async def __call__(self) -> None: ...


class Free(Node):
    words: dict[str, int]

    async def __call__(self) -> None: ...


def weather(place: str) -> str:
    """Tell the weather of a place."""
    if place == "nowhere":
        raise LookupError("there is no such place")
    return f"rain in {place}"


GRAPH = Graph(start=Start)
START = Start(message="just got up")
REQUEST = LMRequest(system="Be brief.", messages=(Message("user", "Say hello."),))


@pytest.fixture(params=[OPENAI, ANTHROPIC])
def model(request: pytest.FixtureRequest) -> str:
    """A model of each provider."""
    return str(request.param)


def backend(model: str, server: LMServer, **options: Any) -> PydanticAIBackend:
    url = server.url if model.startswith("anthropic") else f"{server.url}/v1"
    return PydanticAIBackend(model, base_url=url, api_key=KEY, **{"retry": None, **options})


def answering(request: RecordedRequest) -> Any:
    """Choose an outfit, and fill it."""
    return {"choice": "Outfit"} if "choose what follows" in json.dumps(request.body) else {"top": "shirt", "size": None}


def schema_sent(body: Any) -> Any:
    if "response_format" in body:
        return body["response_format"].get("json_schema", {}).get("schema")
    return body.get("output_config", {}).get("format", {}).get("schema")


def system_sent(body: Any) -> str:
    return json.dumps(body.get("system") or [m["content"] for m in body["messages"] if m["role"] == "system"])


async def test_a_run_chooses_and_fills(model: str) -> None:
    """A choice and a fill go over one connection, which closes with the run; what they used is counted."""
    async with assert_no_leaks(), LMServer(answering, api_key=KEY) as server:
        result = await GRAPH.run(START, lm=backend(model, server))
        with anyio.fail_after(5):
            await server.until(lambda: not server.open_connections)
    assert Outfit(top="shirt") == result.node
    assert (1, 2) == (server.connections, len(server.requests))
    assert (2, 20, 10, False) == (*attrs.astuple(result.usage)[:3], result.usage.estimated)
    assert result.usage.cost is not None
    assert 0 < result.usage.cost < 0.01


async def test_the_schema_goes_the_way_of_the_provider(model: str) -> None:
    """A schema that can be strict is sent as such and not in words; another in words only."""
    async with LMServer([{"top": "shirt"}, {"words": {"a": 1}}]) as server:
        lm = backend(model, server)
        assert Outfit(top="shirt") == await lm.fill(Outfit, {}, "Outfit")
        assert Free(words={"a": 1}) == await lm.fill(Free, {}, "Free")
    strict, words = (request.body for request in server.requests)
    assert {"top", "size"} == set(schema_sent(strict)["properties"])
    assert "properties" not in system_sent(strict)
    assert schema_sent(words) is None
    assert "properties" in system_sent(words)


class Wide(Node):
    a: str = ""
    b: str = ""
    c: str = ""
    d: str = ""
    e: str = ""
    f: str = ""
    g: str = ""
    h: str = ""
    i: str = ""
    j: str = ""
    k: str = ""
    l: str = ""  # noqa: E741
    m: str = ""
    n: str = ""
    o: str = ""
    p: str = ""
    q: str = ""

    async def __call__(self) -> None: ...


async def test_a_schema_that_the_model_will_not_take_is_put_in_words() -> None:
    """Where Pydantic AI refuses a request before it is sent, the schema is told in words."""
    async with LMServer({"q": "last"}) as server:
        assert Wide(q="last") == await backend(ANTHROPIC, server).fill(Wide, {}, "Wide")
    assert [None] == [schema_sent(request.body) for request in server.requests]
    assert "properties" in system_sent(server.requests[0].body)


async def test_tools_are_called_in_a_loop(model: str) -> None:
    """The calls of a model are made, and their results, failures marked, go back with its own words."""
    calls = [ToolCall("call_1", "weather", '{"place": "Faro"}'), ToolCall("call_2", "weather", '{"place": "nowhere"}')]
    script = [Reply("Let me look.", tool_calls=calls), {"top": "coat", "size": 1}]

    class Dressed(Node):
        node_config = NodeConfig(tools=[Tool.of(weather, errors=[LookupError])])
        top: str
        size: int

        async def __call__(self) -> None: ...

    async with assert_no_leaks(), LMServer(script) as server:
        assert Dressed(top="coat", size=1) == await backend(model, server).fill(Dressed, {}, "Dressed")
    first, second = (request.body for request in server.requests)
    assert 1 == len(first["tools"])
    sent = json.dumps(second["messages"])
    assert all(text in sent for text in ("rain in Faro", "no such place", "Let me look.", "call_1", "call_2"))
    if model == ANTHROPIC:  # OpenAI's protocol has no word for a call that failed
        results = [part for message in second["messages"] for part in message["content"] if "tool_use_id" in part]
        assert [False, True] == [part.get("is_error", False) for part in results]


async def test_tokens_are_streamed_to_who_follows(model: str) -> None:
    """A run that is followed streams its answers piece by piece, and uses what it would use otherwise."""
    async with (
        assert_no_leaks(),
        LMServer(answering) as server,
        GRAPH.stream(START, lm=backend(model, server)) as stream,
    ):
        events = [event async for event in stream]
    pieces: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, Token):
            pieces.setdefault(event.request, []).append(event.text)
    assert ['{"choice": "Outfit"}', '{"top": "shirt", "size": null}'] == ["".join(each) for each in pieces.values()]
    assert all(len(each) > 2 for each in pieces.values())
    assert [True, True] == [request.streamed for request in server.requests]
    usages = [event.usage for event in events if isinstance(event, LMCalled)]
    assert [(10, 5, False)] * 2 == [(usage.input_tokens, usage.output_tokens, usage.estimated) for usage in usages]


async def test_an_invalid_answer_is_repaired(model: str) -> None:
    """The problems of an answer go back to the model, and its usage counts."""
    async with LMServer([{"top": 3}, {"top": "shirt"}]) as server:
        assert Outfit(top="shirt") == await backend(model, server).fill(Outfit, {}, "Outfit")
    assert "$.top" in json.dumps(server.requests[1].body["messages"])


async def test_an_answer_that_is_cut_off_is_none(model: str) -> None:
    """An answer at the limit of its length is invalid, even where it looks whole."""
    async with LMServer(Reply('{"top": "shirt"}', finish_reason="length")) as server:
        with pytest.raises(FillError, match="cut off"):
            await backend(model, server, repairs=0).fill(Outfit, {}, "Outfit")


@pytest.mark.parametrize("follow", [False, True])
async def test_a_refusal_is_an_error_that_says_why(model: str, follow: bool) -> None:
    """A model that will not answer raises, with what it says."""
    async with LMServer(Reply("I would rather not.", finish_reason="refusal")) as server:
        with pytest.raises(DagflowError, match="refused to answer"):
            await run(backend(model, server), follow)


async def run(lm: BaseLM, follow: bool) -> None:
    """Run the graph, followed or not."""
    if not follow:
        await GRAPH.run(START, lm=lm)
        return
    async with GRAPH.stream(START, lm=lm) as stream:
        async for _ in stream:
            pass


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    ("status", "retriable"), [(400, False), (401, False), (404, False), (429, True), (500, True), (529, True)]
)
async def test_a_status_becomes_an_error(model: str, status: int, retriable: bool, follow: bool) -> None:
    """Each status tells what the provider said, whether another try can help and when, and it costs nothing."""
    error = Reply.error(status, f"no, and {KEY} is your key", retry_after=2 if retriable else None)
    async with assert_no_leaks(), LMServer(error) as server:
        with pytest.raises(DagflowError, match=f"answered {status}: no, and <secret> is your key") as caught:
            await run(backend(model, server), follow)
    told = caught.value.failures[0].exception
    assert isinstance(told, LMError)
    assert (status, "no, and <secret> is your key", retriable) == (told.status, told.provider_message, told.retriable)
    assert (2 if retriable else None) == told.retry_after
    assert server.requests[0].request_id == told.request_id
    assert KEY not in "".join(traceback_of(told))
    assert 1 == len(server.requests)


def traceback_of(error: BaseException) -> list[str]:
    return traceback.format_exception(error)


async def test_what_may_pass_is_tried_again(model: str) -> None:
    """A request is sent again after an error that may pass, as often as `retry` says, and each is counted."""
    script = [Reply.error(529, "busy"), Reply.error(500, "oops"), "hello"]
    async with LMServer(script) as server:
        lm = backend(model, server, retry=Retry(attempts=3, delay=0.001))
        with losses() as lost:
            assert "hello" == (await lm.complete(REQUEST)).text
    assert Usage(requests=2) == lost.usage
    assert 3 == len(server.requests)


async def test_quota_that_is_used_up_is_not_tried_again() -> None:
    """A 429 that no waiting can help is not retriable."""
    async with LMServer(Reply.error(429, "pay", code="insufficient_quota")) as server:
        with pytest.raises(LMError, match="pay") as caught:
            await backend(OPENAI, server).complete(REQUEST)
    assert not caught.value.retriable


async def test_a_refused_connection_says_where(model: str, free_tcp_port: int) -> None:
    """Where nobody listens, the error is retriable, and nothing is counted as used."""
    lm = PydanticAIBackend(model, base_url=f"http://127.0.0.1:{free_tcp_port}", api_key=KEY, retry=None)
    async with assert_no_leaks():
        with losses() as lost, pytest.raises(LMError, match="failed: .*[Cc]onnect") as caught:
            await lm.complete(REQUEST)
    assert caught.value.retriable
    assert Usage() == lost.usage


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("cut", ["close", "reset"])
async def test_an_answer_that_breaks_off_is_an_error(model: str, cut: Any, follow: bool) -> None:
    """An answer whose connection ends before it does is retriable, and is never taken for a whole one."""
    async with assert_no_leaks(), LMServer(Reply('{"choice": "stop"}', cut_after=3, cut=cut)) as server:
        with pytest.raises(DagflowError) as caught:
            await run(backend(model, server), follow)
    told = caught.value.failures[0].exception
    assert isinstance(told, LMError)
    assert told.retriable


async def test_a_stream_that_just_stops_is_no_whole_answer(model: str) -> None:
    """A stream that ends in good order, but without its last event, is not taken for a whole answer."""
    openai = b'data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    openai += b'{"role":"assistant","content":"{\\"choice\\": \\"stop\\"}"},"finish_reason":null}]}\n\n'
    start: dict[str, Any] = {
        "id": "1",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "m",
        "stop_reason": None,
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**start, "usage": {"input_tokens": 1, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": '{"choice": "stop"}'}},
    ]
    anthropic = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    body = anthropic if model == ANTHROPIC else openai
    async with LMServer(Reply.raw(200, [body], content_type="text/event-stream")) as server:
        with pytest.raises(DagflowError, match="the stream ended before the answer was whole"):
            await run(backend(model, server), True)


@pytest.mark.parametrize("follow", [False, True])
async def test_cancelling_closes_the_connection(model: str, follow: bool) -> None:
    """The server sees a cancelled request go, and what it may have used is estimated."""
    reply = Reply('{"choice": "stop"}', never_ends=True, pace=0.001) if follow else Reply.hang()
    async with assert_no_leaks(), LMServer(reply) as server:
        async with anyio.create_task_group() as group:
            group.start_soon(run, backend(model, server), follow)
            await server.arrived()
            group.cancel_scope.cancel()
        with anyio.fail_after(5):
            await server.closed_early()
    assert ["aborted"] == [request.state for request in server.requests]


async def test_usage_that_is_not_told_is_estimated() -> None:
    """A server that does not tell what an answer used gets an estimate, of the answer too."""
    async with LMServer(Reply("x" * 40, usage=None)) as server:
        usage = (await backend(OPENAI, server).complete(REQUEST)).usage
    assert Usage(requests=1, input_tokens=5, output_tokens=10, estimated=True) == usage


@pytest.mark.slow
async def test_a_consumer_that_is_behind_can_be_cancelled(model: str) -> None:
    """A run whose tokens nobody takes ends without a loose end when it is left in the middle of an answer."""
    async with assert_no_leaks(), LMServer(Reply('{"choice": "stop"}', never_ends=True)) as server:
        async with GRAPH.stream(START, lm=backend(model, server)) as stream:
            async for event in stream:
                if isinstance(event, Token):
                    await anyio.wait_all_tasks_blocked()
                    break
        with anyio.fail_after(5):
            await server.until(lambda: not server.open_connections)


async def test_the_timeout_is_an_error_that_names_it(model: str) -> None:
    """A request that takes longer than its timeout is given up, and the server sees it."""
    async with LMServer(Reply.hang()) as server:
        with losses() as lost, pytest.raises(LMError, match=r"no whole answer within the timeout of 0\.3 s"):
            await backend(model, server, timeout=0.3).complete(REQUEST)
        with anyio.fail_after(5):
            await server.closed_early()
    assert (1, True) == (lost.usage.requests, lost.usage.estimated)


async def test_without_a_run_each_request_has_its_own_connection(model: str) -> None:
    """Outside of a run nothing stays open."""
    async with assert_no_leaks(), LMServer("hello") as server:
        lm = backend(model, server)
        first, second = await lm.complete(REQUEST), await lm.complete(REQUEST)
        with anyio.fail_after(5):
            await server.until(lambda: not server.open_connections)
    assert ("hello", "hello", 2) == (first.text, second.text, server.connections)
    assert "stop" == first.finish_reason


@pytest.mark.one_backend("it opens its own event loops")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("second", ["asyncio", "trio"])
def test_one_backend_serves_several_event_loops(model: str, second: str, anyio_backend: str) -> None:
    """A backend that has served a run in one event loop serves another in the next."""
    made: list[PydanticAIBackend] = []

    async def main(port: int) -> None:
        async with LMServer(answering, port=port) as server:
            if not made:
                made.append(backend(model, server))
                ports.append(int(server.url.rpartition(":")[2]))
            assert Outfit(top="shirt") == (await GRAPH.run(START, lm=made[0])).node

    ports: list[int] = []
    anyio.run(main, 0)
    anyio.run(main, ports[0], backend=second)


async def test_answers_that_were_thought_about_go_back_as_they_came() -> None:
    """Within a run, the thoughts before a call of a tool, and their signature, go back with its result."""
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"place": "Faro"}}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-5-5"}
    usage = {"input_tokens": 1, "output_tokens": 1}
    first = {**message, "content": [thought, call], "stop_reason": "tool_use", "usage": usage}
    script = [Reply.raw(200, json.dumps(first).encode()), {"top": "coat"}]

    class Begin(Node):
        async def __call__(self) -> Dressed: ...

    class Dressed(Node):
        node_config = NodeConfig(tools=[weather])
        top: str

        async def __call__(self) -> None: ...

    async with LMServer(script) as server:
        lm = backend(ANTHROPIC, server, settings={"max_tokens": 999})  # for more, Anthropic's SDK wants to stream
        result = await Graph(start=Begin, namespace=locals()).run(Begin(), lm=lm)
    assert "coat" == result.node.top
    assert [thought, call] == server.requests[1].body["messages"][1]["content"]


async def test_a_model_object_is_used_as_it_is(model: str) -> None:
    """A model of the user's own keeps its client, whose connections live on between runs."""
    async with LMServer(answering) as server:
        own: Any
        if model == ANTHROPIC:
            own = AnthropicModel("claude-haiku-5-5", provider=AnthropicProvider(api_key=KEY, base_url=server.url))
        else:
            own = OpenAIChatModel("gpt-4o-mini", provider=OpenAIProvider(api_key=KEY, base_url=f"{server.url}/v1"))
        lm = PydanticAIBackend(own)
        async with own:
            await GRAPH.run(START, lm=lm)
            await GRAPH.run(START, lm=lm)
            assert (1, 1) == (server.connections, server.open_connections)
    assert [KEY] == [secret.reveal() for secret in lm.secrets]


async def test_models_without_a_provider_do_as_well() -> None:
    """A function of the user's own can be the model; it has no identity that a cache could use."""

    async def function(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        return ModelResponse([TextPart('{"top": "hat"}')])

    lm = PydanticAIBackend(FunctionModel(function))
    assert Outfit(top="hat") == await lm.fill(Outfit, {}, "Outfit")
    assert (None, ()) == (lm.identity, lm.secrets)
    assert "a text" == (await PydanticAIBackend(TestModel(custom_output_text="a text")).complete(REQUEST)).text


async def test_a_fallback_model_that_has_no_model_left_tells_all(model: str) -> None:
    """The errors of all models of a fallback are told, and may pass where one of them may."""

    def failing(error: Exception) -> FunctionModel:
        async def function(messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
            raise error

        return FunctionModel(function)

    models = FallbackModel(
        failing(ModelHTTPError(401, "first", "no key")), failing(ModelHTTPError(529, "second", "busy"))
    )
    with pytest.raises(LMError, match=r"answered 401: no key; .*answered 529: busy") as caught:
        await PydanticAIBackend(models, retry=None).complete(REQUEST)
    assert caught.value.retriable


async def test_the_responses_protocol_of_openai() -> None:
    """`openai:` names speak OpenAI's responses protocol: structured, strict, and with the tokens they used."""
    asked: list[Any] = []
    item = {"type": "message", "id": "m1", "role": "assistant", "status": "completed"}
    answer = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "gpt-4o-mini",
        "status": "completed",
        "output": [{**item, "content": [{"type": "output_text", "text": '{"top": "hat"}', "annotations": []}]}],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": 7,
            "output_tokens": 4,
            "total_tokens": 11,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
    }

    async def serve(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            received = b""
            while b"\r\n\r\n" not in received or not _is_whole(received):
                received += await stream.receive()
            asked.append(json.loads(received.partition(b"\r\n\r\n")[2]))
            body = json.dumps(answer).encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            await stream.send(head.encode() + body)

    async with assert_no_leaks(), await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        lm = PydanticAIBackend("openai:gpt-4o-mini", base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY)
        async with anyio.create_task_group() as group:
            group.start_soon(listener.serve, serve)
            request = LMRequest(
                system="words",
                native_system="Be brief.",
                messages=REQUEST.messages,
                schema=SCHEMA,
                schema_name="Outfit",
            )
            response = await lm.complete(request)
            group.cancel_scope.cancel()
    assert ('{"top": "hat"}', "stop", "resp_1") == (response.text, response.finish_reason, response.request_id)
    assert (7, 4) == (response.usage.input_tokens, response.usage.output_tokens)
    assert "Be brief." == asked[0]["instructions"]
    assert ("json_schema", True) == (asked[0]["text"]["format"]["type"], asked[0]["text"]["format"]["strict"])


SCHEMA = {
    "type": "object",
    "properties": {"top": {"type": "string"}},
    "required": ["top"],
    "additionalProperties": False,
}


def _is_whole(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return len(body) >= int(lengths[0].partition(b":")[2])


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: PydanticAIBackend("openai:gpt-4o"), r"'openai:gpt-4o' cannot be used: Set the `OPENAI_API_KEY`"),
        (lambda: PydanticAIBackend(ANTHROPIC), r"Set the `ANTHROPIC_API_KEY` environment variable"),
        (lambda: PydanticAIBackend("gpt-4o"), r"'gpt-4o' cannot be used: Unknown model: gpt-4o"),
        (lambda: PydanticAIBackend("nope:gpt-4o"), r"Unknown model: nope:gpt-4o"),
        (lambda: PydanticAIBackend("nope:gpt-4o", api_key=KEY), r"nope"),
        (lambda: PydanticAIBackend("ollama:llama3", api_key=KEY), r"ollama"),
    ],
)
def test_what_cannot_be_used_is_said_when_it_is_made(
    make: Callable[[], BaseLM], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing key, an unknown name and options without a use are errors before anything runs."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY", "OLLAMA_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(LMError, match=problem) as caught:
        make()
    assert "test model" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_model_object_takes_no_options_of_a_provider() -> None:
    """A key that would not be used is refused."""
    with pytest.raises(ValueError, match="are for a model's name"):
        PydanticAIBackend(TestModel(), api_key=KEY)


def test_a_missing_sdk_is_named() -> None:
    """A provider whose SDK is not installed says what to install."""
    with pytest.raises(ImportError, match=r"pip install 'pydantic-ai-slim\[groq\]'"):
        PydanticAIBackend("groq:llama-3.3-70b-versatile", api_key=KEY)


def test_missing_pydantic_ai_names_the_extra() -> None:
    """Without Pydantic AI the error says what to install, and the rest of dagflow works."""
    code = "import sys; sys.modules['pydantic_ai'] = None\nimport dagflow\nimport dagflow.lm.pydantic_ai"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'dagflow[pydantic-ai]'" in found.stderr


def test_identity_and_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What decides the answers is in the identity, keys are not; a key from the environment is known as one."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    settings = {"temperature": 0.5, "timeout": 3, "extra_headers": {"x-key": KEY}}
    lm = PydanticAIBackend(OPENAI, settings=settings)
    assert [KEY] == [secret.reveal() for secret in lm.secrets]
    assert {
        "adapter": "pydantic-ai",
        "model": OPENAI,
        "base_url": "https://api.openai.com/v1/",
        "settings": {"temperature": 0.5},
    } == lm.identity
    assert KEY not in repr(lm)
    assert f"PydanticAIBackend({OPENAI!r})" == repr(lm)


async def test_settings_reach_the_wire(model: str) -> None:
    """Model settings are sent along with every request."""
    async with LMServer("hello") as server:
        await backend(model, server, settings={"stop_sequences": ["END"], "max_tokens": 77}).complete(REQUEST)
    body = server.requests[0].body
    assert ["END"] == body.get("stop", body.get("stop_sequences"))
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))
