"""A sweep: kills a run of the fifty nodes at each of many points, goes on with it in other processes, and judges."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import anyio
import attrs

from dagflow.types import Durability
from durable.killed.judge import Done, Expected, Part, Verdict, judge, read_done
from durable.killed.ledger import read_ledger
from durable.killed.orders import Ended, Orders
from durable.killed.places import Place
from durable.killed.processes import Processes
from durable.killed.stores import open_address

__all__ = ["Case", "Kill", "Tally", "expect", "journals", "sweep"]

REPORT = os.environ.get("DAGFLOW_CHAOS_REPORT", "")
"""A file that each sweep adds a line of JSON to, with what it counted."""

KILLED = (-signal.SIGKILL, -signal.SIGPROF)

LEASE = 0.5
"""Seconds that the lease of a killed process lasts in Redis; one that a stalled process has lost it takes again."""

LEASE_WAIT = 30.0
"""Seconds that a resume waits for the lease of a killed process, where that lasts for a while."""


@attrs.frozen
class Kill:
    """When a process ends: at a point of an activation, at the n-th fault point of all, or after some seconds of work.

    `durability` is that of the process's run, where it is not what the case says of all.
    """

    point: str = ""
    activation: str = ""
    after: int = 0
    seconds: float = 0.0
    durability: Durability | None = None

    def __str__(self) -> str:
        if self.point:
            return f"{self.point}({self.activation})"
        return f"{self.seconds} s" if self.seconds else f"point {self.after}"


@attrs.frozen(eq=False)
class Case:
    """One run, the kills of its parts, and what is ordered of all parts beside that; its `name` is its place's own."""

    name: str
    kills: Sequence[Kill]
    options: dict[str, Any] = attrs.field(factory=dict)
    ended: list[Ended] = attrs.field(factory=list)
    journals: list[Done] = attrs.field(factory=list)

    def __str__(self) -> str:
        return " then ".join(map(str, self.kills))

    def thread(self, place: Place) -> str:
        """The thread of the run."""
        return f"{place.name}/{self.name}"

    def ledger(self, place: Place) -> Path:
        """The ledger of the run's processes."""
        return place.ledger(self.thread(place))

    def verdict(self, place: Place, expected: Expected) -> Verdict:
        """Judge the run by what is there after each of its processes."""
        entries = read_ledger(self.ledger(place), "body", "told", "streamed")
        parts = []
        for ended, done in zip(self.ended, self.journals, strict=True):
            mine = [entry for entry in entries if entry.pid == ended.pid]
            bodies = [entry.activation for entry in mine if entry.kind == "body"]
            told = [entry.activation for entry in mine if entry.kind != "body"]
            parts.append(Part(bodies, told, done, ended.answer.get("state")))
        return judge(parts, expected)


@attrs.define
class Tally:
    """What a sweep counted. `wrong` says what was wrong, by case."""

    kills: int = 0
    runs: int = 0
    bodies: int = 0
    lost: int = 0
    again: int = 0
    twice: int = 0
    differing: int = 0
    wrong: dict[str, Verdict] = attrs.field(factory=dict)

    def add(self, case: Case, verdict: Verdict, bodies: int) -> None:
        """Count a case."""
        self.runs += 1
        self.bodies += bodies
        self.kills += sum(ended.status in KILLED for ended in case.ended)
        self.lost += len(verdict.lost)
        self.again += len(verdict.again)
        self.twice += len(verdict.twice)
        self.differing += bool(verdict.missing or verdict.differing or verdict.rewritten or verdict.other_end)
        if verdict:
            self.wrong[str(case)] = verdict


def expect(processes: Processes, place: Place) -> Expected:
    """Run undisturbed, in a process, and give what any other run is to come to."""
    case = Case("undisturbed", ())
    ended = _part(processes, place, case, Kill())
    assert (0, "complete") == (ended.status, ended.outcome), ended
    (done,) = journals(place, case.thread(place))
    return Expected(done, ended.answer["state"])


def sweep(processes: Processes, place: Place, cases: Iterable[Case], expected: Expected, title: str) -> Tally:
    """Carry out cases and judge them; the lines of the report are under the `title`.

    The first parts of all come first, then the second ones: the leases of killed processes end meanwhile.
    """
    began, left = time.monotonic(), list(cases)
    tally = Tally()
    while left:
        for case in left:
            kill = case.kills[len(case.ended)] if len(case.ended) < len(case.kills) else Kill()
            case.ended.append(_part(processes, place, case, kill))
        for case, done in zip(left, journals(place, *(case.thread(place) for case in left)), strict=True):
            case.journals.append(done)
            if case.ended[-1].status == 0:
                bodies = len(read_ledger(case.ledger(place), "body"))
                tally.add(case, case.verdict(place, expected), bodies)
        left = [case for case in left if case.ended[-1].status != 0]
        assert all(len(case.ended) <= len(case.kills) for case in left), "nothing else kills a process"
    _report(title, place, tally, time.monotonic() - began)
    return tally


def _part(processes: Processes, place: Place, case: Case, kill: Kill) -> Ended:
    orders = Orders(
        address=place.address,
        thread=case.thread(place),
        ledger=str(case.ledger(place)),
        backend=place.backend,
        do="resume" if case.ended and case.journals[-1].texts else "run",
        lease=LEASE,
        lease_wait=LEASE_WAIT,
        kill_point=kill.point,
        kill_at=kill.activation,
        kill_after=kill.after,
        kill_in=kill.seconds,
    )
    orders = attrs.evolve(orders, **case.options)
    if kill.durability is not None:
        orders = attrs.evolve(orders, durability=kill.durability)
    ended = processes.do(orders)
    assert ended.status in (0, *KILLED), f"{case}: the process ended with {ended.status}; see its error"
    return ended


def journals(place: Place, *threads: str) -> list[Done]:
    """Read what threads have now."""

    async def read() -> list[Done]:
        async with open_address(place.address).open() as session:
            return [await read_done(session, thread) for thread in threads]

    return anyio.run(read)


def _report(title: str, place: Place, tally: Tally, seconds: float) -> None:
    if not REPORT:
        return
    counts = attrs.asdict(tally, filter=lambda attribute, _: attribute.name != "wrong")
    line = {"sweep": title, "store": place.store, "backend": place.backend, **counts, "seconds": round(seconds, 1)}
    with open(REPORT, "a") as report:
        report.write(json.dumps(line) + "\n")
