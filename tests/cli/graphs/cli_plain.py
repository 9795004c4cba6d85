"""A graph that needs no language model: a place and a greeting, then both in one."""

import datetime
import enum
from typing import Annotated

import attrs

from dagflow import Dep, Graph, Node, dep, field, progress


class Tone(enum.Enum):
    WARM = "warm"
    COOL = "cool"


@attrs.frozen
class Place:
    city: str
    seen: datetime.date


class Client:
    """What has no form in JSON."""


async def place() -> Place:
    return Place("Reykjavík", datetime.date(2026, 10, 14))


async def greeting(place: Annotated[Place, Dep(place)]) -> str:
    return f"Hello, {place.city}"


async def client() -> Client:
    return Client()


class Begin(Node):
    name: str
    times: int = 1
    tone: Tone = Tone.WARM

    async def __call__(self) -> "Greet":
        await progress("looking around", 0.5)
        return Greet(name=self.name, token="s3cret")


class Greet(Node):
    name: str
    token: str = field(repr=False)
    greeting: str = dep(greeting)
    place: Place = dep(place)
    client: Client = dep(client)

    async def __call__(self) -> None: ...


graph = Graph(start=Begin)
