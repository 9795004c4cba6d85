"""A graph of fifty nodes with forks, joins and two loops, whose every write tells all that its node has seen."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from itertools import pairwise
from typing import Any

import anyio.lowlevel

from dagflow.core.schedule import Activation
from durable.plain_graph import Here, PlainGraph

__all__ = ["ACTIVATIONS", "EDGES", "fifty_nodes"]


def _chain(*names: str) -> dict[str, tuple[str, ...]]:
    return {name: (following,) for name, following in pairwise(names)}


EDGES: Mapping[str, Sequence[str]] = {
    "start": ("a1", "b0", "c0"),
    # A long branch,
    **_chain("a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "d"),
    # a loop that forks and joins in each of its three turns,
    "b0": ("b1", "b2", "b3"),
    **_chain("b1", "b4"),
    **_chain("b2", "b4"),
    **_chain("b3", "b5", "b4"),
    "b4": ("b0", "b6"),
    "b6": ("d",),
    # and forks that meet, twice.
    "c0": ("c1", "c2", "c3", "c4"),
    **_chain("c1", "c5", "c9"),
    **_chain("c2", "c6", "c9"),
    **_chain("c3", "c7", "c9"),
    **_chain("c4", "c8", "c9"),
    "c9": ("c10", "c11"),
    **_chain("c10", "c12"),
    **_chain("c11", "c12", "d"),
    # After that a loop of two turns, each by another way, beside two plain branches.
    "d": ("d1",),
    "d1": ("e1", "e2", "e3"),
    "e1": ("g1", "g2"),
    **_chain("g1", "e4"),
    **_chain("g2", "e4"),
    "e4": ("e1", "e5"),
    "e5": ("z0",),
    **_chain("e2", "g3", "z0"),
    **_chain("e3", "e6", "e7", "e8", "z0"),
    **_chain("z0", "z1", "z2", "z3", "z4", "z5", "z6", "z7"),
    "z7": (),
}

ROUTES: Mapping[str, Callable[[int], str]] = {
    "b4": lambda turn: "b0" if turn < 3 else "b6",
    "e1": lambda turn: "g1" if turn < 2 else "g2",
    "e4": lambda turn: "e1" if turn < 2 else "e5",
}

TURNS = {**dict.fromkeys(("b0", "b1", "b2", "b3", "b4", "b5"), (1, 2, 3)), "b6": (3,), "e1": (1, 2), "e4": (1, 2)}
ACTIVATIONS = [f"{node}#{turn}" for node in EDGES for turn in {**TURNS, "g2": (2,), "e5": (2,)}.get(node, (1,))]
"""All that run, in declared order: a join counts its turns, any other node has its parent's number."""

LARGE = {"a3", "b2", "c6", "d1", "e4", "z3"}
"""The nodes that write values which a journal keeps apart."""


def fifty_nodes(note: Callable[[str], Awaitable[None]]) -> PlainGraph:
    """Make the graph; each call of a body tells `note` first."""
    return PlainGraph(edges=EDGES, bodies={}, default=partial(_work, note=note), name="fifty")


async def _work(here: Here, *, note: Callable[[str], Awaitable[None]]) -> dict[str, Any]:
    activation = here.activation
    await note(activation.id)
    for _ in range(activation.k):  # so that branches overtake each other
        await anyio.lowlevel.checkpoint()
    writes: dict[str, Any] = {activation.node: _seen(activation, here.state)}
    if activation.node in ROUTES:
        writes["go"] = (ROUTES[activation.node](activation.k),)
    return writes


def _seen(activation: Activation, state: Mapping[str, Any]) -> str:
    """Digest what an activation sees, which holds the digests of what all before it saw."""
    seen = json.dumps([activation.id, [parent.id for parent in activation.parents], dict(state)], sort_keys=True)
    digest = sha256(seen.encode()).hexdigest()[:16]
    return f"{activation.id} {digest * (100 if activation.node in LARGE else 1)}"
