"""The functions that load and run YAML graphs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Unpack

from anyio.to_thread import run_sync

from dagflow.core.storage import Store
from dagflow.core.structure import nearest
from dagflow.declarative.compiling.graph import compile_graph
from dagflow.declarative.compiling.loading import Surroundings, load_file
from dagflow.declarative.graph import YamlGraph, YamlOptions
from dagflow.declarative.results import YamlResult
from dagflow.declarative.streaming import EventStream
from dagflow.errors import RunError

__all__ = [
    "load_and_compile",
    "load_and_compile_async",
    "resume_async",
    "run_graph_async",
    "run_until_interrupt_async",
    "stream_graph_async",
]


def load_and_compile(
    path: str | Path,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    root: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    with_checkpointer: bool = True,
) -> YamlGraph:
    """Read a graph file, with its prompts and subgraphs, check all of it, and make it ready to run.

    `functions` gives functions, classes and graphs to the names that the file uses for them. Paths in the file are
    relative to it and may not leave `root`: by default the nearest folder above with a `pyproject.toml` or `.git`, else
    the file's own. `${NAME}` in the checkpointer is looked up in `environment` (default: `os.environ`); without
    `with_checkpointer` it is left out. A graph file names code that is imported and run: load those that you trust.

    Raises `SourceError` (a `GraphError`) with every fault as `file:line:column: path: what is wrong`.
    """
    loaded = load_file(Path(path))
    surroundings = Surroundings.of(
        loaded.path, root=root, functions=functions, environment=os.environ if environment is None else environment
    )
    return compile_graph(loaded, surroundings, with_store=with_checkpointer)


async def load_and_compile_async(
    path: str | Path,
    *,
    functions: Mapping[str, Callable[..., Any]] | None = None,
    root: str | Path | None = None,
    environment: Mapping[str, str] | None = None,
    with_checkpointer: bool = True,
) -> YamlGraph:
    """Do what `load_and_compile` does in a worker thread: it reads files and imports modules.

    Cancelled, it waits for the thread.
    """
    return await run_sync(
        lambda: load_and_compile(
            path, functions=functions, root=root, environment=environment, with_checkpointer=with_checkpointer
        )
    )


async def run_graph_async(
    graph: YamlGraph,
    initial_state: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    thread_id: str | None = None,
    checkpointer: Store | None = None,
    **options: Unpack[YamlOptions],
) -> dict[str, Any]:
    """Run a graph to its end; gives `{"status": "complete", "state": {...}}`, and `thread_id` where it is recorded.

    `config` is `{"configurable": {"thread_id": ...}, "checkpointer": store}`; the keyword arguments of those names mean
    the same. `state` is another name for `initial_state`. Further options are those of `YamlGraph.run`.

    Raises what `YamlGraph.run` does, and `RunError` for a run that waits for answers, which is recorded and can be
    resumed: `run_until_interrupt_async` gives the questions instead.
    """
    result = await _run(graph, _state(initial_state, state), config, thread_id, checkpointer, options)
    if result.status == "interrupted":
        questions = ", ".join(f"{interrupt.id} ({interrupt.question!r})" for interrupt in result.interrupts)
        raise RunError(
            f"graph {graph.name} waits for answers to {questions}; go on with resume_async(graph, "
            f"{result.thread_id!r}, ...), and run graphs that ask with run_until_interrupt_async"
        )
    return result.to_dict()


async def run_until_interrupt_async(
    graph: YamlGraph,
    initial_state: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    thread_id: str | None = None,
    checkpointer: Store | None = None,
    **options: Unpack[YamlOptions],
) -> dict[str, Any]:
    """Run a graph until it is complete or waits for a person.

    Gives what `run_graph_async` does, or `{"status": "interrupted", "thread_id", "state", "resume_key", "message",
    "interrupts"}`. Arguments and errors are those of `run_graph_async`.
    """
    return (await _run(graph, _state(initial_state, state), config, thread_id, checkpointer, options)).to_dict()


async def resume_async(
    graph: YamlGraph,
    thread_id: str,
    resume_data: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    checkpointer: Store | None = None,
    accept_changes: bool = False,
    **options: Unpack[YamlOptions],
) -> dict[str, Any]:
    """Go on with a thread; gives what `run_until_interrupt_async` does.

    Keys of `resume_data` are resume keys or ids of interrupts; other declared state keys are written with the first
    answer; anything else is an `AnswerError`. Without an answer, questions stay open. A run that failed, was cancelled
    or killed goes on from what is recorded, and `resume_data` is left out. Raises what `YamlGraph.resume` does.
    """
    named, store = _configured(config, thread_id, checkpointer)
    assert named is not None
    result = await graph.resume(named, resume_data, store=store, accept_changes=accept_changes, **options)
    return result.to_dict()


def stream_graph_async(
    graph: YamlGraph,
    initial_state: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    thread_id: str | None = None,
    checkpointer: Store | None = None,
    resume: bool = False,
    resume_data: Mapping[str, Any] | None = None,
    after: int | None = None,
    buffer: int = 256,
    **options: Unpack[YamlOptions],
) -> EventStream[YamlResult]:
    """Run a graph and follow its events (`dagflow.events`), tokens and progress included.

    `async with stream_graph_async(...) as events: async for event in events: ...` is the form that guarantees that
    nothing runs on when the block is left. A plain `async for event in stream_graph_async(...)` ends the run when the
    iterator is exhausted, closed or collected, or its task is cancelled while it waits. A run that fails raises from
    the iteration. The run waits while more than `buffer` events are unread. `events.result` is the result at the end.

    With `resume`, a thread goes on, with `resume_data` as in `resume_async`; `after` is then the `seq` of the last
    event that was seen. Other arguments are those of `run_graph_async`.
    """
    named, store = _configured(config, thread_id, checkpointer)
    if resume or resume_data is not None:
        if named is None:
            raise ValueError("to resume, say which thread: thread_id=...")
        return EventStream(graph.stream_resumed(named, resume_data, store=store, after=after, buffer=buffer, **options))
    given = _state(initial_state, state)
    return EventStream(graph.stream(given, store=store, thread_id=named, buffer=buffer, **options))


async def _run(
    graph: YamlGraph,
    state: Mapping[str, Any],
    config: Mapping[str, Any] | None,
    thread_id: str | None,
    checkpointer: Store | None,
    options: YamlOptions,
) -> YamlResult:
    named, store = _configured(config, thread_id, checkpointer)
    return await graph.run(state, store=store, thread_id=named, **options)


def _state(initial_state: Mapping[str, Any] | None, state: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if initial_state is not None and state is not None:
        raise TypeError("the state is given twice, as initial_state= and as state=; give one of them")
    return initial_state if initial_state is not None else state or {}


def _configured(
    config: Mapping[str, Any] | None, thread_id: str | None, checkpointer: Store | None
) -> tuple[str | None, Store | None]:
    """The thread and the store, from `config` or from the arguments; raises for what is unknown, or given twice."""
    given: dict[str, Any] = dict(config or {})
    configurable = dict(given.pop("configurable", None) or {})
    for key in configurable:
        if key != "thread_id":
            raise ValueError(f"config['configurable'] has {key!r}, which means nothing here; it takes 'thread_id'")
    if "thread_id" in given:
        configurable.setdefault("thread_id", given.pop("thread_id"))
    for key in given:
        if key != "checkpointer":
            near = nearest(key, ("configurable", "checkpointer", "thread_id"))
            raise ValueError(f"config has {key!r}, which means nothing here{near}")
    return _one("thread_id", configurable.get("thread_id"), thread_id), _one(
        "checkpointer", given.get("checkpointer"), checkpointer
    )


def _one(name: str, configured: Any, given: Any) -> Any:
    if configured is not None and given is not None and configured != given:
        raise ValueError(f"{name} is given twice, in config and as an argument, and they differ")
    return configured if configured is not None else given
