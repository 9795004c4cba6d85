"""The way through a pipeline's steps: what follows what, and which parameters are there where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from dagflow.core.structure import nearest
from dagflow.core.topology import find_cycle, reachable, strongly_connected
from dagflow.pipeline.steps import END, CompiledStep, Read

__all__ = ["Flow", "Way", "analyse", "faults_of_ways", "note_read"]


@attrs.frozen
class Way:
    """A step by name and what may follow it: the `next` step, and the one `after_failure`; `None` is the end.

    `goes_on` tells that after a failure the next step follows too, with what the step gives or without.
    """

    name: str
    next: str | None
    after_failure: str | None = None
    goes_on: bool = False

    @property
    def followers(self) -> tuple[str, ...]:
        """The steps that may follow, each once."""
        return tuple(dict.fromkeys(name for name in (self.next, self.after_failure) if name is not None))


def faults_of_ways(ways: Sequence[Way]) -> list[str]:
    """Say what is wrong with the order of steps: names used twice or unknown, circles, steps that nothing leads to."""
    names = [way.name for way in ways]
    faults = [
        f"two steps are named {name!r}; give one of them another name"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    faults += [
        f"a step is named {END!r}, which `next` says of the last one; rename it" for name in names if name == END
    ]
    for way in ways:
        for word, target in (("next", way.next), ("on_failure", way.after_failure)):
            if target is not None and target not in names:
                words = ("fail", "continue") if word == "on_failure" else (END,)
                known = f"; the steps are {', '.join(map(repr, names))}, and there is {' and '.join(map(repr, words))}"
                near = nearest(target, (*names, *words)) or known
                faults.append(f"step {way.name!r} has {word}={target!r}, which is no step of the pipeline{near}")
    if faults:
        return faults  # nothing below can be said about a way that leads nowhere
    edges = {way.name: way.followers for way in ways}
    circles = (find_cycle({name: edges[name] for name in part}) for part in strongly_connected(edges))
    faults += [
        f"the steps {' -> '.join(circle)} go in a circle; repeat steps with Loop(branch=Pipeline([...]), until=...)"
        for circle in circles
        if circle is not None
    ]
    reached = reachable(edges, names[:1])
    faults += [
        f"nothing leads to step {name!r}; name it as the `next` or `on_failure` of another step, or remove it"
        for name in names
        if name not in reached
    ]
    return faults


@attrs.frozen
class Flow:
    """What a pipeline reads from outside of its own scope, and what it gives when it ends.

    `reads` has the first reading of each parameter that no step before it is sure to give; one that no step before
    it could give at all is required. `gives` is what its steps may give, `surely` what is there at any end.
    """

    reads: tuple[Read, ...]
    gives: tuple[str, ...]
    surely: frozenset[str]


@attrs.define
class Before:
    """The parameters that the steps before a step may have given, and those that they surely have."""

    may: frozenset[str] = frozenset()
    surely: frozenset[str] | None = None

    def join(self, may: frozenset[str], surely: frozenset[str]) -> None:
        """Add another way by which the step is reached."""
        self.may |= may
        self.surely = surely if self.surely is None else self.surely & surely


def analyse(ways: Sequence[Way], steps: Mapping[str, CompiledStep], stand_ins: Mapping[str, Flow]) -> Flow:
    """Follow the parameters through sound ways; `stand_ins` are the pipelines that take the place of failed steps."""
    before = {way.name: Before() for way in ways}
    before[ways[0].name].join(frozenset(), frozenset())
    end = Before()
    reads: dict[str, Read] = {}
    by_name = {way.name: way for way in ways}
    for (name,) in strongly_connected({way.name: way.followers for way in ways}):  # each after all that lead to it
        way, here, step = by_name[name], before[name], steps[name]
        surely = here.surely or frozenset()
        stand_in = stand_ins.get(name)
        for read in (*step.reads, *(stand_in.reads if stand_in is not None else ())):
            if read.name not in surely:
                note_read(reads, read, required=read.required and read.name not in here.may)
        given = surely | step.surely
        may = here.may | set(step.gives)
        if way.goes_on:
            given &= surely | (stand_in.surely if stand_in is not None else frozenset())
            may |= set(stand_in.gives if stand_in is not None else ())
        (end if way.next is None else before[way.next]).join(may, given)
        if way.after_failure is not None:
            before[way.after_failure].join(here.may, surely)
    gives = [name for step in steps.values() for name in step.gives]
    gives += [name for flow in stand_ins.values() for name in flow.gives]
    return Flow(tuple(reads.values()), tuple(dict.fromkeys(gives)), end.surely or frozenset())


def note_read(reads: dict[str, Read], read: Read, *, required: bool) -> None:
    """Keep the first reading; it is required if any is, and the first type that is declared counts."""
    known = reads.get(read.name)
    if known is None:
        reads[read.name] = attrs.evolve(read, required=required)
        return
    hint: Any = read.hint if known.hint is Any else known.hint
    reads[read.name] = Read(read.name, hint, known.required or required)
