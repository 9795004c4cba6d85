"""A graph whose two dependencies fail, one of them while it is cancelled."""

import anyio

from dagflow import Graph, Node, dep


async def first() -> int:
    await anyio.sleep(0.01)
    raise ValueError("the first reason")


async def second() -> int:
    try:
        await anyio.sleep_forever()
    finally:
        raise KeyError("the second reason")


class Begin(Node):
    async def __call__(self) -> "Fail":
        return Fail()


class Fail(Node):
    first: int = dep(first)
    second: int = dep(second)

    async def __call__(self) -> None: ...


class Exit(Node):
    """Ends the program on its own account."""

    async def __call__(self) -> None:
        raise SystemExit(7)


graph = Graph(start=Begin)
exiting = Graph(start=Exit)
