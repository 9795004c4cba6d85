"""A graph to optimise, in a module of its own: another process loads what was optimised for it."""

from typing import Annotated

from dagflow import Dep, Graph, Node, NodeConfig, field


async def season() -> str:
    return "winter"


class Asked(Node):
    message: str

    async def __call__(self) -> "Outfit | Refusal | None": ...


class Outfit(Node):
    node_config = NodeConfig(instruction="Choose what to wear.")
    season: Annotated[str, Dep(season)]
    top: str = field(description="a garment")
    layers: int

    async def __call__(self) -> "Advice": ...


class Refusal(Node):
    reason: str

    async def __call__(self) -> None: ...


class Mood(Node):
    text: str

    async def __call__(self) -> None: ...


class Advice(Node):
    mood: Annotated[Mood, Dep(Mood)]
    text: str

    async def __call__(self) -> None: ...


GRAPH = Graph(Asked)
