"""A sliding window: how much may begin within any minute. Pure: it is told the time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs

__all__ = ["MINUTE", "Entry", "Window"]

MINUTE = 60.0


@attrs.define(eq=False)
class Entry:
    """What began at one moment; `time` is in seconds."""

    time: float
    requests: int
    tokens: int
    counted: bool = True


class Window:
    """The requests and tokens of the last minute, each against its limit (infinity for none).

    A log of the minute, and no token bucket: a bucket that holds a minute's worth lets twice as much through
    within one minute, once full and once refilled, which a provider that counts by the minute refuses. What
    keeps to a sliding window also keeps to the fixed windows and the token buckets of other providers, because
    n windows in a row hold n limits at most. It costs an entry for each request of the last minute.
    """

    def __init__(self, requests: float, tokens: float) -> None:
        self.requests = requests
        self.tokens = tokens
        self._entries: deque[Entry] = deque()
        self._used_requests = 0
        self._used_tokens = 0

    def free_at(self, tokens: int, now: float) -> float:
        """Say when a request of so many tokens may begin: `now`, or when enough has left the window."""
        self._forget(now)
        requests_used, tokens_used, at = self._used_requests, self._used_tokens, now
        for entry in self._entries:
            if requests_used < self.requests and tokens_used + tokens <= self.tokens:
                break
            requests_used -= entry.requests
            tokens_used -= entry.tokens
            at = entry.time + MINUTE
        return at

    def forecast(self, amounts: Iterable[int], now: float) -> float:
        """Say when the last of requests of so many tokens may begin, if each begins as soon as it may."""
        ahead = Window(self.requests, self.tokens)
        ahead._entries = deque(attrs.evolve(entry) for entry in self._entries)
        ahead._used_requests, ahead._used_tokens = self._used_requests, self._used_tokens
        for tokens in amounts:
            now = ahead.free_at(tokens, now)
            ahead.take(tokens, now)
        return now

    def take(self, tokens: int, now: float) -> Entry:
        """Note that a request begins."""
        return self._note(Entry(now, 1, tokens))

    def settle(self, entry: Entry, requests: int, tokens: int, now: float) -> None:
        """Correct what a request used: what was taken too much is free at once, what was too little counts from now."""
        self._forget(now)
        if entry.counted:
            self._used_requests -= max(0, entry.requests - requests)
            self._used_tokens -= max(0, entry.tokens - tokens)
        more = Entry(now, max(0, requests - entry.requests), max(0, tokens - entry.tokens))
        entry.requests = min(entry.requests, requests)
        entry.tokens = min(entry.tokens, tokens)
        if more.requests or more.tokens:
            self._note(more)

    def shift(self, seconds: float) -> None:
        """Move all entries, for another clock."""
        for entry in self._entries:
            entry.time += seconds

    def _note(self, entry: Entry) -> Entry:
        self._entries.append(entry)
        self._used_requests += entry.requests
        self._used_tokens += entry.tokens
        return entry

    def _forget(self, now: float) -> None:
        while self._entries and self._entries[0].time + MINUTE <= now:
            entry = self._entries.popleft()
            entry.counted = False
            self._used_requests -= entry.requests
            self._used_tokens -= entry.tokens
