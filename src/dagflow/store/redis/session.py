"""An open Redis store: the methods of `Session`, each a script or a look, and what their replies mean."""

from __future__ import annotations

import builtins
import secrets
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from dagflow.core.storage import Head, Lease, Page, Record, Status, ThreadSummary
from dagflow.errors import CheckpointError
from dagflow.kernel import fault_points
from dagflow.store.checks import Place, check_limit, check_numbers, lost, not_following, taken
from dagflow.store.redis import listing, scripts
from dagflow.store.redis.keys import Keys, decoded, encoded

if TYPE_CHECKING:
    from dagflow.store.redis.link import Link

__all__ = ["RedisSession", "Terms"]

RECORDS, VALUES = 1000, 100
"""How many are asked for at a time, so that no reply keeps the server busy for long."""


@attrs.frozen
class Terms:
    """What a store's sessions have in common; `lease` and `ttl` in milliseconds, `ttl` 0 for none."""

    keys: Keys
    lease: int
    ttl: int


class RedisSession:
    """An open store; see `Session` for what its methods promise."""

    def __init__(self, link: Link, terms: Terms) -> None:
        self._link = link
        self._terms = terms
        self._keys = terms.keys
        # The leases that are out, each with the number of the newest record when it was taken. One that expired
        # because the server or we stood still is taken again where nobody came in between; none that was released.
        self._bases: dict[Lease, int] = {}
        self._closed = False

    async def acquire(self, thread_id: str) -> Lease:
        """Take the lease of a thread; raises `RunLocked` where it is taken."""
        lease = Lease(thread_id, secrets.token_hex(16))
        link, keys = self._opened(), self._keys.thread(thread_id)
        newest = int(await link.run(thread_id, scripts.ACQUIRE, keys, lease.owner.encode(), self._terms.lease))
        if newest < 0:
            raise taken(thread_id)
        self._bases[lease] = newest
        return lease

    async def renew(self, lease: Lease) -> bool:
        """Keep a lease, and tell whether somebody asked to cancel its run; raises `RunLocked` where it is lost."""
        link, keys = self._opened(), self._keys.thread(lease.thread_id)
        owner, base = lease.owner.encode(), self._bases.get(lease, -1)
        asked = int(await link.run(lease.thread_id, scripts.RENEW, keys, owner, self._terms.lease, base))
        if asked < 0:
            raise lost(lease.thread_id)
        return asked == 1

    async def release(self, lease: Lease) -> None:
        """Give a lease back; nothing happens where it is lost already."""
        link, keys = self._opened(), self._keys.thread(lease.thread_id)
        await link.run(lease.thread_id, scripts.RELEASE, keys, lease.owner.encode(), self._terms.ttl)
        self._bases.pop(lease, None)

    async def append(
        self, lease: Lease, records: Sequence[Record], *, values: Mapping[str, str], head: Head | None
    ) -> None:
        """Add records to a thread in one script; raises `RunLocked` or `CheckpointError`."""
        check_numbers(lease.thread_id, records)
        link, keys = self._opened(), self._keys.thread(lease.thread_id)
        shown = Head("", "running") if head is None else head
        arguments: builtins.list[bytes | int] = [
            lease.owner.encode(),
            self._terms.lease,
            self._bases.get(lease, -1),
            self._terms.ttl,
            records[0].seq,
            len(records),
            encoded(lease.thread_id),
            int(head is not None),
            encoded(shown.graph),
            encoded(shown.status),
            *(encoded(record.text) for record in records),
        ]
        for digest, text in values.items():
            arguments += (encoded(digest), encoded(text))
        fault_points.reach("intxn", lease.thread_id)
        reply = await link.run(lease.thread_id, scripts.APPEND, keys, *arguments)
        if reply[0] == b"lost":
            raise lost(lease.thread_id)
        if reply[0] == b"gap":
            raise not_following(lease.thread_id, records, int(reply[1]))

    async def read(self, thread_id: str, *, after: int = 0, limit: int | None = None) -> Sequence[Record]:
        """Give the records above `after`, in order."""
        link, key = self._opened(), self._keys.of("records", thread_id)
        found: builtins.list[Record] = []
        start = max(after, 0)
        while limit is None or len(found) < limit:
            wanted = RECORDS if limit is None else min(RECORDS, limit - len(found))
            texts = await link.look(thread_id, b"LRANGE", key, start, start + wanted - 1)
            found += (Record(seq, decoded(text)) for seq, text in enumerate(texts, start + 1))
            start += wanted
            if len(texts) < wanted:
                break
        return tuple(found)

    async def read_values(self, thread_id: str, digests: Collection[str]) -> Mapping[str, str]:
        """Give the texts of values by digest."""
        link, key = self._opened(), self._keys.of("values", thread_id)
        names = list(digests)
        found: dict[str, str] = {}
        for place in range(0, len(names), VALUES):
            some = names[place : place + VALUES]
            texts = await link.look(thread_id, b"HMGET", key, *map(encoded, some))
            found.update((name, decoded(text)) for name, text in zip(some, texts, strict=True) if text is not None)
        return found

    async def cancel(self, thread_id: str) -> bool:
        """Ask whoever holds a thread's lease to cancel its run."""
        return bool(await self._opened().run(thread_id, scripts.CANCEL, self._keys.thread(thread_id)))

    async def find(self, thread_id: str) -> ThreadSummary | None:
        """Summarise one thread."""
        return (await listing.summaries(self._opened(), self._keys, [thread_id]))[0]

    async def list(self, *, limit: int = 50, cursor: str | None = None, status: Status | None = None) -> Page:
        """List threads, the newest first, one page at a time; looks at each thread until the page is full."""
        link = self._opened()
        check_limit(limit)
        return await listing.page(link, self._keys, limit, Place.of(cursor), status)

    async def delete(self, thread_id: str) -> bool:
        """Remove a thread; raises `RunLocked` while somebody holds its lease.

        Tells `False` for one that it removed itself where the first reply was lost.
        """
        link, keys = self._opened(), self._keys.thread(thread_id)
        there = int(await link.run(thread_id, scripts.DELETE, keys, encoded(thread_id)))
        if there < 0:
            raise taken(thread_id)
        return there == 1

    async def close(self) -> None:
        """End the session, and the leases that were not given back, where the server answers."""
        self._closed = True
        for lease in list(self._bases):
            keys = self._keys.thread(lease.thread_id)
            await self._link.run_once(scripts.RELEASE, keys, lease.owner.encode(), self._terms.ttl)

    def _opened(self) -> Link:
        if self._closed:
            raise CheckpointError("the session is closed; open the store again")
        return self._link
