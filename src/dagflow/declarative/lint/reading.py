"""What the nodes of a graph file read of the state, as far as the file and its functions tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from dagflow.core.functions import Function
from dagflow.declarative.bodies.calling import STATE
from dagflow.declarative.bodies.nesting import RunTypedGraph, RunYamlGraph
from dagflow.declarative.compiling.compiler import single_key
from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.expressions import ExpressionError, Template, parse_value
from dagflow.declarative.graph import YamlGraph
from dagflow.declarative.lint.expressions import keys_read
from dagflow.declarative.lint.walk import ROOT, PlacedNode
from dagflow.declarative.model import (
    AgentNode,
    GraphFile,
    InterruptNode,
    LLMNode,
    MapNode,
    PassthroughNode,
    PythonNode,
    RouterNode,
    ShellNode,
    SubgraphNode,
    ToolNode,
)

__all__ = ["Reading", "readings", "templates_of", "texts_of"]


@attrs.frozen
class Reading:
    """A node reads a state key (`None`: any of them). `after` tells that an edge does, which sees what its node wrote.

    `guarded` tells that the key need not have a value.
    """

    key: str | None
    node: str
    place: Place
    guarded: bool = False
    after: bool = False


def readings(
    spec: GraphFile,
    nodes: Sequence[PlacedNode],
    functions: Mapping[Place, Function],
    graph: YamlGraph | None,
) -> Iterator[Reading]:
    """Give everything that is read, in the order of the file: by nodes, then by conditions."""
    for node in nodes:
        yield from _node_reads(node, functions.get(node.place), graph)
    for index, edge in enumerate(spec.edges):
        place = ROOT / "edges" / index / "condition"
        for read in keys_read(edge.condition) if edge.condition is not None else ():
            yield Reading(read.key, edge.from_, place, read.guarded, after=True)


def _node_reads(node: PlacedNode, function: Function | None, graph: YamlGraph | None) -> Iterator[Reading]:
    owner, spec = node.owner, node.spec
    for place, template in templates_of(node):
        for expression in template.expressions:
            for read in keys_read(expression.source, node.names):
                yield Reading(read.key, owner, place, read.guarded)
    for index, key in enumerate(spec.requires):
        yield Reading(key, owner, node.place / "requires" / index)
    skipping = single_key(spec) if getattr(spec, "skip_if_exists", False) else None
    if skipping is not None:
        yield Reading(skipping, owner, node.place / "skip_if_exists", guarded=True)
    if isinstance(spec, PythonNode):
        yield from _function_reads(node, spec, function)
    if isinstance(spec, SubgraphNode) and spec.input is None:
        yield from _subgraph_reads(node, graph)


def _function_reads(node: PlacedNode, spec: PythonNode, function: Function | None) -> Iterator[Reading]:
    place = node.place / "function"
    if function is None:
        yield Reading(None, node.owner, place)
        return
    for parameter in function.parameters:
        if parameter.name not in spec.arguments and parameter.name not in node.names:
            key = None if parameter.name == STATE else parameter.name
            yield Reading(key, node.owner, place, guarded=key is None or not parameter.required)


def _subgraph_reads(node: PlacedNode, graph: YamlGraph | None) -> Iterator[Reading]:
    place = node.place / "graph"
    body = None if graph is None or node.is_inner else graph.nodes[node.owner].body
    keys: Sequence[str | None] = (None,)
    if isinstance(body, RunYamlGraph):
        keys = tuple(body.graph.schema.keys)
    elif isinstance(body, RunTypedGraph):
        keys = tuple(body.fields)
    for key in keys:
        yield Reading(key, node.owner, place, guarded=True)


def templates_of(node: PlacedNode) -> Iterator[tuple[Place, Template]]:
    """The texts of a node that have expressions in them, each with its place."""
    for place, value in texts_of(node):
        try:
            found = parse_value(value).templates
        except ExpressionError:
            continue  # the compiler tells it
        for template in found:
            yield place, template


def texts_of(node: PlacedNode) -> Iterator[tuple[Place, Any]]:
    """The values of a node that may have expressions in their texts."""
    spec, place = node.spec, node.place
    several: dict[str, Mapping[str, Any]] = {}
    if isinstance(spec, (LLMNode, RouterNode, AgentNode)):
        several["variables"] = spec.variables
    elif isinstance(spec, (ToolNode, PythonNode)):
        several["arguments"] = spec.arguments
    elif isinstance(spec, PassthroughNode):
        several["output"] = spec.output
    elif isinstance(spec, SubgraphNode) and spec.input is not None:
        several["input"] = spec.input
    elif isinstance(spec, ShellNode):
        several["env"] = spec.env
        yield place / "command", spec.command
        if spec.stdin is not None:
            yield place / "stdin", spec.stdin
    elif isinstance(spec, MapNode):
        yield place / "over", spec.over
    elif isinstance(spec, InterruptNode):
        yield place / "message", spec.message
    for name, values in several.items():
        for key, value in values.items():
            yield place / name / key, value
