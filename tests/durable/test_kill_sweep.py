"""Runs whose processes are killed at every point of every activation, and in resumes too, lose and repeat nothing."""

from __future__ import annotations

import os
import random

import pytest

from dagflow.kernel.fault_points import POINTS, Point
from durable.killed.fifty import ACTIVATIONS, EDGES
from durable.killed.judge import Expected
from durable.killed.places import STORES, Places, StoreName
from durable.killed.processes import Processes
from durable.killed.sweep import Case, Kill, Tally, expect, sweep

pytest_plugins = ["durable.killed.fixtures"]
pytestmark = [pytest.mark.slow, pytest.mark.chaos]

SCALE = int(os.environ.get("DAGFLOW_CAMPAIGN", "1"))
BACKENDS = ("asyncio", "trio")
SHARES = [(store, backend, point) for store in STORES for backend in BACKENDS for point in POINTS]
"""Among which an ordinary test run divides every second activation."""

ROUNDS = range(1 if SCALE == 1 else max(2, SCALE // 2))
"""Each is a test of its own, which takes seconds."""


def clean(tally: Tally) -> bool:
    """Tell whether a sweep found nothing wrong, and say what it found."""
    assert {} == tally.wrong
    return (0, 0, 0, 0) == (tally.lost, tally.again, tally.twice, tally.differing)


@pytest.mark.parametrize("store", STORES)
def test_undisturbed(
    store: StoreName, anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """Undisturbed, the graph of fifty nodes does the same on every store and event loop, each activation once."""
    assert 50 == len(EDGES)
    found = expect(processes, places.at(store, anyio_backend, "undisturbed"))
    assert sorted(ACTIVATIONS) == sorted(activation for activation, _ in found.done.steps)
    assert dict(expected.done.steps) == dict(found.done.steps)
    assert expected.state == found.state


@pytest.mark.parametrize("part", ROUNDS)
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("store", STORES)
def test_a_kill_at_any_point_of_any_activation(
    store: StoreName,
    point: Point,
    part: int,
    anyio_backend: str,
    places: Places,
    processes: Processes,
    expected: Expected,
) -> None:
    """Killed at any point of any activation, a run goes on: nothing told is lost, nothing recorded runs again."""
    share = SHARES.index((store, anyio_backend, point))
    activations = ACTIVATIONS[part :: len(ROUNDS)] if SCALE > 1 else ACTIVATIONS[2 * share :: 2 * len(SHARES)]
    cases = [
        Case(f"{point} {activation}", [Kill(point, activation)], {"follow": bool(number % 2)})
        for number, activation in enumerate(activations)
    ]
    place = places.at(store, anyio_backend, f"kill {part} {point}")
    tally = sweep(processes, place, cases, expected, f"one kill, at `{point}`")
    assert clean(tally)
    assert len(activations) == tally.kills


@pytest.mark.parametrize("part", ROUNDS)
@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("store", STORES)
def test_kills_in_a_row(
    store: StoreName,
    count: int,
    part: int,
    anyio_backend: str,
    places: Places,
    processes: Processes,
    expected: Expected,
) -> None:
    """Killed two and three times in a row, at any fault points, a run goes on as if it had been killed once."""
    cases = []
    for seed in range(1 if SCALE == 1 else 5):
        generator = random.Random(f"{part} {seed} {count} {store} {anyio_backend}")
        # Early enough that something is left for the next process to be killed in.
        kills = [Kill(after=generator.randint(1, 200 // count)) for _ in range(count)]
        cases.append(Case(str(seed), kills, {"follow": generator.random() < 0.5}))
    place = places.at(store, anyio_backend, f"{count} kills {part}")
    tally = sweep(processes, place, cases, expected, f"{count} kills in a row")
    assert clean(tally)
    assert count * len(cases) == tally.kills


@pytest.mark.parametrize("part", ROUNDS)
@pytest.mark.parametrize("store", STORES)
def test_kills_at_any_moment(
    store: StoreName, part: int, anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """Killed at moments that no fault point names, in each of its first processes, a run goes on."""
    cases = []
    for seed in range(3 if SCALE == 1 else 8):
        generator = random.Random(f"{part} {seed} {store} {anyio_backend}")
        kills = [Kill(seconds=generator.uniform(0.003, 0.05)) for _ in range(2 if SCALE == 1 else 4)]
        cases.append(Case(str(seed), kills, {"follow": generator.random() < 0.5}))
    place = places.at(store, anyio_backend, f"moments {part}")
    tally = sweep(processes, place, cases, expected, "kills at any moment")
    assert clean(tally)
    assert tally.kills, "none came in time"
    assert SCALE == 1 or tally.bodies > len(ACTIVATIONS) * len(cases), "some came while bodies were at work"
