"""The event stream of a typed graph's run."""

from __future__ import annotations

from dagflow.graph.result import GraphResult
from dagflow.kernel.stream import RunStream

__all__ = ["GraphStream"]


class GraphStream(RunStream[GraphResult]):
    """An async context manager over the events of a run; see `Graph.stream`."""
