"""The events that a journal has in memory, by number, in pages that can be given back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from dagflow.events import Event

__all__ = ["EventList"]

PAGE = 256
"""Events a page."""


class EventList:
    """Events by number, counted from 1. Those that were dropped leave gaps; a page of nothing else takes no memory."""

    def __init__(self) -> None:
        self.newest: int = 0
        """The number of the newest event, dropped or not."""
        self._last: list[Event | None] = []
        self._pages: list[list[Event | None] | None] = [self._last]
        self._dropped: dict[int, int] = {}
        """How many events of a page were dropped, while it has others."""

    def append(self, event: Event) -> None:
        """Take in the next event."""
        if len(self._last) == PAGE:
            self._last = []
            self._pages.append(self._last)
        self._last.append(event)
        self.newest += 1

    def extend(self, events: Iterable[Event]) -> None:
        """Take in several."""
        for event in events:
            self.append(event)

    def get(self, seq: int) -> Event | None:
        """The event of that number, or `None` where it was dropped; there must have been one."""
        page = self._pages[(seq - 1) // PAGE]
        return None if page is None else page[(seq - 1) % PAGE]

    def replace(self, event: Event) -> None:
        """Put an event in the place of the one that has its number, and is there."""
        page = self._pages[(event.seq - 1) // PAGE]
        assert page is not None
        page[(event.seq - 1) % PAGE] = event

    def drop(self, seqs: Iterable[int]) -> None:
        """Let go of the events of these numbers, each of which is there."""
        for seq in seqs:
            number, place = divmod(seq - 1, PAGE)
            page = self._pages[number]
            assert page is not None
            page[place] = None
            dropped = self._dropped.get(number, 0) + 1
            if dropped < PAGE:
                self._dropped[number] = dropped
            else:  # all of it, so that the page is full, too, and nothing is appended to it any more
                self._pages[number] = None
                del self._dropped[number]

    def after(self, seq: int, upto: int | None = None) -> Iterator[Event]:
        """The events that are there whose numbers are above `seq`, and not above `upto`."""
        number, place = divmod(seq, PAGE)
        pages = self._pages[number : None if upto is None else upto // PAGE + 1]
        if pages and pages[0] is not None:
            pages[0] = pages[0][place:]
        for event in chain.from_iterable(page for page in pages if page is not None):
            if event is not None:
                if upto is not None and event.seq > upto:
                    return
                yield event

    def __iter__(self) -> Iterator[Event]:
        return self.after(0)
