"""Graphs in words: what they are made of, and where their values come from."""

from __future__ import annotations

from collections.abc import Iterator

from dagflow.cli.runnable import PipelineTarget, Runnable, TypedTarget
from dagflow.core.hints import show as show_type
from dagflow.core.inputs import Input, inputs, routes
from dagflow.core.markers import Dep, Gate
from dagflow.declarative.graph import YamlGraph
from dagflow.errors import name_of
from dagflow.graph.graph import Graph

__all__ = ["describe", "summary_of"]


def describe(target: Runnable) -> str:
    """Describe a graph: its nodes, what they have, and what follows."""
    drawing = target.drawing
    if isinstance(drawing, YamlGraph):
        return "\n".join(_describe_yaml(drawing))
    assert isinstance(drawing, Graph)
    return _describe_typed(drawing)


def summary_of(target: Runnable) -> str:
    """Say in one line how large a graph is."""
    if isinstance(target, PipelineTarget):
        return _count(len(target.pipeline.steps), "step")
    drawing = target.drawing
    if isinstance(drawing, YamlGraph):
        return _summary_yaml(drawing)
    assert isinstance(target, TypedTarget)
    return _summary_typed(target.graph)


def _describe_yaml(graph: YamlGraph) -> Iterator[str]:
    yield f"graph {graph.name}: {_summary_yaml(graph)}"
    if graph.spec.description:
        yield graph.spec.description
    if graph.schema.known:
        yield from ("", "state")
    for key in graph.schema.known:
        kind = graph.schema.keys.get(key)
        declared = show_type(graph.schema.hint(key)) if kind is not None else "any, not declared"
        reducer = graph.spec.state.get(key)
        folded = getattr(reducer, "reducer", None)
        said = f"   {kind.description}" if kind is not None and kind.description else ""
        yield f"    {key}: {declared}" + (f", reducer {folded}" if folded else "") + said
    edges = graph.shape().edges
    for name, node in graph.nodes.items():
        yield from ("", f"{name} ({node.kind})")
        if node.description:
            yield f"    {node.description}"
        if node.writes:
            yield f"    writes {', '.join(node.writes)}"
        for edge in edges:
            if edge.source == name:
                yield f"    -> {edge.target}" + (f"   {edge.label}" if edge.label else "")


def _summary_yaml(graph: YamlGraph) -> str:
    loops = len(graph.plan.loops)
    return (
        f"{_count(len(graph.nodes), 'node')}, {_count(len(graph.shape().edges), 'edge')}, "
        f"{_count(len(graph.plan.joins), 'join')}, {_count(loops, 'loop')}"
    )


def _describe_typed(graph: Graph) -> str:
    lines = [f"graph {graph.name}: {_summary_typed(graph)}"]
    for node in graph.nodes:
        targets = " | ".join("None" if target is None else target.__name__ for target in routes(node))
        lines += ["", f"{node.__name__} -> {targets}"]
        lines += [
            f"    {item.name}: {show_type(item.type)}   {_origin(item, node is graph.start)}" for item in inputs(node)
        ]
    needs = [
        f"    {edge.target} reads {edge.source}"
        for edge in graph.shape().edges
        if edge.kind == "dependency" and edge.target not in {node.__name__ for node in graph.nodes}
    ]
    return "\n".join([*lines, *(["", "dependencies of dependencies", *needs] if needs else [])])


def _origin(item: Input, at_start: bool) -> str:
    if isinstance(item.marker, Dep):
        return f"from {name_of(item.marker.fn)}"
    if isinstance(item.marker, Gate):
        return f"asked of a person: {item.marker.question}"
    if item.kind == "recall":
        return "recalled from an earlier node"
    return "given by the caller" if at_start else "given by the body before, or filled by the language model"


def _summary_typed(graph: Graph) -> str:
    dependencies = sum(node.kind == "dependency" for node in graph.shape().nodes)
    terminal = ", ".join(node.__name__ for node in graph.terminal_nodes)
    return (
        f"{_count(len(graph.nodes), 'node')}, {_count(len(graph.edges), 'route')}, "
        f"{_count(dependencies, 'dependency', 'dependencies')}; ends with {terminal}"
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
