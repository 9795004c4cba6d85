"""The result of a typed graph's run."""

from __future__ import annotations

from typing import Any

import attrs

from dagflow.core.node import Node
from dagflow.events import Event
from dagflow.kernel.account import RunAccount
from dagflow.types import Interrupt, Outcome

__all__ = ["GraphResult"]


@attrs.frozen(eq=False, slots=False)
class GraphResult(RunAccount):
    """What a run came to: the terminal node, the nodes that ran in order, and the events that tell the rest.

    `node` is the last node that completed, with its fields filled; `trace` holds all of them, `node` last. `status`
    is `"complete"`, or `"interrupted"` where persons are to answer `interrupts` (`node` may be `None` then): a run
    that fails or is cancelled raises instead. `run` is the id of the run, `thread_id` that of its journal where it
    is recorded in a store.
    """

    node: Any
    trace: tuple[Node, ...]
    status: Outcome
    run: str
    events: tuple[Event, ...] = attrs.field(repr=False)
    thread_id: str = ""
    interrupts: tuple[Interrupt, ...] = ()
