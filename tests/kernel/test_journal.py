"""The journal: numbering, replay, following live, and backpressure."""

import anyio
import pytest

from dagflow.events import Event, Progress, RunEnded, RunStarted
from dagflow.kernel.journal import Journal, Subscription


def start(journal: Journal, run: str = "r") -> None:
    journal.record(RunStarted, run, graph="G", fingerprint="")


def tell(journal: Journal, message: str) -> None:
    journal.record(Progress, "r", node="N", activation="N#1", message=message)


async def read(events: Subscription) -> list[Event]:
    return [event async for event in events]


async def test_recorded_events_are_numbered_and_live_ones_are_not_kept() -> None:
    """Recorded events count from 1 without a gap; a live one has the number of the event before it."""
    journal = Journal()
    start(journal)
    with journal.follow("r") as events:
        tell(journal, "half")
        journal.record(RunEnded, "r", outcome="complete")
        events.finish()
        seen = await read(events)
    assert [1, 1, 2] == [event.seq for event in seen]
    assert [RunStarted, Progress, RunEnded] == [type(event) for event in seen]
    assert [1, 2] == [event.seq for event in journal.events]


async def test_a_late_follower_misses_nothing_and_sees_nothing_twice() -> None:
    """Replay goes over into live without a gap or a repeat, from any sequence number on."""
    for after in range(6):
        journal = Journal()
        for _ in range(3):
            start(journal)
        with journal.follow("r", after=after) as events:
            for _ in range(3):
                start(journal)
            events.finish()
            assert list(range(after + 1, 7)) == [event.seq for event in await read(events)]


async def test_a_follower_of_a_nested_run_sees_that_one_only() -> None:
    """A follower sees the events of its run and of the runs nested in it, and no others."""
    journal = Journal()
    for run in ("r", "r/A#1/G.1", "r/A#1/G.1/B#1/H.1", "r/A#1/G.10", "s"):
        start(journal, run)
    with journal.follow("r/A#1/G.1") as events:
        events.finish()
        assert ["r/A#1/G.1", "r/A#1/G.1/B#1/H.1"] == [event.run for event in await read(events)]


async def test_a_full_buffer_holds_the_writer_up_until_it_is_read() -> None:
    """A writer that settles waits while a follower is full, and goes on when it has read or left."""
    journal = Journal()
    settled = False

    async def write() -> None:
        nonlocal settled
        for _ in range(3):
            start(journal)
            await journal.settle()
        settled = True

    with journal.follow("r", capacity=2) as events:
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            assert 2 == journal.events.newest
            await events.__anext__()
            await anyio.wait_all_tasks_blocked()
            assert (3, False) == (journal.events.newest, settled)
            journal.detach(events)
            events.__exit__(None, None, None)
    assert settled


async def test_a_reader_waits_for_the_next_event() -> None:
    """A follower that has read everything waits, and wakes for the next event and for the end."""
    journal = Journal()
    seen: list[Event] = []

    async def follow(events: Subscription) -> None:
        seen.extend(await read(events))

    with journal.follow("r") as events:
        async with anyio.create_task_group() as group:
            group.start_soon(follow, events)
            await anyio.wait_all_tasks_blocked()
            start(journal)
            await anyio.wait_all_tasks_blocked()
            tell(journal, "live")
            events.finish()
    assert [RunStarted, Progress] == [type(event) for event in seen]


async def test_a_buffer_below_one_is_refused() -> None:
    """A stream that can hold no event could never begin."""
    with pytest.raises(ValueError, match="at least 1 event, not 0"):
        Journal().follow("r", capacity=0)
