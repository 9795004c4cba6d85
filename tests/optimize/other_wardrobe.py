"""A graph with names like the wardrobe's, and other fields."""

from dagflow import Graph, Node


class Asked(Node):
    message: str

    async def __call__(self) -> "Outfit | None": ...


class Outfit(Node):
    top: str
    layers: str

    async def __call__(self) -> None: ...


GRAPH = Graph(Asked)
