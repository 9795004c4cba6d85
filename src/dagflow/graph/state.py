"""The state of one run of a typed graph."""

from __future__ import annotations

from typing import Any

import attrs

from dagflow.core.node import Node

__all__ = ["TypedState"]


@attrs.define(eq=False)
class TypedState:
    """What has run, and what each activation made for the next.

    `trace` holds the nodes that completed, oldest first; `history` those of earlier runs on the same thread of a
    store. `made` is what a body gave for the activation after it, `current` the nodes whose bodies run, and
    `answers` what persons answered, by the id of the question. `start` is `None` before a recorded one is restored.
    """

    start: Node | None
    trace: list[Node] = attrs.field(factory=list)
    history: list[Node] = attrs.field(factory=list)
    made: dict[str, Node | None] = attrs.field(factory=dict)
    current: dict[str, Node] = attrs.field(factory=dict)
    answers: dict[str, Any] = attrs.field(factory=dict)
