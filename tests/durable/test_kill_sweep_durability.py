"""Where a run need not be recorded at once, a kill costs what was agreed on, and the journal stays sound."""

from __future__ import annotations

import os
import random

import attrs
import pytest

from dagflow.kernel.log import SOON
from durable.killed.judge import Expected, Verdict
from durable.killed.ledger import Entry, read_ledger
from durable.killed.places import STORES, Places, StoreName
from durable.killed.processes import Processes
from durable.killed.sweep import Case, Kill, sweep

pytest_plugins = ["durable.killed.fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
STALL = 0.3
"""Seconds for which a busy machine may keep a process from what is due; a run takes three times as long at least."""


def longest_write(entries: list[Entry], killed: float) -> float:
    """Give the seconds that the longest write took, or had taken by then."""
    times = [entry.at for entry in entries if entry.kind in ("writing", "written")]
    if len(times) % 2:
        times.append(killed)
    return max(end - begin for begin, end in zip(times[::2], times[1::2], strict=True))


@pytest.mark.parametrize("store", STORES)
def test_a_kill_of_an_async_run(
    store: StoreName, anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """Recorded `async`, a run loses the last moment at most and nothing that a stream showed, and goes on."""
    place = places.at(store, anyio_backend, "async")
    cases = []
    for number in range(1 if SCALE == 1 else 8):
        point = random.Random(f"{number} {store} {anyio_backend}").choice(["before", "body", "committed"])
        options = {"durability": "async", "pause": 0.03, "follow": (anyio_backend == "trio") != bool(number % 2)}
        cases.append(Case(str(number), [Kill(point, "z5#1")], options))
    tally = sweep(processes, place, cases, expected, "one kill, durability `async`; lost: what was not promised")
    assert len(cases) == tally.kills
    assert {Verdict()} == {attrs.evolve(case.verdict(place, expected), lost=()) for case in cases}
    for case in cases:
        entries = [entry for entry in read_ledger(case.ledger(place)) if entry.pid == case.ended[0].pid]
        (killed,) = (entry.at for entry in entries if entry.kind == "killed")
        promised = killed - SOON - longest_write(entries, killed) - STALL
        due = {entry.activation for entry in entries if entry.kind == "told" and entry.at < promised}
        assert len(due) > 10, "it was killed late enough to tell"
        due |= {entry.activation for entry in entries if entry.kind == "streamed"}
        assert set() == due - case.journals[0].activations


@pytest.mark.parametrize("store", STORES)
def test_a_kill_of_a_run_that_records_at_its_exit(
    store: StoreName, anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """Recorded at `exit`, a killed process leaves the journal as it found it, and the next one goes on from there."""
    place = places.at(store, anyio_backend, "exit")
    options = {"durability": "exit"}
    late = Kill("committed", "z5#1")
    alone = Case("alone", [late], options)
    behind = Case("behind", [Kill("committed", "d#1", durability="sync"), late], options)
    tally = sweep(
        processes, place, [alone, behind], expected, "one kill, durability `exit`; lost: what was not promised"
    )
    assert 3 == tally.kills
    assert () == alone.journals[0].texts
    assert behind.journals[0].texts == behind.journals[1].texts
    assert "d#1" in behind.journals[0].activations
    for case in (alone, behind):
        # What nobody was promised is told of, and done again; what was recorded is not.
        verdict = case.verdict(place, expected)
        assert Verdict() == attrs.evolve(verdict, lost=())
        assert set() == case.journals[0].activations & set(verdict.lost)
        assert "z5#1" in verdict.lost
