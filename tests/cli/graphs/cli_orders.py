"""Graphs whose runs are recorded: one that asks, one that fails until it is mended, one that takes its time."""

import enum
import os
import sys
from pathlib import Path
from typing import Annotated

import anyio
import attrs

from dagflow import Gate, Graph, Node, dep, gate
from dagflow.testing import ScriptedLM


class Speed(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@attrs.frozen
class Address:
    street: str
    number: int


def say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


async def price() -> int:
    say("price called")
    return 20


class Order(Node):
    item: str = "hat"

    async def __call__(self) -> "Shipment":
        say("Order called")
        return Shipment(item=self.item)


class Shipment(Node):
    item: str
    price: int = dep(price)
    size: str = gate("Which size?")

    async def __call__(self) -> "Sent":
        say("Shipment called")
        return Sent(text=f"{self.item} {self.size} for {self.price}")


class Sent(Node):
    text: str

    async def __call__(self) -> None: ...


class Delivery(Node):
    """Asks for all kinds of things at once."""

    speed: Annotated[Speed, Gate("How fast?")]
    to: Annotated[Address, Gate("Where to?")]
    parcels: Annotated[int, Gate("How many?")]

    async def __call__(self) -> None: ...


class Ask(Node):
    size: Annotated[str, Gate("Which size?")]

    async def __call__(self) -> "Told": ...


class Told(Node):
    """Filled by a language model, after a person has answered."""

    text: str

    async def __call__(self) -> None: ...


class Mend(Node):
    item: str = "hat"

    async def __call__(self) -> "Broken":
        say("Mend called")
        return Broken()


class Broken(Node):
    async def __call__(self) -> None:
        if not os.environ.get("CLI_MENDED"):
            raise ValueError("not mended yet")


class Slow(Node):
    """Goes round until a file is there, and then once more."""

    gate: str
    turn: int = 0

    async def __call__(self) -> "Slow | None":
        if self.turn and Path(self.gate).exists():
            return None
        await anyio.sleep(0.005)
        return Slow(gate=self.gate, turn=self.turn + 1)


def scripted_lm() -> ScriptedLM:
    return ScriptedLM({"Told": {"text": "scripted"}})


orders = Graph(start=Order)
deliveries = Graph(start=Delivery)
asking = Graph(start=Ask)
mending = Graph(start=Mend)
slow = Graph(start=Slow, max_steps=None)
