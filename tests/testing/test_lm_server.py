"""The local server of language models: its protocols byte by byte, its strictness, and its ways to go wrong."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import httpx
import pytest
from anyio.abc import SocketStream

from dagflow.core.dialects import closed, strict
from dagflow.core.schema import json_schema
from dagflow.testing import assert_no_leaks
from dagflow.testing.lm_server import LMServer, RecordedRequest, Reply, ScriptError, ToolCall
from dagflow.testing.lm_server.schemas import anthropic_fault, openai_fault

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
USER = {"role": "user", "content": "Hi"}
OPENAI: dict[str, Any] = {"model": "m", "messages": [USER]}
ANTHROPIC: dict[str, Any] = {"model": "m", "max_tokens": 9, "messages": [USER]}
VERSION = {"anthropic-version": "2023-06-01"}
NEWEST = {"anthropic-version": "2026-10-21"}


@asynccontextmanager
async def client_of(server: LMServer) -> AsyncIterator[httpx.AsyncClient]:
    """A plain HTTP client of the server."""
    async with httpx.AsyncClient(base_url=server.url, verify=False, trust_env=False) as client:
        yield client


async def ask(client: httpx.AsyncClient, body: Any, headers: Mapping[str, str] = VERSION) -> httpx.Response:
    """Send a request to whichever of the two protocols has bodies like this."""
    path = MESSAGES if body.keys() & {"max_tokens", "system", "output_config"} else CHAT
    return await client.post(path, json=body, headers=dict(headers) if path == MESSAGES else {})


async def events_of(body: dict[str, Any], reply: Reply) -> list[tuple[str, Any]]:
    """The server-sent events that a reply is streamed as: name and data."""
    async with LMServer(reply) as server, client_of(server) as client:
        response = await ask(client, body | {"stream": True})
    assert "text/event-stream; charset=utf-8" == response.headers["content-type"]
    assert response.text.endswith("\n\n")
    events = []
    for block in response.text.removesuffix("\n\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        data = fields["data"]
        events.append((fields.get("event", ""), data if data == "[DONE]" else json.loads(data)))
    return events


def raw_request(body: bytes, *headers: bytes) -> bytes:
    head = [b"POST /v1/chat/completions HTTP/1.1", b"Host: x", b"Content-Type: application/json", *headers]
    if not any(header.lower().startswith((b"content-length", b"transfer-encoding")) for header in headers):
        head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", body])


async def connect(server: LMServer) -> SocketStream:
    """A bare connection to the server."""
    return await anyio.connect_tcp("127.0.0.1", int(server.url.rpartition(":")[2]))


async def read_all(stream: SocketStream) -> bytes:
    """Everything up to the end of the connection."""
    data = b""
    async for part in stream:
        data += part
    return data


# --- The protocols ---


async def test_a_stream_of_openais_is_chunks_then_done() -> None:
    """The role comes first, then text, then calls with id and name first, then the reason, then `[DONE]`."""
    reply = Reply(pieces=["He", "llo"], tool_calls=[ToolCall("c1", "f", "{}")])
    events = await events_of(OPENAI, reply)
    assert ("", "[DONE]") == events.pop()
    chunks = [data for _, data in events]
    assert {"chat.completion.chunk"} == {chunk["object"] for chunk in chunks}
    assert all("usage" not in chunk for chunk in chunks)
    assert [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "He"},
        {"content": "llo"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {},
    ] == [chunk["choices"][0]["delta"] for chunk in chunks]
    assert [None] * 5 + ["tool_calls"] == [chunk["choices"][0]["finish_reason"] for chunk in chunks]


async def test_usage_is_streamed_where_it_is_asked_for() -> None:
    """With `include_usage`, a last chunk without choices has it, and all others have null."""
    body = OPENAI | {"stream_options": {"include_usage": True}}
    events = await events_of(body, Reply("Hi", usage=(7, 8)))
    *chunks, last, (_, done) = events
    assert done == "[DONE]"
    assert [None] * len(chunks) == [chunk["usage"] for _, chunk in chunks]
    assert [] == last[1]["choices"]
    assert (7, 8, 15) == tuple(last[1]["usage"][f"{name}_tokens"] for name in ("prompt", "completion", "total"))
    without = await events_of(body, Reply("Hi", usage=None))
    assert len(events) - 1 == len(without)


async def test_a_stream_of_anthropics_is_a_message_of_blocks() -> None:
    """Each block starts, goes on and stops; the message's reason and usage come after the last."""
    reply = Reply(pieces=["He", "llo"], tool_calls=[ToolCall("c1", "f", '{"a": 1}')], usage=(7, 8))
    events = await events_of(ANTHROPIC, reply)
    assert all(name == data["type"] for name, data in events)
    assert [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 2,
        "content_block_stop",
        "content_block_start",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ] == [name for name, _ in events]
    deltas = [data["delta"] for name, data in events if name == "content_block_delta"]
    assert "Hello" == "".join(delta.get("text", "") for delta in deltas)
    assert ["", '{"a"', ": 1}"] == [delta["partial_json"] for delta in deltas[2:]]
    start, end = events[0][1]["message"], events[-2][1]
    assert (7, 1, None) == (start["usage"]["input_tokens"], start["usage"]["output_tokens"], start["stop_reason"])
    assert (8, "tool_use") == (end["usage"]["output_tokens"], end["delta"]["stop_reason"])


async def test_errors_have_the_form_of_their_provider() -> None:
    """OpenAI's have message, type, param and code; Anthropic's the request's id as well, which headers have too."""
    async with LMServer(Reply.error(529, retry_after=3)) as server, client_of(server) as client:
        theirs = await ask(client, OPENAI)
        assert {"message", "type", "param", "code"} == theirs.json()["error"].keys()
        assert "3" == theirs.headers["retry-after"]
        other = await ask(client, ANTHROPIC)
        error = {"type": "overloaded_error", "message": "Overloaded"}
        assert {"type": "error", "error": error, "request_id": other.headers["request-id"]} == other.json()
        assert [theirs.headers["x-request-id"], other.headers["request-id"]] == [r.request_id for r in server.requests]


@pytest.mark.parametrize(
    ("headers", "path", "said"),
    [
        ({}, CHAT, "You didn't provide an API key"),
        ({"authorization": "Bearer wrong"}, CHAT, "Incorrect API key"),
        ({"x-api-key": "right"}, CHAT, "You didn't provide an API key"),
        ({"authorization": "Bearer right"}, CHAT, None),
        (VERSION, MESSAGES, "x-api-key header is required"),
        (VERSION | {"x-api-key": "wrong"}, MESSAGES, "invalid x-api-key"),
        (VERSION | {"authorization": "Bearer wrong"}, MESSAGES, "Invalid bearer token"),
        (VERSION | {"x-api-key": "right"}, MESSAGES, None),
        (NEWEST | {"authorization": "Bearer right"}, MESSAGES, None),
    ],
)
async def test_a_key_is_checked_as_the_provider_does(headers: dict[str, str], path: str, said: str | None) -> None:
    """A wrong key or none is a 401, in front of all else; Anthropic's may come in either of two headers."""
    async with LMServer("Hi", api_key="right") as server, client_of(server) as client:
        response = await client.post(path, json=ANTHROPIC if path == MESSAGES else OPENAI, headers=headers)
        assert (200 if said is None else 401) == response.status_code
        assert (said or "") in response.text


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "1"}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def schema_format(schema: Any, **rest: Any) -> dict[str, Any]:
    form = {"name": "Form", "schema": schema, "strict": True} | rest
    return {"response_format": {"type": "json_schema", "json_schema": form}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": ""}, "you must provide a model parameter"),
        ({"messages": None}, "Invalid type for 'messages': expected an array, but got null"),
        ({"messages": []}, "empty array"),
        ({"messages": [{"content": "Hi"}]}, "Missing required parameter: 'messages[0].role'"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "Invalid value: 'robot'. Supported values are: 'system'"),
        ({"messages": [{"role": "user", "content": None}]}, "expected a string, got null"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages[0].content': expected a string or an array"),
        ({"messages": [USER | {"tool_calls": [CALL]}]}, "Unknown parameter: 'messages[0].tool_calls'"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "'video' is no type of content"),
        ({"messages": [USER, RESULT]}, "must be a response to a preceeding message with 'tool_calls'"),
        ({"messages": [USER, CALLING, RESULT, RESULT]}, "must be a response to a preceeding message"),
        ({"messages": [USER, CALLING, RESULT | {"tool_call_id": "c2"}]}, "must be a response to a preceeding"),
        ({"messages": [USER, CALLING, USER]}, "did not have response messages: c1"),
        ({"messages": [USER, CALLING]}, "did not have response messages: c1"),
        ({"messages": [USER, USER | {"role": "assistant", "tool_calls": []}]}, "minimum length 1"),
        ({"messages": [USER, CALLING | {"tool_calls": [CALL | {"id": 1}]}]}, "tool_calls[0].id': expected a string"),
        ({"messages": [USER, CALLING | {"tool_calls": [CALL, CALL]}]}, "two calls have one id"),
        ({"temperature": 3}, "Invalid 'temperature'"),
        ({"temperature": "hot"}, "expected a decimal, but got a string"),
        ({"stream": 1}, "expected a boolean, but got an integer"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time is not supported"),
        ({"max_tokens": True}, "expected an integer, but got a boolean"),
        ({"top_k": 5}, "Unrecognized request argument supplied: top_k"),
        ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
        ({"stream": True, "stream_options": {"usage": True}}, "stream_options.usage"),
        ({"tools": []}, "Invalid 'tools': empty array"),
        ({"tools": [{"name": "f"}]}, "Supported values are: 'function'"),
        ({"tools": [TOOL, TOOL]}, "must be unique"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "does not match pattern"),
        ({"tools": [{"type": "function", "function": {"name": "f", "input_schema": {}}}]}, "function.input_schema"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]}, "schema for function 'f'"),
        ({"tools": [{"type": "function", "function": {"name": "f", "strict": True, "parameters": OPEN}}]}, "false."),
        ({"tool_choice": "auto"}, "only allowed when 'tools' are specified"),
        ({"tools": [TOOL], "tool_choice": "any"}, "Invalid value: 'any'"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "'g' not found in 'tools'"),
        ({"response_format": {"type": "json"}}, "'text', 'json_object', and 'json_schema'"),
        ({"response_format": {"type": "json_object"}}, "must contain the word 'json'"),
        ({"response_format": {"type": "json_schema"}}, "Missing required parameter: 'response_format.json_schema'"),
        (schema_format(OPEN, name="a b"), "json_schema.name': string does not match"),
        (schema_format(OPEN, title="x"), "Unknown parameter: 'response_format.json_schema.title'"),
        (schema_format(OPEN), "schema for response_format 'Form': In context=(), 'additionalProperties' is required"),
    ],
)
async def test_openais_protocol_refuses_what_the_service_does(change: dict[str, Any], said: str) -> None:
    """A wrong request is a 400 that says what is wrong, and uses up no answer of the script."""
    async with LMServer(["right"]) as server, client_of(server) as client:
        response = await client.post(CHAT, json=OPENAI | change)
        error = response.json()["error"]
        assert said in error["message"]
        assert (400, "invalid_request_error") == (response.status_code, error["type"])
        assert "right" in (await ask(client, OPENAI)).text


@pytest.mark.parametrize(
    "change",
    [
        {"messages": [{"role": "system", "content": "Be"}, USER, CALLING, RESULT], "tools": [TOOL]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], "temperature": 1, "seed": None},
        {"stream": False, "max_completion_tokens": 5, "stop": ["a"], "tools": [TOOL], "tool_choice": "required"},
        schema_format(OPEN, strict=False),
        schema_format(OPEN | {"additionalProperties": False}, description="A form"),
        {"messages": [{"role": "user", "content": "Say JSON"}], "response_format": {"type": "json_object"}},
    ],
)
async def test_openais_protocol_takes_what_the_service_does(change: dict[str, Any]) -> None:
    """What is right is answered."""
    async with LMServer("right") as server, client_of(server) as client:
        response = await client.post(CHAT, json=OPENAI | change)
        assert "right" == response.json()["choices"][0]["message"]["content"]


def turn(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


TEXT = {"type": "text", "text": "Hi"}
USE = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
USED = {"type": "tool_result", "tool_use_id": "t1", "content": "1"}
CUSTOM = {"name": "f", "input_schema": {"type": "object"}}
CITING = TEXT | {"citations": [{"type": "char_location"}]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": None}, "model: Input should be a valid string"),
        ({"max_tokens": 0}, "max_tokens: must be greater"),
        ({"max_tokens": 1.5}, "max_tokens: Input should be a valid integer"),
        ({"messages": []}, "at least one message is required"),
        ({"messages": [{"role": "system", "content": "Be"}, USER]}, 'Unexpected role "system"'),
        ({"messages": [{"role": "tool", "content": "Be"}]}, "messages.0.role: Input should be 'user' or 'assistant'"),
        ({"messages": [USER | {"name": "x"}]}, "messages.0.name: Extra inputs are not permitted"),
        ({"messages": [USER | {"content": ""}]}, "must have non-empty content"),
        ({"messages": [USER | {"content": " "}]}, "must contain non-whitespace text"),
        ({"messages": [turn("user", TEXT | {"text": ""})]}, "must contain non-whitespace text"),
        ({"messages": [turn("user", USE)]}, "Input tag 'tool_use' found using 'type' does not match"),
        ({"messages": [{"role": "assistant", "content": "Hi"}, USER]}, 'first message must use the "user" role'),
        ({"messages": [USER, {"role": "assistant", "content": "{"}]}, "does not support assistant message prefill"),
        ({"messages": [USER, turn("assistant", USE), USER]}, "without `tool_result` blocks immediately after: t1"),
        ({"messages": [USER, turn("user", USED)]}, "unexpected `tool_use_id` found in `tool_result` blocks: t1"),
        ({"messages": [USER, turn("assistant", USE), turn("user", TEXT, USED)]}, "must come before all other content"),
        ({"messages": [USER, turn("assistant", USE), turn("user", USED)]}, "must define tools"),
        ({"messages": [USER, turn("assistant", USE | {"input": "{}"}), turn("user", USED)]}, "a valid object"),
        ({"messages": [USER, turn("assistant", USE | {"id": "t:1"}), turn("user", USED)]}, "should match pattern"),
        ({"messages": [USER, turn("assistant", USE, USE), turn("user", USED)]}, "ids must be unique"),
        ({"messages": [turn("user", USED | {"content": "", "is_error": True})]}, "content cannot be empty"),
        ({"messages": [turn("user", USED | {"name": "f"})]}, "tool_result.name: Extra inputs are not permitted"),
        ({"system": ""}, "system: text content blocks must be non-empty"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"temperature": 1, "top_p": 1}, "cannot both be specified"),
        ({"response_format": {}}, "response_format: Extra inputs are not permitted"),
        ({"tools": [{"name": "f"}]}, "tools.0.custom.input_schema: Field required"),
        ({"tools": [CUSTOM | {"input_schema": {}}]}, "input_schema.type: Input should be 'object'"),
        ({"tools": [CUSTOM | {"parameters": {}}]}, "tools.0.custom.parameters: Extra inputs are not permitted"),
        ({"tools": [CUSTOM | {"name": "a b"}]}, "name: String should match pattern"),
        ({"tools": [CUSTOM, CUSTOM]}, "Tool names must be unique"),
        ({"tools": [CUSTOM | {"strict": True}]}, "'additionalProperties' must be explicitly set to false"),
        ({"tool_choice": {"type": "auto"}}, "may only be specified while providing tools"),
        ({"tools": [CUSTOM], "tool_choice": {"type": "required"}}, "Input tag 'required'"),
        ({"tools": [CUSTOM], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found"),
        ({"output_config": {"format": {"type": "json"}}}, "format.type: Input should be 'json_schema'"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema: Field required"),
        ({"output_config": {"format": {"type": "json_schema", "schema": OPEN}}}, "must be explicitly set to false"),
        ({"output_config": {"format": {"type": "json_schema", "schema": OPEN, "name": "F"}}}, "format.name: Extra"),
    ],
)
async def test_anthropics_protocol_refuses_what_the_service_does(change: dict[str, Any], said: str) -> None:
    """A wrong request is a 400 that says what is wrong, and uses up no answer of the script."""
    async with LMServer(["right"]) as server, client_of(server) as client:
        response = await ask(client, ANTHROPIC | change)
        error = response.json()["error"]
        assert said in error["message"]
        assert (400, "invalid_request_error") == (response.status_code, error["type"])
        assert "right" in (await ask(client, ANTHROPIC)).text


@pytest.mark.parametrize("missing", ["model", "max_tokens", "messages"])
async def test_anthropics_protocol_names_what_is_missing(missing: str) -> None:
    """Three fields are required."""
    body = {name: value for name, value in ANTHROPIC.items() if name != missing}
    async with LMServer([]) as server, client_of(server) as client:
        response = await client.post(MESSAGES, json=body, headers=VERSION)
        assert f"{missing}: Field required" == response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("headers", "change", "said"),
    [
        ({}, {}, "anthropic-version: header is required"),
        ({"anthropic-version": "2022-01-01"}, {}, "is not a valid version"),
        (VERSION, {"temperature": 1.0}, None),
        (NEWEST, {"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
        (NEWEST, {"top_k": 1}, "top_k: Extra inputs are not permitted"),
        (VERSION, {"messages": [turn("user", CITING)]}, None),
        (NEWEST, {"messages": [turn("user", CITING)]}, "`citations` are not permitted"),
    ],
)
async def test_anthropics_protocol_has_two_versions(
    headers: dict[str, str], change: dict[str, Any], said: str | None
) -> None:
    """A request says which it speaks; the newest has no sampling parameters and no citations by users."""
    async with LMServer("right") as server, client_of(server) as client:
        response = await ask(client, ANTHROPIC | change, headers)
        assert (200 if said is None else 400) == response.status_code
        assert (said or "right") in response.text


# --- Schemas ---


@attrs.frozen
class Leaf:
    value: int = attrs.field(validator=attrs.validators.ge(3))
    words: tuple[int, str] = (1, "a")


@attrs.frozen
class Tree:
    name: str
    kind: str | int | None = None
    leaves: list[Leaf] = attrs.field(factory=list)


def fields(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


TEXTUAL = {"type": "string"}
RECURSIVE = fields(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": fields(b={"anyOf": [{"$ref": "#/$defs/A"}]})}}


def deep(levels: int) -> dict[str, Any]:
    return fields(a=deep(levels - 1)) if levels > 1 else fields(a=TEXTUAL)


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (fields(a=TEXTUAL), None),
        (fields(a={"type": ["string", "null"]}, b={"anyOf": [TEXTUAL, {"type": "null"}]}), None),
        (fields(a={"type": "array", "items": TEXTUAL, "minItems": 2, "maxItems": 3}), None),
        (fields(a={"type": "integer", "minimum": 1}, b={"type": "string", "format": "date", "pattern": "1"}), None),
        (RECURSIVE, None),
        (deep(10), None),
        (TEXTUAL, "got 'type: \"string\"'"),
        ({"anyOf": [fields(a=TEXTUAL)]}, "got 'type: \"None\"'"),
        (fields(a={}), "In context=('properties', 'a'), schema must have a 'type' key"),
        (fields(a=TEXTUAL) | {"required": []}, "every key in properties. Missing 'a'"),
        (fields(a=TEXTUAL) | {"required": ["a", "b"]}, "Extra required key 'b'"),
        (fields(a=TEXTUAL) | {"additionalProperties": True}, "'additionalProperties' is required"),
        (fields(a={"type": "object", "properties": {}}), "('properties', 'a'), 'additionalProperties' is required"),
        (fields(a={"type": "array"}), "array schema missing items"),
        (fields(a=TEXTUAL | {"minLength": 1}), "'minLength' is not permitted"),
        (fields(a=TEXTUAL | {"default": ""}), "'default' is not permitted"),
        (fields(a=TEXTUAL | {"format": "uri"}), "'uri' is not a valid format"),
        (fields(a={"oneOf": [TEXTUAL], "type": "string"}), "'oneOf' is not permitted"),
        (fields(a={"allOf": [TEXTUAL], "type": "string"}), "'allOf' is not permitted"),
        (fields(a=TEXTUAL | {"minimum": 1}), "'minimum' is not permitted"),
        (fields(a={"$ref": "#/$defs/B"}), "was not found in the schema"),
        (RECURSIVE | {"properties": {"a": {"$ref": "#/$defs/A", "title": "A"}}}, "$ref cannot have keywords {'title'}"),
        (fields(a={"type": "string", "enum": []}), "'enum' must be an array that is not empty"),
        (fields(a={"type": "integer", "enum": list(range(1001))}), "at most 1000 enum values"),
        (deep(11), "at most 10 levels"),
    ],
)
def test_openais_strict_dialect(schema: dict[str, Any], said: str | None) -> None:
    """Objects are closed and all their properties required; keywords and sizes are limited."""
    fault = openai_fault(schema)
    assert fault is None if said is None else said in (fault or "")


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (fields(a=TEXTUAL) | {"required": []}, None),
        (fields(a={"enum": ["a", 1, None]}, b={"const": 1}), None),
        (fields(a={"type": "array", "items": TEXTUAL, "minItems": 1}), None),
        (fields(a={"type": "string", "format": "uri", "default": "x"}), None),
        (fields(a=TEXTUAL) | {"additionalProperties": None}, "'additionalProperties' must be explicitly set to false"),
        (fields(a={"type": "object"}), "explicitly set to false (at properties.a)"),
        (fields(a={}), "Schema type is missing"),
        (fields(a={"type": "integer", "minimum": 1}), "For 'integer' type, property 'minimum' is not supported"),
        (fields(a=TEXTUAL | {"maxLength": 1}), "For 'string' type, property 'maxLength' is not supported"),
        (fields(a=TEXTUAL | {"format": "phone"}), "format 'phone' is not supported"),
        (fields(a={"type": "array", "items": TEXTUAL, "minItems": 2}), "'minItems' values other than 0 or 1"),
        (fields(a={"type": "array", "items": TEXTUAL, "maxItems": 2}), "property 'maxItems' is not supported"),
        (fields(a={"enum": [{}]}), "Enum values must be"),
        (fields(a=TEXTUAL) | {"required": ["b"]}, "'required' names 'b'"),
        (RECURSIVE, "Circular reference detected in schema definitions: A"),
        (fields(a={"$ref": "#"}), "Circular reference"),
        (fields(**{f"a{n}": TEXTUAL for n in range(25)}) | {"required": []}, "too many optional parameters: 25"),
        (fields(**{f"a{n}": {"type": ["string", "null"]} for n in range(17)}), "too many union types: 17"),
    ],
)
def test_anthropics_dialect(schema: dict[str, Any], said: str | None) -> None:
    """Objects are closed, but may have optional properties; constraints and circles are not supported."""
    fault = anthropic_fault(schema)
    assert fault is None if said is None else said in (fault or "")


def test_our_dialects_are_taken() -> None:
    """The schemas that adapters send pass."""
    assert openai_fault(strict(json_schema(Tree))) is None
    assert anthropic_fault(closed(json_schema(Tree))) is None


# --- Scripts and records ---


async def test_a_script_is_a_constant_a_sequence_or_a_function() -> None:
    """Each of these answers, and anything but an answer is what the model says: text as it is, the rest as JSON."""
    async with LMServer({"a": 1}) as server, client_of(server) as client:
        for _ in range(2):
            assert '{"a": 1}' == (await ask(client, OPENAI)).json()["choices"][0]["message"]["content"]

    def answer(request: RecordedRequest) -> Any:
        return Reply(f"{request.number}: {request.body['messages'][0]['content']}")

    async with LMServer(["one", answer, Reply("three")]) as server, client_of(server) as client:
        said = [(await ask(client, ANTHROPIC)).json()["content"][0]["text"] for _ in range(3)]
        assert ["one", "2: Hi", "three"] == said


async def test_a_script_that_runs_out_is_told_on_both_sides() -> None:
    """The client gets a 400 that says so, and the block around the server an exception."""
    with pytest.raises(ScriptError, match=r"no answer left for request 2, to /v1/chat/completions"):
        async with LMServer(["one"]) as server, client_of(server) as client:
            await ask(client, OPENAI)
            response = await ask(client, OPENAI)
            assert 400 == response.status_code
            assert "the script has no answer left" in response.json()["error"]["message"]


async def test_an_exception_of_a_script_is_raised_in_the_end() -> None:
    """What a script's function raises is not lost, and notes itself on an exception that the block has of its own."""

    def fail(request: RecordedRequest) -> Any:
        assert request.number == 0, "not the first"

    with pytest.raises(AssertionError, match="not the first"):
        async with LMServer(fail) as server, client_of(server) as client:
            assert 400 == (await ask(client, OPENAI)).status_code
    with pytest.raises(KeyError) as caught:
        async with LMServer(fail) as server, client_of(server) as client:
            await ask(client, OPENAI)
            raise KeyError("its own")
    assert "not the first" in caught.value.__notes__[0]


async def test_arguments_that_are_no_object_travel_in_streams_only() -> None:
    """Anthropic's plain answers carry arguments as an object; a script that wants another thing is wrong."""
    reply = Reply(tool_calls=[ToolCall("c1", "f", "[1")])
    assert "tool_use" == (await events_of(ANTHROPIC, reply))[-2][1]["delta"]["stop_reason"]
    with pytest.raises(ValueError, match="Expecting"):
        async with LMServer(reply) as server, client_of(server) as client:
            await ask(client, ANTHROPIC)


def test_the_pieces_of_a_reply_are_its_text() -> None:
    """Text is cut into pieces, and pieces make text; both only where they agree."""
    assert "Hello" == Reply(pieces=["He", "llo"]).text
    assert ("Hell", "o") == Reply("Hello").pieces
    assert 256 >= len(Reply("x" * 1_000_000).pieces)
    with pytest.raises(ValueError, match="pieces of a reply are not its text"):
        Reply("Hello", pieces=["He"])


async def test_requests_are_recorded_with_how_they_ended() -> None:
    """A record begins open, and ends answered, cut or aborted."""
    release = anyio.Event()

    async def held(request: RecordedRequest) -> Reply:
        await release.wait()
        return Reply("late")

    async with LMServer([held, Reply("cut", cut_after=1), Reply.hang()]) as server, client_of(server) as client:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, client, OPENAI)
            await server.arrived()
            [request] = server.requests
            assert (1, "POST", CHAT, OPENAI, "openai") == (
                request.number,
                request.method,
                request.path,
                request.body,
                request.provider,
            )
            assert ("open", None, False, 1) == (request.state, request.status, request.streamed, server.active)
            release.set()
        with pytest.raises(httpx.RemoteProtocolError):
            await ask(client, OPENAI)
        with pytest.raises(httpx.ReadTimeout):
            await client.post(MESSAGES, json=ANTHROPIC, headers=VERSION, timeout=0.01)
        await server.closed_early()
        assert ["answered", "cut", "aborted"] == [request.state for request in server.requests]
        assert [200, 200, None] == [request.status for request in server.requests]
        assert [False, False, True] == [request.aborted for request in server.requests]
        assert (3, 1, 0) == (server.received, server.aborted, server.active)


async def test_requests_under_way_are_counted() -> None:
    """`active` and `peak_active` are what the server works on at once."""
    everybody = anyio.Event()

    async def held(request: RecordedRequest) -> str:
        await everybody.wait()
        return "all here"

    async with LMServer(held) as server, client_of(server) as client:
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, client, OPENAI)
            await server.until(lambda: server.active == 5)
            everybody.set()
        await server.until(lambda: server.active == 0)
        assert (5, 5, 5) == (server.peak_active, server.received, server.open_connections)
        assert "all here" in (await ask(client, OPENAI)).text
        assert 5 == server.connections
    async with LMServer("-", record=False) as server, client_of(server) as client:
        await ask(client, OPENAI)
        assert ([], 1) == (server.requests, server.received)


# --- Going wrong ---


@pytest.mark.parametrize("body", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("cut", ["close", "reset"])
async def test_an_answer_can_break_off(body: dict[str, Any], stream: bool, cut: Any) -> None:
    """After so many bytes or pieces the connection is closed or reset, and what was sent has arrived."""
    async with LMServer(Reply("Hello there", cut_after=2, cut=cut)) as server, client_of(server) as client:
        path = MESSAGES if body is ANTHROPIC else CHAT
        got = b""
        request = client.build_request("POST", path, json=body | {"stream": stream}, headers=VERSION)
        response = await client.send(request, stream=True)
        with pytest.raises(httpx.ReadError if cut == "reset" else httpx.RemoteProtocolError):
            async for part in response.aiter_bytes():
                got += part
        await response.aclose()
        if cut == "close":
            assert b"o th" in got if stream else len(got) == 2
        assert b"stop" not in got.replace(b"stop_reason", b"").replace(b"stop_sequence", b"")
        await server.until(lambda: server.requests[0].state == "cut")


async def test_a_stream_can_tell_of_an_error_midway() -> None:
    """An error in place of the rest ends a stream; a plain answer is the error."""
    reply = Reply("Hello there", cut_after=1, cut=Reply.error(529, "no room"))
    async with LMServer(reply) as server, client_of(server) as client:
        streamed = (await ask(client, ANTHROPIC | {"stream": True})).text
        assert '"no room"' in streamed.split("event: error\n")[1]
        streamed = (await ask(client, OPENAI | {"stream": True})).text
        assert "no room" in json.loads(streamed.strip().split("data: ")[-1])["error"]["message"]
        assert [529, 529] == [(await ask(client, body)).status_code for body in (OPENAI, ANTHROPIC)]


@pytest.mark.parametrize(
    ("reply", "stream"),
    [
        (Reply.hang(), False),
        (Reply("Hi", cut_after=1, cut="stall"), False),
        (Reply("Hi", cut_after=1, cut="stall"), True),
        (Reply("Hi", pace=math.inf), True),
        (Reply("Hi", never_ends=True), False),
        (Reply("Hi", never_ends=True), True),
        (Reply(never_ends=True), True),
        (Reply.raw(200, [b"x"], never_ends=True), False),
        (Reply.garbage(b"x", never_ends=True), False),
    ],
)
@pytest.mark.parametrize("body", [OPENAI, ANTHROPIC], ids=["openai", "anthropic"])
async def test_a_client_that_leaves_ends_its_answer(reply: Any, stream: bool, body: dict[str, Any]) -> None:
    """However the server is busy with a request, it sees the client hang up, and stops."""
    text = json.dumps(body | {"stream": stream}).encode()
    version = b"anthropic-version: 2023-06-01"
    async with LMServer(reply) as server:
        async with await connect(server) as stream_to:
            asked = raw_request(text, version)
            await stream_to.send(asked.replace(CHAT.encode(), MESSAGES.encode()) if body is ANTHROPIC else asked)
            await server.arrived()
        await server.closed_early()
        await server.until(lambda: server.open_connections == server.active == 0)
        assert ["aborted"] == [request.state for request in server.requests]


async def test_any_bytes_can_be_the_answer() -> None:
    """Bodies of no protocol, streams of raw chunks, no content type, and bytes that are not HTTP at all."""
    script = [
        Reply.raw(502, b"<html>", content_type="text/html", headers={"x-proxy": "yes"}),
        Reply.raw(200, [b"data: {", b'"a": 1}\n\n'], content_type="text/event-stream"),
        Reply.raw(204, content_type=None),
        Reply.garbage(b"SSH-2.0\r\n"),
        Reply.garbage(b""),
    ]
    async with LMServer(script) as server, client_of(server) as client:
        page = await ask(client, OPENAI)
        assert (502, "<html>", "text/html", "yes") == (
            page.status_code,
            page.text,
            page.headers["content-type"],
            page.headers["x-proxy"],
        )
        assert 'data: {"a": 1}\n\n' == (await ask(client, OPENAI)).text
        assert "content-type" not in (await ask(client, OPENAI)).headers
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                await ask(client, OPENAI)


# --- HTTP ---


@pytest.mark.parametrize(
    ("method", "path", "headers", "content", "status", "said"),
    [
        ("POST", "/v1/completions", {}, b"{}", 404, "Invalid URL (POST /v1/completions)"),
        ("GET", CHAT, {}, b"", 405, "Not allowed to GET"),
        ("HEAD", CHAT, {}, b"", 405, ""),
        ("GET", MESSAGES, VERSION, b"", 405, "Method Not Allowed"),
        ("POST", "/v1/complete", VERSION, b"{}", 404, "not_found_error"),
        ("POST", CHAT, {"content-type": "text/plain"}, b"{}", 415, "Unsupported content type: 'text/plain'"),
        ("POST", MESSAGES, VERSION | {"content-type": "text/plain"}, b"{}", 415, "must be application/json"),
        ("POST", CHAT, {}, b'{"model"', 400, "could not parse the JSON body"),
        ("POST", MESSAGES, VERSION, b'{"model"', 400, "not valid JSON"),
        ("POST", CHAT, {}, b'{"model": NaN}', 400, "NaN is not JSON"),
        ("POST", CHAT, {}, rb'{"model": "\ud800"}', 400, "surrogates not allowed"),
        ("POST", CHAT, {}, b'{"model": "\xff"}', 400, "can't decode byte"),
        ("POST", CHAT, {}, b"[" * 100_000, 400, "could not parse the JSON body"),
        ("POST", CHAT, {}, b"[]", 400, "expected an object"),
        ("POST", MESSAGES, VERSION, b"", 400, "Input should be an object"),
    ],
)
async def test_what_is_not_a_question_is_refused(
    method: str, path: str, headers: dict[str, str], content: bytes, status: int, said: str
) -> None:
    """Paths, methods, content types and bodies that are wrong have the statuses of the services."""
    async with LMServer([]) as server, client_of(server) as client:
        response = await client.request(
            method, path, content=content, headers={"content-type": "application/json"} | headers
        )
        assert status == response.status_code
        assert said in response.text


async def test_requests_come_one_after_the_other_on_a_connection() -> None:
    """Two that were sent at once are answered in order; one that says so closes the connection."""
    body = json.dumps(OPENAI).encode()
    async with LMServer(["one", "two"]) as server, await connect(server) as stream:
        await stream.send(raw_request(body) + raw_request(body, b"Connection: close"))
        answer = await read_all(stream)
        assert 0 < answer.index(b'"one"') < answer.index(b'"two"')
        assert [1, 1] == [request.connection for request in server.requests]


async def test_a_client_may_wait_for_leave_to_send_its_body() -> None:
    """`Expect: 100-continue` is answered."""
    body = json.dumps(OPENAI).encode()
    head = raw_request(b"", b"Expect: 100-continue", b"Content-Length: %d" % len(body), b"Connection: close")
    async with LMServer("here") as server, await connect(server) as stream:
        await stream.send(head)
        assert (await stream.receive()).startswith(b"HTTP/1.1 100 ")
        await stream.send(body)
        assert b'"here"' in await read_all(stream)


@pytest.mark.parametrize("header", [b"Content-Length: 17000000", b"Transfer-Encoding: chunked"])
async def test_a_request_that_is_too_large_is_refused(header: bytes) -> None:
    """The client gets a 413 though it is still sending, and the connection ends."""
    part = b"f4240\r\n%s\r\n" % (b" " * 1_000_000) if b"chunked" in header else b" " * 1_000_000

    async def send(stream: SocketStream) -> None:
        await stream.send(raw_request(b"", header))
        for _ in range(17):
            await stream.send(part)

    async with LMServer([]) as server, await connect(server) as stream, anyio.create_task_group() as tasks:
        tasks.start_soon(send, stream)
        assert b"HTTP/1.1 413 " == (await read_all(stream))[:13]


async def test_what_is_not_http_is_told_so() -> None:
    """A client that speaks something else gets a 400 and the end of the connection."""
    async with LMServer([]) as server, await connect(server) as stream:
        await stream.send(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await read_all(stream)).startswith(b"HTTP/1.1 400 ")
        assert (0, []) == (server.received, server.requests)


async def test_a_client_that_does_not_read_is_not_written_to_without_end() -> None:
    """What the kernel does not take is not piled up: a piece is made only when the last one is gone."""
    sent = 0

    class Counted(bytes):
        def __len__(self) -> int:
            nonlocal sent
            sent += 1
            return super().__len__()

    async with LMServer(Reply.raw(200, [Counted(b"x" * 1_000_000)], never_ends=True)) as server:
        async with await connect(server) as stream:
            await stream.send(raw_request(json.dumps(OPENAI).encode()))
            await stream.receive(1)
            await anyio.wait_all_tasks_blocked()
            before = sent
            await anyio.wait_all_tasks_blocked()
            assert before == sent < 200
        await server.closed_early()


# --- Beginning and end ---


async def test_nothing_is_left_of_a_server() -> None:
    """Leaving the block hangs up on whoever is left, and ends every task and socket."""
    async with assert_no_leaks():
        async with LMServer(Reply.hang()) as server:
            stream = await connect(server)
            await stream.send(raw_request(json.dumps(OPENAI).encode()))
            await server.arrived()
        assert b"" == await read_all(stream)
        await stream.aclose()
    assert "cut" == server.requests[0].state
    with pytest.raises(OSError, match="connection"):
        await connect(server)
    async with assert_no_leaks(), LMServer("-"):
        pass  # its tasks have not even begun


async def test_exceptions_pass_through_a_server_as_they_are() -> None:
    """The block's own exception is not wrapped in a group, and a cancellation stays one."""
    with pytest.raises(ValueError, match="mine"):
        async with LMServer("-"):
            raise ValueError("mine")
    async with assert_no_leaks():
        with anyio.CancelScope() as scope:
            async with LMServer("-") as server, await connect(server):
                scope.cancel()
                await anyio.sleep_forever()
        assert scope.cancelled_caught


async def test_a_server_can_be_left_while_it_takes_a_connection() -> None:
    """At whichever step a connection is when the server ends, its socket is closed."""
    async with assert_no_leaks():
        for steps in range(10):
            async with LMServer("-") as server:
                stream = await connect(server)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
            await stream.aclose()


@pytest.mark.slow
async def test_the_server_runs_in_a_process_of_its_own(anyio_backend_name: str) -> None:
    """`python -m dagflow.testing.lm_server` prints its URL and answers there."""
    command = [sys.executable, "-m", "dagflow.testing.lm_server", "--text", "over there", "--pieces", "3"]
    options = ["--api-key", "right", "--backend", anyio_backend_name]
    async with await anyio.open_process([*command, *options], stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = (await process.stdout.receive()).decode().strip()
        async with httpx.AsyncClient(base_url=url, headers={"authorization": "Bearer right"}) as client:
            assert "over there" in (await ask(client, OPENAI)).text
            streamed = (await ask(client, OPENAI | {"stream": True})).text
            assert 3 == streamed.count('"delta":{"content":"')
        process.terminate()
