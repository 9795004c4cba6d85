"""pydantic-graph, with its builder for chains and fan-outs and with node classes for loops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pydantic_graph import BaseNode, End, GraphBuilder, GraphRunContext, reduce_sum

from benchmarks.measure import Call
from benchmarks.shapes import Shape

NAME = "pydantic-graph"
Context = Any  # `StepContext[state, deps, input]`


async def nothing(context: Context) -> int:
    return context.inputs + 1


async def checkpoint(context: Context) -> int:
    await asyncio.sleep(0)
    return context.inputs + 1


async def sleep(context: Context) -> int:
    await asyncio.sleep(0.01)
    return context.inputs + 1


STEPS: dict[str, Callable[[Context], Awaitable[int]]] = {
    "no-op": nothing,
    "checkpoint": checkpoint,
    "10 ms sleep": sleep,
}


async def build(shape: Shape, work: str) -> Call:
    """Raises `NotImplementedError` for layers: its joins need a fork that dominates them, and these have none."""
    if shape.name == "layered":
        raise NotImplementedError("a join of two branches of different forks cannot be declared")
    builder: Any = GraphBuilder(input_type=int, output_type=int)
    steps = [builder.step(STEPS[work], node_id=f"d{number}") for number in range(shape.size)]
    if shape.name == "wide":
        join = builder.join(reduce_sum, initial=0)
        builder.add(
            builder.edge_from(builder.start_node).to(*steps),
            builder.edge_from(*steps).to(join),
            builder.edge_from(join).to(builder.end_node),
        )
    else:
        ends = [builder.start_node, *steps, builder.end_node]
        for source, follower in pairwise(ends):
            builder.add(builder.edge_from(source).to(follower))
    graph = builder.build()

    async def run() -> Any:
        return await graph.run(inputs=0)

    return run


TURNS = 0


@dataclass
class Turn(BaseNode[None, None, int]):
    count: int

    async def run(self, ctx: GraphRunContext[None, None]) -> Turn | End[int]:
        count = self.count + 1
        return Turn(count) if count < TURNS else End(count)


def loop(turns: int) -> Call:
    global TURNS  # its node classes must stand in the module, where their hints are looked up
    TURNS = turns
    builder: Any = GraphBuilder(input_type=Turn, output_type=int)
    builder.add(builder.edge_from(builder.start_node).to(Turn), builder.node(Turn))
    graph = builder.build()

    async def run() -> Any:
        return await graph.run(inputs=Turn(0))

    return run
