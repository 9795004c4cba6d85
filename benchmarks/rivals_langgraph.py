"""LangGraph: a compiled `StateGraph`, without a checkpointer."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Send

from benchmarks.measure import Call
from benchmarks.shapes import Shape

NAME = "LangGraph"


class Total(TypedDict):
    """One key with a reducer: a key for each node would cost it much more."""

    total: Annotated[int, operator.add]


class Count(TypedDict):
    count: int


async def nothing(state: Total) -> dict[str, int]:
    return {"total": 1}


async def checkpoint(state: Total) -> dict[str, int]:
    await asyncio.sleep(0)
    return {"total": 1}


async def sleep(state: Total) -> dict[str, int]:
    await asyncio.sleep(0.01)
    return {"total": 1}


NODES: dict[str, Callable[[Total], Any]] = {"no-op": nothing, "checkpoint": checkpoint, "10 ms sleep": sleep}


async def build(shape: Shape, work: str) -> Call:
    """Each node adds one to the total, which is the number of nodes in the end."""
    graph = StateGraph(Total)
    for number, sources in enumerate(shape.sources):
        graph.add_node(f"d{number}", NODES[work])
        for source in sources:
            graph.add_edge(f"d{source}", f"d{number}")
        if not sources:
            graph.add_edge(START, f"d{number}")
    graph.add_node("target", nothing)
    for source in shape.last:
        graph.add_edge(f"d{source}", "target")
    graph.add_edge("target", END)
    compiled = graph.compile()

    async def run() -> Any:
        state = await compiled.ainvoke({"total": 0}, {"recursion_limit": len(shape.levels) + 10})
        return state["total"] - 1

    return run


def loop(turns: int) -> Call:
    async def turn(state: Count) -> Count:
        return {"count": state["count"] + 1}

    def follow(state: Count) -> str:
        return "turn" if state["count"] < turns else END

    graph = StateGraph(Count)
    graph.add_node("turn", turn)
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", follow, ["turn", END])
    compiled = graph.compile()

    async def run() -> Any:
        return (await compiled.ainvoke({"count": 0}, {"recursion_limit": turns + 10}))["count"]

    return run


def sequence(nodes: int) -> Call:
    """So many nodes of their own, one after another."""
    graph = StateGraph(Total)
    names = [f"n{number}" for number in range(nodes)]
    for name in names:
        graph.add_node(name, nothing)
    for source, target in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(source, target)
    compiled = graph.compile()

    async def run() -> Any:
        return await compiled.ainvoke({"total": 0}, {"recursion_limit": nodes + 10})

    return run


def wide(width: int) -> Call:
    """A node that leads to so many, and one that joins them."""
    graph = StateGraph(Total)
    names = [f"n{number}" for number in range(width)]
    for name in ("first", *names, "last"):
        graph.add_node(name, nothing)
    graph.add_edge(START, "first")
    for name in names:
        graph.add_edge("first", name)
        graph.add_edge(name, "last")
    graph.add_edge("last", END)
    compiled = graph.compile()

    async def run() -> Any:
        return await compiled.ainvoke({"total": 0})

    return run


def fanouts(width: int) -> Call:
    """A node that sends so many items to a compiled subgraph of two nodes each."""
    inner = StateGraph(Total)
    inner.add_node("one", nothing)
    inner.add_node("two", nothing)
    inner.add_edge(START, "one")
    inner.add_edge("one", "two")
    inner.add_edge("two", END)
    child = inner.compile()

    async def run_child(state: Total) -> dict[str, int]:
        await child.ainvoke({"total": 0})
        return {"total": 1}

    def send(state: Total) -> list[Send]:
        return [Send("child", {"total": number}) for number in range(width)]

    graph = StateGraph(Total)
    graph.add_node("first", nothing)
    graph.add_node("child", run_child)
    graph.add_edge(START, "first")
    graph.add_conditional_edges("first", send, ["child"])
    graph.add_edge("child", END)
    compiled = graph.compile()

    async def run() -> Any:
        return await compiled.ainvoke({"total": 0})

    return run
