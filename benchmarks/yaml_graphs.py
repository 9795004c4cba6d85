"""Measure YAML graphs beside LangGraph: time a node, fan-outs of a subgraph, loading, and events over HTTP."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from benchmarks import rivals_langgraph as langgraph
from benchmarks import yaml_files, yaml_http
from benchmarks.measure import Call, milliseconds, seconds_each
from benchmarks.section import Section, Table, Verdict, at_most
from dagflow import load_and_compile

OURS = "dagflow, YAML"
LIMIT = 0.1
LOAD_LIMIT = 300.0
TEXT = """\
Graphs of no-op nodes, without a store. From YAML, a node is a `python` node whose async function returns at once and
writes one state key with a reducer, and LangGraph's node does the same; `passthrough` evaluates an expression instead.
In sequence, each has a thousand nodes of their own; wide, one node leads to a hundred and one joins them. A fan-out
maps a list of a hundred over a subgraph of two nodes; LangGraph sends a hundred `Send`s to a compiled subgraph.

Loading reads, checks and plans a file of a thousand nodes and a thousand edges; nothing in it is cached.

Over HTTP, the server is uvicorn on asyncio and hypercorn on trio, in a process of its own on this machine, and the
events are those of a graph of two hundred no-op nodes. The first token is timed from the request to the first piece
of text, of the language model's server alone and through the service that streams what it gets; the difference is what
is added.
"""


def measure(*, short: bool) -> Section:
    repeats = 3 if short else 7
    nodes, width = (100, 20) if short else (1_000, 100)
    with TemporaryDirectory(prefix="dagflow-bench-") as folder:
        engines, verdicts = _engines(Path(folder), nodes=nodes, width=width, repeats=repeats)
        loading, loaded = _loading(Path(folder), nodes=1_000, repeats=repeats)
        tables, added = yaml_http.measure(Path(folder), short=short, repeats=repeats)
    return Section("YAML graphs", TEXT, [engines, loading, *tables], [*verdicts, loaded, *added])


def _engines(folder: Path, *, nodes: int, width: int, repeats: int) -> tuple[Table, list[Verdict]]:
    shapes: dict[str, tuple[int, dict[str, Call], Call]] = {
        f"{nodes:,} in sequence": (nodes, _ours(folder, "sequence", nodes), _rival_sequence(nodes)),
        f"{width} wide": (width + 2, _ours(folder, "wide", width), _rival_wide(width)),
        f"{width} fan-outs of a subgraph": (2 * width, _fanouts(folder, width), _rival_fanouts(width)),
    }
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for name, (count, ours, rival) in shapes.items():
        on_asyncio = anyio.run(partial(seconds_each, {**ours, langgraph.NAME: rival}, repeats=repeats))
        theirs = on_asyncio.pop(langgraph.NAME)
        on_trio = anyio.run(partial(seconds_each, ours, repeats=repeats), backend="trio")
        for backend, found in (("asyncio", on_asyncio), ("trio", on_trio)):
            for kind, seconds in found.items():
                ratio = seconds / theirs
                rows.append([name, f"{OURS}, {kind}", backend, f"{seconds / count * 1e6:.1f}", f"{ratio:.3f}"])
                verdicts.append(at_most(f"a node from YAML / LangGraph, {name}: {kind}, {backend}", ratio, LIMIT))
        rows.append([name, langgraph.NAME, "asyncio", f"{theirs / count * 1e6:.1f}", "-"])
    header = ["shape", "engine", "backend", "us a node", f"ratio to {langgraph.NAME}"]
    return Table(header, rows, "Time a node"), verdicts


async def _nothing() -> int:
    return 1


def _ours(folder: Path, shape: str, size: int) -> dict[str, Call]:
    found: dict[str, Call] = {}
    for kind, body in (("python", yaml_files.PYTHON), ("passthrough", yaml_files.PASSTHROUGH)):
        path = folder / f"{shape}_{kind}.yaml"
        path.write_text(yaml_files.graph(shape, size, body), encoding="utf-8")
        graph = load_and_compile(path, functions={"nothing": _nothing})

        async def run(graph: Any = graph) -> Any:
            result = await graph.run({"total": 0}, max_steps=size + 10)
            assert result.state["total"] >= size
            return result

        found[kind] = run
    return found


def _fanouts(folder: Path, width: int) -> dict[str, Call]:
    (folder / "child.yaml").write_text(yaml_files.CHILD, encoding="utf-8")
    path = folder / "fanout.yaml"
    path.write_text(yaml_files.FANOUT, encoding="utf-8")
    graph = load_and_compile(path, functions={"nothing": _nothing})

    async def run() -> Any:
        result = await graph.run({"items": list(range(width))})
        assert len(result.state["found"]) == width
        return result

    return {"map of a subgraph": run}


def _rival_sequence(nodes: int) -> Call:
    return langgraph.sequence(nodes)


def _rival_wide(width: int) -> Call:
    return langgraph.wide(width)


def _rival_fanouts(width: int) -> Call:
    return langgraph.fanouts(width)


def _loading(folder: Path, *, nodes: int, repeats: int) -> tuple[Table, Verdict]:
    path = folder / "large.yaml"
    path.write_text(yaml_files.graph("sequence", nodes, yaml_files.PASSTHROUGH), encoding="utf-8")
    taken = milliseconds(lambda: partial(load_and_compile, path), repeats=repeats)
    size = path.stat().st_size / 1024
    row = [f"{nodes:,} nodes, {nodes + 1:,} edges, {size:.0f} kB", f"{taken:.0f}"]
    claim = f"loading and checking a YAML graph of {nodes:,} nodes"
    return Table(["file", "ms"], [row], "Loading"), at_most(claim, taken, LOAD_LIMIT, " ms")
