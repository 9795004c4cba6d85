"""Shapes of dependencies, and the functions that have them, made from source text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random
from typing import Annotated, Any

import anyio
import attrs
import trio

from dagflow import Dep

Function = Callable[..., Any]
WORKS = ("no-op", "checkpoint", "10 ms sleep")
STATEMENTS = {
    ("no-op", "asyncio"): "",
    ("no-op", "trio"): "",
    ("checkpoint", "asyncio"): "await asyncio.sleep(0)",
    ("checkpoint", "trio"): "await trio.lowlevel.checkpoint()",
    ("10 ms sleep", "asyncio"): "await asyncio.sleep(0.01)",
    ("10 ms sleep", "trio"): "await trio.sleep(0.01)",
}


@attrs.frozen
class Shape:
    """What reads what, by number. `last` is what the target, which is not counted in, reads."""

    name: str
    sources: tuple[tuple[int, ...], ...]
    levels: tuple[tuple[int, ...], ...]
    last: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.sources)


@attrs.frozen
class Functions:
    """The functions of a shape. `target` reads the last ones and gives `expected`."""

    shape: Shape
    each: tuple[Function, ...]
    target: Function
    expected: int


def shape_of(name: str, sources: Sequence[tuple[int, ...]]) -> Shape:
    """Work out the levels; whatever nothing else reads is read by the target."""
    depth: list[int] = []
    for reads in sources:
        depth.append(1 + max((depth[number] for number in reads), default=-1))
    levels: list[list[int]] = [[] for _ in range(max(depth) + 1)]
    for number, level in enumerate(depth):
        levels[level].append(number)
    read = {number for reads in sources for number in reads}
    last = tuple(number for number in range(len(sources)) if number not in read)
    return Shape(name, tuple(sources), tuple(map(tuple, levels)), last)


def chain(size: int) -> Shape:
    return shape_of("chain", [(number - 1,) if number else () for number in range(size)])


def wide(size: int) -> Shape:
    return shape_of("wide", [()] * size)


def layered(size: int) -> Shape:
    """Ten levels (five, at a size of ten), each node reading two of the level before."""
    width = max(2, size // 10)
    sources: list[tuple[int, ...]] = [()] * width
    for number in range(width, size):
        first = number - number % width - width
        sources.append((first + number % width, first + (number + 1) % width))
    return shape_of("layered", sources)


def scattered(size: int, random: Random) -> Shape:
    """Each node reads up to three of those before it."""
    sources = [tuple(sorted(random.sample(range(n), random.randint(0, min(3, n))))) for n in range(size)]
    return shape_of("random", sources)


SHAPES = {"chain": chain, "wide": wide, "layered": layered}


def statement(work: str, backend: str) -> Callable[[int], str]:
    text = STATEMENTS[work, backend]
    return lambda number: text


def with_dependencies(shape: Shape, body: Callable[[int], str]) -> Functions:
    """Define functions whose parameters are dependencies; by hand they are called by position."""
    return define(shape, body, lambda number: f"d{number}: Annotated[int, Dep(d{number})]")


def with_names_only(shape: Shape, body: Callable[[int], str]) -> Functions:
    """Define functions whose parameters are named like the functions that give them."""
    return define(shape, body, lambda number: f"d{number}: int")


def define(shape: Shape, body: Callable[[int], str], parameter: Callable[[int], str]) -> Functions:
    namespace: dict[str, Any] = {
        "anyio": anyio,
        "asyncio": asyncio,
        "trio": trio,
        "Annotated": Annotated,
        "Dep": Dep,
    }
    lines: list[str] = []
    for number, reads in enumerate(shape.sources):
        given = " + ".join(["1", *(f"d{source}" for source in reads)])
        lines.append(f"async def d{number}({', '.join(map(parameter, reads))}) -> int:")
        lines.append(f"    {body(number) or 'pass'}")
        lines.append(f"    return {given}")
    names = ", ".join(f"d{number}" for number in shape.last)
    lines.append(f"async def target({', '.join(map(parameter, shape.last))}) -> int:\n    return sum(({names},))")
    exec(compile("\n".join(lines), f"<{shape.name} of {shape.size}>", "exec", dont_inherit=True), namespace)
    values: list[int] = []
    for reads in shape.sources:
        values.append(1 + sum(values[number] for number in reads))
    each = tuple(namespace[f"d{number}"] for number in range(shape.size))
    return Functions(shape, each, namespace["target"], sum(values[number] for number in shape.last))
