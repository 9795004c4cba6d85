"""Tool turns: a model asks for calls, they are made at once, and it goes on with what they gave."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs

from dagflow.core.answers import InvalidAnswer
from dagflow.core.tools import Tool, ToolResult, invalid_call, unknown_tool
from dagflow.errors import LMError
from dagflow.kernel.standalone import resolve_calls
from dagflow.lm.protocol import LMRequest, LMResponse, Message, ToolCall

__all__ = ["converse"]


async def converse(
    ask: Callable[[LMRequest], Awaitable[LMResponse]], request: LMRequest, *, max_turns: int
) -> tuple[LMRequest, LMResponse]:
    """Ask until the model answers without asking for a tool; the last request comes with the answer.

    Raises `LMError` for a model that still wants calls after `max_turns` turns of them, and whatever a tool
    raises that is none of its `errors`.
    """
    turns = 0
    response = await ask(request)
    while response.finish_reason == "tool_calls":
        if turns == max_turns:
            calls = ", ".join(call.name for call in response.tool_calls)
            raise LMError(
                f"the model still calls tools ({calls}) after {max_turns} turns of them; raise max_tool_turns, "
                f"or tell it in the instruction when to stop"
            )
        turns += 1
        results = await _call(request.tools, response.tool_calls)
        asked = Message("assistant", response.text, tool_calls=response.tool_calls)
        answered = [
            Message("tool", result.text, tool_call_id=call.id, failed=result.failed)
            for call, result in zip(response.tool_calls, results, strict=True)
        ]
        request = attrs.evolve(request, messages=(*request.messages, asked, *answered))
        response = await ask(request)
    return request, response


async def _call(tools: Sequence[Tool], calls: Sequence[ToolCall]) -> list[ToolResult]:
    """Make the calls of one turn at once, under the limits of the run; what cannot be called is told the model."""
    by_name = {tool.name: tool for tool in tools}
    results: dict[int, ToolResult] = {}
    bound: dict[int, Callable[..., object]] = {}
    for index, call in enumerate(calls):
        tool = by_name.get(call.name)
        if tool is None:
            results[index] = unknown_tool(call.name, tools)
            continue
        try:
            bound[index] = _bind(tool, tool.read(call.arguments))
        except InvalidAnswer as error:
            results[index] = invalid_call(error)
    if bound:
        values = await resolve_calls({f"tools.{fn.__name__}[{index}]": fn for index, fn in bound.items()})
        results.update(zip(bound, values, strict=True))
    return [results[index] for index in range(len(calls))]


def _bind(tool: Tool, given: Mapping[str, Any]) -> Callable[..., Any]:
    """Give a function that makes the call; its parameters are the dependencies that the model knows nothing of."""

    async def call(**dependencies: Any) -> Any:
        try:
            return tool.told(await tool.function(**given, **dependencies))
        except tool.errors as error:
            return ToolResult(f"{type(error).__name__}: {error}", failed=True)

    def call_sync(**dependencies: Any) -> Any:
        try:
            return tool.told(tool.function(**given, **dependencies))
        except tool.errors as error:
            return ToolResult(f"{type(error).__name__}: {error}", failed=True)

    bound: Callable[..., Any] = call if tool.kind == "async" else call_sync
    bound.__qualname__ = bound.__name__ = tool.name
    bound.__signature__ = tool.dependencies  # type: ignore[attr-defined]  # it is what inspect reads
    return bound
