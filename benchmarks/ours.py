"""dagflow, in the ways that are measured."""

from __future__ import annotations

from typing import Any, Literal

from benchmarks.measure import Call
from benchmarks.shapes import Functions
from dagflow import Graph, Node, dep, resolve_dep


def by_resolving(functions: Functions, schedule: Literal["levels", "eager"]) -> Call:
    async def run() -> Any:
        return await resolve_dep(functions.target, schedule=schedule)

    return run


def by_running_a_graph(functions: Functions) -> Call:
    """A graph of one node that depends on the target; every dependency leaves two events in the journal."""
    target = functions.target

    class Ask(Node):
        value: int = dep(target)

        async def __call__(self) -> None:
            pass

    graph = Graph(Ask)

    async def run() -> Any:
        result = await graph.run(Ask())
        assert isinstance(result.node, Ask)
        return result.node.value

    return run


def loop(turns: int) -> Call:
    """A node that follows itself, and at last a terminal one."""

    class Done(Node):
        count: int

        async def __call__(self) -> None:
            pass

    class Turn(Node):
        count: int

        async def __call__(self) -> Turn | Done:
            count = self.count + 1
            return Turn(count=count) if count < turns else Done(count=count)

    graph = Graph(Turn, max_steps=None, namespace={"Turn": Turn, "Done": Done})

    async def run() -> Any:
        result = await graph.run(Turn(count=0))
        assert len(result.events) > 2 * turns
        assert isinstance(result.node, Done)
        return result.node.count

    return run
