"""Where a run need not be recorded at once, a kill costs what was agreed on, and the journal stays sound."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import attrs
import pytest

from dagflow.kernel.log import SOON
from durable.killed.judge import Expected, Verdict
from durable.killed.ledger import Entry, read_ledger
from durable.killed.places import STORES, StoreName, Stores, begin_stores
from durable.killed.processes import Processes, fork_server
from durable.killed.sweep import Case, Kill, expect, sweep

pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
STALL = 0.3
"""Seconds for which a busy machine may keep a process from what is due; a run takes three times as long at least."""


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with fork_server() as server:
        yield server


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    with begin_stores(*STORES) as made:
        yield made


@pytest.fixture(scope="module")
def expected(processes: Processes, stores: Stores) -> Expected:
    return expect(processes, stores.place("sqlite", "asyncio", name="expected"))


def longest_write(entries: list[Entry], killed: float) -> float:
    """Give the seconds that the longest write took, or had taken when the process was killed."""
    times = [entry.at for entry in entries if entry.kind in ("writing", "written")]
    if len(times) % 2:
        times.append(killed)
    return max(end - begin for begin, end in zip(times[::2], times[1::2], strict=True))


@pytest.mark.parametrize("store", STORES)
def test_a_kill_of_an_async_run(
    store: StoreName, anyio_backend: str, stores: Stores, processes: Processes, expected: Expected
) -> None:
    """Recorded `async`, a run loses the last moment at most, nothing that a stream showed, and goes on from the rest."""
    place = stores.place(store, anyio_backend, name="async")
    cases = []
    for number in range(1 if SCALE == 1 else 8):
        point = random.Random(f"{number} {store} {anyio_backend}").choice(["before", "body", "committed"])
        options = {"durability": "async", "pause": 0.03, "follow": bool(number % 2)}
        cases.append(Case(f"async {number} {anyio_backend}", [Kill(point, "z5#1")], options))
    tally = sweep(processes, place, cases, expected, "one kill, durability `async`")
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
    store: StoreName, anyio_backend: str, stores: Stores, processes: Processes, expected: Expected
) -> None:
    """Recorded at `exit`, a killed process leaves the journal as it found it, and the next one goes on from there."""
    place = stores.place(store, anyio_backend, name="exit")
    options = {"durability": "exit"}
    late = Kill("committed", "z5#1")
    alone = Case(f"alone {anyio_backend}", [late], options)
    behind = Case(f"behind {anyio_backend}", [Kill("committed", "d#1", durability="sync"), late], options)
    tally = sweep(processes, place, [alone, behind], expected, "one kill, durability `exit`")
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
