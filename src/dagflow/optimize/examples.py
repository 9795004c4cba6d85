"""Examples of what a language model was asked and what it should answer, taken from runs; and how to compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from dagflow.core.inputs import inputs, routes
from dagflow.core.node import Node
from dagflow.core.prompts import choice_names
from dagflow.core.unstructure import unstructure
from dagflow.graph.result import GraphResult
from dagflow.optimize.tasks import choice_key, nodes_among_dependencies

__all__ = ["Example", "examples_of", "field_match", "trace_to_examples"]


@attrs.frozen
class Example:
    """One right answer: what was known when it was asked for, and the answer as JSON-able data.

    `key` is the name of the node that was filled, or, for a choice, that of the node which was left with
    `.choice` after it. `source` is the node that it follows, and `known` holds its resolved fields (for a choice
    the fields of the node that was left).
    """

    key: str
    answer: Mapping[str, Any]
    source: Any = attrs.field(default=None, repr=False)
    known: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


def trace_to_examples(trace: GraphResult | Iterable[Node]) -> dict[str, list[Example]]:
    """Take the examples out of a run: one for each node that a model can fill, and for each choice, by key.

    `trace` is a result of a run, or the nodes that ran, in order; nodes can be corrected first, with
    `attrs.evolve`. A run is only worth learning from as far as its answers were right.
    """
    complete = isinstance(trace, GraphResult)
    nodes = list(trace.trace if isinstance(trace, GraphResult) else trace)
    found: dict[str, list[Example]] = {}
    for place, node in enumerate(nodes):
        before = nodes[place - 1] if place else None
        made = [_filled(getattr(node, name), before) for name in nodes_among_dependencies(type(node))]
        if before is not None:
            made.append(_filled(node, before))
        is_last = place == len(nodes) - 1
        if not is_last or complete or None in routes(type(node)):
            made.append(_chosen(node, None if is_last else type(nodes[place + 1])))
        for example in made:
            if example is not None:
                found.setdefault(example.key, []).append(example)
    return found


def _filled(node: object, source: Node | None) -> Example | None:
    """The example of a node that was filled; `None` where there was nothing to fill, or nothing JSON can hold."""
    if not isinstance(node, Node):
        return None
    fields = inputs(type(node))
    plain = [item for item in fields if item.kind == "plain"]
    if not plain:
        return None
    try:
        answer = {item.alias: unstructure(getattr(node, item.name), item.type) for item in plain}
    except TypeError:
        return None
    known = {item.name: getattr(node, item.name) for item in fields if item.kind != "plain"}
    return Example(type(node).__name__, answer, source, known)


def _chosen(node: Node, follower: type[Node] | None) -> Example | None:
    candidates = routes(type(node))
    if len(candidates) < 2:
        return None
    name = next((name for name, candidate in choice_names(candidates).items() if candidate is follower), None)
    if name is None:
        return None
    known = {item.name: getattr(node, item.name) for item in inputs(type(node))}
    return Example(choice_key(type(node).__name__), {"choice": name}, None, known)


def examples_of(given: Iterable[Any]) -> dict[str, list[Example]]:
    """Sort what `optimize` is given by key: examples, results of runs, and traces."""
    found: dict[str, list[Example]] = {}
    for item in given:
        by_key = {item.key: [item]} if isinstance(item, Example) else trace_to_examples(item)
        for key, examples in by_key.items():
            found.setdefault(key, []).extend(examples)
    return found


def field_match(example: Any, prediction: Any, trace: Any = None) -> float:
    """Score a prediction by the share of its fields that equal the example's; the default metric.

    It takes what DSPy hands to metrics: a `dspy.Example`, a `dspy.Prediction`, and a trace that it has no use for.
    """
    wanted = dict(example.labels().items())
    if not wanted:
        return 1.0
    equal = sum(_same(prediction.get(name), value) for name, value in wanted.items())
    return equal / len(wanted)


def _same(predicted: Any, wanted: Any) -> bool:
    if isinstance(predicted, str) and isinstance(wanted, str):
        return predicted.strip() == wanted.strip()
    return bool(predicted == wanted)
