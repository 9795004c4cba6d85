"""DF4xx: loops and joins, and what surprises people about them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Final

from dagflow.declarative.edges import END, START_NAME
from dagflow.declarative.lint.rule import Hit, listed
from dagflow.declarative.lint.subject import LintSubject
from dagflow.declarative.lint.walk import ROOT
from dagflow.declarative.lint.ways import MOST_COMPARED, Loop, Way
from dagflow.declarative.model import MapNode

__all__ = [
    "conversation_without_steps",
    "each_without_sources",
    "edge_for_data",
    "ended_branches",
    "ended_in_loop",
    "limit_without_exit",
    "limits_beyond_steps",
    "loop_without_end",
    "loop_without_limit",
    "max_concurrency_without_effect",
    "next_turn_waits",
    "second_edge",
    "shared_handler",
    "shared_tools",
]


FEW: Final = 5
"""Where more branches meet than these, a join is what is meant."""


def _joins(subject: LintSubject) -> Iterator[tuple[str, tuple[Way, ...]]]:
    """The nodes that wait for several sources, heads of loops left out, each with the ways that lead to it."""
    ways = subject.ways
    for name, node in subject.spec.nodes.items():
        if len(ways.into[name]) > 1 and node.join == "all" and name not in ways.heads:
            yield name, ways.into[name]


def shared_handler(subject: LintSubject) -> Iterator[Hit]:
    """A shared handler waits for the slowest branch.

    A node with several sources starts once, when nothing can reach it any more. `join: each` starts it for each
    branch, at once.
    """
    for name, into in _joins(subject):
        pair = subject.ways.pair_at_once(way.source for way in into if not way.certain)
        if pair is not None:
            yield Hit(
                ROOT / "nodes" / name,
                f"{pair[0]} and {pair[1]} may lead here at different times, and it starts once, when neither can any "
                f"more: it waits for the slowest; `join: each` starts it for each",
            )


def second_edge(subject: LintSubject) -> Iterator[Hit]:
    """A second edge turns a node into a join.

    It waits for a branch from which it, and what follows it, reads nothing. Lead that branch to END, or write
    `join: each`.
    """
    for name, into in _joins(subject):
        certain = [way for way in into if way.certain]
        for waited, wanted in permutations(certain, 2) if len(certain) <= FEW else ():
            if subject.ways.at_once(waited.source, wanted.source) and _needs_only(subject, name, wanted, waited):
                yield Hit(
                    waited.place,
                    f"makes {name} a join, which waits for {waited.source} as well, although nothing from there on "
                    f"reads what that branch writes; lead it to END, or give {name} `join: each`",
                )


def _needs_only(subject: LintSubject, name: str, wanted: Way, waited: Way) -> bool:
    after = subject.ways.after(name)
    reads = {reading.key for reading in subject.reads if reading.node in after}
    if None in reads or not subject.writes_are_known:
        return False
    ours, theirs = _written_by(subject, wanted, waited), _written_by(subject, waited, wanted)
    return bool(ours & subject.read_by(name)) and not theirs & reads


def _written_by(subject: LintSubject, way: Way, without: Way) -> set[str | None]:
    """What a branch writes before it meets another."""
    ways = subject.ways
    branch = (ways.ancestors_in_turn(way.source) | {way.source}) - ways.ancestors_in_turn(without.source)
    return {key for key, names in subject.writers.items() if branch.intersection(names)}


def shared_tools(subject: LintSubject) -> Iterator[Hit]:
    """Two agents share one node of a loop.

    They become one loop, and each turn of one waits for the other. Give each a node of its own, or put agent and
    tools into a subgraph.
    """
    ways = subject.ways
    for loop in ways.loops:
        for name in loop.nodes:
            partners = [head for head in loop.heads if head != name and _take_turns(subject, head, name)]
            if len(partners) > 1:
                both = f"{partners[0]} and {partners[1]}"
                yield Hit(
                    ROOT / "nodes" / name,
                    f"{both} share it in one loop, and so they are one loop: each turn of {partners[0]} waits for that "
                    f"of {partners[1]}; give each a node of its own, or a subgraph",
                )


def _take_turns(subject: LintSubject, one: str, other: str) -> bool:
    successors = subject.ways.successors
    return other in successors[one] and one in successors[other]


def edge_for_data(subject: LintSubject) -> Iterator[Hit]:
    """An edge only passes data.

    An edge starts its target. The state is seen without it: a node sees what all nodes before it wrote. Remove
    the edge, and list under `requires` what has to be there.
    """
    ways = subject.ways
    for name, into in _joins(subject):
        for way in into[:MOST_COMPARED]:
            if not way.certain or way.source == START_NAME:
                continue
            before = (other.source for other in into if way.source in ways.ancestors_in_turn(other.source))
            between = next(before, None)
            if between is not None:
                yield Hit(
                    way.place,
                    f"{between}, which comes after {way.source}, leads to {name} too: {name} sees what {way.source} "
                    f"wrote without this edge, and starts by it even where {between} does not lead to it; take it "
                    f"away, and list what {name} needs under `requires`",
                )


# --- Loops


def next_turn_waits(subject: LintSubject) -> Iterator[Hit]:
    """The next turn of a loop waits for every branch.

    The head of a loop starts when all branches have come back, or gone another way. Where that is too slow, give
    each branch a loop of its own (a map, a subgraph).
    """
    ways = subject.ways
    for loop in ways.loops:
        for head in loop.heads:
            pair = ways.pair_at_once(way.source for way in ways.into[head] if way.source in loop.nodes)
            if pair is not None:
                yield Hit(
                    ROOT / "nodes" / head,
                    f"its next turn begins when both {pair[0]} and {pair[1]} have come back, or gone another way: the "
                    f"slower one holds it up",
                )


def ended_branches(subject: LintSubject) -> Iterator[tuple[str, str, str]]:
    """Branches that leave a loop while it goes on: who writes, which key, and the node of the loop that reads it."""
    ways = subject.ways
    for loop in (loop for loop in ways.loops if not loop.nested):
        inside = set(loop.nodes)
        for source, targets in ways.forks:
            leaving = [target for target in targets if target not in inside]
            if source not in inside or len(leaving) == len(targets):
                continue
            gone = ways.after(*leaving)
            yield from _read_inside(subject, loop, gone)


def _read_inside(subject: LintSubject, loop: Loop, gone: set[str]) -> Iterator[tuple[str, str, str]]:
    for key, names in subject.writers.items():
        if not gone.issuperset(names):
            continue
        for reading in subject.readers_of(key):
            if reading.node in loop.nodes:
                yield names[0], key, reading.node


def ended_in_loop(subject: LintSubject) -> Iterator[Hit]:
    """A branch that ended inside of a loop is not seen in it.

    What it wrote is in the final state only. Lead the branch back into the loop.
    """
    for writer, key, reader in dict.fromkeys(ended_branches(subject)):
        yield Hit(
            ROOT / "nodes" / writer,
            f"its branch ends while the loop goes on, so that {reader} never sees {key!r}: only the final state has "
            f"it; lead the branch back into the loop",
        )


def loop_without_limit(subject: LintSubject) -> Iterator[Hit]:
    """A loop without a limit.

    Only `max_steps` bounds it, and then the run fails. Add one of its nodes to `loop_limits`.
    """
    spec = subject.spec
    for loop in subject.ways.loops:
        asks = any(spec.nodes[name].type == "interrupt" for name in loop.nodes)
        if not loop.nested and not asks and not any(name in spec.loop_limits for name in loop.nodes):
            yield Hit(
                ROOT / "nodes" / loop.heads[0],
                f"the loop of {listed(loop.nodes)} has no limit but max_steps; add one of its nodes to loop_limits",
            )


def conversation_without_steps(subject: LintSubject) -> Iterator[Hit]:
    """A conversation ends at max_steps.

    A run that is resumed goes on counting its nodes, so that a loop which asks a person is over after some turns, and
    then the run fails. Say how many nodes it may start with `max_steps`.
    """
    spec = subject.spec
    for loop in subject.ways.loops:
        asking = next((name for name in loop.nodes if spec.nodes[name].type == "interrupt"), None)
        most = spec.step_limit
        if asking is not None and most is not None and not subject.has("max_steps") and not loop.nested:
            turns = most // subject.ways.way_round(asking)
            yield Hit(
                ROOT / "nodes" / asking,
                f"a run may start {most} nodes, resumed or not, and fails after {turns} turns of this loop or fewer; "
                f"say how many nodes it may start with `max_steps`",
            )


def limit_without_exit(subject: LintSubject) -> Iterator[Hit]:
    """A loop's limit fails the run.

    `loop_exits` says where to go on instead.
    """
    for name in subject.spec.loop_limits:
        if name in subject.ways.in_loops and name not in subject.spec.loop_exits:
            yield Hit(
                ROOT / "loop_limits" / name, "where it is reached, the run fails; say where to go on under loop_exits"
            )


def loop_without_end(subject: LintSubject) -> Iterator[Hit]:
    """Nothing leads out of a loop.

    The run goes round until it fails at a limit. Add an edge out of it, with a condition.
    """
    for loop in subject.ways.loops:
        inside = set(loop.nodes)
        leads_out = any(
            way.source in inside and (way.target == END or way.target not in inside) and way.kind != "fallback"
            for way in subject.ways.all
        )
        if not leads_out and not loop.nested:
            yield Hit(
                ROOT / "nodes" / loop.heads[0],
                f"nothing leads out of the loop of {listed(loop.nodes)}; add an edge to END with a condition",
            )


def limits_beyond_steps(subject: LintSubject) -> Iterator[Hit]:
    """A loop's limit is beyond max_steps.

    The run fails before the limit is reached, and the exit is never taken. Raise `max_steps`.
    """
    spec = subject.spec
    most = spec.step_limit
    if most is None:
        return
    for name, limit in spec.loop_limits.items():
        around = subject.ways.way_round(name)
        if limit * around > most:
            yield Hit(
                ROOT / "loop_limits" / name,
                f"a run may start {most} nodes, and needs {limit * around} until {name} has run {limit} times",
            )


# --- Options that do nothing


def each_without_sources(subject: LintSubject) -> Iterator[Hit]:
    """`join: each` without effect.

    Only one way leads to the node. Remove it, or add the edge that was meant.
    """
    for name, node in subject.spec.nodes.items():
        if node.join == "each" and len(subject.ways.into[name]) < 2:
            yield Hit(ROOT / "nodes" / name / "join", "does nothing: only one node leads here")
    for placed in subject.nodes:
        if placed.is_inner and placed.spec.join == "each":
            yield Hit(placed.place / "join", "does nothing: this node is inside of another")


def max_concurrency_without_effect(subject: LintSubject) -> Iterator[Hit]:
    """`max_concurrency` without effect.

    A node of a graph runs once at a time, unless `join: each` starts it more often. For a map, it bounds the
    items.
    """
    each = [name for name, node in subject.spec.nodes.items() if node.join == "each"]
    several = subject.ways.after(*each)
    for placed in subject.nodes:
        spec = placed.spec
        if isinstance(spec, MapNode) or spec.max_concurrency is None:
            continue
        if placed.is_inner or placed.owner not in several:
            yield Hit(
                placed.place / "max_concurrency",
                "does nothing: never more than one activation of this node is under way; "
                + ("bound the map around it" if placed.is_inner else "it bounds a node after `join: each`"),
            )
