"""One request to a language model as dagflow, bare httpx, the official SDKs and pydantic-ai make it.

All have kept their connections open, have room for as many as are used at once, and send the same body.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anthropic
import httpx
import openai
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.direct import model_request, model_request_stream
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    PartDeltaEvent,
    PartStartEvent,
    SystemPromptPart,
    TextPart,
    TextPartDelta,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.output import OutputObjectDefinition
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

from benchmarks.lm_work import (
    ANTHROPIC_MODEL,
    INSTRUCTION,
    KEY,
    LETTER,
    LONG_REQUEST,
    OPENAI_MODEL,
    QUESTION,
    Calls,
    Note,
    Order,
    PydanticOrder,
    order_request,
)
from dagflow import Graph, LMRequest, Node
from dagflow.events import Token
from dagflow.lm.anthropic import VERSION, AnthropicBackend, AnthropicCodec
from dagflow.lm.openai import OpenAIBackend, OpenAICodec
from dagflow.lm.prices import Price
from dagflow.lm.provider import HTTPBackend

OURS: Final = "dagflow"
HTTPX: Final = "bare httpx"
SDK: Final = "official SDK"
PYDANTIC_AI: Final = "pydantic-ai"
AGENT: Final = "pydantic-ai, Agent.run"

MAX_TOKENS: Final = 8192
PRICE: Final = Price(1, 2)
LIMITS: Final = httpx.Limits(max_connections=1000, max_keepalive_connections=100)  # those of both SDKs
PROVIDERS: Final = ("openai", "anthropic")


@asynccontextmanager
async def contenders(provider: str, url: str, backend: str) -> AsyncIterator[Calls]:
    """Open everybody's connections to the server at `url`, until the block ends."""
    opened = openai_contenders if provider == "openai" else anthropic_contenders
    async with opened(url, await order_request(), backend) as calls:
        yield calls


@asynccontextmanager
async def openai_contenders(url: str, request: LMRequest, backend: str) -> AsyncIterator[Calls]:
    base = f"{url}/v1"
    codec = OpenAICodec(OPENAI_MODEL, {}, "json_schema", PRICE)
    body, long_body = codec.encode(request, stream=False), codec.encode(LONG_REQUEST, stream=True)
    bare = Bare(f"{base}/chat/completions", {"authorization": f"Bearer {KEY}"}, body, long_body)
    asked = {"model": OPENAI_MODEL, "messages": body["messages"]}
    async with (
        OpenAIBackend(OPENAI_MODEL, base_url=base, api_key=KEY, price=PRICE) as ours,
        httpx.AsyncClient(limits=LIMITS, verify=False) as client,
        openai.AsyncOpenAI(base_url=base, api_key=KEY) as sdk,
        openai.AsyncOpenAI(base_url=base, api_key=KEY) as inner,
    ):
        completions: Any = sdk.chat.completions

        async def stream(note: Note) -> None:
            async for chunk in await completions.create(**long_body):
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    note(piece)

        yield assemble(
            ours,
            request,
            bare,
            client,
            create=lambda: completions.create(**body),
            parse=lambda: completions.parse(**asked, response_format=PydanticOrder),
            stream=stream,
            model=OpenAIChatModel(OPENAI_MODEL, provider=OpenAIProvider(openai_client=inner)),
            backend=backend,
        )


@asynccontextmanager
async def anthropic_contenders(url: str, request: LMRequest, backend: str) -> AsyncIterator[Calls]:
    codec = AnthropicCodec(ANTHROPIC_MODEL, {"max_tokens": MAX_TOKENS}, True, PRICE)
    body, long_body = codec.encode(request, stream=False), codec.encode(LONG_REQUEST, stream=True)
    bare = Bare(f"{url}/v1/messages", {"x-api-key": KEY, "anthropic-version": VERSION}, body, long_body)
    asked = {name: value for name, value in body.items() if name != "output_config"}
    async with (
        AnthropicBackend(ANTHROPIC_MODEL, base_url=url, api_key=KEY, max_tokens=MAX_TOKENS, price=PRICE) as ours,
        httpx.AsyncClient(limits=LIMITS, verify=False) as client,
        anthropic.AsyncAnthropic(base_url=url, api_key=KEY) as sdk,
        anthropic.AsyncAnthropic(base_url=url, api_key=KEY) as inner,
    ):
        messages: Any = sdk.messages

        async def stream(note: Note) -> None:
            async for event in await messages.create(**long_body):
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    note(event.delta.text)

        yield assemble(
            ours,
            request,
            bare,
            client,
            create=lambda: messages.create(**body),
            parse=lambda: messages.parse(**asked, output_format=PydanticOrder),
            stream=stream,
            model=AnthropicModel(ANTHROPIC_MODEL, provider=AnthropicProvider(anthropic_client=inner)),
            backend=backend,
        )


class Bare:
    """What httpx sends, and where: the body is the one that dagflow sends."""

    def __init__(
        self, url: str, headers: Mapping[str, str], body: Mapping[str, Any], long_body: Mapping[str, Any]
    ) -> None:
        self.url = url
        self.headers = headers
        self.body = body
        self.long_body = long_body


def assemble(
    ours: HTTPBackend,
    request: LMRequest,
    bare: Bare,
    client: httpx.AsyncClient,
    *,
    create: Callable[[], Any],
    parse: Callable[[], Any],
    stream: Callable[[Note], Any],
    model: Model,
    backend: str,
) -> Calls:
    async def post() -> Any:
        response = await client.post(bare.url, json=bare.body, headers=bare.headers)
        return response.json()

    async def direct() -> Any:
        return await model_request(model, asked, model_request_parameters=parameters)

    async def direct_typed() -> PydanticOrder:
        response = await model_request(model, asked, model_request_parameters=parameters)
        return PydanticOrder.model_validate_json(response.text or "")

    async def run_agent() -> PydanticOrder:
        return (await agent.run(prompt)).output

    system, prompt = request.native_system, request.messages[0].content
    asked: list[ModelMessage] = [ModelRequest(parts=[SystemPromptPart(system), UserPromptPart(prompt)])]
    output = OutputObjectDefinition(PydanticOrder.model_json_schema(), name="Order")
    parameters = ModelRequestParameters(output_mode="native", output_object=output)
    agent = Agent(model, output_type=NativeOutput(PydanticOrder), system_prompt=system)
    plain = {OURS: lambda: ours.complete(request), HTTPX: post, SDK: create, PYDANTIC_AI: direct}
    typed = {
        OURS: lambda: ours.fill(Order, {}, INSTRUCTION, LETTER),
        HTTPX: post,
        SDK: parse,
        PYDANTIC_AI: direct_typed,
    }
    if backend == "asyncio":  # it uses asyncio itself
        typed[AGENT] = run_agent
    streams = {
        OURS: our_stream(ours),
        HTTPX: lambda note: read_lines(client, bare, note),
        SDK: stream,
        PYDANTIC_AI: lambda note: read_direct(model, note),
    }
    return Calls(plain, typed, streams)


def our_stream(lm: HTTPBackend) -> Callable[[Note], Any]:
    """The tokens as whoever follows a run gets them: as events of `Graph.stream`."""

    class Talk(Node):
        async def __call__(self) -> None:
            await lm.ask(LONG_REQUEST)

    graph = Graph(Talk)

    async def stream(note: Note) -> None:
        async with graph.stream(Talk()) as events:
            async for event in events:
                if isinstance(event, Token):
                    note(event.text)

    return stream


async def read_lines(client: httpx.AsyncClient, bare: Bare, note: Note) -> None:
    async with client.stream("POST", bare.url, json=bare.long_body, headers=bare.headers) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            data = json.loads(line[6:])
            if choices := data.get("choices"):
                piece = choices[0]["delta"].get("content")
            else:
                piece = data.get("delta", {}).get("text")
            if piece:
                note(piece)


async def read_direct(model: Model, note: Note) -> None:
    async with model_request_stream(model, [ModelRequest.user_text_prompt(QUESTION)]) as events:
        async for event in events:
            match event:
                case (
                    PartStartEvent(part=TextPart(content=piece))
                    | PartDeltaEvent(delta=TextPartDelta(content_delta=piece))
                ):
                    note(piece)
