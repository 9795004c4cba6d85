"""What the results of all front ends tell of their run: usage and timings, as folds over its events."""

from __future__ import annotations

from functools import cached_property

from dagflow.events import Event
from dagflow.types import Span, Timeline, Usage

__all__ = ["RunAccount"]


class RunAccount:
    """The part of a result that is a fold over the `events` of its run; worked out when it is asked for, and kept."""

    events: tuple[Event, ...]

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
        """When each node, dependency and model call ran, in seconds since the run began.

        Of a map over more than 1,000 items, without the items that went well.
        """
        from dagflow.core import folds

        return folds.timeline(self.events)

    @property
    def critical_path(self) -> tuple[Span, ...]:
        """The chain of spans that decided how long the run took."""
        return self.timeline.critical_path
