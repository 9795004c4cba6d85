"""Several processes and one thread: one works at a time, whoever comes next goes on with what is recorded."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from typing import Any

import anyio
import attrs
import pytest

from dagflow.core.storage import ThreadSummary
from dagflow.kernel.fault_points import POINTS, Point
from durable.killed.fifty import ACTIVATIONS
from durable.killed.judge import Expected, Part, Verdict, judge
from durable.killed.ledger import read_ledger
from durable.killed.orders import Orders
from durable.killed.places import STORES, Place, Places, StoreName
from durable.killed.processes import Processes
from durable.killed.questions import ACTIVATIONS as ASKING
from durable.killed.questions import COLOUR, SIZE
from durable.killed.stores import open_address
from durable.killed.sweep import journals

pytest_plugins = ["durable.killed.fixtures"]
pytestmark = [pytest.mark.slow]

LONG = 20.0
"""Seconds that somebody waits for a lease."""

SLACK = 3.0
"""Seconds that a busy machine may add."""

LEASE, SHORT_LEASE = 1.5, 0.5
"""Seconds that leases of killed processes last in Redis."""


def other(backend: str) -> str:
    return "trio" if backend == "asyncio" else "asyncio"


def orders(place: Place, **options: Any) -> Orders:
    """Orders for the one thread of a place."""
    made = Orders(address=place.address, thread=place.name, ledger=str(place.ledger("ledger")), backend=place.backend)
    return attrs.evolve(made, **options)


def bodies(place: Place, *pids: int) -> list[str]:
    """The bodies that were called, in all processes or in some."""
    entries = read_ledger(place.ledger("ledger"), "body")
    return [entry.activation for entry in entries if not pids or entry.pid in pids]


def told(place: Place, pid: int) -> list[str]:
    return [entry.activation for entry in read_ledger(place.ledger("ledger"), "told") if entry.pid == pid]


def summary(place: Place) -> ThreadSummary:
    """How the thread stands."""

    async def find() -> ThreadSummary:
        async with open_address(place.address).open() as session:
            found = await session.find(place.name)
            assert found is not None
            return found

    return anyio.run(find)


def wait_until_free(place: Place) -> None:
    """Wait until a dead process's lease has ended."""
    while summary(place).leased:
        time.sleep(0.05)


@pytest.mark.parametrize("store", STORES)
def test_two_resume_at_once(
    store: StoreName, anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """Of two processes that resume a thread at one moment, one works, and the other is told that it does."""
    place = places.at(store, anyio_backend, "two at once")
    killed = processes.do(orders(place, lease=SHORT_LEASE, kill_point="committed", kill_at="d#1"))
    wait_until_free(place)
    (before,) = journals(place, place.name)
    resume = orders(place, do="resume", wait=True, hold_at="z7#1")
    with processes.begin(resume) as one, processes.begin(attrs.evolve(resume, backend=other(anyio_backend))) as two:
        assert [{"ready": True}] * 2 == [one.hear(), two.hear()]
        one.tell()
        two.tell()
        said = {one: one.hear(), two: two.hear()}
        (winner,) = (process for process, words in said.items() if "holding" in words)
        (loser,) = (process for process in said if process is not winner)
        assert "RunLocked" == said[loser]["answer"]["outcome"]
        lost = loser.end()
        winner.tell()
        won = winner.end()
    assert "complete" == won.outcome
    assert [] == bodies(place, lost.pid)
    (after,) = journals(place, place.name)
    parts = [
        Part(bodies(place, killed.pid), told(place, killed.pid), before),
        Part(bodies(place, won.pid), told(place, won.pid), after, won.answer["state"]),
    ]
    assert Verdict() == judge(parts, expected)


@pytest.mark.parametrize("store", STORES)
def test_waiting_for_the_other(
    store: StoreName, anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """A process that waits for the lease of another gets the finished run, and runs nothing again."""
    place = places.at(store, anyio_backend, "waiting")
    with processes.begin(orders(place, hold_at="d#1")) as one:
        assert "d#1" == one.hear()["holding"]
        resume = orders(place, do="resume", backend=other(anyio_backend))
        refused = processes.do(resume)
        assert "RunLocked" == refused.outcome
        assert f"another run works on thread '{place.name}'" in refused.answer["message"]
        assert "RunLocked" == processes.do(attrs.evolve(resume, do="run")).outcome
        with processes.begin(attrs.evolve(resume, lease_wait=LONG, wait=True)) as two:
            assert {"ready": True} == two.hear()
            two.tell()
            one.tell()
            first, second = one.end(), two.end()
    assert ["complete", "complete"] == [first.outcome, second.outcome]
    assert expected.state == first.answer["state"] == second.answer["state"]
    assert sorted(ACTIVATIONS) == sorted(bodies(place))
    assert [] == bodies(place, second.pid)
    (done,) = journals(place, place.name)
    assert Verdict() == judge([Part(bodies(place), told(place, first.pid), done, first.answer["state"])], expected)


@pytest.mark.parametrize("store", STORES)
def test_the_lease_of_a_dead_process(
    store: StoreName, anyio_backend: str, places: Places, processes: Processes
) -> None:
    """A killed process's thread is free at once in SQLite, in Redis when its lease has run out, and not before."""
    place = places.at(store, anyio_backend, "dead owner")
    began = time.monotonic()
    processes.do(orders(place, lease=LEASE, kill_point="body", kill_at="d#1"))
    resume = orders(place, do="resume")
    if store == "redis":
        at_once = processes.do(resume)
        assert at_once.outcome == "RunLocked" or time.monotonic() > began + LEASE
        resume = attrs.evolve(resume, lease_wait=LONG)
    assert "complete" == processes.do(resume).outcome
    assert Counter(bodies(place)) - Counter(ACTIVATIONS) <= Counter(["d#1"])


def test_a_process_that_stood_still(
    anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """A process that was stopped for so long that another took its thread over writes nothing when it goes on."""
    place = places.at("redis", anyio_backend, "stood still")
    with processes.begin(orders(place, lease=SHORT_LEASE, hold_at="d#1", follow=True)) as one:
        stopped = one.hear()["pid"]
        os.kill(stopped, signal.SIGSTOP)
        (before,) = journals(place, place.name)
        took_over = processes.do(orders(place, do="resume", lease_wait=LONG))
        assert "complete" == took_over.outcome
        (after,) = journals(place, place.name)
        one.tell()
        os.kill(stopped, signal.SIGCONT)
        assert "RunLocked" == one.end().outcome
    assert [after] == journals(place, place.name)
    parts = [
        Part(bodies(place, stopped), told(place, stopped), before),
        Part(bodies(place, took_over.pid), told(place, took_over.pid), after, took_over.answer["state"]),
    ]
    assert Verdict() == judge(parts, expected)
    assert ("complete", False) == (summary(place).status, summary(place).leased)


@pytest.mark.parametrize("first", [COLOUR, SIZE])
@pytest.mark.parametrize("store", STORES)
def test_two_questions(store: StoreName, first: str, anyio_backend: str, places: Places, processes: Processes) -> None:
    """Questions of parallel branches are answered in any order, by processes on any event loop; nothing runs twice."""
    place = places.at(store, anyio_backend, f"two questions, {first}")
    (second,) = {COLOUR, SIZE} - {first}
    asked = processes.do(orders(place, graph="questions"))
    assert ("interrupted", [COLOUR, SIZE]) == (asked.outcome, asked.answer["asked"])
    assert ["start#1", "cook#1", "baker#1"] == bodies(place)
    resume = orders(place, graph="questions", do="resume")
    half = processes.do(attrs.evolve(resume, backend=other(anyio_backend), answers={first: "one"}))
    assert ("interrupted", [second]) == (half.outcome, half.answer["asked"])
    again = processes.do(resume)
    assert ("interrupted", [second]) == (again.outcome, again.answer["asked"])
    whole = processes.do(attrs.evolve(resume, answers={second: "two"}))
    assert "complete" == whole.outcome
    colour, size = ("one", "two") if first == COLOUR else ("two", "one")
    assert ([colour], [size]) == (whole.answer["state"]["painter"], whole.answer["state"]["tailor"])
    assert ["baker", "cook", "painter", "start", "tailor"] == whole.answer["state"]["end"]
    assert sorted(ASKING) == sorted(bodies(place))
    wrong = processes.do(attrs.evolve(resume, answers={first: "three"}))
    assert "AnswerError" == wrong.outcome
    assert whole.answer == processes.do(resume).answer
    assert sorted(ASKING) == sorted(bodies(place))


@pytest.mark.parametrize("store", STORES)
def test_two_answer_at_once(store: StoreName, anyio_backend: str, places: Places, processes: Processes) -> None:
    """Two processes that answer a question each at one moment, and wait for each other, come to the end together."""
    place = places.at(store, anyio_backend, "two answers")
    processes.do(orders(place, graph="questions"))
    resume = orders(place, graph="questions", do="resume", lease_wait=LONG, wait=True)
    colour = attrs.evolve(resume, answers={COLOUR: "red"})
    size = attrs.evolve(resume, answers={SIZE: "tall"}, backend=other(anyio_backend))
    with processes.begin(colour) as one, processes.begin(size) as two:
        assert [{"ready": True}] * 2 == [one.hear(), two.hear()]
        one.tell()
        two.tell()
        ends = [one.end(), two.end()]
    assert {"interrupted", "complete"} == {ended.outcome for ended in ends}
    (whole,) = (ended for ended in ends if ended.outcome == "complete")
    assert (["red"], ["tall"]) == (whole.answer["state"]["painter"], whole.answer["state"]["tailor"])
    assert sorted(ASKING) == sorted(bodies(place))


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("store", STORES)
def test_a_kill_of_who_has_the_answer(
    store: StoreName, point: Point, anyio_backend: str, places: Places, processes: Processes
) -> None:
    """Killed with an answer, a process has recorded it or not: it is given again or asked for no more."""
    place = places.at(store, anyio_backend, f"killed with an answer, {point}")
    processes.do(orders(place, graph="questions"))
    resume = orders(place, graph="questions", do="resume", lease_wait=LONG)
    killed = attrs.evolve(resume, lease=SHORT_LEASE, answers={COLOUR: "red"}, kill_point=point, kill_at="painter#1")
    assert -signal.SIGKILL == processes.do(killed).status
    (before,) = journals(place, place.name)
    is_recorded = any('"kind":"InterruptAnswered"' in text for text in before.texts)
    assert point != "committed" or is_recorded
    answers = {SIZE: "tall"} if is_recorded else {COLOUR: "red", SIZE: "tall"}
    whole = processes.do(attrs.evolve(resume, answers=answers))
    assert ("complete", ["red"]) == (whole.outcome, whole.answer["state"]["painter"])
    (after,) = journals(place, place.name)
    assert sorted(ASKING) == sorted(activation for activation, _ in after.steps)
    assert before.texts == after.texts[: len(before.texts)]
    assert Counter(bodies(place)) - Counter(ASKING) <= Counter(["painter#1"] if point != "committed" else [])


@pytest.mark.parametrize("store", STORES)
def test_cancelling_from_another_process(
    store: StoreName, anyio_backend: str, places: Places, processes: Processes, expected: Expected
) -> None:
    """A run that another process asks to cancel ends soon, is recorded as cancelled, and can be gone on with."""
    place = places.at(store, anyio_backend, "cancelled")
    cancel = orders(place, do="cancel", backend=other(anyio_backend))
    assert "CheckpointError" == processes.do(cancel).outcome, "there is no such thread"
    with processes.begin(orders(place, hold_at="e3#1")) as one:
        assert "e3#1" == one.hear()["holding"]
        (held,) = journals(place, place.name)
        assert "True" == processes.do(cancel).outcome
        asked = time.monotonic()
        cancelled = one.end()
        took = time.monotonic() - asked
    assert "RunCancelled" == cancelled.outcome
    assert "e3#1" in cancelled.answer["message"]
    assert took < 2 + SLACK
    assert ("cancelled", False) == (summary(place).status, summary(place).leased)
    assert "False" == processes.do(cancel).outcome, "nobody works on it"
    (before,) = journals(place, place.name)
    assert held.activations <= before.activations
    resumed = processes.do(orders(place, do="resume"))
    assert "complete" == resumed.outcome
    (after,) = journals(place, place.name)
    parts = [
        Part(bodies(place, cancelled.pid), told(place, cancelled.pid), before),
        Part(bodies(place, resumed.pid), told(place, resumed.pid), after, resumed.answer["state"]),
    ]
    assert Verdict() == judge(parts, expected)
