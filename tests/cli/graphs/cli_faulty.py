"""A graph with two faults."""

from dagflow import Graph, Node


class Loop(Node):
    async def __call__(self) -> "Loop | Other": ...


class Other(Node):
    x: "Missing"  # type: ignore[name-defined]  # noqa: F821  # one of the faults

    async def __call__(self) -> Loop: ...


graph = Graph(start=Loop)
