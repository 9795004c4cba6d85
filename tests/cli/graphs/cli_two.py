"""A module with two graphs."""

from dagflow import Graph, Node


class One(Node):
    async def __call__(self) -> None: ...


class Two(Node):
    async def __call__(self) -> None: ...


first = Graph(start=One)
second = Graph(start=Two)
