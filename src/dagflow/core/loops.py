"""Loops of a graph, their heads and turns, and what has to be over before a join may start.

Nodes are numbers here, in declared order. A *loop* is a maximal set of nodes that reach each other, its *heads*
are the nodes where it is entered, and taking the heads out gives the loops nested in it.

A join waits for what can still reach it *in this turn*: a way that starts a head of a loop around the join
belongs to the next turn. Ways from outside lead into a loop through its heads only, so a join looks no further
than the innermost loop of which it is not a head. Inside that loop, with ways through the heads left out, the
components form an acyclic graph, and one pass over it in topological order gives every join its mask: the nodes
from which it can be reached. The heads of one loop reach each other and are reached from the same places, so
they share one `Gate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from dagflow.core.topology import strongly_connected

START = -1
"""The number that stands for START among the sources of a node."""


def sources_of(starts: Iterable[int], edges: Mapping[int, Iterable[int]]) -> list[list[int]]:
    """What leads to each node: START first, then nodes in declared order; `edges` has the followers of each node."""
    sources: list[list[int]] = [[] for _ in edges]
    for start in starts:
        sources[start].append(START)
    for number, followers in edges.items():
        for follower in followers:
            sources[follower].append(number)
    return sources


@attrs.frozen
class Loop:
    """A loop: its nodes and heads, and the loop in whose turns it lies (`None` for an outermost one)."""

    nodes: tuple[int, ...]
    heads: tuple[int, ...]
    parent: Loop | None = None

    @property
    def outermost(self) -> Loop:
        """The loop around all the loops that this one lies in, itself if it lies in none."""
        loop = self
        while loop.parent is not None:
            loop = loop.parent
        return loop


@attrs.frozen(eq=False)
class Gate:
    """What holds up a join inside a loop, or the heads of a loop, which start together.

    `members` are the joins behind it, `home` the first node of the outermost loop, and `own` the mask of the members.
    `members` are the joins behind the gate, `home` is the first node of the outermost loop around them, and `own`,
    `running` and `waiting` are masks over that loop's nodes: the members; a node that runs (or is interrupted)
    holds the gate shut if it is in the first, a join that waits to start if it is in the second. `outermost`
    says that these are the heads of an outermost loop, which wait for what comes from outside as well.
    """

    members: tuple[int, ...]
    home: int
    own: int
    running: int
    waiting: int
    outermost: bool = False


def find_loops(successors: Mapping[int, Sequence[int]], sources: Sequence[Sequence[int]]) -> tuple[Loop, ...]:
    """Find every loop, outer ones before those nested in them."""
    found: list[Loop] = []
    pending: list[tuple[Mapping[int, Sequence[int]], Loop | None]] = [(successors, None)]
    while pending:
        region, parent = pending.pop()
        for component in strongly_connected(region):
            if len(component) == 1 and component[0] not in region[component[0]]:
                continue
            inside = set(component)
            heads = tuple(node for node in component if any(other not in inside for other in sources[node]))
            loop = Loop(component, heads, parent)
            found.append(loop)
            body = {node: region[node] for node in component if node not in heads}
            pending.append((body, loop))
    return tuple(found)


def build_gates(
    loops: Sequence[Loop],
    successors: Mapping[int, Sequence[int]],
    sources: Sequence[Sequence[int]],
    joins: frozenset[int],
) -> dict[int, Gate]:
    """Give every join that lies in a loop its gate."""
    bits = {node: 1 << place for loop in loops if not loop.parent for place, node in enumerate(loop.nodes)}
    heads_of = {loop.nodes: loop.heads for loop in loops}
    gates: dict[int, Gate] = {}
    for loop in loops:
        joins_inside = _mask(bits, joins.intersection(loop.nodes).difference(loop.heads))
        if loop.parent is None:
            everything = (1 << len(loop.nodes)) - 1
            gates.update(
                dict.fromkeys(
                    loop.heads,
                    Gate(loop.heads, loop.nodes[0], _mask(bits, loop.heads), everything, joins_inside, outermost=True),
                )
            )
        for component, reaching in _reaching(loop, successors, sources, bits):
            heads = heads_of.get(component, ())
            members = heads or tuple(joins.intersection(component))
            waiting = reaching & joins_inside & ~_mask(bits, heads)
            gate = Gate(members, loop.outermost.nodes[0], _mask(bits, members), reaching, waiting)
            gates.update(dict.fromkeys(members, gate))
    return gates


def _reaching(
    loop: Loop,
    successors: Mapping[int, Sequence[int]],
    sources: Sequence[Sequence[int]],
    bits: Mapping[int, int],
) -> Iterator[tuple[tuple[int, ...], int]]:
    """Yield the components of a loop's body, each with the mask of the nodes that reach it in one turn."""
    heads = set(loop.heads)
    body = {node: successors[node] for node in loop.nodes if node not in heads}
    components = strongly_connected(body)
    home = {node: number for number, component in enumerate(components) for node in component}
    below: dict[int, int] = {}
    unread = [0] * len(components)
    for node, followers in body.items():
        unread[home[node]] += sum(home.get(follower, home[node]) != home[node] for follower in followers)
    for number, component in enumerate(components):
        reaching = 0
        for source in {source for node in component for source in sources[node]}:
            if home.get(source) == number:
                reaching |= _mask(bits, component)
            elif source in heads:
                reaching |= bits[source]
            else:
                reaching |= bits[source] | below[home[source]]
        yield component, reaching
        below[number] = reaching
        # A mask has a bit for every node of the loop: keep only those that are still to be read.
        for node in component:
            for source in sources[node]:
                origin = home.get(source, number)
                if origin != number:
                    unread[origin] -= 1
                    if not unread[origin]:
                        del below[origin]
        if not unread[number]:
            del below[number]


def _mask(bits: Mapping[int, int], nodes: Iterable[int]) -> int:
    mask = 0
    for node in nodes:
        mask |= bits[node]
    return mask
