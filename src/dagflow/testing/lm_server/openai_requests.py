"""OpenAI's chat completions protocol, the asking half: what of a request the service would refuse."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from dagflow.testing.lm_server.reply import ErrorReply
from dagflow.testing.lm_server.requests import Asked, Refused
from dagflow.testing.lm_server.schemas import openai_fault

__all__ = ["read_completion"]

NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

ROLES = ("system", "assistant", "user", "function", "tool", "developer")
MESSAGE_KEYS = {
    "system": {"name"},
    "developer": {"name"},
    "user": {"name"},
    "assistant": {"name", "tool_calls", "refusal", "audio", "function_call", "annotations"},
    "tool": {"tool_call_id"},
}
PARTS: dict[str, tuple[str, ...]] = {
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
}

KNOWN: dict[str, Any] = {
    "audio": dict,
    "frequency_penalty": float,
    "logit_bias": dict,
    "logprobs": bool,
    "max_completion_tokens": int,
    "max_tokens": int,
    "messages": list,
    "metadata": dict,
    "modalities": list,
    "model": str,
    "moderation": dict,
    "n": int,
    "parallel_tool_calls": bool,
    "prediction": dict,
    "presence_penalty": float,
    "prompt_cache_key": str,
    "prompt_cache_options": dict,
    "prompt_cache_retention": str,
    "reasoning_effort": str,
    "response_format": dict,
    "safety_identifier": str,
    "seed": int,
    "service_tier": str,
    "stop": (str, list),
    "store": bool,
    "stream": bool,
    "stream_options": dict,
    "temperature": float,
    "tool_choice": (str, dict),
    "tools": list,
    "top_logprobs": int,
    "top_p": float,
    "user": str,
    "verbosity": str,
    "web_search_options": dict,
}
"""The parameters and their types; all but those that `NOT_NULL` names may be null."""

NOT_NULL = {"model", "messages", "tools", "tool_choice", "response_format", "parallel_tool_calls"}
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
    "max_tokens": (1, 1 << 31),
    "max_completion_tokens": (1, 1 << 31),
    "n": (1, 1),  # of one answer: more than the server has
}
TYPE_NAMES: dict[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a decimal",
    bool: "a boolean",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


def read_completion(body: Any) -> Asked:
    """Read a request for a completion; raises `Refused` with what the service would say of it."""
    if not isinstance(body, dict):
        refuse("We could not parse the JSON body of your request: expected an object.")
    if not body.get("model"):
        refuse("you must provide a model parameter")
    _check_parameters(body)
    _check_messages(body["messages"])
    _check_tools(body)
    _check_response_format(body)
    options = body.get("stream_options")
    if options is not None and not body.get("stream"):
        refuse("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options")
    if options and (unknown := sorted(options.keys() - {"include_usage", "include_obfuscation"})):
        refuse(f"Unknown parameter: 'stream_options.{unknown[0]}'.", f"stream_options.{unknown[0]}")
    return Asked(
        provider="openai",
        kind="completion",
        body=body,
        model=body["model"],
        stream=bool(body.get("stream")),
        include_usage=bool(options and options.get("include_usage")),
    )


def refuse(message: str, param: str | None = None, code: str | None = None, status: int = 400) -> NoReturn:
    """Answer with an error of the client's making."""
    raise Refused(ErrorReply(status, message, type="invalid_request_error", code=code, param=param))


def _check_parameters(body: dict[str, Any]) -> None:
    if "messages" not in body:
        refuse("Missing required parameter: 'messages'.", "messages", "missing_required_parameter")
    for name, value in body.items():
        if name not in KNOWN:
            refuse(f"Unrecognized request argument supplied: {name}")
        if value is None and name not in NOT_NULL:
            continue
        _expect(value, KNOWN[name], name)
        if name in RANGES and value is not None:
            low, high = RANGES[name]
            if not low <= value <= high:
                refuse(f"Invalid '{name}': {value} is not between {low} and {high}.", name, "invalid_value")
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        refuse("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.", "max_tokens")


def _expect(value: Any, kind: Any, where: str) -> None:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    fits = type(value) in kinds or (float in kinds and type(value) is int)
    if not fits:
        names = " or ".join(TYPE_NAMES[kind] for kind in kinds)
        got = TYPE_NAMES[type(value)]
        refuse(f"Invalid type for '{where}': expected {names}, but got {got} instead.", where, "invalid_type")


def _check_messages(messages: list[Any]) -> None:
    if not messages:
        refuse("Invalid 'messages': empty array. Expected an array with minimum length 1.", "messages", "empty_array")
    waiting: list[str] = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        _expect(message, dict, where)
        role = _check_role(message, where)
        if role == "tool":
            _check_answer(message, waiting, where)
        elif waiting:
            _refuse_unanswered(waiting, where)
        _check_content(message, role, where)
        if message.get("tool_calls") is not None:
            waiting = _check_calls(message["tool_calls"], where)
        unknown = sorted(message.keys() - {"role", "content"} - MESSAGE_KEYS[role])
        if unknown:
            refuse(f"Unknown parameter: '{where}.{unknown[0]}'.", f"{where}.{unknown[0]}", "unknown_parameter")
    if waiting:
        _refuse_unanswered(waiting, f"messages[{len(messages)}]")


def _check_role(message: dict[str, Any], where: str) -> str:
    if "role" not in message:
        refuse(f"Missing required parameter: '{where}.role'.", f"{where}.role", "missing_required_parameter")
    role = message["role"]
    if role not in MESSAGE_KEYS:
        known = ", ".join(f"'{name}'" for name in ROLES)
        refuse(f"Invalid value: '{role}'. Supported values are: {known}.", f"{where}.role", "invalid_value")
    return str(role)


def _check_answer(message: dict[str, Any], waiting: list[str], where: str) -> None:
    if not isinstance(message.get("tool_call_id"), str):
        name = f"{where}.tool_call_id"
        refuse(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    if message["tool_call_id"] not in waiting:
        refuse(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            f"{where}.role",
        )
    waiting.remove(message["tool_call_id"])


def _refuse_unanswered(waiting: list[str], where: str) -> NoReturn:
    refuse(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
        f"{where}.role",
    )


def _check_content(message: dict[str, Any], role: str, where: str) -> None:
    content = message.get("content")
    if content is None:
        if role == "assistant" and (message.get("tool_calls") or message.get("refusal")):
            return
        refuse(f"Invalid value for 'content': expected a string, got null. (at '{where}.content')", f"{where}.content")
    _expect(content, (str, list), f"{where}.content")
    if isinstance(content, str):
        return
    if not content:
        refuse(f"Invalid '{where}.content': empty array.", f"{where}.content", "empty_array")
    for place, part in enumerate(content):
        spot = f"{where}.content[{place}]"
        _expect(part, dict, spot)
        kind = part.get("type")
        if kind not in PARTS.get(role, ("text",)):
            refuse(f"Invalid value: '{kind}' is no type of content here.", f"{spot}.type", "invalid_value")
        _expect(part.get(kind), str if kind in ("text", "refusal") else dict, f"{spot}.{kind}")


def _check_calls(calls: Any, where: str) -> list[str]:
    name = f"{where}.tool_calls"
    if not where or not isinstance(calls, list) or not calls:
        refuse(f"Invalid '{name}': expected an array with minimum length 1.", name, "empty_array")
    for place, call in enumerate(calls):
        spot = f"{name}[{place}]"
        _expect(call, dict, spot)
        if call.get("type") != "function":
            refuse(f"Invalid value: '{call.get('type')}'. Supported values are: 'function'.", f"{spot}.type")
        _expect(call.get("id"), str, f"{spot}.id")
        _expect(call.get("function"), dict, f"{spot}.function")
        for word in ("name", "arguments"):
            _expect(call["function"].get(word), str, f"{spot}.function.{word}")
    ids = [call["id"] for call in calls]
    if len(set(ids)) < len(ids):
        refuse(f"Invalid '{name}': two calls have one id.", name, "invalid_value")
    return ids


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools == []:
        refuse("Invalid 'tools': empty array. Expected an array with minimum length 1.", "tools", "empty_array")
    names = [_check_tool(tool, f"tools[{place}]") for place, tool in enumerate(tools or ())]
    if len(set(names)) < len(names):
        refuse("Invalid 'tools': tool names must be unique.", "tools", "invalid_value")
    for word in ("tool_choice", "parallel_tool_calls"):
        if word in body and tools is None:
            refuse(f"Invalid value for '{word}': '{word}' is only allowed when 'tools' are specified.", word)
    choice = body.get("tool_choice")
    if isinstance(choice, str) and choice not in ("none", "auto", "required"):
        refuse(f"Invalid value: '{choice}'. Supported values are: 'none', 'auto' and 'required'.", "tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        wanted = (choice.get("function") or {}).get("name")
        if wanted not in names:
            refuse(f"Tool choice '{wanted}' not found in 'tools' parameter.", "tool_choice")


def _check_tool(tool: Any, where: str) -> str:
    _expect(tool, dict, where)
    if tool.get("type") != "function":
        refuse(f"Invalid value: '{tool.get('type')}'. Supported values are: 'function'.", f"{where}.type")
    _expect(tool.get("function"), dict, f"{where}.function")
    function = tool["function"]
    name = function.get("name")
    _check_name(name, f"{where}.function.name")
    if unknown := sorted(function.keys() - {"name", "description", "parameters", "strict"}):
        refuse(f"Unknown parameter: '{where}.function.{unknown[0]}'.", f"{where}.function.{unknown[0]}")
    if function.get("description") is not None:
        _expect(function["description"], str, f"{where}.function.description")
    schema = function.get("parameters", {"type": "object", "properties": {}, "additionalProperties": False})
    fault = openai_fault(schema) if function.get("strict") else None
    if not isinstance(schema, dict) or schema.get("type") != "object":
        kind = schema.get("type") if isinstance(schema, dict) else schema
        fault = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    if fault:
        param = f"{where}.function.parameters"
        refuse(f"Invalid schema for function '{name}': {fault}", param, "invalid_function_parameters")
    return str(name)


def _check_response_format(body: dict[str, Any]) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        refuse(
            f"Invalid value: '{kind}'. Supported values are: 'text', 'json_object', and 'json_schema'.",
            "response_format.type",
            "invalid_value",
        )
    if kind == "json_object" and "json" not in str(body["messages"]).lower():
        refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )
    if kind == "json_schema":
        _check_json_schema(wanted)


def _check_json_schema(wanted: dict[str, Any]) -> None:
    where = "response_format.json_schema"
    if "json_schema" not in wanted:
        refuse(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    form = wanted["json_schema"]
    _expect(form, dict, where)
    _check_name(form.get("name"), f"{where}.name")
    if "schema" not in form:
        refuse(f"Missing required parameter: '{where}.schema'.", f"{where}.schema", "missing_required_parameter")
    _expect(form["schema"], dict, f"{where}.schema")
    if unknown := sorted(form.keys() - {"name", "description", "schema", "strict"}):
        refuse(f"Unknown parameter: '{where}.{unknown[0]}'.", f"{where}.{unknown[0]}", "unknown_parameter")
    if form.get("strict") and (fault := openai_fault(form["schema"])):
        refuse(f"Invalid schema for response_format '{form['name']}': {fault}", "response_format")


def _check_name(name: Any, where: str) -> None:
    if name is None:
        refuse(f"Missing required parameter: '{where}'.", where, "missing_required_parameter")
    _expect(name, str, where)
    if not NAME.fullmatch(name):
        refuse(
            f"Invalid '{where}': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$', of at most 64 characters.",
            where,
            "invalid_value",
        )
