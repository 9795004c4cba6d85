"""The YAML graphs of the benchmarks."""

from __future__ import annotations

from typing import Final

PYTHON: Final = "{type: python, function: nothing, state_key: total}"
PASSTHROUGH: Final = '{type: passthrough, output: {total: "{1}"}}'

CHILD: Final = """\
nodes:
  one: {type: python, function: nothing, state_key: a}
  two: {type: python, function: nothing, state_key: b}
edges: [{from: START, to: one}, {from: one, to: two}, {from: two, to: END}]
"""

FANOUT: Final = """\
state: {items: any, found: any}
nodes:
  fan: {type: map, over: "{items}", collect: found, max_concurrency: 1000,
        node: {type: subgraph, graph: child.yaml, state_key: both}}
edges: [{from: START, to: fan}, {from: fan, to: END}]
"""


def graph(shape: str, size: int, node: str) -> str:
    """A graph of `size` nodes in sequence, or of so many between two others."""
    names = [f"n{number}" for number in range(size)]
    if shape == "wide":
        edges = [("START", "first"), *(("first", name) for name in names), *((name, "last") for name in names)]
        edges.append(("last", "END"))
        names = ["first", *names, "last"]
    else:
        edges = list(zip(["START", *names], [*names, "END"], strict=True))
    lines = ["state: {total: {type: int, reducer: add}}", "nodes:"]
    lines += [f"  {name}: {node}" for name in names]
    lines += ["edges:", *(f"  - {{from: {source}, to: {target}}}" for source, target in edges)]
    return "\n".join(lines) + "\n"
