"""The frozen, validated form of a graph: what may follow what, and which nodes are joins, loops and heads.

A front end describes each node with a `PlanNode` and calls `Plan.build`, which finds every fault at once and
works out all that `dagflow.core.schedule` needs, so that a run itself analyses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import attrs

from dagflow.core.loops import START, Gate, Loop, build_gates, find_loops, sources_of
from dagflow.core.topology import reachable, strongly_connected
from dagflow.errors import GraphError

__all__ = ["SEPARATOR", "START", "Gate", "Loop", "Plan", "PlanNode", "outline_changes"]

SEPARATOR = "; "
"""What stands between the parts of a signature, so that a change of one of them can be told."""


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(names)


@attrs.frozen
class PlanNode:
    """One node of a plan, as its front end knows it.

    `successors` are the nodes that may follow, and `routes` says which of them do: any of them, or none, as the
    node decides (`"some"`), or always all of them (`"all"`). `join` says what a node with several sources does:
    wait for all that may still come (`"all"`), or start for each arrival (`"each"`). `writes` are the state keys
    that it writes whenever it succeeds, `None` if that is not known. `signature` is text for the fingerprint: the
    types of the node's fields, say, joined by `SEPARATOR`.
    """

    name: str
    successors: tuple[str, ...] = attrs.field(default=(), converter=_names)
    join: Literal["all", "each"] = "all"
    writes: tuple[str, ...] | None = None
    routes: Literal["some", "all"] = "some"
    signature: str = ""


@attrs.frozen(eq=False)
class Tables:
    """What a schedule looks up for each event, by the node's number in declared order.

    `ranks` numbers the sources of a node that has several and starts for each arrival. `home` is the unit that a
    node is settled with: an outermost loop as a whole, under the number of its first node, any other node alone.
    `open_edges` counts, by home, the edges that lead into a unit, those from START too, and `leaving` has the homes
    that its own edges lead to, once for each edge; its last item is START's. `members` are the nodes of an outermost
    loop, `bits` their places in its masks (zero outside loops), `gates` hold up the joins in it and `entrances`
    its heads.
    """

    names: tuple[str, ...]
    targets: tuple[Mapping[str, int], ...]
    is_join: tuple[bool, ...]
    ranks: tuple[Mapping[int, int] | None, ...]
    home: tuple[int, ...]
    open_edges: tuple[int, ...]
    leaving: tuple[tuple[int, ...], ...]
    start_targets: tuple[int, ...]
    gates: Mapping[int, Gate]
    bits: tuple[int, ...]
    members: Mapping[int, tuple[int, ...]]
    entrances: Mapping[int, Gate]


@attrs.frozen(eq=False)
class Plan:
    """A graph that was found to be sound. Made by `Plan.build`, never changed, shared by any number of runs.

    `nodes` are in declared order, and so is everything else. `sources` gives what leads to each node, START,
    which counts as one, being `None`; `predecessors` is the same without START. A node of `joins` has several
    sources and waits for them. `loops` has outer loops before those nested in them.
    """

    name: str
    nodes: tuple[PlanNode, ...]
    starts: tuple[str, ...]
    index: Mapping[str, int]
    sources: Mapping[str, tuple[str | None, ...]]
    joins: frozenset[str]
    loops: tuple[Loop, ...]
    tables: Tables

    @classmethod
    def build(
        cls, nodes: Sequence[PlanNode], starts: Sequence[str], *, name: str = "", reducers: Collection[str] = ()
    ) -> Plan:
        """Check a graph and work out its plan. `reducers` names the state keys that have a reducer.

        Raises `GraphError` with every fault: a name used twice or unknown (with the nearest known one), no
        start, a node that nothing leads to, `join: each` on a loop's head, and two nodes that write one state
        key without a reducer and are sure to meet.
        """
        nodes = tuple(nodes)
        subject = f"graph {name}" if name else "the graph"
        faults = list(_faulty_names(nodes, starts))
        if faults:
            # Nothing below can be said about a graph whose edges lead nowhere.
            raise GraphError(faults, subject=subject)
        index = {node.name: number for number, node in enumerate(nodes)}
        edges = {number: tuple(index[other] for other in node.successors) for number, node in enumerate(nodes)}
        first = tuple(index[other] for other in starts)
        sources = sources_of(first, edges)
        found = reachable(edges, first)
        faults += [
            f"nothing leads to node {node.name}; add an edge to it, or remove it"
            for number, node in enumerate(nodes)
            if number not in found
        ]
        # A loop that nothing leads to would have no head to take out.
        loops = find_loops({number: edges[number] for number in edges if number in found}, sources)
        for head in (head for loop in loops for head in loop.heads):
            if nodes[head].join == "each":
                faults.append(
                    f"node {nodes[head].name} is where a loop is entered, and cannot have join: each; "
                    "put it on a node inside the loop, or lead the branches to a node before the loop"
                )
        faults += _conflicts(nodes, first, edges, frozenset(reducers))
        if faults:
            raise GraphError(faults, subject=subject)
        joins = frozenset(n for n, node in enumerate(nodes) if len(sources[n]) > 1 and node.join == "all")
        return cls(
            name=name,
            nodes=nodes,
            starts=tuple(starts),
            index=index,
            sources={
                node.name: tuple(None if number == START else nodes[number].name for number in sources[n])
                for n, node in enumerate(nodes)
            },
            joins=frozenset(nodes[number].name for number in joins),
            loops=loops,
            tables=_tables(nodes, first, edges, sources, joins, loops),
        )

    @cached_property
    def predecessors(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes that lead to each node, in declared order."""
        return {name: tuple(s for s in sources if s is not None) for name, sources in self.sources.items()}

    @cached_property
    def outline(self) -> Mapping[str, str]:
        """What the fingerprint covers, by node, in declared order: to tell which nodes a change concerns."""
        return {
            node.name: json.dumps(
                [node.name in self.starts, sorted(node.successors), node.join, node.signature], ensure_ascii=False
            )
            for node in self.nodes
        }

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256, in hexadecimal, of names, edges, join rules and signatures; never of function bodies.

        The order of the nodes counts, since it orders what a join sees; the order of a node's successors does not.
        """
        from hashlib import sha256  # a run without a store never needs it

        return sha256(json.dumps(list(self.outline.items())).encode()).hexdigest()


def outline_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Say what changed from one plan's outline to another's, one sentence a node."""
    changes = [f"node {name} is gone" for name in before if name not in after]
    changes += [f"node {name} is new" for name in after if name not in before]
    for name, text in before.items():
        if name in after and text != after[name]:
            changes += [f"node {name} {change}" for change in _node_changes(json.loads(text), json.loads(after[name]))]
    if not changes and list(before) != list(after):
        changes.append("the order of the nodes is another")
    return changes


def _node_changes(before: list[Any], after: list[Any]) -> Iterator[str]:
    (started, led, join, signature), (starts, leads, joins, new_signature) = before, after
    if started != starts:
        yield "starts the graph now" if starts else "no longer starts the graph"
    for name in leads:
        if name not in led:
            yield f"may now lead to {name}"
    for name in led:
        if name not in leads:
            yield f"no longer leads to {name}"
    if join != joins:
        yield f"has join: {joins}, which was {join}"
    had, has = signature.split(SEPARATOR), new_signature.split(SEPARATOR)
    lost, gained = [part for part in had if part not in has], [part for part in has if part not in had]
    if lost or gained:
        yield f"has {' and '.join(gained) or 'nothing'} where it had {' and '.join(lost) or 'nothing'}"
    elif had != has:
        yield "has its fields in another order"


def _faulty_names(nodes: Sequence[PlanNode], starts: Sequence[str]) -> Iterator[str]:
    known = set()
    for node in nodes:
        if node.name in known:
            yield f"two nodes are named {node.name}; rename one of them"
        known.add(node.name)
    if not starts:
        yield "no node is the start; name at least one node to start with"
    lists = [("the start", starts), *((f"node {node.name}", node.successors) for node in nodes)]
    for where, names in lists:
        for name in dict.fromkeys(names):
            if name not in known:
                from dagflow.core.structure import nearest  # only a faulty graph needs it

                yield f"{where} leads to {name}, which is no node of the graph{nearest(name, sorted(known))}"
        if len(set(names)) < len(names):
            twice = ", ".join(dict.fromkeys(name for name in names if names.count(name) > 1))
            yield f"{where} leads to {twice} more than once; name each successor once"


def _conflicts(
    nodes: Sequence[PlanNode], first: Sequence[int], edges: Mapping[int, Sequence[int]], reducers: Collection[str]
) -> Iterator[str]:
    """Find the state conflicts that every run will have: one sentence for each key.

    Two nodes that always run and write one key conflict if neither can reach the other: the end of a run sees
    both, and whatever overwrites both must meet both before. Only a node that starts for each arrival could let
    their successors' writes count as one node's, so pairs with such a node behind both are left to the run.
    """
    always = {n: edges[n] for n, node in enumerate(nodes) if node.routes == "all"}
    certain = reachable(always, first)
    writers: dict[str, list[int]] = {}
    for number in sorted(certain):
        for key in nodes[number].writes or ():
            if key not in reducers:
                writers.setdefault(key, []).append(number)
    shared = {key: numbers for key, numbers in writers.items() if len(numbers) > 1}
    if not shared:
        return
    order = {n: place for place, component in enumerate(strongly_connected(edges)) for n in component}
    for key, numbers in shared.items():
        numbers.sort(key=order.__getitem__)
        for one, other in pairwise(numbers):
            # In topological order, writers that all see each other are a chain of neighbours that do.
            if _leads_to(one, other, edges, order):
                continue
            behind_one, behind_other = reachable(edges, [one]), reachable(edges, [other])
            if any(nodes[n].join == "each" for n in behind_one & behind_other):
                continue
            yield (
                f"state key {key!r} is written by {nodes[one].name} and by {nodes[other].name}, and neither comes "
                "after the other; give the key a reducer, or let one of them write another key"
            )
            break


def _leads_to(one: int, other: int, edges: Mapping[int, Sequence[int]], order: Mapping[int, int]) -> bool:
    """Search forward no further than `other` lies in topological order, so that near nodes are found at once."""
    found = {one}
    pending = [one]
    while pending and other not in found:
        for follower in edges[pending.pop()]:
            if follower not in found and order[follower] <= order[other]:
                found.add(follower)
                pending.append(follower)
    return other in found


def _tables(
    nodes: Sequence[PlanNode],
    first: tuple[int, ...],
    edges: Mapping[int, tuple[int, ...]],
    sources: Sequence[Sequence[int]],
    joins: frozenset[int],
    loops: Sequence[Loop],
) -> Tables:
    members = {loop.nodes[0]: loop.nodes for loop in loops if loop.parent is None}
    home = list(range(len(nodes)))
    for number, inside in members.items():
        for node in inside:
            home[node] = number
    open_edges = [0] * len(nodes)
    leaving: list[list[int]] = [[] for _ in range(len(nodes) + 1)]
    leaving[START] += [home[node] for node in first]
    for node, followers in edges.items():
        leaving[home[node]] += [home[other] for other in followers if home[other] != home[node]]
    for homes in leaving:
        for target in homes:
            open_edges[target] += 1
    bits = [0] * len(nodes)
    for inside in members.values():
        for place, node in enumerate(inside):
            bits[node] = 1 << place
    gates = build_gates(loops, edges, sources, joins)
    several = [node.join == "each" and len(sources[number]) > 1 for number, node in enumerate(nodes)]
    return Tables(
        names=tuple(node.name for node in nodes),
        targets=tuple(dict(zip(node.successors, edges[n], strict=True)) for n, node in enumerate(nodes)),
        is_join=tuple(number in joins for number in edges),
        ranks=tuple(
            {source: rank for rank, source in enumerate(sources[n])} if each else None for n, each in enumerate(several)
        ),
        home=tuple(home),
        open_edges=tuple(open_edges),
        leaving=tuple(map(tuple, leaving)),
        start_targets=first,
        gates=gates,
        bits=tuple(bits),
        members=members,
        entrances={loop.nodes[0]: gates[loop.heads[0]] for loop in loops if loop.parent is None},
    )
