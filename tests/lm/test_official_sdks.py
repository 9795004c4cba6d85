"""The official SDKs against the local server: what they make of it is what the protocols are."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anthropic
import anyio
import attrs
import httpx2
import openai
import pydantic
import pytest
import trustme

from dagflow import LMRequest, LMResponse, Message, ToolCall, Usage
from dagflow.core.dialects import strict
from dagflow.testing import assert_no_leaks
from dagflow.testing.lm_server import LMServer, Reply
from lm.scenarios import KEY, MODEL, REQUEST, SCENARIOS, Failure, Scenario

pytestmark = [
    # The SDKs leave what they do not read of a stream to the garbage collector, and trio tells of it.
    pytest.mark.filterwarnings(r"ignore:Async generator '(httpcore2|httpx2|openai|anthropic)\.:ResourceWarning"),
]


class Mayor(pydantic.BaseModel):
    """The inner one of `lm.scenarios.City`, for the SDKs' own helpers."""

    name: str
    since: str | None = None


class City(pydantic.BaseModel):
    """`lm.scenarios.City`, for the SDKs' own helpers."""

    name: str
    people: int
    kind: str
    mayor: Mayor
    rivers: list[str]


class OpenAI:
    """The official SDK of OpenAI."""

    provider = "openai"
    statuses = openai.APIStatusError
    connection = openai.APIConnectionError
    timeout = openai.APITimeoutError
    by_status = {
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        429: openai.RateLimitError,
        500: openai.InternalServerError,
        529: openai.InternalServerError,
    }

    @asynccontextmanager
    async def client(self, url: str, key: str = KEY, timeout: float | None = None) -> AsyncIterator[Any]:
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=timeout) as client:
            yield client

    async def ask(self, client: Any, request: LMRequest, *, stream: bool = False) -> LMResponse:
        asked: dict[str, Any] = {
            "model": MODEL,
            "messages": list(map(self.message, request.messages)),
        }
        if request.system:
            asked["messages"].insert(0, {"role": "system", "content": request.system})
        if request.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "function": {"name": tool.name, "parameters": strict(dict(tool.schema)), "strict": True},
                }
                for tool in request.tools
            ]
        if request.schema is not None:
            asked["response_format"] = City
        completions = client.chat.completions
        if stream:
            async with completions.stream(**asked, stream_options={"include_usage": True}) as events:
                try:
                    completion = await events.get_final_completion()
                except openai.LengthFinishReasonError as stopped:  # its way to say so
                    completion = stopped.completion
        elif request.schema is not None:
            completion = await completions.parse(**asked)
        else:
            completion = await completions.create(**asked)
        return self.response(completion, parsed=request.schema is not None)

    @asynccontextmanager
    async def raw_stream(self, client: Any) -> AsyncIterator[Any]:
        asked = [{"role": "user", "content": "Hi"}]
        async with await client.chat.completions.create(model=MODEL, messages=asked, stream=True) as events:
            yield events

    @staticmethod
    def message(message: Message) -> dict[str, Any]:
        written: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_call_id:
            written["tool_call_id"] = message.tool_call_id
        if message.tool_calls:
            written["content"] = None
            written["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
        return written

    @staticmethod
    def response(completion: Any, parsed: bool) -> LMResponse:
        [choice] = completion.choices
        text = choice.message.refusal or choice.message.content or ""
        if parsed:
            assert City.model_validate_json(text) == choice.message.parsed
        return LMResponse(
            text=text,
            usage=Usage(1, completion.usage.prompt_tokens, completion.usage.completion_tokens),
            model=completion.model,
            finish_reason="refusal" if choice.message.refusal else choice.finish_reason,
            tool_calls=tuple(
                ToolCall(call.id, call.function.name, call.function.arguments)
                for call in choice.message.tool_calls or ()
            ),
        )


class Anthropic:
    """The official SDK of Anthropic."""

    provider = "anthropic"
    statuses = anthropic.APIStatusError
    connection = anthropic.APIConnectionError
    timeout = anthropic.APITimeoutError
    by_status = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        529: anthropic.InternalServerError,
    }
    reasons = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "refusal": "refusal"}

    @asynccontextmanager
    async def client(self, url: str, key: str = KEY, timeout: float | None = None) -> AsyncIterator[Any]:
        async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0, timeout=timeout) as client:
            yield client

    async def ask(self, client: Any, request: LMRequest, *, stream: bool = False) -> LMResponse:
        asked: dict[str, Any] = {
            "model": MODEL,
            "max_tokens": 100,
            "system": request.system or anthropic.omit,
            "messages": [self.message(message) for message in request.messages],
        }
        if request.tools:
            asked["tools"] = [{"name": tool.name, "input_schema": dict(tool.schema)} for tool in request.tools]
        if request.schema is not None:
            asked["output_format"] = City
        if stream:
            async with client.messages.stream(**asked) as events:
                message = await events.get_final_message()
        elif request.schema is not None:
            message = await client.messages.parse(**asked)
        else:
            message = await client.messages.create(**asked)
        return self.response(message, parsed=request.schema is not None)

    @asynccontextmanager
    async def raw_stream(self, client: Any) -> AsyncIterator[Any]:
        asked = [{"role": "user", "content": "Hi"}]
        async with await client.messages.create(model=MODEL, messages=asked, max_tokens=9, stream=True) as events:
            yield events

    @staticmethod
    def message(message: Message) -> dict[str, Any]:
        if message.role == "tool":
            result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
            return {"role": "user", "content": [result | {"is_error": message.failed}]}
        if message.tool_calls:
            uses = [
                {"type": "tool_use", "id": call.id, "name": call.name, "input": json.loads(call.arguments)}
                for call in message.tool_calls
            ]
            return {"role": "assistant", "content": uses}
        return {"role": message.role, "content": message.content}

    def response(self, message: Any, parsed: bool) -> LMResponse:
        text = "".join(block.text for block in message.content if block.type == "text")
        if parsed:
            assert City.model_validate_json(text) == message.parsed_output
        return LMResponse(
            text=text,
            usage=Usage(1, message.usage.input_tokens, message.usage.output_tokens),
            model=message.model,
            finish_reason=self.reasons[message.stop_reason],  # type: ignore[arg-type]  # of str, from a table
            tool_calls=tuple(
                ToolCall(block.id, block.name, json.dumps(block.input, ensure_ascii=False))
                for block in message.content
                if block.type == "tool_use"
            ),
        )


SDK = OpenAI | Anthropic
SDKS: tuple[SDK, ...] = (OpenAI(), Anthropic())
CASES = [
    pytest.param(sdk, scenario, id=f"{sdk.provider}: {scenario.name}")
    for sdk in SDKS
    for scenario in SCENARIOS
    if sdk.provider in scenario.providers
]


@pytest.fixture(params=SDKS, ids=[sdk.provider for sdk in SDKS])
def sdk(request: pytest.FixtureRequest) -> SDK:
    """One of the two SDKs."""
    made: SDK = request.param
    return made


@pytest.mark.parametrize(("sdk", "scenario"), CASES)
async def test_the_sdk_makes_of_a_scenario_what_must_come_out(sdk: SDK, scenario: Scenario) -> None:
    """Every scenario, with the official SDK of its provider; afterwards no connection is left."""
    async with LMServer(scenario.script, api_key=KEY) as server:
        async with sdk.client(server.url, scenario.key, scenario.timeout) as client:
            if isinstance(scenario.expected, Failure):
                await check_failure(sdk, client, scenario, scenario.expected, server)
            else:
                assert scenario.expected == await sdk.ask(client, scenario.request, stream=scenario.stream)
        await server.until(lambda: server.open_connections == 0)
        [request] = server.requests
        assert (scenario.stream, sdk.provider) == (request.streamed, request.provider)


async def check_failure(sdk: SDK, client: Any, scenario: Scenario, failure: Failure, server: LMServer) -> None:
    errors: dict[str, Any] = {
        "status": sdk.by_status.get(failure.status or 0, sdk.statuses),
        "timeout": (sdk.timeout, httpx2.TimeoutException),
        # Where the head of the answer has come, both SDKs let the errors of their HTTP library through.
        "connection": (sdk.connection, httpx2.TransportError),
        "stream": (openai.APIError, anthropic.APIError, httpx2.TransportError),
    }
    with pytest.raises(errors[failure.kind]) as caught:
        await sdk.ask(client, scenario.request, stream=scenario.stream)
    assert failure.said in str(caught.value)
    if failure.kind == "status":
        error: Any = caught.value
        given = error.response.headers.get("retry-after"), error.response.headers.get("retry-after-ms")
        assert failure.status == error.status_code
        assert failure.retry_after in [float(given[0] or 0) or None, float(given[1] or 0) / 1000 or None]
        assert server.requests[0].request_id == error.request_id


@pytest.mark.parametrize("stream", [False, True], ids=["before the answer", "in a stream"])
async def test_a_cancelled_request_is_seen_by_the_server(sdk: SDK, stream: bool) -> None:
    """Cancelling a request closes its connection, before the answer begins and in the middle of it."""
    reply = Reply("on and on ", never_ends=True, pace=0.01) if stream else Reply.hang()
    async with LMServer(reply, api_key=KEY) as server, assert_no_leaks(), sdk.client(server.url) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(sdk.ask, client, REQUEST, stream=stream))
            await server.arrived()
            tasks.cancel_scope.cancel()
        await server.closed_early()
        assert [True] == [request.aborted for request in server.requests]
        await server.until(lambda: server.active == server.open_connections == 0)


async def test_a_client_that_leaves_a_stream_early_is_seen_by_the_server(sdk: SDK) -> None:
    """Who has read enough of a stream closes it, and the server stops writing."""
    async with LMServer(Reply("on and on ", never_ends=True)) as server, sdk.client(server.url) as client:
        count = 0
        async with sdk.raw_stream(client) as events:
            async for _ in events:
                count += 1
                if count == 20:
                    break
        await server.closed_early()
        assert server.requests[0].aborted


async def test_a_connection_serves_many_requests(sdk: SDK) -> None:
    """Answers that came whole leave their connection open for the next, plain, streamed and refused ones alike."""
    script = ["one", Reply.error(500), "two", "three"]
    async with LMServer(script) as server, sdk.client(server.url) as client:
        assert "one" == (await sdk.ask(client, REQUEST)).text
        with pytest.raises(sdk.statuses):
            await sdk.ask(client, REQUEST)
        assert "two" == (await sdk.ask(client, REQUEST, stream=True)).text
        assert "three" == (await sdk.ask(client, REQUEST)).text
        assert [1, 1, 1, 1] == [request.connection for request in server.requests]


async def test_the_sdk_retries_what_it_should(sdk: SDK) -> None:
    """With retries allowed, an SDK heeds `retry-after-ms` and gets the answer in the end."""
    busy = Reply.error(429, headers={"retry-after-ms": "1"})
    async with LMServer([busy, Reply.error(500, headers={"retry-after-ms": "1"}), "at last"]) as server:
        async with sdk.client(server.url) as client:
            assert "at last" == (await sdk.ask(client.with_options(max_retries=2), REQUEST)).text
        assert [429, 500, 200] == [request.status for request in server.requests]


async def test_the_sdk_lists_models(sdk: SDK) -> None:
    """`GET /v1/models` has the form of whoever asks."""
    async with LMServer("-", api_key=KEY) as server, sdk.client(server.url) as client:
        names = [model.id async for model in client.models.list()]
        assert [f"{'gpt' if sdk.provider == 'openai' else 'claude'}-test"] == names


@pytest.mark.slow
async def test_the_sdk_speaks_tls(sdk: SDK) -> None:
    """Over TLS all is the same."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with LMServer("safe", tls=context) as server, httpx2.AsyncClient(verify=trusting) as http:
        assert server.url.startswith("https://")
        async with sdk.client(server.url) as client:
            secure = client.with_options(http_client=http)
            assert "safe" == (await sdk.ask(secure, REQUEST)).text
            assert "safe" == (await sdk.ask(secure, REQUEST, stream=True)).text


async def test_a_bad_request_is_told_as_one(sdk: SDK) -> None:
    """The errors that the server finds in a request reach the SDK's user."""
    async with LMServer([]) as server, sdk.client(server.url) as client:
        with pytest.raises(sdk.by_status[400], match=r"empty array|at least one message"):
            await sdk.ask(client, attrs.evolve(REQUEST, system="", messages=()))
