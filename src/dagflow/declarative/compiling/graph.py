"""Compiling a whole graph file: its state, nodes and edges become a plan and bodies, or a report of every fault."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from dagflow.core.plan import SEPARATOR, Plan, PlanNode
from dagflow.core.structure import nearest
from dagflow.declarative.bodies.simple import Compute
from dagflow.declarative.checkpointers import open_checkpointer
from dagflow.declarative.compiling.compiler import Compiler, Work
from dagflow.declarative.compiling.edges import Ways, find_ways, loop_limits
from dagflow.declarative.compiling.faults import Faults, Place
from dagflow.declarative.compiling.loading import LoadedFile, Surroundings, load_file
from dagflow.declarative.compiling.state import compile_state
from dagflow.declarative.edges import START_NAME, Routing
from dagflow.declarative.graph import YamlGraph
from dagflow.declarative.language_models import import_plugins
from dagflow.declarative.locating import Locator
from dagflow.declarative.model import GraphFile
from dagflow.declarative.node import YamlNode
from dagflow.declarative.project import confined
from dagflow.declarative.state import StateSchema
from dagflow.errors import GraphError
from dagflow.kernel.engine import Program
from dagflow.source import SourceError, faults_of

__all__ = ["compile_graph"]

ROOT = Place("$")


def compile_graph(loaded: LoadedFile, surroundings: Surroundings, *, with_store: bool = True) -> YamlGraph:
    """Compile a graph that was read. Its checkpointer is left out unless `with_store`.

    Raises `SourceError` with every fault, each at its line.
    """
    faults = Faults()
    graph = _compile(loaded, surroundings, faults, with_store=with_store)
    if faults.found or graph is None:
        raise SourceError(faults_of(loaded.document, faults.found), subject=loaded.document.file)
    return graph


def _compile(loaded: LoadedFile, surroundings: Surroundings, faults: Faults, *, with_store: bool) -> YamlGraph | None:
    spec = loaded.spec
    locator = Locator(loaded.path.parent, surroundings.root, surroundings.functions)
    schema = compile_state(spec, locator, faults)
    compiler = Compiler(
        schema=schema,
        defaults=spec.defaults,
        locator=locator,
        base=loaded.path.parent,
        root=surroundings.root,
        faults=faults,
        load_graph=partial(_load_graph, loaded=loaded, surroundings=surroundings, locator=locator, faults=faults),
    )
    _check_names(spec, faults)
    _check_web(loaded, schema, faults)
    ways = find_ways(spec, compiler.condition, faults)
    limits = loop_limits(spec, ways.successors, faults)
    nodes: dict[str, YamlNode] = {}
    works: dict[str, Work] = {}
    for name, node in spec.nodes.items():
        routing = attrs.evolve(ways.routings[name], limit=limits.get(name))
        compiled = compiler.node(name, node, ROOT / "nodes" / name, routing)
        if compiled is not None:
            nodes[name], works[name] = compiled
    store = None
    if with_store and spec.checkpointer is not None:
        checkpointer = spec.checkpointer
        store = faults.attempt(
            ROOT / "checkpointer",
            lambda: open_checkpointer(checkpointer, environment=surroundings.environment, base=loaded.path.parent),
        )
    if faults.found:
        return None
    program = _plan(loaded, schema, nodes, ways, faults)
    if program is None:
        return None
    needs = tuple(dict.fromkeys(need for node in nodes.values() for need in node.needs))
    import_plugins(needs)
    asking = tuple(name for name, work in works.items() if work.asks_person)
    return YamlGraph(loaded, schema, nodes, program, needs=needs, asking_nodes=asking, store=store)


def _plan(
    loaded: LoadedFile, schema: StateSchema, nodes: dict[str, YamlNode], ways: Ways, faults: Faults
) -> Program | None:
    """Plan the edges. Where START's have conditions, a node of that name decides on them."""
    starts = ways.start.targets
    if ways.start.conditional:
        begin = YamlNode(name=START_NAME, kind="start", body=Compute({}), routing=ways.start, schema=schema, writes=())
        nodes = {START_NAME: begin, **nodes}
        starts = (START_NAME,)
    successors: Mapping[str, tuple[str, ...]] = {START_NAME: ways.start.targets, **ways.successors}
    plan_nodes = [
        PlanNode(
            name=name,
            successors=_with_exit(node.routing, successors[name]),
            join="all" if name == START_NAME else loaded.spec.nodes[name].join,
            writes=_certain_writes(node),
            routes="all" if node.routing.always and not node.handling.recovers and node.kind != "router" else "some",
            signature=SEPARATOR.join([node.kind, *schema.signature(node.writes or ())]),
        )
        for name, node in nodes.items()
    ]
    try:
        plan = Plan.build(plan_nodes, starts, name=loaded.name, reducers=schema.reducers)
    except GraphError as error:
        for fault in error.faults:
            faults.add(_place_of(fault, loaded.spec), fault)
        return None
    return Program(loaded.name, plan, {name: node.to_body() for name, node in nodes.items()}, schema.reducers)


def _with_exit(routing: Routing, successors: tuple[str, ...]) -> tuple[str, ...]:
    way_out = routing.limit.exit if routing.limit is not None else None
    return tuple(dict.fromkeys([*successors, *(way_out or ())]))


def _certain_writes(node: YamlNode) -> tuple[str, ...] | None:
    """The keys that a node writes whenever it succeeds; `None` where it need not."""
    return None if node.handling.recovers or node.skip_key is not None else node.writes


def _place_of(fault: str, spec: GraphFile) -> Place:
    """The place of a fault of the plan: that of the first node that its sentence names."""
    words = fault.replace(";", " ").replace(",", " ").split()
    name = next((word for word in words if word in spec.nodes), None)
    return ROOT / "edges" if name is None else ROOT / "nodes" / name


def _check_names(spec: GraphFile, faults: Faults) -> None:
    for name in spec.nodes:
        place = ROOT / "nodes" / name
        if name in (START_NAME, "END"):
            faults.add(place, f"{name} is no name for a node: it stands for where runs begin or end")
        elif not name.replace("-", "_").isidentifier():
            faults.add(place, f"{name!r} is no name for a node; use letters, digits, `_` and `-`")


def _check_web(loaded: LoadedFile, schema: StateSchema, faults: Faults) -> None:
    given = loaded.document.data.get("web") if isinstance(loaded.document.data, dict) else None
    for name in ("message_key", "response_key") if given else ():
        key = getattr(loaded.spec.web, name)
        if schema.closed and key not in schema.known:
            faults.add(ROOT / "web" / name, f"the state has no key {key!r}{nearest(key, schema.known)}")


def _load_graph(
    text: str, place: Place, *, loaded: LoadedFile, surroundings: Surroundings, locator: Locator, faults: Faults
) -> Any:
    """Find the graph that a subgraph names: a YAML file is compiled, anything else is looked up."""
    if not text.endswith((".yaml", ".yml")):
        return faults.attempt(place, lambda: locator.find(text))
    path = faults.attempt(place, lambda: confined(text, base=loaded.path.parent, root=surroundings.root, what="graph"))
    if path is None:
        return None
    above = (*surroundings.above, loaded.path)
    if path in above:
        circle = " -> ".join(file.name for file in (*above[above.index(path) :], path))
        faults.add(place, f"the graph holds itself: {circle}; a loop of edges is the way to repeat something")
        return None
    return faults.attempt(place, lambda: _compile_inner(path, attrs.evolve(surroundings, above=above)))


def _compile_inner(path: Path, surroundings: Surroundings) -> YamlGraph:
    return compile_graph(load_file(path), surroundings, with_store=False)
