"""The judge of the kill sweeps is no rubber stamp: it catches stores that break a promise, and each kind of fault."""

from __future__ import annotations

import attrs
import pytest

from durable.killed.judge import Done, Expected, Part, Verdict, judge
from durable.killed.orders import Sabotage
from durable.killed.places import Places
from durable.killed.processes import Processes
from durable.killed.sweep import Case, Kill, Tally, expect, sweep

pytest_plugins = ["durable.killed.fixtures"]

WHOLE = Done(("r1", "r2"), (("a#1", [["b"], {"a": 1}]), ("b#1", [[], {"b": 2}])))
HALF = Done(WHOLE.texts[:1], WHOLE.steps[:1])
STATE = {"a": 1, "b": 2}
EXPECTED = Expected(WHOLE, STATE)
FIRST = Part(["a#1", "b#1"], ["a#1"], HALF)
LAST = Part(["b#1"], ["b#1"], WHOLE, STATE)
OTHER = Done(WHOLE.texts, (WHOLE.steps[0], ("b#1", [[], {"b": 3}])))


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([FIRST, LAST], Verdict()),
        ([Part([], [], Done()), Part(["a#1", "b#1"], [], WHOLE, STATE)], Verdict()),
        ([attrs.evolve(FIRST, told=["a#1", "b#1"]), LAST], Verdict(lost=("b#1",))),
        ([FIRST, attrs.evolve(LAST, told=["c#1"])], Verdict(lost=("c#1",))),
        ([FIRST, attrs.evolve(LAST, bodies=["a#1", "b#1"])], Verdict(lost=("a#1",), again=("a#1",))),
        ([attrs.evolve(FIRST, told=[]), attrs.evolve(LAST, bodies=["a#1", "b#1"])], Verdict(again=("a#1",))),
        ([FIRST, attrs.evolve(LAST, bodies=["b#1", "b#1"])], Verdict(again=("b#1",))),
        (
            [FIRST, attrs.evolve(LAST, done=Done(("r1", "r2", "r3"), (*WHOLE.steps, WHOLE.steps[1])))],
            Verdict(twice=("b#1",)),
        ),
        ([FIRST, attrs.evolve(LAST, told=[], done=HALF)], Verdict(missing=("b#1",))),
        ([FIRST, attrs.evolve(LAST, done=OTHER)], Verdict(differing=("b#1",))),
        ([FIRST, attrs.evolve(LAST, done=attrs.evolve(WHOLE, texts=("x1", "r2")))], Verdict(rewritten=True)),
        ([FIRST, attrs.evolve(LAST, state=None)], Verdict(other_end=True)),
        ([FIRST, attrs.evolve(LAST, state={**STATE, "b": 3})], Verdict(other_end=True)),
    ],
)
def test_the_judge(parts: list[Part], verdict: Verdict) -> None:
    """What a run did wrong is told by its kind, and a run that did nothing wrong is not blamed."""
    assert verdict == judge(parts, EXPECTED)
    assert bool(judge(parts, EXPECTED)) == (verdict != Verdict())


def sabotaged(sabotage: Sabotage, backend: str, places: Places, processes: Processes) -> Tally:
    """Kill runs at places where nothing else runs, once what is `told` would have to be safe."""
    place = places.at("sqlite", backend, sabotage)
    names = ("d#1", "z4#1")
    cases = [Case(name, [Kill("committed", name)], {"sabotage": sabotage}) for name in names]
    tally = sweep(processes, place, cases, expect(processes, place), sabotage)
    assert 2 == tally.kills == len(tally.wrong), "each run is found out"
    return tally


@pytest.mark.slow
def test_acknowledging_before_the_commit(places: Places, processes: Processes, anyio_backend: str) -> None:
    """A store that says that it has written, and writes with the next append, loses what was told."""
    tally = sabotaged("acknowledge-first", anyio_backend, places, processes)
    assert {Verdict(lost=("d#1",)), Verdict(lost=("z4#1",))} == set(tally.wrong.values())


@pytest.mark.slow
def test_acknowledging_without_a_commit(places: Places, processes: Processes, anyio_backend: str) -> None:
    """A store that says that it has written, and never does, loses everything."""
    tally = sabotaged("never-write", anyio_backend, places, processes)
    assert 64 < tally.lost
    assert 2 == tally.differing


@pytest.mark.slow
def test_running_what_is_recorded(places: Places, processes: Processes, anyio_backend: str) -> None:
    """A resume that does not see the newest step runs it again, and cannot record it."""
    tally = sabotaged("forget-last", anyio_backend, places, processes)
    assert (2, 2, 0, 2) == (tally.lost, tally.again, tally.twice, tally.differing)


@pytest.mark.slow
def test_recording_twice(places: Places, processes: Processes, anyio_backend: str) -> None:
    """A resume that sees another thing in the place of the newest step runs it again, and records it twice."""
    tally = sabotaged("record-again", anyio_backend, places, processes)
    wrong = [Verdict(lost=(name,), again=(name,), twice=(name,)) for name in ("d#1", "z4#1")]
    assert wrong == list(tally.wrong.values())
