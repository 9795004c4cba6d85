"""Structured-concurrency dataflow for language-model and data workflows, on asyncio and trio alike.

Names are imported when they are first used, so that `import dagflow` stays cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagflow.catalog import Catalog, FileCatalog
    from dagflow.core.codec import Serializer
    from dagflow.core.markers import Dep, Gate, Recall, dep, field, gate, recall
    from dagflow.core.node import Node, NodeConfig
    from dagflow.core.secrets import Secret
    from dagflow.core.storage import Store
    from dagflow.core.tools import Tool
    from dagflow.declarative.api import (
        load_and_compile,
        load_and_compile_async,
        resume_async,
        run_graph_async,
        run_until_interrupt_async,
        stream_graph_async,
    )
    from dagflow.declarative.graph import YamlGraph
    from dagflow.declarative.prompting import (
        PromptCall,
        execute_prompt_async,
        execute_prompts_concurrent,
        stream_prompt_async,
    )
    from dagflow.declarative.results import YamlResult
    from dagflow.declarative.state import StateError
    from dagflow.errors import (
        AnswerError,
        CheckpointError,
        DagflowError,
        DepError,
        Failure,
        FillError,
        GraphChanged,
        GraphError,
        InvalidField,
        LMError,
        NodeError,
        ProcessError,
        ProcessTimeout,
        RecallError,
        RunCancelled,
        RunError,
        RunLocked,
        RunTimeout,
        StateConflict,
        StepLimitError,
    )
    from dagflow.graph.graph import Graph
    from dagflow.graph.result import GraphResult
    from dagflow.graph.stream import GraphStream
    from dagflow.kernel.context import idempotency_key, progress
    from dagflow.kernel.fanout import MapResult, map_concurrent
    from dagflow.kernel.standalone import resolve_dep, resolve_fields
    from dagflow.kernel.thread import Thread, list_threads, prune
    from dagflow.lm.anthropic import AnthropicBackend
    from dagflow.lm.base import BaseLM
    from dagflow.lm.claude_cli import ClaudeCLIBackend
    from dagflow.lm.dspy import DSPyBackend
    from dagflow.lm.openai import OpenAIBackend
    from dagflow.lm.prices import Price
    from dagflow.lm.protocol import LM, LMRequest, LMResponse, Message, ToolCall
    from dagflow.lm.pydantic_ai import PydanticAIBackend as PydanticAIBackend
    from dagflow.lm.spec import load_lm
    from dagflow.lm.wrappers import budgeted, cached, fallback, hedged, rate_limited, retrying
    from dagflow.optimize import CompiledGraph, OptimizedLM, compile_graph, trace_to_examples
    from dagflow.pipeline.asynchronous import AsyncPipeline, AsyncPipelineContext
    from dagflow.pipeline.composites import Conditional, Loop, Map, Parallel
    from dagflow.pipeline.executors import AsyncLocalExecutor
    from dagflow.pipeline.parameters import ParameterError
    from dagflow.pipeline.pipeline import Pipeline
    from dagflow.pipeline.results import PipelineResult, PipelineStream
    from dagflow.pipeline.returns import Json, Metric, Object, Returned
    from dagflow.pipeline.run_log_fold import read_run_log
    from dagflow.pipeline.task_types import AsyncPythonTaskType
    from dagflow.pipeline.tasks import AsyncPythonTask, NotebookTask, PythonTask, ShellTask, Stub
    from dagflow.source import SourceError
    from dagflow.store.memory import MemoryStore
    from dagflow.store.redis import RedisStore
    from dagflow.store.sqlite import SQLiteStore
    from dagflow.types import Interrupt, Retry, Span, Timeline, Usage

_HOMES = {
    "catalog": ("Catalog", "FileCatalog"),
    "core.codec": ("Serializer",),
    "core.markers": ("Dep", "Gate", "Recall", "dep", "field", "gate", "recall"),
    "core.node": ("Node", "NodeConfig"),
    "core.secrets": ("Secret",),
    "core.storage": ("Store",),
    "core.tools": ("Tool",),
    "declarative.api": (
        "load_and_compile",
        "load_and_compile_async",
        "resume_async",
        "run_graph_async",
        "run_until_interrupt_async",
        "stream_graph_async",
    ),
    "declarative.graph": ("YamlGraph",),
    "declarative.prompting": (
        "PromptCall",
        "execute_prompt_async",
        "execute_prompts_concurrent",
        "stream_prompt_async",
    ),
    "declarative.results": ("YamlResult",),
    "source": ("SourceError",),
    "declarative.state": ("StateError",),
    "errors": (
        "AnswerError",
        "CheckpointError",
        "DagflowError",
        "DepError",
        "Failure",
        "FillError",
        "GraphChanged",
        "GraphError",
        "InvalidField",
        "LMError",
        "NodeError",
        "ProcessError",
        "ProcessTimeout",
        "RecallError",
        "RunCancelled",
        "RunError",
        "RunLocked",
        "RunTimeout",
        "StateConflict",
        "StepLimitError",
    ),
    "graph.graph": ("Graph",),
    "graph.result": ("GraphResult",),
    "graph.stream": ("GraphStream",),
    "kernel.context": ("idempotency_key", "progress"),
    "kernel.fanout": ("MapResult", "map_concurrent"),
    "kernel.standalone": ("resolve_dep", "resolve_fields"),
    "kernel.thread": ("Thread", "list_threads", "prune"),
    "lm.anthropic": ("AnthropicBackend",),
    "lm.base": ("BaseLM",),
    "lm.claude_cli": ("ClaudeCLIBackend",),
    "lm.dspy": ("DSPyBackend",),
    "lm.openai": ("OpenAIBackend",),
    "lm.prices": ("Price",),
    "lm.protocol": ("LM", "LMRequest", "LMResponse", "Message", "ToolCall"),
    "lm.pydantic_ai": ("PydanticAIBackend",),
    "lm.spec": ("load_lm",),
    "lm.wrappers": ("budgeted", "cached", "fallback", "hedged", "rate_limited", "retrying"),
    "optimize": ("CompiledGraph", "OptimizedLM", "compile_graph", "field_match", "trace_to_examples"),
    "pipeline.asynchronous": ("AsyncPipeline", "AsyncPipelineContext"),
    "pipeline.composites": ("Conditional", "Loop", "Map", "Parallel"),
    "pipeline.executors": ("AsyncLocalExecutor",),
    "pipeline.parameters": ("ParameterError",),
    "pipeline.pipeline": ("Pipeline",),
    "pipeline.results": ("PipelineResult", "PipelineStream"),
    "pipeline.returns": ("Json", "Metric", "Object", "Returned"),
    "pipeline.run_log_fold": ("read_run_log",),
    "pipeline.task_types": ("AsyncPythonTaskType",),
    "pipeline.tasks": ("AsyncPythonTask", "NotebookTask", "PythonTask", "ShellTask", "Stub"),
    "store.memory": ("MemoryStore",),
    "store.redis": ("RedisStore",),
    "store.sqlite": ("SQLiteStore",),
    "types": ("Interrupt", "Retry", "Span", "Timeline", "Usage"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

# Without `PydanticAIBackend`, whose library may not be there: `from dagflow import *` imports everything here.
__all__ = [
    "LM",
    "AnswerError",
    "AnthropicBackend",
    "AsyncLocalExecutor",
    "AsyncPipeline",
    "AsyncPipelineContext",
    "AsyncPythonTask",
    "AsyncPythonTaskType",
    "BaseLM",
    "Catalog",
    "CheckpointError",
    "ClaudeCLIBackend",
    "CompiledGraph",
    "Conditional",
    "DSPyBackend",
    "DagflowError",
    "Dep",
    "DepError",
    "Failure",
    "FileCatalog",
    "FillError",
    "Gate",
    "Graph",
    "GraphChanged",
    "GraphError",
    "GraphResult",
    "GraphStream",
    "Interrupt",
    "InvalidField",
    "Json",
    "LMError",
    "LMRequest",
    "LMResponse",
    "Loop",
    "Map",
    "MapResult",
    "MemoryStore",
    "Message",
    "Metric",
    "Node",
    "NodeConfig",
    "NodeError",
    "NotebookTask",
    "Object",
    "OpenAIBackend",
    "OptimizedLM",
    "Parallel",
    "ParameterError",
    "Pipeline",
    "PipelineResult",
    "PipelineStream",
    "Price",
    "ProcessError",
    "ProcessTimeout",
    "PromptCall",
    "PythonTask",
    "Recall",
    "RecallError",
    "RedisStore",
    "Retry",
    "Returned",
    "RunCancelled",
    "RunError",
    "RunLocked",
    "RunTimeout",
    "SQLiteStore",
    "Secret",
    "Serializer",
    "ShellTask",
    "SourceError",
    "Span",
    "StateConflict",
    "StateError",
    "StepLimitError",
    "Store",
    "Stub",
    "Thread",
    "Timeline",
    "Tool",
    "ToolCall",
    "Usage",
    "YamlGraph",
    "YamlResult",
    "budgeted",
    "cached",
    "compile_graph",
    "dep",
    "execute_prompt_async",
    "execute_prompts_concurrent",
    "fallback",
    "field",
    "gate",
    "hedged",
    "idempotency_key",
    "list_threads",
    "load_and_compile",
    "load_and_compile_async",
    "load_lm",
    "map_concurrent",
    "progress",
    "prune",
    "rate_limited",
    "read_run_log",
    "recall",
    "resolve_dep",
    "resolve_fields",
    "resume_async",
    "retrying",
    "run_graph_async",
    "run_until_interrupt_async",
    "stream_graph_async",
    "stream_prompt_async",
    "trace_to_examples",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'dagflow' has no attribute {name!r}")
    value = getattr(import_module(f"dagflow.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
