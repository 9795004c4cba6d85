"""Structured-concurrency dataflow for language-model and data workflows, on asyncio and trio alike."""

from __future__ import annotations

from dagflow.core.markers import Dep, Recall, dep, field, recall
from dagflow.core.node import Node, NodeConfig
from dagflow.errors import (
    DagflowError,
    DepError,
    Failure,
    FillError,
    GraphError,
    LMError,
    NodeError,
    ProcessError,
    ProcessTimeout,
    RecallError,
    RunError,
    RunTimeout,
    StateConflict,
    StepLimitError,
)
from dagflow.graph.graph import Graph
from dagflow.graph.result import GraphResult
from dagflow.kernel.context import progress
from dagflow.kernel.standalone import resolve_dep, resolve_fields
from dagflow.types import Retry, Usage

__all__ = [
    "DagflowError",
    "Dep",
    "DepError",
    "Failure",
    "FillError",
    "Graph",
    "GraphError",
    "GraphResult",
    "LMError",
    "Node",
    "NodeConfig",
    "NodeError",
    "ProcessError",
    "ProcessTimeout",
    "Recall",
    "RecallError",
    "Retry",
    "RunError",
    "RunTimeout",
    "StateConflict",
    "StepLimitError",
    "Usage",
    "dep",
    "field",
    "progress",
    "recall",
    "resolve_dep",
    "resolve_fields",
]
