"""Where the nodes of a graph file may lead: its edges of all kinds, its loops, and what may be under way at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import combinations, islice
from typing import Final, Literal

import attrs

from dagflow.core.loops import START as START_NUMBER
from dagflow.core.loops import find_loops
from dagflow.core.topology import levels, reachable, strongly_connected
from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.edges import END, START_NAME
from dagflow.declarative.lint.walk import ROOT
from dagflow.declarative.model import FallbackNode, GraphFile, OnError, RouterNode

__all__ = ["MOST_COMPARED", "Loop", "Way", "Ways"]

MOST_COMPARED: Final = 50
"""How many nodes are compared with each other: a thousand branches would make half a million pairs."""


@attrs.frozen
class Way:
    """One way from a node to another, or to END: an edge, a route, a fallback or the way out of a loop.

    `certain` tells that it is taken whenever the source succeeds.
    """

    source: str
    target: str
    place: Place
    kind: Literal["edge", "default", "condition", "route", "fallback", "exit"]

    @property
    def certain(self) -> bool:
        """Whether it is taken whenever its source succeeds."""
        return self.kind == "edge"


@attrs.frozen
class Loop:
    """A loop: its nodes in the order of the file, and its heads, where it is entered."""

    nodes: tuple[str, ...]
    heads: tuple[str, ...]
    nested: bool


@attrs.frozen(eq=False, slots=False)
class Ways:
    """All ways of a graph file between nodes that are there; START is among the sources, END among the targets."""

    spec: GraphFile

    @cached_property
    def all(self) -> tuple[Way, ...]:
        """Every way, in the order of the file."""
        known = {*self.spec.nodes, END}
        return tuple(way for way in (*self._edges(), *self._others()) if way.target in known)

    def _edges(self) -> Iterator[Way]:
        conditional = {edge.from_ for edge in self.spec.edges if edge.condition is not None}
        limited = self.spec.loop_limits
        for index, edge in enumerate(self.spec.edges):
            if edge.from_ not in self.spec.nodes and edge.from_ != START_NAME:
                continue
            place = ROOT / "edges" / index
            kind: Literal["edge", "default", "condition"] = "edge"
            if edge.condition is not None:
                kind = "condition"
            elif edge.from_ in conditional or edge.from_ in limited:
                kind = "default"
            for target in [edge.to] if isinstance(edge.to, str) else edge.to:
                yield Way(edge.from_, target, place, kind)

    def _others(self) -> Iterator[Way]:
        for name, node in self.spec.nodes.items():
            place = ROOT / "nodes" / name
            if isinstance(node, RouterNode):
                for route, target in node.routes.items():
                    yield Way(name, target, place / "routes" / route, "route")
                if node.default_route is not None:
                    yield Way(name, node.default_route, place / "default_route", "route")
            if isinstance(node.on_error, OnError) and isinstance(node.on_error.fallback, FallbackNode):
                yield Way(name, node.on_error.fallback.to, place / "on_error" / "fallback" / "to", "fallback")
        for name, target in self.spec.loop_exits.items():
            if name in self.spec.nodes:
                yield Way(name, target, ROOT / "loop_exits" / name, "exit")

    @cached_property
    def successors(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes that each node, and START, may lead to."""
        found: dict[str, dict[str, None]] = {name: {} for name in (START_NAME, *self.spec.nodes)}
        for way in self.all:
            if way.target != END:
                found[way.source][way.target] = None
        return {name: tuple(targets) for name, targets in found.items()}

    @cached_property
    def into(self) -> Mapping[str, tuple[Way, ...]]:
        """The ways that lead to each node, one for each source: a certain one where there is any."""
        found: dict[str, dict[str, Way]] = {name: {} for name in (*self.spec.nodes, END)}
        for way in self.all:
            known = found[way.target].get(way.source)
            if known is None or (way.certain and not known.certain):
                found[way.target][way.source] = way
        return {name: tuple(ways.values()) for name, ways in found.items()}

    @cached_property
    def ending(self) -> frozenset[str]:
        """The nodes that a run may end with."""
        return frozenset(way.source for way in self.into[END])

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Every loop, outer ones before those nested in them; loops that nothing leads to are left out."""
        names = list(self.spec.nodes)
        numbers = {name: number for number, name in enumerate(names)}
        reached = reachable(self.successors, [START_NAME])
        edges = {
            numbers[name]: tuple(numbers[target] for target in self.successors[name])
            for name in names
            if name in reached
        }
        sources: list[list[int]] = [[] for _ in names]
        for name, targets in self.successors.items():
            for target in targets if name in reached else ():
                sources[numbers[target]].append(numbers.get(name, START_NUMBER))
        return tuple(
            Loop(
                tuple(names[number] for number in loop.nodes),
                tuple(names[number] for number in loop.heads),
                loop.parent is not None,
            )
            for loop in find_loops(edges, sources)
        )

    @cached_property
    def heads(self) -> frozenset[str]:
        """The heads of all loops."""
        return frozenset(head for loop in self.loops for head in loop.heads)

    @cached_property
    def in_loops(self) -> frozenset[str]:
        """The nodes of all loops."""
        return frozenset(name for loop in self.loops for name in loop.nodes)

    @cached_property
    def forward(self) -> Mapping[str, tuple[str, ...]]:
        """The ways of one turn: without those that lead back to the head of a loop from inside of it."""
        back = {(name, head) for loop in self.loops for head in loop.heads for name in loop.nodes}
        ahead = {
            name: tuple(target for target in targets if (name, target) not in back)
            for name, targets in self.successors.items()
        }
        # Loops that nothing leads to are left; they are a fault, and must not keep rules from ending.
        home = {name: place for place, part in enumerate(strongly_connected(ahead)) for name in part}
        return {name: tuple(to for to in targets if home[to] != home[name]) for name, targets in ahead.items()}

    @cached_property
    def _order(self) -> tuple[str, ...]:
        """The nodes, each after all that lead to it in one turn."""
        before: dict[str, list[str]] = {name: [] for name in self.forward}
        for name, targets in self.forward.items():
            for target in targets:
                before[target].append(name)
        return tuple(name for level in levels(before) for name in level)

    @cached_property
    def forks(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Where several nodes start at once: the source, and the nodes that one set of edges leads to."""
        together: dict[tuple[str, object], dict[str, None]] = {}
        for way in self.all:
            if way.kind in ("edge", "default", "condition"):
                key = (way.source, way.place if way.kind == "condition" else None)
                together.setdefault(key, {})[way.target] = None
        found = ((source, tuple(to for to in targets if to != END)) for (source, _), targets in together.items())
        return tuple((source, targets) for source, targets in found if len(targets) > 1)

    @cached_property
    def _branches(self) -> tuple[tuple[int, ...], Mapping[str, int]]:
        """The branches of each fork as a mask, and of each node those that lead to it in one turn."""
        through = dict.fromkeys(self.forward, 0)
        masks: list[int] = []
        bit = 1
        for _, targets in self.forks:
            mask = 0
            for target in targets:
                through[target] |= bit
                mask |= bit
                bit <<= 1
            masks.append(mask)
        for name in self._order:
            for target in self.forward[name]:
                through[target] |= through[name]
        return tuple(masks), through

    def at_once(self, one: str, other: str) -> bool:
        """Whether two nodes may be under way at once: a fork leads to each by a branch that misses the other."""
        masks, through = self._branches
        first, second = through.get(one, 0), through.get(other, 0)
        only_first, only_second = first & ~second, second & ~first
        if not only_first or not only_second:
            return False
        return any(only_first & mask and only_second & mask for mask in masks)

    def pair_at_once(self, names: Iterable[str]) -> tuple[str, str] | None:
        """Find two nodes among several that may be under way at once; of very many, the first are looked at."""
        pairs = combinations(islice(names, MOST_COMPARED), 2)
        return next((pair for pair in pairs if self.at_once(*pair)), None)

    def ancestors(self, name: str) -> frozenset[str]:
        """The nodes that may lead to a node, START among them."""
        return self._ancestors(name, self._sources, "any")

    def ancestors_in_turn(self, name: str) -> frozenset[str]:
        """The same in one turn of all loops."""
        return self._ancestors(name, self._sources_in_turn, "turn")

    @cached_property
    def _found(self) -> dict[tuple[str, str], frozenset[str]]:
        return {}

    def _ancestors(self, name: str, sources: Mapping[str, tuple[str, ...]], kind: str) -> frozenset[str]:
        known = self._found.get((kind, name))
        if known is None:
            known = self._found[kind, name] = frozenset(reachable(sources, sources.get(name, ())))
        return known

    @cached_property
    def _sources(self) -> Mapping[str, tuple[str, ...]]:
        return _turned(self.successors)

    @cached_property
    def _sources_in_turn(self) -> Mapping[str, tuple[str, ...]]:
        return _turned(self.forward)

    def way_round(self, name: str) -> int:
        """How many nodes run at least from one activation of a node to its next; 0 for a node in no loop."""
        distance = dict.fromkeys(self.successors.get(name, ()), 1)
        for node in (pending := list(distance)):
            if node == name:
                return distance[node]
            for target in self.successors[node]:
                if target not in distance:
                    distance[target] = distance[node] + 1
                    pending.append(target)
        return 0

    def after(self, *names: str) -> set[str]:
        """The nodes that may follow these, themselves included."""
        return reachable(self.successors, [name for name in names if name in self.successors])


def _turned(successors: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {name: [] for name in successors}
    for name, targets in successors.items():
        for target in targets:
            found[target].append(name)
    return {name: tuple(sources) for name, sources in found.items()}
