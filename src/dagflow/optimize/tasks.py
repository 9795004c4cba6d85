"""What a language model is asked in a graph: to fill a node, or to choose among those that may follow one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from dagflow.core.inputs import inputs, instruction_of, routes
from dagflow.core.markers import UNSET
from dagflow.core.node import Node
from dagflow.core.prompts import choice_prompt, choice_schema, in_words
from dagflow.core.schema import json_schema
from dagflow.core.shapes import UnsupportedType
from dagflow.core.unstructure import unstructure
from dagflow.graph.graph import Graph
from dagflow.lm.dspy.forms import AnswerForm, answer_form

__all__ = ["SOURCE", "LMTask", "choice_key", "nodes_among_dependencies", "tasks_of", "written"]

SOURCE = "follows_from"
"""The input that holds the node which the filled one follows, with its fields."""


@attrs.frozen
class LMTask:
    """One thing that a language model is asked in a graph.

    `key` is the name of the node that is filled, or that of the node which is left with `.choice` after it.
    `inputs` are what the model is told, each with its description, and `schema` is that of its answer.
    """

    key: str
    kind: Literal["fill", "choose"]
    node: str
    instruction: str
    inputs: Mapping[str, str]
    schema: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def form(self) -> AnswerForm:
        """The DSPy signature."""
        return answer_form(self.schema, instructions=self.instruction, inputs=self.inputs)

    @property
    def properties(self) -> frozenset[str]:
        """The keys of the answer."""
        return frozenset(self.schema["properties"])

    def describe(self) -> dict[str, Any]:
        """Say as JSON what a prompt that was optimised for it depends on."""
        return {"inputs": list(self.inputs), "schema": self.schema}


def choice_key(node: str) -> str:
    """The key of the choice among the nodes that may follow `node`."""
    return f"{node}.choice"


def tasks_of(graph: Graph) -> dict[str, LMTask]:
    """Find what a language model is asked in a graph, by key, in the order of its nodes."""
    found: dict[str, LMTask] = {}
    reached = {target for _, target in graph.edges}
    for node in graph.nodes:
        for cls in [node, *nodes_among_dependencies(node).values()]:
            task = _fill(cls) if cls in reached or cls not in graph.nodes else None
            if task is not None:
                found.setdefault(task.key, task)
        if len(routes(node)) > 1:
            choice = _choice(node)
            found[choice.key] = choice
    return found


def nodes_among_dependencies(cls: type[Node]) -> dict[str, type[Node]]:
    """The fields of a node type whose dependency is itself a node, and which."""
    found = {item.name: getattr(item.marker, "fn", None) for item in inputs(cls)}
    return {name: fn for name, fn in found.items() if isinstance(fn, type) and issubclass(fn, Node)}


def _fill(cls: type[Node]) -> LMTask | None:
    """The task of filling a node; `None` where it has nothing to fill, or what no model could write."""
    plain = [item.name for item in inputs(cls) if item.kind == "plain"]
    if not plain:
        return None
    try:
        schema = json_schema(cls, only=plain)
    except UnsupportedType:  # a node that a body makes may hold anything
        return None
    known = {item.name: item.description or "" for item in inputs(cls) if item.kind != "plain"}
    return LMTask(
        key=cls.__name__,
        kind="fill",
        node=cls.__name__,
        instruction=in_words(instruction_of(cls)),
        inputs={SOURCE: "the step before, with its fields", **known},
        schema=schema,
    )


def _choice(cls: type[Node]) -> LMTask:
    types = routes(cls)
    return LMTask(
        key=choice_key(cls.__name__),
        kind="choose",
        node=cls.__name__,
        instruction=choice_prompt(types, {}),
        inputs={item.name: item.description or "" for item in inputs(cls)},
        schema=choice_schema(types),
    )


def written(task: LMTask, source: Any, known: Mapping[str, Any]) -> dict[str, str]:
    """Write the inputs of a task; `source` is the node that is followed, `known` the values of the fields.

    Text stays as it is, and anything else becomes JSON; what has no form in JSON is only named.
    """
    values: dict[str, str] = {}
    for name in task.inputs:
        if name == SOURCE and task.kind == "fill":
            values[name] = _node(source)
        else:
            values[name] = _text(known.get(name, UNSET))
    return values


def _node(source: Any) -> str:
    if source is None:
        return "nothing"
    fields = {item.name: _plain(getattr(source, item.name)) for item in inputs(type(source))}
    return f"{type(source).__name__} {json.dumps(fields, ensure_ascii=False)}"


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if value is UNSET:
        return None
    try:
        return unstructure(value)
    except Exception:
        return f"(a {type(value).__name__})"
