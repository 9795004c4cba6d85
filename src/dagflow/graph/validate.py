"""Validation: what must hold for a whole graph, beyond each of its nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dagflow.core.dependencies import Call
from dagflow.core.hints import show
from dagflow.core.schema import json_schema
from dagflow.core.shapes import UnsupportedType
from dagflow.core.tools import to_tools
from dagflow.errors import GraphError
from dagflow.graph.discover import NodeType

if TYPE_CHECKING:
    from dagflow.core.codec import Codec

__all__ = ["gates_of", "graph_faults", "lm_needs", "unrecordable"]


def graph_faults(nodes: Mapping[str, NodeType], start: str) -> Iterator[str]:
    """Find the faults of a graph whose nodes have been looked at one by one."""
    yield from _recalls_on_start(nodes[start])
    yield from _dependency_defaults(nodes)
    yield from _answers(nodes)
    yield from _dead_ends(nodes)
    yield from _contradicting_options(nodes)
    yield from _tools(nodes)


def _recalls_on_start(start: NodeType) -> Iterator[str]:
    for item in start.of_kind("recall"):
        yield f"{start.name}.{item.name} recalls from the trace, which is empty at the start node; pass it instead"


def _dependency_defaults(nodes: Mapping[str, NodeType]) -> Iterator[str]:
    for node in nodes.values():
        for kind, what in (("dep", "dependency"), ("gate", "gate")):
            for item in node.of_kind(kind):
                if not item.required:
                    yield f"{node.name}.{item.name} has a {what} and a default, which would never be used; keep one"


def _answers(nodes: Mapping[str, NodeType]) -> Iterator[str]:
    """Find the gates whose answers have no form that a person could give."""
    for node in nodes.values():
        for item in node.of_kind("gate"):
            try:
                json_schema(item.type)
            except UnsupportedType as error:
                yield f"{node.name}.{item.name} asks a person for {show(item.type)}, which has no form in JSON: {error}"


def gates_of(nodes: Mapping[str, NodeType]) -> list[str]:
    """The fields that a person fills, as `Node.field`."""
    return [f"{node.name}.{item.name}" for node in nodes.values() for item in node.of_kind("gate")]


def unrecordable(nodes: Mapping[str, NodeType], codec: Codec) -> Iterator[str]:
    """Say which fields a run with a store could never record."""
    for node in nodes.values():
        for item in node.inputs:
            problem = codec.problem(item.type) if item.kind in ("plain", "gate") else None
            if problem is not None:
                yield f"{node.name}.{item.name} cannot be recorded in a store: {problem}"


def _dead_ends(nodes: Mapping[str, NodeType]) -> Iterator[str]:
    """Find the nodes from which a run could never end."""
    leads_back: dict[str, list[str]] = {name: [] for name in nodes}
    ending = [name for name, node in nodes.items() if None in node.routes]
    for name, node in nodes.items():
        for target in node.routes:
            if target is not None:
                leads_back[target.__name__].append(name)
    alive = set(ending)
    while ending:
        for name in leads_back[ending.pop()]:
            if name not in alive:
                alive.add(name)
                ending.append(name)
    for name, node in nodes.items():
        if name not in alive and node.routes:
            yield f"{name} has no path to a terminal node; let it, or a node after it, return None"


def _contradicting_options(nodes: Mapping[str, NodeType]) -> Iterator[str]:
    first: dict[Callable[..., Any], tuple[str, Call]] = {}
    for node in nodes.values():
        for fn, call in node.dependencies.calls.items():
            name, known = first.setdefault(fn, (node.name, call))
            if known.options != call.options:
                yield (
                    f"{name}.{known.place} and {node.name}.{call.place} mark {call.name} with different options; "
                    f"a callable is called once in a run, so give both the same, or use two callables"
                )


def _tools(nodes: Mapping[str, NodeType]) -> Iterator[str]:
    for node in nodes.values():
        try:
            to_tools(node.cls.node_config.tools)
        except GraphError as error:
            yield from (f"{node.name}: {error.subject}: {fault}" for fault in error.faults)


def lm_needs(nodes: Mapping[str, NodeType]) -> Iterator[str]:
    """Say what a run without a language model could not do, for nodes that have none of their own."""
    for node in nodes.values():
        if not node.body.empty:
            if node.body.lm_parameter is not None and node.cls.node_config.lm is None:
                yield f"{node.name}.__call__ takes the language model"
            continue
        if len(node.routes) > 1 and node.cls.node_config.lm is None:
            names = ", ".join("stopping" if target is None else target.__name__ for target in node.routes)
            yield f"after {node.name} the language model chooses among {names}"
        for target in node.routes:
            if target is not None and target.node_config.lm is None:
                plain = [item.name for item in nodes[target.__name__].of_kind("plain") if item.required]
                if plain:
                    yield f"{target.__name__} ({', '.join(plain)}) is filled by the language model"
