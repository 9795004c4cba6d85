"""The result of a typed graph's run."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import attrs

from dagflow.core.node import Node
from dagflow.events import Event
from dagflow.types import Interrupt, Outcome, Span, Timeline, Usage

__all__ = ["GraphResult"]


@attrs.frozen(eq=False, slots=False)
class GraphResult:
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

    @cached_property
    def usage(self) -> Usage:
        """What the language models of the run used, in total."""
        from dagflow.core import folds  # a run that nobody asks about needs none of them

        return folds.usage(self.events)

    @cached_property
    def usage_by_node(self) -> dict[str, Usage]:
        """What the language models used, by the name of the node that asked."""
        from dagflow.core import folds

        return folds.usage_by_node(self.events)

    @cached_property
    def timeline(self) -> Timeline:
        """When each node, dependency and model call ran, in seconds since the run began."""
        from dagflow.core import folds

        return folds.timeline(self.events)

    @property
    def critical_path(self) -> tuple[Span, ...]:
        """The chain of spans that decided how long the run took."""
        return self.timeline.critical_path
