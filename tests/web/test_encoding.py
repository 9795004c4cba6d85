"""Runs on the wire: every kind of event is written, in the shape that the command line writes."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from dagflow import events
from dagflow.cli.values import event_json
from dagflow.core.secrets import MASK, Secret
from dagflow.core.sse import ServerSentEvent, SSEParser
from dagflow.events import Event, NodeSucceeded, Progress
from dagflow.types import Interrupt, Usage
from dagflow.web.encoding import encode_ending, encode_run_event, write_json

KINDS = [getattr(events, name) for name in events.__all__ if name != "Event"]
VALUES: dict[Any, Any] = {
    str: "text",
    int: 3,
    float: 0.5,
    bool: True,
    Any: {"a": [1]},
    Usage: Usage(),
    tuple[str, ...]: ("a",),
    tuple[Interrupt, ...]: (Interrupt("i", "Why?", "r", "N", "N#1", "field"),),
}


def read(data: bytes) -> ServerSentEvent:
    [event] = SSEParser().feed(data)
    return event


def made(kind: type[Event]) -> Event:
    """An event with a value in every field."""
    attrs.resolve_types(kind)
    fields: dict[str, Any] = {field.name: VALUES.get(field.type) for field in attrs.fields(kind)}
    return kind(**fields)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_is_written(kind: type[Event]) -> None:
    """Its type is its name, its number its id unless it is live only, and its data what the command line writes."""
    event = made(kind)
    written = read(encode_run_event(event))
    assert (kind.__name__, "" if kind.live else "3") == (written.event, written.id)
    assert event_json(event) == json.loads(written.data)
    assert "\n" not in written.data


def succeeded(value: Any) -> NodeSucceeded:
    return NodeSucceeded(
        seq=1,
        run="r",
        wall=0.0,
        elapsed=0.0,
        node="N",
        activation="N#1",
        attempt=1,
        value=value,
        targets=(),
        duration=0,
    )


@attrs.frozen
class Carrier:
    shown: Any
    hidden: str = attrs.field(default="hidden text", repr=False)


def test_values_that_are_no_json_are_told_by_their_type() -> None:
    """Nothing that a node holds ends a stream, and no secret is written."""
    value = Carrier([object(), Secret("very secret"), float("inf"), {1: b"\xff"}, {3, 1}, "a\nb\ud800"])
    data = read(encode_run_event(succeeded(value))).data
    shown = ["<object>", "<dagflow.core.secrets.Secret>", "inf", {"1": "/w=="}, [1, 3], "a\nb\ud800"]
    assert {"shown": shown, "hidden": "<str>"} == json.loads(data)["value"]


def test_secrets_are_masked_in_whatever_is_written() -> None:
    """Also where they need escapes in JSON."""
    told = Progress(seq=1, run="r", wall=0.0, elapsed=0.0, node="N", activation="N#1", message='it is "ßecret"')
    for written in (encode_run_event(told, ['"ßecret"']), encode_ending("error", {"m": '"ßecret"'}, ['"ßecret"'])):
        assert MASK in written.decode()
        assert "ßecret" not in written.decode()
    assert f'"{MASK}"' == write_json("hush-hush", [Secret("hush-hush")])
