"""Listing the threads in Redis: some at a time, without those that have expired."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from dagflow.core.storage import Page, Status, ThreadSummary
from dagflow.store.checks import Place
from dagflow.store.redis import scripts
from dagflow.store.redis.keys import Keys, decoded, encoded

if TYPE_CHECKING:
    from dagflow.store.redis.link import Link

__all__ = ["page", "summaries", "sweep"]

SOME = 100
"""How many threads are looked at a time."""

FEW = 10
"""How many threads are looked at when a store is opened whose threads expire."""


async def page(link: Link, keys: Keys, limit: int, behind: Place | None, status: Status | None) -> Page:
    """Give one page of a listing, and where it ends if more threads come after it."""
    found: list[tuple[Place, ThreadSummary]] = []
    while True:
        places = await following(link, keys, behind)
        threads = await summaries(link, keys, [place.thread_id for place in places])
        found += (
            (place, thread)
            for place, thread in zip(places, threads, strict=True)
            if thread is not None and status in (None, thread.status)
        )
        if len(found) > limit:
            return Page(tuple(thread for _, thread in found[:limit]), str(found[limit - 1][0]))
        if not places:
            return Page(tuple(thread for _, thread in found))
        behind = places[-1]


async def following(link: Link, keys: Keys, behind: Place | None) -> Sequence[Place]:
    """Give some of the places behind another in the listing, in order; none where it ends.

    Where to go on is known by score and id, as the server orders them, so it does not matter what comes and goes.
    """
    start = b"-inf" if behind is None else repr(-behind.created).encode()
    count = SOME
    while True:
        reply = await link.look(
            "", b"ZRANGE", keys.threads, start, b"+inf", b"BYSCORE", b"LIMIT", 0, count, b"WITHSCORES"
        )
        places = [Place(-score, decoded(member)) for member, score in reply]
        after = [place for place in places if behind is None or place.rank > behind.rank]
        if after or len(places) < count:
            return after
        count *= 2  # they were all of one moment


async def summaries(link: Link, keys: Keys, thread_ids: Sequence[str]) -> builtins.list[ThreadSummary | None]:
    """Describe threads; `None` for those that are not there."""
    if not thread_ids:
        return []
    touched = chain.from_iterable(keys.thread(thread_id)[:3] for thread_id in thread_ids)
    ids = [encoded(thread_id) for thread_id in thread_ids]
    about = thread_ids[0] if len(thread_ids) == 1 else ""
    reply = await link.run(about, scripts.SUMMARISE, (keys.threads, *touched), *ids)
    return [None if row is None else summary(thread_id, row) for thread_id, row in zip(thread_ids, reply, strict=True)]


async def sweep(link: Link, keys: Keys) -> None:
    """Take some threads that have expired from the listing, any that chance picks: so none stays for ever."""
    members = await link.look("", b"ZRANDMEMBER", keys.threads, FEW)
    await summaries(link, keys, [decoded(member) for member in members])


def summary(thread_id: str, row: Sequence[Any]) -> ThreadSummary:
    graph, status, created, updated, records, leased = row
    return ThreadSummary(
        thread_id=thread_id,
        graph=decoded(graph),
        status=cast("Status", decoded(status)),
        created=float(created),
        updated=float(updated),
        records=records,
        leased=leased == 1,
    )
