"""The events that a journal has in memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dagflow.events import Event
from dagflow.kernel.event_list import PAGE, EventList


def event(seq: int, *, run: str = "r") -> Event:
    return Event(seq=seq, run=run, wall=0.0, elapsed=0.0)


@given(count=st.integers(0, 3 * PAGE + 5), data=st.data())
def test_what_was_dropped_leaves_a_gap_and_the_others_stay(count: int, data: st.DataObject) -> None:
    """An event is found by its number, in order, whatever was dropped and appended before."""
    events, known = EventList(), dict[int, Event]()
    for upto in [*sorted(data.draw(st.lists(st.integers(0, count), max_size=4))), count]:
        added = {seq: event(seq) for seq in range(events.newest + 1, upto + 1)}
        events.extend(added.values())
        known |= added
        if known:
            first = data.draw(st.integers(1, max(upto, 1)))
            last = data.draw(st.integers(first, max(upto, 1)))
            gone = [seq for seq in range(first, last + 1) if seq in known]
            events.drop(gone)
            for seq in gone:
                del known[seq]
        assert upto == events.newest
        assert list(known.values()) == list(events)
        after, until = data.draw(st.integers(0, upto)), data.draw(st.integers(0, upto))
        assert [seq for seq in known if seq > after] == [one.seq for one in events.after(after)]
        assert [seq for seq in known if after < seq <= until] == [one.seq for one in events.after(after, until)]
        assert [known.get(seq) for seq in range(1, upto + 1)] == [events.get(seq) for seq in range(1, upto + 1)]


def test_a_page_of_dropped_events_takes_no_memory() -> None:
    """However many events came and were dropped, no event and no page of them is left."""
    events = EventList()
    for seq in range(1, 10 * PAGE + 1):
        events.append(event(seq))
        events.drop([seq])
    assert [None] * 10 == events._pages
    assert not events._dropped
    events.append(event(10 * PAGE + 1))
    assert [10 * PAGE + 1] == [one.seq for one in events]


def test_an_event_is_replaced_where_it_stands() -> None:
    """An event takes the place of the one that has its number."""
    events = EventList()
    events.extend([event(seq) for seq in range(1, PAGE + 3)])
    events.replace(event(PAGE + 1, run="other"))
    assert {PAGE + 1} == {one.seq for one in events if one.run == "other"}
    assert PAGE + 2 == len(list(events))
