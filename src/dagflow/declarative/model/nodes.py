"""The node types of a YAML graph, one class each."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from dagflow.declarative.model.fields import AT_LEAST_ONE, POSITIVE, option, required
from dagflow.declarative.model.handling import OnError
from dagflow.declarative.model.prompts import LMChoice, PromptSpec

__all__ = [
    "NODE_TYPES",
    "AgentNode",
    "InterruptNode",
    "LLMNode",
    "MapNode",
    "NodeBase",
    "NodeSpec",
    "PassthroughNode",
    "PythonNode",
    "RaceNode",
    "RouterNode",
    "ShellNode",
    "SubgraphNode",
    "ToolNode",
]

STATE_KEY = "The state key that the result is written to."


@attrs.frozen(kw_only=True, slots=False)
class NodeBase:
    """What every node has."""

    description: str | None = option(None, "What the node is for; shown in drawings.")
    requires: list[str] = option(
        None, "State keys that must have a value when the node starts; else the run fails.", factory=list
    )
    on_error: Literal["fail", "skip", "retry"] | OnError | None = option(
        None,
        "What happens when the node fails: `fail` (the default) ends the run, `skip` writes nothing and goes on, "
        "`retry` tries twice more and then fails.",
    )
    timeout: float | None = option(None, "Seconds that one attempt may take.", validator=POSITIVE)
    max_concurrency: int | None = option(
        None, "How many activations of the node may be under way at once in a run.", validator=AT_LEAST_ONE
    )
    join: Literal["all", "each"] = option(
        "all",
        "What a node with several sources does: wait for all that can still reach it, or start for each arrival.",
    )


@attrs.frozen(kw_only=True, slots=False)
class WritesOneKey(NodeBase):
    """What a node has that writes its result to one state key."""

    state_key: str | None = option(None, STATE_KEY)
    skip_if_exists: bool = option(False, "Whether to do nothing where the state key has a value other than null.")


@attrs.frozen(kw_only=True, slots=False)
class AsksLM(WritesOneKey, LMChoice):
    """What a node has that asks a language model."""

    prompt: str | PromptSpec = required("The prompt: a file, relative to the graph and without `.yaml`, or in place.")
    variables: dict[str, Any] = option(
        None,
        "What the prompt's variables stand for: values, with `{expressions}` in texts. One that is left out "
        "is the name of a map's item, or the state key that is called the same.",
        factory=dict,
    )


@attrs.frozen(kw_only=True, slots=False)
class LLMNode(AsksLM):
    """Ask a language model; the answer is text, or has the fields of the prompt's schema."""

    type: Literal["llm"] = required("The type of the node.")


@attrs.frozen(kw_only=True, slots=False)
class RouterNode(AsksLM):
    """Ask a language model where to go on. A router has no edges of its own: its routes are its edges."""

    type: Literal["router"] = required("The type of the node.")
    routes: dict[str, str] = required(
        "The node that follows, or END, by the value of the route field.", validator=attrs.validators.min_len(1)
    )
    route_field: str = option("route", "The field of the answer that says which route to take.")
    default_route: str | None = option(None, "The node that follows where the answer names no route.")


@attrs.frozen(kw_only=True, slots=False)
class AgentNode(AsksLM):
    """Ask a language model that may call tools before it answers."""

    type: Literal["agent"] = required("The type of the node.")
    tools: list[str] = required(
        "The functions that the model may call, as `module:name` or `./file.py:name`.",
        validator=attrs.validators.min_len(1),
    )
    max_turns: int = option(10, "How often the model may call tools, at most.", validator=attrs.validators.ge(1))


@attrs.frozen(kw_only=True, slots=False)
class ToolNode(WritesOneKey):
    """Call a typed function with arguments that are checked against its hints."""

    type: Literal["tool"] = required("The type of the node.")
    tool: str = required("The function, as `module:name` or `./file.py:name`.")
    arguments: dict[str, Any] = option(
        None, "The arguments by parameter: values, with `{expressions}` in texts.", factory=dict
    )


@attrs.frozen(kw_only=True, slots=False)
class PythonNode(WritesOneKey):
    """Call a function, sync or async. Its parameters get `arguments`, else the state keys of their names.

    A parameter `state` gets the whole state. Without a state key, the function returns a mapping of state keys to
    values, or nothing.
    """

    type: Literal["python"] = required("The type of the node.")
    function: str = required("The function, as `module:name` or `./file.py:name`.")
    arguments: dict[str, Any] = option(
        None, "Arguments by parameter: values, with `{expressions}` in texts.", factory=dict
    )
    offload: Literal["thread", "inline", "process"] | None = option(
        None,
        "Where a function that is not async runs: in a worker `thread` (the default), `inline` where it is cheap, in "
        "a `process` of its own where it must be killable.",
    )


@attrs.frozen(kw_only=True, slots=False)
class ShellNode(WritesOneKey):
    """Run a program, without a shell: every expression is part of one argument, whatever is in its value."""

    type: Literal["shell"] = required("The type of the node.")
    command: str | list[str] = required("The program and its arguments; a text is split as a shell would, then filled.")
    env: dict[str, str] = option(None, "Environment variables that the program gets as well.", factory=dict)
    cwd: str | None = option(None, "The folder that it runs in, relative to the graph. Default: the graph's own.")
    stdin: str | None = option(None, "What it reads from standard input.")
    parse: Literal["text", "lines", "json"] = option("text", "How its standard output becomes the result.")
    success: list[int] = option(None, "The exit statuses that are no failure.", factory=lambda: [0])


@attrs.frozen(kw_only=True, slots=False)
class MapNode(NodeBase):
    """Run a node for each item of a list, many at once; results are collected in the order of the items.

    Each item is recorded on its own, so that a resume runs only what is missing.
    """

    type: Literal["map"] = required("The type of the node.")
    over: str = required("An `{expression}` that gives the list.")
    as_: str = option("item", "The name that expressions of the inner node have for the item.", key="as")
    index: str | None = option(None, "The name that they have for its place, counted from 0.")
    node: NodeSpec = required("The node that is run for each item.")
    collect: str | None = option(None, "The state key that the list of results is written to.")
    max_concurrency: int | None = option(8, "How many items are worked on at once.", validator=AT_LEAST_ONE)


@attrs.frozen(kw_only=True, slots=False)
class InterruptNode(NodeBase):
    """Ask a person: the run stops, and goes on with the answer."""

    type: Literal["interrupt"] = required("The type of the node.")
    message: str = required("The question, with `{expressions}`.")
    resume_key: str = required("The state key that the answer is written to; its type is the type of the answer.")
    skip_if_exists: bool = option(False, "Whether not to ask where the key has a value other than null.")


@attrs.frozen(kw_only=True, slots=False)
class SubgraphNode(WritesOneKey):
    """Run another graph: a YAML file, or a typed graph or a compiled one of a Python module."""

    type: Literal["subgraph"] = required("The type of the node.")
    graph: str = required("A YAML file relative to this one, or `module:name`.")
    input: dict[str, Any] | None = option(
        None,
        "What it begins with, by its state keys (or fields of the start node): values, with `{expressions}` in texts. "
        "Default: the state keys that both declare.",
    )
    output: dict[str, str] = option(
        None, "State keys of this graph, each with the key (or field) of the other that it gets.", factory=dict
    )


@attrs.frozen(kw_only=True, slots=False)
class PassthroughNode(NodeBase):
    """Compute values, or only join branches."""

    type: Literal["passthrough"] = required("The type of the node.")
    output: dict[str, Any] = option(
        None, "State keys and what is written to them: values, with `{expressions}` in texts.", factory=dict
    )


@attrs.frozen(kw_only=True, slots=False)
class RaceNode(WritesOneKey):
    """Run several nodes at once and take the first that succeeds; the others are cancelled, also on the wire."""

    type: Literal["race"] = required("The type of the node.")
    nodes: dict[str, NodeSpec] = required("The nodes that race, by name.", validator=attrs.validators.min_len(2))
    winner_key: str | None = option(None, "A state key that the winner's name is written to.")


NodeSpec = (
    LLMNode
    | RouterNode
    | AgentNode
    | ToolNode
    | PythonNode
    | ShellNode
    | MapNode
    | InterruptNode
    | SubgraphNode
    | PassthroughNode
    | RaceNode
)

NODE_TYPES: dict[str, type[NodeBase]] = {
    "llm": LLMNode,
    "router": RouterNode,
    "agent": AgentNode,
    "tool": ToolNode,
    "python": PythonNode,
    "shell": ShellNode,
    "map": MapNode,
    "interrupt": InterruptNode,
    "subgraph": SubgraphNode,
    "passthrough": PassthroughNode,
    "race": RaceNode,
}
