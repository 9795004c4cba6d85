"""LangGraph with its checkpointers: in memory, and SQLite by way of aiosqlite."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, TypedDict

import attrs
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph

from benchmarks.measure import Call
from dagflow.types import Durability

NAME = "LangGraph"
Opened = Callable[[], AbstractAsyncContextManager[Any]]


class Count(TypedDict):
    count: int
    text: str


class Total(TypedDict):
    """One key with a reducer: a key for each node would cost it much more."""

    total: Annotated[int, operator.add]
    text: str


@attrs.frozen
class Work:
    """A graph that is not compiled, what it begins with, and the key that counts the nodes in the end."""

    graph: Any
    start: dict[str, Any]
    key: str
    steps: int


def loop(turns: int, text: str) -> Work:
    """A node that follows itself."""

    async def turn(state: Count) -> dict[str, int]:
        return {"count": state["count"] + 1}

    def follow(state: Count) -> str:
        return "turn" if state["count"] < turns else END

    graph = StateGraph(Count)
    graph.add_node("turn", turn)
    graph.add_edge(START, "turn")
    graph.add_conditional_edges("turn", follow, ["turn", END])
    return Work(graph, {"count": 0, "text": text}, "count", turns)


def chain(size: int, text: str) -> Work:
    """Nodes of their own, one after another."""

    async def step(state: Count) -> dict[str, int]:
        return {"count": state["count"] + 1}

    graph = StateGraph(Count)
    for number in range(size):
        graph.add_node(f"d{number}", step)
        graph.add_edge(f"d{number - 1}" if number else START, f"d{number}")
    graph.add_edge(f"d{size - 1}", END)
    return Work(graph, {"count": 0, "text": text}, "count", size)


def wide(width: int, text: str) -> Work:
    async def one(state: Total) -> dict[str, int]:
        return {"total": 1}

    async def end(state: Total) -> dict[str, int]:
        return {}

    graph = StateGraph(Total)
    graph.add_node("begin", end)
    graph.add_node("target", end)
    graph.add_edge(START, "begin")
    for number in range(width):
        graph.add_node(f"d{number}", one)
        graph.add_edge("begin", f"d{number}")
        graph.add_edge(f"d{number}", "target")
    graph.add_edge("target", END)
    return Work(graph, {"total": 0, "text": text}, "total", 3)


@asynccontextmanager
async def no_saver() -> AsyncIterator[None]:
    yield None


@asynccontextmanager
async def memory() -> AsyncIterator[InMemorySaver]:
    yield InMemorySaver()


@asynccontextmanager
async def sqlite(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """A saver as its own `from_conn_string` makes it, and as strict about the disk as ours."""
    async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
        await saver.setup()
        for name, wanted in (("journal_mode", "wal"), ("synchronous", 2)):
            async with saver.conn.execute(f"PRAGMA {name}") as cursor:
                (found,) = await cursor.fetchone() or ("nothing",)
            if found != wanted:
                raise AssertionError(f"LangGraph's saver has {name} = {found}, and ours {wanted}")
        yield saver


@asynccontextmanager
async def new_sqlite(folder: Path) -> AsyncIterator[AsyncSqliteSaver]:
    with TemporaryDirectory(dir=folder) as name:
        async with sqlite(Path(name) / "checkpoints.db") as saver:
            yield saver


@asynccontextmanager
async def prepare(work: Work, opened: Opened, durability: Durability) -> AsyncIterator[Call]:
    async with opened() as saver:
        compiled = work.graph.compile(checkpointer=saver)
        config = {"recursion_limit": work.steps + 10, "configurable": {"thread_id": "thread"}}
        options = {} if saver is None else {"durability": durability}

        async def run() -> int:
            count: int = (await compiled.ainvoke(dict(work.start), config, **options))[work.key]
            return count

        yield run
