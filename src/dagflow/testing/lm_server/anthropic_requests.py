"""Anthropic's messages protocol, the asking half: what of a request the service would refuse.

Two versions of it are in use: 2023-06-01, and 2026-10-21, which has no sampling parameters any more and no
citations in what users say. Keys come in `x-api-key` or, from the official SDK since 2.0, as a bearer token.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from dagflow.testing.lm_server.reply import ErrorReply
from dagflow.testing.lm_server.requests import Asked, Refused
from dagflow.testing.lm_server.schemas import anthropic_fault

__all__ = ["check_key", "check_version", "read_message"]

NEWEST = "2026-10-21"
VERSIONS = ("2023-06-01", NEWEST)
REMOVED = ("temperature", "top_p", "top_k")
"""The parameters that the newest version has not."""

TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_-]+")

KNOWN: dict[str, Any] = {
    "cache_control": dict,
    "container": (str, dict),
    "diagnostics": dict,
    "inference_geo": str,
    "max_tokens": int,
    "messages": list,
    "metadata": dict,
    "model": str,
    "output_config": dict,
    "service_tier": str,
    "speed": str,
    "stop_sequences": list,
    "stream": bool,
    "system": (str, list),
    "temperature": float,
    "thinking": dict,
    "tool_choice": dict,
    "tools": list,
    "top_k": int,
    "top_p": float,
    "user_profile_id": str,
    "workspace_id": str,
}
TYPE_NAMES: dict[type, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    list: "array",
    dict: "object",
}
BLOCKS = {
    "text": {"text", "citations"},
    "image": {"source"},
    "document": {"source", "title", "context", "citations"},
    "search_result": {"source", "title", "content", "citations"},
    "tool_result": {"tool_use_id", "content", "is_error"},
    "tool_use": {"id", "name", "input", "caller"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
}
BLOCKS_BY_ROLE: dict[str, tuple[str, ...]] = {
    "user": ("text", "image", "document", "search_result", "tool_result"),
    "assistant": ("text", "tool_use", "thinking", "redacted_thinking"),
}


def check_key(headers: Mapping[str, str], api_key: str | None) -> None:
    """Refuse a request without the key, where there is one."""
    given = headers.get("x-api-key")
    bearer = headers.get("authorization")
    if api_key is None or given == api_key or bearer == f"Bearer {api_key}":
        return
    if given is None and bearer is None:
        refuse("x-api-key header is required", status=401, type="authentication_error")
    refuse(
        "invalid x-api-key" if given is not None else "Invalid bearer token", status=401, type="authentication_error"
    )


def check_version(headers: Mapping[str, str]) -> str:
    """Say which version of the protocol a request speaks; refuse one that does not say so itself."""
    version = headers.get("anthropic-version")
    if version is None:
        refuse("anthropic-version: header is required")
    if version not in VERSIONS:
        refuse(f'anthropic-version: "{version}" is not a valid version')
    return version


def read_message(body: Any, version: str) -> Asked:
    """Read a request for a message; raises `Refused` with what the service would say of it."""
    if not isinstance(body, dict):
        refuse("Input should be an object")
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            refuse(f"{name}: Field required")
    for name, value in body.items():
        if name not in KNOWN or (version == NEWEST and name in REMOVED):
            refuse(f"{name}: Extra inputs are not permitted")
        _expect(value, KNOWN[name], name)
    _check_numbers(body)
    _check_system(body.get("system"))
    _check_messages(body)
    if version == NEWEST:
        _check_citations(body["messages"])
    _check_tools(body)
    _check_output_config(body.get("output_config"))
    return Asked(
        provider="anthropic", kind="completion", body=body, model=body["model"], stream=body.get("stream", False)
    )


def refuse(message: str, status: int = 400, type: str = "invalid_request_error") -> NoReturn:
    """Answer with an error of the client's making."""
    raise Refused(ErrorReply(status, message, type=type))


def _expect(value: Any, kind: Any, where: str) -> None:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if type(value) not in kinds and not (float in kinds and type(value) is int):
        refuse(f"{where}: Input should be a valid {' or '.join(TYPE_NAMES[kind] for kind in kinds)}")


def _only(value: dict[str, Any], known: set[str], where: str) -> None:
    for name in value:
        if name not in known:
            refuse(f"{where}.{name}: Extra inputs are not permitted")


def _field(value: dict[str, Any], name: str, kind: Any, where: str) -> Any:
    if name not in value:
        refuse(f"{where}.{name}: Field required")
    _expect(value[name], kind, f"{where}.{name}")
    return value[name]


def _check_numbers(body: dict[str, Any]) -> None:
    if not body["model"]:
        refuse("model: String should have at least 1 character")
    if body["max_tokens"] < 1:
        refuse("max_tokens: must be greater than or equal to 1")
    for name in ("temperature", "top_p"):
        if not 0 <= body.get(name, 0) <= 1:
            refuse(f"{name}: range: 0..1")
    if "temperature" in body and "top_p" in body:
        refuse("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")


def _check_system(system: str | list[Any] | None) -> None:
    if system == "":
        refuse("system: text content blocks must be non-empty")
    for place, block in enumerate(system if isinstance(system, list) else ()):
        _check_block(block, ("text",), f"system.{place}")


def _check_messages(body: dict[str, Any]) -> None:
    messages = body["messages"]
    if not messages:
        refuse("messages: at least one message is required")
    turns: list[tuple[str, list[dict[str, Any]]]] = []
    for place, message in enumerate(messages):
        where = f"messages.{place}"
        _expect(message, dict, where)
        role = _field(message, "role", str, where)
        if role == "system":
            refuse(
                'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
                'not "system" as an input message role.'
            )
        if role not in BLOCKS_BY_ROLE:
            refuse(f"{where}.role: Input should be 'user' or 'assistant'")
        _only(message, {"role", "content"}, where)
        blocks = _blocks(message, role, where)
        if turns and turns[-1][0] == role:  # the service takes them for one turn
            turns[-1][1].extend(blocks)
        else:
            turns.append((role, list(blocks)))
    if turns[0][0] != "user":
        refuse('messages: first message must use the "user" role')
    if turns[-1][0] != "user":
        refuse("This model does not support assistant message prefill. The conversation must end with a user message.")
    _check_results(turns, body)


def _check_citations(messages: list[dict[str, Any]]) -> None:
    for place, message in enumerate(messages):
        content = message["content"] if message["role"] == "user" else ""
        for spot, block in enumerate(content if isinstance(content, list) else ()):
            inner = block.get("content") if block["type"] == "search_result" else [block]
            if any(part.get("type") == "text" and part.get("citations") for part in inner or ()):
                refuse(f"messages.{place}.content.{spot}: `citations` are not permitted in user messages")


def _blocks(message: dict[str, Any], role: str, where: str) -> list[dict[str, Any]]:
    content = _field(message, "content", (str, list), where)
    if not content:
        refuse(f"{where}: {role} messages must have non-empty content")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for place, block in enumerate(content):
        _check_block(block, BLOCKS_BY_ROLE[role], f"{where}.content.{place}")
    blocks: list[dict[str, Any]] = content
    return blocks


def _check_block(block: Any, kinds: tuple[str, ...], where: str) -> None:
    _expect(block, dict, where)
    kind = block.get("type")
    if kind not in kinds:
        names = ", ".join(f"'{name}'" for name in kinds)
        refuse(f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {names}")
    where = f"{where}.{kind}"
    _only(block, BLOCKS[kind] | {"type", "cache_control"}, where)
    if kind == "text" and not _field(block, "text", str, where).strip():
        refuse(f"{where}: text content blocks must contain non-whitespace text")
    if kind == "tool_use":
        _field(block, "input", dict, where)
        _field(block, "name", str, where)
        if not TOOL_USE_ID.fullmatch(_field(block, "id", str, where)):
            refuse(f"{where}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if kind == "tool_result":
        _check_result(block, where)


def _check_result(block: dict[str, Any], where: str) -> None:
    _field(block, "tool_use_id", str, where)
    content = block.get("content", "")
    _expect(content, (str, list), f"{where}.content")
    _expect(block.get("is_error", False), bool, f"{where}.is_error")
    if block.get("is_error") and not content:
        refuse(f"{where}: content cannot be empty if `is_error` is true")
    for place, part in enumerate(content if isinstance(content, list) else ()):
        _check_block(part, ("text", "image", "document", "search_result"), f"{where}.content.{place}")


def _check_results(turns: list[tuple[str, list[dict[str, Any]]]], body: dict[str, Any]) -> None:
    """Each use of a tool has its result in the next turn, before anything else that is said there."""
    waiting: list[str] = []
    for place, (role, blocks) in enumerate(turns):
        if role == "assistant":
            waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
            if len(set(waiting)) < len(waiting):
                refuse(f"messages.{place}: `tool_use` ids must be unique")
            continue
        leading = True
        for spot, block in enumerate(blocks):
            leading = leading and block["type"] == "tool_result"
            if block["type"] != "tool_result":
                continue
            if block["tool_use_id"] not in waiting:
                refuse(
                    f"messages.{place}.content.{spot}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block['tool_use_id']}. Each `tool_result` block must have a corresponding `tool_use` block "
                    "in the previous message."
                )
            if not leading:
                refuse(f"messages.{place}.content.{spot}: `tool_result` blocks must come before all other content")
            waiting.remove(block["tool_use_id"])
        if waiting:
            refuse(
                f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(waiting)}. Each `tool_use` block must have a corresponding `tool_result` block "
                "in the next message."
            )
    used = any(block["type"] in ("tool_use", "tool_result") for _, blocks in turns for block in blocks)
    if used and not body.get("tools"):
        refuse("Requests which include `tool_use` or `tool_result` blocks must define tools")


def _check_tools(body: dict[str, Any]) -> None:
    names = [_check_tool(tool, f"tools.{place}") for place, tool in enumerate(body.get("tools", ()))]
    if len(set(names)) < len(names):
        refuse("tools: Tool names must be unique.")
    choice = body.get("tool_choice")
    if choice is None:
        return
    if not names:
        refuse("tool_choice: may only be specified while providing tools")
    kind = choice.get("type")
    if kind not in ("auto", "any", "tool", "none"):
        refuse(f"tool_choice: Input tag '{kind}' does not match any of the expected tags: auto, any, tool, none")
    if kind == "tool" and _field(choice, "name", str, "tool_choice.tool") not in names:
        refuse(f"Tool '{choice['name']}' not found in provided tools")


def _check_tool(tool: Any, where: str) -> str:
    _expect(tool, dict, where)
    if tool.get("type", "custom") not in ("custom", None):
        refuse(f"{where}: Input tag '{tool['type']}' is no tool that this server has")
    where = f"{where}.custom"
    _only(
        tool,
        {"type", "name", "description", "input_schema", "strict", "cache_control", "input_examples"}
        | {"eager_input_streaming", "defer_loading", "allowed_callers"},
        where,
    )
    name = _field(tool, "name", str, where)
    if not TOOL_NAME.fullmatch(name):
        refuse(f"{where}.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    if "description" in tool:
        _expect(tool["description"], str, f"{where}.description")
    schema = _field(tool, "input_schema", dict, where)
    if schema.get("type") != "object":
        refuse(f"{where}.input_schema.type: Input should be 'object'")
    if tool.get("strict") and (fault := anthropic_fault(schema)):
        refuse(f"{where}.input_schema: {fault}")
    return str(name)


def _check_output_config(config: dict[str, Any] | None) -> None:
    if config is None:
        return
    _only(config, {"format", "effort"}, "output_config")
    if config.get("effort") not in (None, "low", "medium", "high", "xhigh", "max"):
        refuse("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'")
    form = config.get("format")
    if form is None:
        return
    where = "output_config.format"
    _expect(form, dict, where)
    if form.get("type") != "json_schema":
        refuse(f"{where}.type: Input should be 'json_schema'")
    _only(form, {"type", "schema"}, where)
    if fault := anthropic_fault(_field(form, "schema", dict, where)):
        refuse(f"{where}.schema: {fault}")
