"""The options of a typed graph's runs, as keyword arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict

from dagflow.core.storage import Store
from dagflow.types import Durability

__all__ = ["FROM_GRAPH", "FromGraph", "OtherOptions", "OtherRunOptions", "Overrides", "ResumeOptions", "RunOptions"]

Overrides = Mapping[Callable[..., Any], Any]


class FromGraph:
    """The type of the default of `max_steps`: what the graph was built with."""

    def __repr__(self) -> str:
        return "the graph's own"


FROM_GRAPH: Final = FromGraph()


class OtherOptions(TypedDict, total=False):
    """What a run and a resume take alike, beside a language model.

    `deps` are values that stand for their callables. `timeout` is in seconds. `max_steps` bounds the nodes
    that the run may start, those that have run before it was resumed included.

    `durability` says when what happened is in the store: `"sync"` (the default), each node before anything
    follows from it; `"async"`, within about 50 ms, while the run goes on; `"exit"`, when the run ends. After a
    crash, what was not in the store yet is run again. `lease_wait` is how many seconds to wait for another run
    that works on the thread.
    """

    deps: Overrides | None
    timeout: float | None
    max_steps: int | FromGraph | None
    durability: Durability
    lease_wait: float


class ResumeOptions(OtherOptions, total=False):
    """What `Graph.resume` takes beside the thread, its answers and its store: see `OtherOptions` too.

    `lm` fills and routes nodes that leave that open; a run inside another takes that one's unless it is given its
    own.
    """

    lm: Any


class OtherRunOptions(OtherOptions, total=False):
    """What `Graph.run` takes beside the start node and a language model: `OtherOptions`, and where it is recorded.

    `store` keeps the run's journal under `thread_id`, a name for one conversation; without one it gets a random
    name (`result.thread_id`). Without a `store` a run writes nothing.
    """

    store: Store | None
    thread_id: str | None


class RunOptions(OtherRunOptions, ResumeOptions, total=False):
    """What `Graph.run` takes beside the start node: what `OtherRunOptions` and `ResumeOptions` have."""
