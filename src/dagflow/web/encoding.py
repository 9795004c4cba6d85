"""Runs on the wire: their events as server-sent events, and their results as JSON, in the shape the CLI writes too."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from dagflow.cli.values import event_json, to_json
from dagflow.core.secrets import Secret, mask
from dagflow.core.sse_encoding import encode_event
from dagflow.events import Event
from dagflow.graph.result import GraphResult
from dagflow.web.asgi import to_text

__all__ = ["encode_ending", "encode_run_event", "typed_result", "write_json"]


def encode_run_event(event: Event, secrets: Iterable[str | Secret] = ()) -> bytes:
    """Write a run's event as a server-sent event: named by its type, its JSON object as data, its `seq` as id.

    One that is live only has no id, so that the last id a reader has seen is always that of a recorded event.
    """
    text = write_json(event_json(event), secrets)
    return encode_event(text, event=type(event).__name__, id=None if event.live else str(event.seq))


def encode_ending(name: Literal["result", "error", "end"], data: Any, secrets: Iterable[str | Secret] = ()) -> bytes:
    """Write one of the events that end a stream; they have no id, because no run recorded them."""
    return encode_event(write_json(data, secrets), event=name)


def write_json(data: object, secrets: Iterable[str | Secret] = ()) -> str:
    """Write any value as JSON in one line, with `secrets` masked.

    Never fails: what has no form in JSON is named by its type, and so is a `Secret` (see `dagflow.cli.values`).
    """
    text = to_text(to_json(data))
    return mask(text, secrets) if secrets else text


def typed_result(result: GraphResult) -> dict[str, Any]:
    """The result of a typed graph's run: `status`, the last `node` with its `value`, and the open `interrupts`."""
    return {
        "status": result.status,
        "run": result.run,
        "thread_id": result.thread_id,
        "node": type(result.node).__name__ if result.node is not None else None,
        "value": to_json(result.node) if result.node is not None else None,
        "interrupts": to_json(result.interrupts),
    }
