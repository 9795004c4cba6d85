"""DF1xx: edges that are never taken, routes that do not fit their answers, maps and races that lead to nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

from dagflow.core import hints
from dagflow.core.shapes import kind_of, object_fields
from dagflow.declarative.compiling.faults import Place
from dagflow.declarative.compiling.state import keys_written
from dagflow.declarative.expressions.syntax import Path
from dagflow.declarative.lint.expressions import are_opposite, constant_of, enumerated, implies, same, shape, syntax_of
from dagflow.declarative.lint.rule import Hit
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import ROOT, PlacedNode
from dagflow.declarative.model import MapNode, RaceNode, RouterNode

__all__ = [
    "answer_without_route",
    "collects_nothing",
    "constant_condition",
    "default_never_taken",
    "drops_results",
    "edge_twice",
    "implied_condition",
    "no_default_edge",
    "repeated_condition",
    "route_never_taken",
    "router_default_never_taken",
    "same_racers",
]

Conditions = Sequence[tuple[Place, str]]


def _conditions(subject: LintSubject) -> Iterator[tuple[str, Conditions]]:
    """The sources of edges that have conditions, each with these conditions in the order of the file."""
    found: dict[str, list[tuple[Place, str]]] = {}
    for index, edge in enumerate(subject.spec.edges):
        if edge.condition is not None:
            found.setdefault(edge.from_, []).append((ROOT / "edges" / index / "condition", edge.condition))
    yield from found.items()


def _pairs(conditions: Conditions) -> Iterator[tuple[str, Place, Any, Any]]:
    """Each condition with every one before it: the text of the earlier one, the place of the later, and both trees."""
    trees = [(place, text, syntax_of(text)) for place, text in conditions]
    for index, (place, _, tree) in enumerate(trees):
        for _, text, earlier in trees[:index]:
            if tree is not None and earlier is not None:
                yield text, place, earlier, tree


def repeated_condition(subject: LintSubject) -> Iterator[Hit]:
    """A condition is there twice.

    Conditions are tried in the order of the file, so that the second edge is never taken. Remove it, or name both
    targets in one list.
    """
    for source, conditions in _conditions(subject):
        for place in dict.fromkeys(place for _, place, earlier, tree in _pairs(conditions) if same(earlier, tree)):
            yield Hit(place, f"an earlier edge from {source} has the same condition, so that this one is never taken")


def implied_condition(subject: LintSubject) -> Iterator[Hit]:
    """A condition holds only where an earlier one does.

    The first condition that holds wins. Put the narrower condition first.
    """
    for source, conditions in _conditions(subject):
        told: set[Place] = set()
        for text, place, earlier, tree in _pairs(conditions):
            if place not in told and not same(earlier, tree) and implies(tree, earlier):
                told.add(place)
                yield Hit(
                    place, f"holds only where {text!r} does, which an earlier edge from {source} has: never taken"
                )


def constant_condition(subject: LintSubject) -> Iterator[Hit]:
    """A condition reads nothing.

    It is always true or always false. Leave the condition out for a default edge, or read the state.
    """
    for _, conditions in _conditions(subject):
        for place, text in conditions:
            value = constant_of(text)
            if value is not None:
                always = "always holds, so that no edge after it is taken" if value else "never holds"
                yield Hit(place, f"reads nothing of the state and {always}")


def default_never_taken(subject: LintSubject) -> Iterator[Hit]:
    """A default edge is never taken.

    One of the conditions beside it always holds. Remove the edge, or one of the conditions.
    """
    exhausted = {source for source, conditions in _conditions(subject) if _covers_all(subject, conditions)}
    for index, edge in enumerate(subject.spec.edges):
        if edge.condition is None and edge.from_ in exhausted:
            yield Hit(ROOT / "edges" / index, f"one of the conditions of {edge.from_} always holds: never taken")


def no_default_edge(subject: LintSubject) -> Iterator[Hit]:
    """Conditions without a default edge.

    Where none of them holds the run fails. Add an edge without a condition.
    """
    with_default = {edge.from_ for edge in subject.spec.edges if edge.condition is None}
    for source, conditions in _conditions(subject):
        if source not in with_default and not _covers_all(subject, conditions):
            yield Hit(
                conditions[-1][0],
                f"where no condition of {source} holds, the run fails; add an edge without a condition, as the default",
            )


def _covers_all(subject: LintSubject, conditions: Conditions) -> bool:
    if any(constant_of(text) for _, text in conditions):
        return True
    if any(are_opposite(earlier, tree) for _, _, earlier, tree in _pairs(conditions)):
        return True
    values: dict[Any, set[Any]] = {}
    for _, text in conditions:
        found = enumerated(text)
        if found is not None:
            values.setdefault(found[0], set()).update(found[1])
    return any(_all_values(subject, path) and _all_values(subject, path) <= given for path, given in values.items())


def _all_values(subject: LintSubject, path: Any) -> set[Any]:
    """Every value that a state key may have, where its type lists them."""
    is_key = isinstance(path, tuple) and path[:1] == (Path,) and isinstance(path[1], str) and path[2] == ()
    return _literals(subject.schema.hint(path[1])) if is_key else set()


def _literals(hint: Any) -> set[Any]:
    if hint is bool:
        return {shape(True), shape(False)}
    return set(map(shape, get_args(hint))) if get_origin(hint) is Literal else set()


# --- Routers


def _routers(subject: LintSubject) -> Iterator[tuple[PlacedNode, RouterNode, set[Any] | None]]:
    """Routers with the values that their route field may have; `None` where it may have any."""
    for node in subject.nodes:
        prompt = subject.prompts.get(node.place)
        if isinstance(node.spec, RouterNode) and prompt is not None:
            yield node, node.spec, set(node.spec.routes) if prompt.answer is None else _values(prompt.answer, node.spec)


def _values(answer: Any, spec: RouterNode) -> set[Any] | None:
    fields = object_fields(answer) if kind_of(answer) == "object" else ()
    hint = next((field.hint for field in fields if spec.route_field in (field.name, field.key)), None)
    members = hints.union_members(hint)
    return set().union(*map(_literals, members)) if members and all(map(_literals, members)) else None


def router_default_never_taken(subject: LintSubject) -> Iterator[Hit]:
    """A router's default route is never taken.

    The answer can name nothing but routes: those that the prompt's schema lists, or the routes themselves where
    the prompt has no schema. Remove the default route.
    """
    for node, spec, values in _routers(subject):
        if spec.default_route is not None and values is not None and values <= spec.routes.keys():
            yield Hit(node.place / "default_route", f"every answer of {node.owner} names a route: never taken")


def route_never_taken(subject: LintSubject) -> Iterator[Hit]:
    """A route is never taken.

    The prompt's schema does not let the answer name it. Correct its spelling, or add it to the schema's enum.
    """
    for node, spec, values in _routers(subject):
        for route in spec.routes if values is not None else ():
            if values is not None and route not in values:
                known = ", ".join(sorted(map(str, values)))
                yield Hit(node.place / "routes" / route, f"the answer cannot be {route!r}; it is one of {known}")


def answer_without_route(subject: LintSubject) -> Iterator[Hit]:
    """An answer has no route.

    A router fails the run when the answer names no route. Add the route, a `default_route`, or an enum in the
    prompt's schema.
    """
    for node, spec, values in _routers(subject):
        if spec.default_route is not None:
            continue
        missing = sorted(str(value) for value in (values or ()) if value not in spec.routes)
        if missing:
            yield Hit(
                node.place / "routes",
                f"the answer may be {', '.join(missing)}, which no route is for: the run fails; add a route, or a "
                f"default_route",
            )
        elif values is None:
            yield Hit(
                node.place / "routes",
                f"the answer's {spec.route_field} may be anything, and what is no route fails the run; list the routes "
                f"as its enum in the prompt's schema, or add a default_route",
            )


# --- Edges, maps, races


def edge_twice(subject: LintSubject) -> Iterator[Hit]:
    """An edge is there twice.

    The second one does nothing. Most likely another node was meant.
    """
    known: set[tuple[str, str]] = set()
    for index, edge in enumerate(subject.spec.edges):
        for target in [edge.to] if isinstance(edge.to, str) else edge.to:
            if edge.condition is None and (edge.from_, target) in known:
                yield Hit(ROOT / "edges" / index, f"the edge from {edge.from_} to {target} is there already")
            elif edge.condition is None:
                known.add((edge.from_, target))


def drops_results(subject: LintSubject) -> Iterator[Hit]:
    """A map drops its results.

    What the inner node writes is no part of the state: the list of all results is, under the key that `collect`
    names.
    """
    for node in subject.nodes:
        spec = node.spec
        if isinstance(spec, MapNode) and spec.collect is None and keys_written(spec.node):
            yield Hit(
                node.place,
                f"the results of its items are dropped: what the inner node writes ({_listed(keys_written(spec.node))})"
                f" is no part of the state; say where the list of them goes with `collect`",
            )


def collects_nothing(subject: LintSubject) -> Iterator[Hit]:
    """A map collects nothing.

    The inner node writes no state key, so that the list holds nulls. Give the inner node a `state_key`.
    """
    for node in subject.nodes:
        spec = node.spec
        if isinstance(spec, MapNode) and spec.collect is not None and keys_written(spec.node) == ():
            yield Hit(
                node.place / "collect", "the inner node writes nothing, so that every item is null; give it a state_key"
            )


def _listed(keys: Sequence[str] | None) -> str:
    return ", ".join(keys or ())


def same_racers(subject: LintSubject) -> Iterator[Hit]:
    """Two nodes of a race are the same.

    Each costs what it costs, and the first answer is taken. Let them differ: another model, another prompt.
    """
    for node in subject.nodes:
        if not isinstance(node.spec, RaceNode):
            continue
        racers = list(node.spec.nodes.items())
        for index, (name, racer) in enumerate(racers):
            twin = next((other for other, spec in racers[:index] if spec == racer), None)
            if twin is not None:
                yield Hit(
                    node.place / "nodes" / name, f"is the same as {twin}: it costs twice and is no faster for long"
                )
