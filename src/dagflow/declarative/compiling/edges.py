"""The edges of a graph file: what may follow each node, the limits of its loops, and the plan of all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from dagflow.core.loops import Loop, find_loops, sources_of
from dagflow.core.structure import nearest
from dagflow.core.topology import reachable
from dagflow.declarative.compiling.faults import Faults, Place
from dagflow.declarative.edges import END, START_NAME, ConditionalEdge, LoopLimit, Routing
from dagflow.declarative.expressions import Expression
from dagflow.declarative.model import EdgeSpec, FallbackNode, GraphFile, NodeSpec, OnError, RouterNode

__all__ = ["Ways", "find_ways", "loop_limits", "route_names"]

ParseCondition = Callable[[str, Place], Expression | None]


@attrs.frozen(eq=False)
class Ways:
    """Where each node may lead: by its edges (`routings`), and also by its routes and fallbacks (`successors`)."""

    routings: Mapping[str, Routing]
    successors: Mapping[str, tuple[str, ...]]

    @property
    def start(self) -> Routing:
        """What the run begins with."""
        return self.routings[START_NAME]


def find_ways(spec: GraphFile, parse: ParseCondition, faults: Faults) -> Ways:
    """Check the edges and find what follows what; faulty edges are left out."""
    by_source: dict[str, list[tuple[Place, EdgeSpec]]] = {}
    for index, edge in enumerate(spec.edges):
        place = Place("$") / "edges" / index
        if edge.from_ not in spec.nodes and edge.from_ != START_NAME:
            faults.add(
                place / "from", f"there is no node {edge.from_!r}{nearest(edge.from_, [*spec.nodes, START_NAME])}"
            )
        else:
            by_source.setdefault(edge.from_, []).append((place, edge))
    routings = {
        name: _routing(name, by_source.get(name, []), spec, parse, faults) for name in (START_NAME, *spec.nodes)
    }
    if not by_source.get(START_NAME):
        faults.add(
            Place("$") / "edges", "no edge leads from START; add {from: START, to: NODE} to say where runs begin"
        )
    successors = {}
    by_default = _default_targets(spec, faults)
    for name, node in spec.nodes.items():
        place = Place("$") / "nodes" / name
        others = _other_targets(node, place, spec, faults)
        _check_ways(node, name, place, by_source.get(name, []), faults)
        others += by_default if node.on_error is None else ()
        successors[name] = tuple(dict.fromkeys([*routings[name].targets, *others]))
    return Ways(routings, successors)


def _routing(
    name: str,
    edges: Sequence[tuple[Place, EdgeSpec]],
    spec: GraphFile,
    parse: ParseCondition,
    faults: Faults,
) -> Routing:
    conditional: list[ConditionalEdge] = []
    otherwise: list[str] | None = None
    for place, edge in edges:
        targets = _targets([edge.to] if isinstance(edge.to, str) else edge.to, place / "to", spec, faults)
        if edge.condition is None:
            otherwise = [*(otherwise or []), *targets]
            continue
        condition = parse(edge.condition, place / "condition")
        if condition is not None:
            conditional.append(ConditionalEdge(condition, targets))
    return Routing(name, conditional, None if otherwise is None else tuple(dict.fromkeys(otherwise)))


def _targets(names: Iterable[str], place: Place, spec: GraphFile, faults: Faults) -> tuple[str, ...]:
    """The nodes among the names; END leads nowhere."""
    found: list[str] = []
    for name in names:
        if name in spec.nodes:
            found.append(name)
        elif name == START_NAME:
            faults.add(place, "START is where runs begin, and nothing can lead there")
        elif name != END:
            faults.add(place, f"there is no node {name!r}{nearest(name, [*spec.nodes, END])}")
    if not names:
        faults.add(place, "the list of targets is empty; name a node, or END")
    return tuple(dict.fromkeys(found))


def route_names(target: str) -> tuple[str, ...]:
    """The nodes that a route leads to: none, where it leads to END."""
    return () if target == END else (target,)


def _other_targets(node: NodeSpec, place: Place, spec: GraphFile, faults: Faults) -> list[str]:
    found: list[str] = []
    if isinstance(node, RouterNode):
        for route, target in node.routes.items():
            found += _targets([target], place / "routes" / route, spec, faults)
        if node.default_route is not None:
            found += _targets([node.default_route], place / "default_route", spec, faults)
    if isinstance(node.on_error, OnError) and isinstance(node.on_error.fallback, FallbackNode):
        found += _targets([node.on_error.fallback.to], place / "on_error" / "fallback" / "to", spec, faults)
    return found


def _default_targets(spec: GraphFile, faults: Faults) -> tuple[str, ...]:
    """Where nodes lead that fail and say nothing else of it."""
    handling = spec.defaults.on_error
    if not isinstance(handling, OnError) or not isinstance(handling.fallback, FallbackNode):
        return ()
    return _targets([handling.fallback.to], Place("$") / "defaults" / "on_error" / "fallback" / "to", spec, faults)


def _check_ways(
    node: NodeSpec, name: str, place: Place, edges: Sequence[tuple[Place, EdgeSpec]], faults: Faults
) -> None:
    if isinstance(node, RouterNode):
        for at, _ in edges:
            faults.add(at, f"{name} is a router, whose routes are its edges; take this edge away, or make it a route")
    elif not edges:
        faults.add(
            place, f"nothing follows node {name}; add an edge {{from: {name}, to: END}} if the run may end there"
        )


def loop_limits(spec: GraphFile, successors: Mapping[str, tuple[str, ...]], faults: Faults) -> dict[str, LoopLimit]:
    """The limits of nodes in loops, with the ways that lead back."""
    numbers = {name: number for number, name in enumerate(successors)}
    names = list(numbers)
    edges = {numbers[name]: [numbers[target] for target in targets] for name, targets in successors.items()}
    loops = _loops(spec, edges, numbers)
    limits: dict[str, LoopLimit] = {}
    for name, limit in spec.loop_limits.items():
        place = Place("$") / "loop_limits" / name
        if name not in spec.nodes:
            faults.add(place, f"there is no node {name!r}{nearest(name, spec.nodes)}")
            continue
        if limit < 1:
            faults.add(place, f"must be 1 or more, not {limit}")
            continue
        number = numbers[name]
        loop = next((loop.nodes for loop in reversed(loops) if number in loop.nodes), ())
        if not loop:
            faults.add(
                place, f"node {name} is in no loop, so that it needs no limit; take it away, or add the edge back"
            )
            continue
        exit_name = spec.loop_exits.get(name)
        exit_targets = None
        if exit_name is not None:
            exit_targets = _targets([exit_name], Place("$") / "loop_exits" / name, spec, faults)
            if any(numbers[target] in loop for target in exit_targets):
                faults.add(
                    Place("$") / "loop_exits" / name, f"{exit_name} is in the loop of {name}, and no way out of it"
                )
        limits[name] = LoopLimit(limit, frozenset(names[other] for other in loop), exit_targets)
    for name in spec.loop_exits:
        if name not in spec.loop_limits:
            faults.add(Place("$") / "loop_exits" / name, f"there is no limit for {name}; add it to loop_limits")
    return limits


def _loops(spec: GraphFile, edges: Mapping[int, Sequence[int]], numbers: Mapping[str, int]) -> tuple[Loop, ...]:
    """The loops of what can be reached, outer ones before those nested in them."""
    starts = [
        numbers[target]
        for edge in spec.edges
        if edge.from_ == START_NAME
        for target in ([edge.to] if isinstance(edge.to, str) else edge.to)
        if target in numbers
    ]
    found = reachable(edges, starts)
    return find_loops({number: list(edges[number]) for number in edges if number in found}, sources_of(starts, edges))
