"""Gathering what rules look at: prompts are loaded and functions found, as far as they are there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from dagflow.core.answers import InvalidAnswer
from dagflow.core.functions import Function
from dagflow.declarative.compiling.faults import Faults, Place
from dagflow.declarative.compiling.loading import LoadedFile, Surroundings
from dagflow.declarative.compiling.state import compile_state
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import PlacedNode, placed_nodes
from dagflow.declarative.locating import Locator
from dagflow.declarative.model import AgentNode, LLMNode, PythonNode, RouterNode, ToolNode
from dagflow.declarative.prompts.files import LoadedPrompt, load_prompt, prompt_of
from dagflow.errors import GraphError

__all__ = ["gather"]

T = TypeVar("T")


def gather(loaded: LoadedFile, surroundings: Surroundings) -> LintSubject:
    """Find what a graph file names. What is not there, or faulty, is left out: the compiler tells it."""
    base = loaded.path.parent
    locator = Locator(base, surroundings.root, surroundings.functions)
    prompts: dict[Place, LoadedPrompt] = {}
    functions: dict[Place, Function] = {}
    tools: dict[Place, Any] = {}
    for node in placed_nodes(loaded.spec):
        spec = node.spec
        if isinstance(spec, (LLMNode, RouterNode, AgentNode)):
            _keep(prompts, node.place, lambda node=node: _prompt(node, base, surroundings.root, locator))  # type: ignore[misc]
        if isinstance(spec, (PythonNode, ToolNode)):
            text = spec.function if isinstance(spec, PythonNode) else spec.tool
            _keep(functions, node.place, lambda text=text: Function.of(locator.find(text)))  # type: ignore[misc]
        for index, text in enumerate(spec.tools) if isinstance(spec, AgentNode) else ():
            _keep(tools, node.place / "tools" / index, lambda text=text: locator.find(text))  # type: ignore[misc]
    return LintSubject(
        path=loaded.path,
        document=loaded.document,
        spec=loaded.spec,
        schema=compile_state(loaded.spec, locator, Faults()),
        root=surroundings.root,
        environment=surroundings.environment,
        prompts=prompts,
        functions=functions,
        tools=tools,
    )


def _keep(found: dict[Place, T], place: Place, find: Callable[[], T]) -> None:
    with suppress(InvalidAnswer, GraphError, ValueError, ImportError, TypeError):
        found[place] = find()


def _prompt(node: PlacedNode, base: Path, root: Path, locator: Locator) -> LoadedPrompt:
    spec = node.spec
    assert isinstance(spec, (LLMNode, RouterNode, AgentNode))
    if isinstance(spec.prompt, str):
        return load_prompt(spec.prompt, base=base, root=root, find_class=locator.find)
    return prompt_of(spec.prompt, name=node.owner, find_class=locator.find)
