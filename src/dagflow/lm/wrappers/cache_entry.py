"""What a cached answer is on disk: its name, its text, and reading it back. Pure: it touches no file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import attrs

from dagflow.core.encodable import is_encodable
from dagflow.lm.protocol import LMRequest, LMResponse, ToolCall
from dagflow.lm.written import request_data
from dagflow.types import Usage

__all__ = ["asked_for", "entry_name", "read_entry", "write_entry"]

FORMAT = 1


def asked_for(request: LMRequest, model: Any) -> dict[str, Any]:
    """Everything that decides an answer, as JSON-able data; `model` stands for the language model."""
    return {"model": model, "native_system": request.native_system, **request_data(request)}


def entry_name(asked: Mapping[str, Any]) -> str:
    """The name of the file that holds the answer to this; raises `TypeError` for what JSON cannot hold."""
    return f"{_digest(asked)}.json"


def write_entry(asked: Mapping[str, Any], response: LMResponse, made: float) -> str:
    """The text of a file that holds an answer; `made` is in seconds since the epoch.

    The checksum tells a damaged file from a whole one where the damage leaves it valid JSON.
    """
    answer = {
        "text": response.text,
        "model": response.model,
        "finish_reason": response.finish_reason,
        "tool_calls": [attrs.asdict(call) for call in response.tool_calls],
        "request_id": response.request_id,
    }
    content = {"format": FORMAT, "made": made, "answer": answer, "request": asked}
    content["checksum"] = _digest(content)
    text = json.dumps(content, indent=2, ensure_ascii=False)
    # Half of a surrogate pair has no form in UTF-8 but an escape.
    return text if is_encodable(text) else json.dumps(content, indent=2)


def read_entry(data: bytes, asked: Mapping[str, Any], *, made_after: float) -> LMResponse | None:
    """Read an answer back; `None` for one that is damaged, too old, of another format, or to something else.

    It used nothing: its cost is unknown (`None`) rather than 0, because 0 would make the cost of a run look known
    when that of its other answers is not.
    """
    try:
        content = json.loads(data)
        checksum = content.pop("checksum")
        if checksum != _digest(content) or content["format"] != FORMAT or not made_after < content["made"]:
            return None
        if _digest(content["request"]) != _digest(asked):
            return None
        answer = content["answer"]
        calls = tuple(ToolCall(**call) for call in answer.pop("tool_calls"))
        return LMResponse(**answer, tool_calls=calls, usage=Usage())
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None


def _digest(data: Any) -> str:
    canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
