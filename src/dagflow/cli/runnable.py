"""What a target of the command line can be: a typed graph, a YAML graph or a pipeline, with the same commands."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import attrs

from dagflow.cli.inputs import read_parameters, read_start, read_state
from dagflow.cli.pipeline_options import PipelineOptions
from dagflow.cli.problems import UsageProblem
from dagflow.core.inputs import inputs
from dagflow.core.markers import Gate
from dagflow.core.storage import Store
from dagflow.declarative.graph import YamlGraph
from dagflow.declarative.results import YamlResult
from dagflow.errors import GraphError
from dagflow.graph.graph import Graph
from dagflow.graph.options import FROM_GRAPH
from dagflow.graph.result import GraphResult
from dagflow.kernel.entry import run_to_completion
from dagflow.kernel.prepared import PreparedRun
from dagflow.pipeline.pipeline import Pipeline
from dagflow.pipeline.results import PipelineResult
from dagflow.pipeline.wiring import read_services

__all__ = ["Drawable", "PipelineTarget", "Result", "Runnable", "TypedTarget", "YamlTarget"]

Result = GraphResult | YamlResult | PipelineResult


class Drawable(Protocol):
    """What can be drawn."""

    def to_mermaid(self) -> str:
        """Draw as a Mermaid flowchart."""
        ...

    def to_dot(self) -> str:
        """Draw in Graphviz's DOT language."""
        ...

    def to_svg(self) -> str:
        """Draw as an SVG document."""
        ...


class Runnable(Protocol):
    """A graph that can be run, resumed and described, whatever it was written in.

    `module` is where it comes from, if that is a module: other things that options name are looked for in it.
    `own_store` is where it records its runs without being told.
    """

    @property
    def name(self) -> str:
        """The graph's name."""
        ...

    @property
    def module(self) -> ModuleType | None:
        """The module that it comes from."""
        ...

    @property
    def drawing(self) -> Drawable:
        """The graph itself; raises `UsageProblem` for what cannot be drawn."""
        ...

    @property
    def own_store(self) -> Store | None:
        """Where it records its runs without being told."""
        ...

    def with_options(self, options: PipelineOptions) -> Runnable:
        """Give the same with what was given for a pipeline; raises `UsageProblem` for what takes none of it."""
        ...

    @property
    def lm_needs(self) -> tuple[str, ...]:
        """What it needs a language model for that it does not name itself; nothing where it runs without one."""
        ...

    @property
    def questions(self) -> tuple[str, ...]:
        """What it asks persons for."""
        ...

    def begin(self, given: str | None, variables: Sequence[str]) -> Any:
        """Read what a run begins with; raises `UsageProblem`."""
        ...

    def prepare(
        self, begun: Any, *, lm: Any, timeout: float | None, max_steps: int | None, **recorded: Any
    ) -> PreparedRun[Any]:
        """Prepare a run; `recorded` says where it is recorded."""
        ...

    def prepare_resume(
        self, thread_id: str, answers: Mapping[str, Any], *, max_steps: int | None, **options: Any
    ) -> PreparedRun[Any]:
        """Prepare a resume."""
        ...

    def output(self, result: Any) -> object:
        """What of a result is printed."""
        ...


@attrs.frozen(eq=False)
class TypedTarget:
    """A typed graph; see `Runnable`."""

    graph: Graph
    module: ModuleType

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.graph.name

    @property
    def drawing(self) -> Graph:
        """The graph itself."""
        return self.graph

    @property
    def own_store(self) -> Store | None:
        """A typed graph has none."""
        return None

    def with_options(self, options: PipelineOptions) -> TypedTarget:
        """A graph takes none."""
        options.refuse()
        return self

    @property
    def lm_needs(self) -> tuple[str, ...]:
        """The nodes that a language model fills or routes."""
        try:
            self.graph.validate(lm=False)
        except GraphError as error:
            return tuple(fault.removesuffix("; pass lm=") for fault in error.faults)
        return ()

    @property
    def questions(self) -> tuple[str, ...]:
        """The fields that persons fill."""
        return tuple(
            f"{node.__name__}.{item.name} asks a person: {item.marker.question}"
            for node in self.graph.nodes
            for item in inputs(node)
            if isinstance(item.marker, Gate)
        )

    def begin(self, given: str | None, variables: Sequence[str]) -> Any:
        """Read the start node."""
        if variables:
            raise UsageProblem("-v gives keys of the state of a YAML graph; give a typed graph's fields with -i")
        return read_start(self.graph.start, given)

    def prepare(
        self, begun: Any, *, lm: Any, timeout: float | None, max_steps: int | None, **recorded: Any
    ) -> PreparedRun[GraphResult]:
        """Prepare a run."""
        steps = FROM_GRAPH if max_steps is None else max_steps
        return self.graph.prepare(begun, lm=lm, timeout=timeout, max_steps=steps, **recorded)

    def prepare_resume(
        self, thread_id: str, answers: Mapping[str, Any], *, max_steps: int | None, **options: Any
    ) -> PreparedRun[GraphResult]:
        """Prepare a resume."""
        steps = FROM_GRAPH if max_steps is None else max_steps
        return self.graph.prepare_resume(thread_id, answers, max_steps=steps, **options)

    def output(self, result: Any) -> object:
        """The last node."""
        return result.node


@attrs.frozen(eq=False)
class YamlTarget:
    """A YAML graph; see `Runnable`."""

    graph: YamlGraph
    module: ModuleType | None = None

    @property
    def name(self) -> str:
        """The graph's name."""
        return self.graph.name

    @property
    def drawing(self) -> YamlGraph:
        """The graph itself."""
        return self.graph

    @property
    def own_store(self) -> Store | None:
        """Its checkpointer."""
        return self.graph.store

    def with_options(self, options: PipelineOptions) -> YamlTarget:
        """A graph takes none."""
        options.refuse()
        return self

    @property
    def lm_needs(self) -> tuple[str, ...]:
        """The nodes that ask a language model and name none."""
        return tuple(
            f"node {node.name} asks a language model"
            for node in self.graph.nodes.values()
            if any(need.spec is None for need in node.needs)
        )

    @property
    def questions(self) -> tuple[str, ...]:
        """The nodes that ask persons."""
        asking = self.graph.asking_nodes
        return tuple(f"node {name} asks a person" for name in asking)

    def begin(self, given: str | None, variables: Sequence[str]) -> dict[str, Any]:
        """Read the state."""
        return read_state(self.graph.schema, given, variables)

    def prepare(
        self, begun: Any, *, lm: Any, timeout: float | None, max_steps: int | None, **recorded: Any
    ) -> PreparedRun[YamlResult]:
        """Prepare a run."""
        return self.graph.prepare(begun, lm=lm, timeout=timeout, max_steps=max_steps, **recorded)

    def prepare_resume(
        self, thread_id: str, answers: Mapping[str, Any], *, max_steps: int | None, **options: Any
    ) -> PreparedRun[YamlResult]:
        """Prepare a resume."""
        return self.graph.prepare_resume(thread_id, answers, max_steps=max_steps, **options)

    def output(self, result: Any) -> object:
        """The state."""
        return result.state


@attrs.frozen(eq=False)
class PipelineTarget:
    """A pipeline; see `Runnable`. A run is recorded under its `run_id`, which stands for the thread."""

    pipeline: Pipeline
    module: ModuleType
    options: PipelineOptions = attrs.field(factory=PipelineOptions)
    own_store: Store | None = None

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self.pipeline.name

    @property
    def drawing(self) -> Drawable:
        """Pipelines are not drawn."""
        raise UsageProblem(f"{self.name} is a pipeline; these commands are for graphs")

    def with_options(self, options: PipelineOptions) -> PipelineTarget:
        """Take options. The store of a configuration becomes its own; raises `ConfigurationError`, `PluginError`."""
        path = options.configuration
        if path is None:
            return attrs.evolve(self, options=options)
        reading = partial(read_services, Path(path), os.environ)
        try:
            services = run_to_completion(reading, backend="asyncio", instead="read_services")
        except ImportError as error:  # YAML is an extra
            raise UsageProblem(f"--configuration {path}: {error}") from None
        return attrs.evolve(self, options=options, own_store=services.store)

    @property
    def lm_needs(self) -> tuple[str, ...]:
        """Tasks bring their own models."""
        return ()

    @property
    def questions(self) -> tuple[str, ...]:
        """What graphs inside of tasks ask is not known before."""
        return ()

    def begin(self, given: str | None, variables: Sequence[str]) -> dict[str, Any]:
        """Read the parameters."""
        return read_parameters(given, variables)

    def prepare(
        self, begun: Any, *, lm: Any, timeout: float | None, max_steps: int | None, **recorded: Any
    ) -> PreparedRun[PipelineResult]:
        """Prepare a run."""
        refuse_graph_options(lm, max_steps)
        if "thread_id" in recorded:
            recorded["run_id"] = recorded.pop("thread_id")
        return self.pipeline.prepare(parameters=begun, timeout=timeout, **self.options.to_begin(), **recorded)

    def prepare_resume(
        self, thread_id: str, answers: Mapping[str, Any], *, max_steps: int | None, **options: Any
    ) -> PreparedRun[PipelineResult]:
        """Prepare a retry."""
        refuse_graph_options(options.pop("lm", None), max_steps)
        return self.pipeline.prepare_retry(thread_id, answers=answers, **self.options.to_go_on(), **options)

    def output(self, result: Any) -> object:
        """The parameters at the end."""
        return result.parameters


def refuse_graph_options(lm: Any, max_steps: int | None) -> None:
    """Raise `UsageProblem` for options that pipelines have no use for."""
    for option, value in (("--lm", lm), ("--max-steps", max_steps)):
        if value is not None:
            raise UsageProblem(f"{option} is for graphs; the tasks of a pipeline bring what they need")
