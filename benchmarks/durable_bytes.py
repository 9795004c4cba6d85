"""Bytes a node that a run leaves in its store, by how long the run was."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from random import Random
from string import ascii_letters
from tempfile import TemporaryDirectory

import anyio
import attrs

from benchmarks import durable_langgraph as langgraph
from benchmarks import durable_work as ours
from benchmarks.section import FLAT, Table, Verdict, at_most
from dagflow.store.sqlite import SQLiteStore

LARGE = "".join(Random(1).choices(ascii_letters, k=10_000))
TEXTS = {"200 characters": ours.TEXT, "10,000 characters": LARGE}
GRAPHS = {"a node that loops": (ours.loop, langgraph.loop), "nodes of their own": (ours.chain, langgraph.chain)}
CAPTION = "Bytes a node, after VACUUM"


@attrs.frozen
class Stored:
    """Bytes a node: of the file, and of what was handed to SQLite."""

    file: float
    handed: float


def measure(folder: Path, *, sizes: Sequence[int], longest: int) -> tuple[Table, list[Verdict]]:
    """Both engines run for each of `sizes`; ours, where a node loops, for `longest` as well."""
    rows, verdicts = [], []
    for graph, (make, make_rival) in GRAPHS.items():
        for name, text in TEXTS.items():
            if name != "200 characters" and graph == "nodes of their own":
                continue
            found, rival = {}, {}
            for size in sizes:
                found[size] = of_ours(folder, make(size, text), size)
                rival[size] = of_langgraph(folder, make_rival(size, text), size)
            if graph == "a node that loops":
                found[longest] = of_ours(folder, make(longest, text), longest)
            rows += [row(graph, name, size, found[size], rival.get(size)) for size in found]
            verdicts += judge(f"{graph}, {name}", found, rival)
    header = ["graph", "state", "nodes", "dagflow: records and values", "dagflow: file", "LangGraph: file", "ratio"]
    return Table(header, rows, CAPTION), verdicts


def row(graph: str, name: str, size: int, found: Stored, rival: float | None) -> list[str]:
    theirs = ["-", "-"] if rival is None else [f"{rival:,.0f}", f"{found.file / rival:.3f}"]
    return [graph, name, f"{size:,}", f"{found.handed:,.0f}", f"{found.file:,.0f}", *theirs]


def judge(what: str, found: dict[int, Stored], rival: dict[int, float]) -> list[Verdict]:
    first, last, compared = min(found), max(found), max(rival)
    growth = found[last].handed / found[first].handed
    return [
        at_most(f"stored bytes a node at {last:,} / at {first:,}: {what}", growth, FLAT),
        at_most(f"stored bytes a node / LangGraph, at {compared:,}: {what}", found[compared].file / rival[compared], 1),
    ]


def of_ours(folder: Path, work: ours.Work, size: int) -> Stored:
    """What is recorded does not depend on when it is written, so it is written at once."""
    with TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "journals.db"
        assert anyio.run(work, SQLiteStore(path), "exit") == size
        with sqlite3.connect(path) as connection:
            (handed,) = connection.execute(
                "SELECT (SELECT sum(length(CAST(text AS BLOB))) FROM record)"
                " + (SELECT coalesce(sum(length(CAST(text AS BLOB))), 0) FROM value)"
            ).fetchone()
        connection.close()
        return Stored(after_vacuum(path) / size, handed / size)


def of_langgraph(folder: Path, work: langgraph.Work, size: int) -> float:
    with TemporaryDirectory(dir=folder) as name:
        path = Path(name) / "checkpoints.db"
        assert anyio.run(_run, work, path) == size
        return after_vacuum(path) / size


async def _run(work: langgraph.Work, path: Path) -> int:
    async with langgraph.prepare(work, partial(langgraph.sqlite, path), "sync") as run:
        count: int = await run()
        return count


def after_vacuum(path: Path) -> int:
    connection = sqlite3.connect(path)
    connection.execute("VACUUM")
    connection.close()  # which empties the write-ahead log into the file
    return path.stat().st_size
