"""Requests as JSON-able data, for those who keep or compare them."""

from __future__ import annotations

from typing import Any

import attrs

from dagflow.lm.protocol import LMRequest

__all__ = ["request_data"]


def request_data(request: LMRequest) -> dict[str, Any]:
    """Write what decides the answer to a request."""
    return {
        "system": request.system,
        "messages": [attrs.asdict(message) for message in request.messages],
        "schema": request.schema,
        "schema_name": request.schema_name,
        "purpose": request.purpose,
        "target": request.target,
        "tools": [
            {"name": tool.name, "description": tool.description, "schema": tool.schema} for tool in request.tools
        ],
    }
