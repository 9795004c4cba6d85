"""What a journal forgets: the events of very many runs side by side that went well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dagflow.events import Event, LMCalled, NodeStarted, NodeSucceeded, RunEnded, RunStarted
from dagflow.kernel.forgetting import MANY
from dagflow.kernel.journal import Cursor, Journal
from dagflow.types import Usage


class Later:
    """A store that writes when it is told to."""

    is_awaited = True

    def add(self, event: Event, payload: Mapping[str, Any]) -> None:
        pass

    def hurry(self) -> None:
        pass


def begin(journal: Journal, run: str, parent: str = "") -> None:
    if parent:
        journal.adopt(run, parent)
    journal.record(RunStarted, run, graph="G", fingerprint="")


def work(journal: Journal, run: str) -> None:
    journal.record(NodeStarted, run, node="N", activation="N#1", attempt=1, parents=())
    journal.record(NodeSucceeded, run, node="N", activation="N#1", attempt=1, targets=(), duration=0.0)


def end(journal: Journal, run: str) -> None:
    journal.record(RunEnded, run, outcome="complete")


def part(journal: Journal, run: str, *, of: int = MANY + 1) -> None:
    with journal.part(run, of=of):
        begin(journal, run, "r")
        work(journal, run)
        end(journal, run)


def remembered(journal: Journal) -> list[str]:
    return sorted({event.run for event in journal.of("")})


async def test_parts_that_went_well_are_forgotten_and_all_else_is_kept() -> None:
    """Of very many parts nothing is left that went well, with the runs inside of them; numbers go on all the same."""
    journal = Journal()
    begin(journal, "r")
    with journal.part("r/1", of=MANY + 1):
        begin(journal, "r/1", "r")
        begin(journal, "r/1/inner", "r/1")
        begin(journal, "r/1/inner/innermost", "r/1/inner")
        work(journal, "r/1/inner/innermost")
        begin(journal, "r/2", "r")  # beside the part
    assert ["r", "r/2"] == remembered(journal)
    end(journal, "r")
    assert [1, 7, 8] == [event.seq for event in journal.events]


async def test_of_a_thousand_parts_all_is_kept() -> None:
    """Up to `MANY` parts are kept whole."""
    journal = Journal()
    for number in range(3):
        part(journal, f"r/{number}", of=MANY)
    assert ["r/0", "r/1", "r/2"] == remembered(journal)


async def test_a_part_in_which_something_happened_is_kept_whole() -> None:
    """A part that failed, and one in which anything but starts and successes was recorded, is kept with all it has."""
    journal = Journal()
    with pytest.raises(LookupError), journal.part("r/failed", of=MANY + 1):
        begin(journal, "r/failed", "r")
        raise LookupError
    with journal.part("r/billed", of=MANY + 1):
        begin(journal, "r/billed", "r")
        begin(journal, "r/billed/inner", "r/billed")
        usage = Usage(input_tokens=3)
        fields: dict[str, Any] = {"node": "N", "activation": "N#1", "model": "m", "purpose": "fill", "answered": True}
        journal.record(LMCalled, "r/billed/inner", usage=usage, duration=0.0, **fields)
        end(journal, "r/billed/inner")
    part(journal, "r/well")
    assert ["r/billed", "r/billed/inner", "r/failed"] == remembered(journal)
    assert 4 == len(journal.of("r/billed"))


async def test_nothing_is_forgotten_before_all_readers_have_read_it() -> None:
    """A follower, and whoever holds a cursor, sees every event of every part; what they have read is forgotten."""
    journal = Journal()
    cursor = Cursor()
    journal.hold(cursor)
    with journal.follow("") as events:
        for number in range(3):
            part(journal, f"r/{number}")
        seen = [event.seq for event in iter(events.take, None)]
        assert list(range(1, 13)) == seen
        assert 12 == len(journal.of(""))
        cursor.position = 8
        assert ["r/2"] == remembered(journal)
        journal.release(cursor)
        assert [] == remembered(journal)
        part(journal, "r/3")
        assert 4 == len(journal.of(""))
    assert [] == remembered(journal)


async def test_nothing_is_forgotten_before_the_store_has_it() -> None:
    """Where the journal is written to a store, a part stays until its last event is."""
    journal = Journal()
    journal.write_to(Later(), [])
    part(journal, "r/0")
    part(journal, "r/1")
    journal.publish(7)
    assert ["r/1"] == remembered(journal)
    journal.publish(8)
    assert [] == remembered(journal)


async def test_a_late_follower_goes_on_behind_the_gap() -> None:
    """Who begins to follow after parts were forgotten sees what there is, in order, and then what comes."""
    journal = Journal()
    begin(journal, "r")
    for number in range(2):
        part(journal, f"r/{number}")
    journal.of("")
    with journal.follow("") as events:
        end(journal, "r")
        assert [1, 10] == [event.seq for event in iter(events.take, None)]
        assert events.take() is None
        assert not events.is_full
